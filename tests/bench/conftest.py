"""The benchmark is no package of the distribution: its folder is put on the path, as `bench/run.py` finds it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
