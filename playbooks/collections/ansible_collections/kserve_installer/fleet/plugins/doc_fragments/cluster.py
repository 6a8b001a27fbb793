"""Documentation of the options that the modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments: the cluster (default), where manifests come from, the settings."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - File with the access to the cluster, on the host where the module runs.
      - Without it C(KUBECONFIG), C(~/.kube/config) and the access of a pod are tried in this order.
    type: path
  kubeconfig_content:
    description:
      - The text of such a file instead, which a vault may hold.
      - It is kept in a file that only its owner can read, and only while the module runs.
    type: str
  context:
    description: Context in the kubeconfig; the current one when left out.
    type: str
  executable:
    description:
      - The C(kserve-installer) command on the host.
      - Looked for on E(PATH), then beside the Python that runs the module.
    type: path
  log:
    description: File on the host to which every line that the command prints is added.
    type: path
  stop_file:
    description:
      - File on the host whose appearance asks a running command to end cleanly, and keeps the
        module from starting one.
    type: path
requirements:
  - kserve-installer on the host where the module runs
"""

    SOURCES = r"""
options:
  mirror:
    description: Folder or URL, laid out C(HOST/PATH), from which manifests are taken.
    type: str
  bundle:
    description: Bundle file from which manifests are taken.
    type: path
  catalog:
    description: Folder with a catalog of releases instead of the packaged one.
    type: path
"""

    SETTINGS = r"""
options:
  settings:
    description:
      - Settings as in a settings file, without its C(apiVersion) and C(kind).
      - They win over those of O(settings_files).
    type: dict
  settings_files:
    description: Settings files on the host; later ones win.
    type: list
    elements: path
    default: []
"""
