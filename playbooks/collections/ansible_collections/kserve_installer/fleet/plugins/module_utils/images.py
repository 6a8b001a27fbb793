"""Names of container images, as containerd keeps them, and those in an archive."""

from __future__ import annotations

import json
import tarfile

_NAME = "io.containerd.image.name"
"""containerd: images/annotations.go, AnnotationImageName; what `ctr images export` writes."""


def full_name(text):
    """`gcr.io/team/model:1` of any short form of it.

    The rule is Docker's, which containerd takes over: distribution/reference, normalize.go.
    """
    first, slash, _ = text.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        text = f"docker.io/{text}" if slash else f"docker.io/library/{text}"
    last = text.rpartition("/")[2]
    return text if ":" in last or "@" in last else f"{text}:latest"


def archived(path):
    """Full names of the images in an archive of `docker save` or `ctr images export`.

    Raises OSError, and ValueError where it is no such archive or names no image.
    """
    names = []
    try:
        with tarfile.open(path) as archive:
            for entry in _json(archive, "manifest.json") or []:
                names += entry.get("RepoTags") or []
            for entry in (_json(archive, "index.json") or {}).get("manifests", []):
                name = (entry.get("annotations") or {}).get(_NAME)
                names += [name] if name else []
    except tarfile.TarError as problem:
        raise ValueError(f"it is no tar archive: {problem}") from problem
    if not names:
        raise ValueError("it names no image: expected an archive of docker save or ctr export")
    return sorted({full_name(name) for name in names})


def _json(archive, name):
    try:
        return json.load(archive.extractfile(name))
    except KeyError:
        return None
