"""The folder ``operator`` must never hide the standard library's module of that name."""

import operator
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_folder_operator_holds_the_package_and_nothing_else():
    assert [one.name for one in (ROOT / "operator").iterdir() if one.name != "__pycache__"] == ["rutta_operator"]


def test_the_standard_module_operator_is_still_there():
    assert operator.itemgetter(1)("ab") == "b"
    code = "import operator, collections; assert operator.eq"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_no_test_folder_is_a_package():
    assert [path for folder in ("tests", "e2e") for path in (ROOT / folder).rglob("__init__.py")] == []
