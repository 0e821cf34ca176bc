"""What stands in `deploy/`: the parsed files, and the parts of them that several tests look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

#: A parsed YAML mapping.
Document = Mapping[str, Any]

COMPOSE: Document = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
KUSTOMIZATIONS = sorted(KUBERNETES.glob("*/kustomization.yaml"))
MANIFESTS = sorted(set(KUBERNETES.glob("*/*.yaml")) - set(KUSTOMIZATIONS))

#: The numeric user of the image.
UID = 10001


def document(path: Path) -> Document:
    """Return the one document of a YAML file."""
    found: Document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def manifest(name: str) -> Document:
    """Return a manifest by its path below `kubernetes/`, without the suffix."""
    return document(KUBERNETES / f"{name}.yaml")


def pods() -> dict[str, Document]:
    """Return each manifest that makes pods, by path, as the spec of its pod."""
    found = {str(path.relative_to(KUBERNETES)): document(path) for path in MANIFESTS}
    return {name: d["spec"]["template"]["spec"] for name, d in found.items() if "template" in d.get("spec", {})}


def containers(pod: Document) -> list[Document]:
    """Return all containers of a pod, sidecars among them."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile, continued lines joined, as word and rest."""
    text = "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())
