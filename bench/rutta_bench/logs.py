"""The log files of containers, as the kubelet keeps them: ``NAMESPACE_POD_UID/CONTAINER/N.log``."""

from pathlib import Path

from rutta_bench import samples


def make(folder: Path, containers: int) -> Path:
    """Make so many logs with a line each; return their folder."""
    root = folder / "pods"
    (line,) = samples.container_lines(1)
    for number in range(containers):
        place = root / f"shop_web-{number}_0b9d5a2e-5c3f-4f0e-9c1e-{number:012x}" / "app"
        place.mkdir(parents=True)
        (place / "0.log").write_bytes(line)
    return root
