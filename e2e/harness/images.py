"""The images that scenarios run: both halves of the project, built from this checkout."""

from harness.clusters import Cluster
from harness.shell import run

DATA_PLANE = "logary/rutta:e2e"
OPERATOR = "logary/rutta-operator:e2e"
_FILES = {DATA_PLANE: "Dockerfile.dataplane", OPERATOR: "Dockerfile.operator"}


def build(image: str, folder: str = ".", file: str = "") -> None:
    """Build an image; seconds when nothing has changed. Another folder than this checkout needs its file named."""
    run("docker", "build", "-q", "-f", f"{folder}/{file or _FILES[image]}", "-t", image, folder, timeout=900)


def image_id(image: str) -> str:
    """Return the digest of an image, which changes whenever its content does."""
    return run("docker", "image", "inspect", "-f", "{{.Id}}", image).strip()


def build_and_load(cluster: Cluster) -> None:
    """Build both and bring them to the cluster's nodes."""
    for image in _FILES:
        build(image)
    cluster.load(*_FILES)
