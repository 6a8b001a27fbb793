"""The safe loader of PyYAML: the one in C where it was built with it, else the slower of Python.

For YAML that is not a manifest: manifests have scalars that only `parse` reads as kubectl does.
"""

from __future__ import annotations

from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
