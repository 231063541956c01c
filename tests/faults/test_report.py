import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.report import Row, summed, table

TOP = Path(__file__).parents[2]
CONFTEST = """
from tests.faults import report

def pytest_configure(config):
    config.pluginmanager.register(report)
"""
TESTS = """
import pytest
from tests.faults import report

@pytest.mark.parametrize("number", range(1, 7))
def test_fault(number):
    report.add("power cut", 1000, number, 0, 0)

def test_other_fault():
    report.add("kill", 60, 59, 1, 2)
"""


def run_pytest(directory: Path, *arguments: str) -> str:
    alone = ["-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={directory}", f"--override-ini=pythonpath={TOP}"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *alone, *arguments, str(directory)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_rows_of_the_same_fault_are_summed() -> None:
    rows = [Row("kill", 1, 2, 3, 4), Row("card", 5, 5, 5, 5), Row("kill", 10, 20, 30, 40)]
    assert summed(rows) == [Row("card", 5, 5, 5, 5), Row("kill", 11, 22, 33, 44)]


def test_the_table_has_a_line_a_fault_below_its_headings() -> None:
    assert table([Row("power cut", 200_000, 7, 0, 0), Row("kill", 60, 59, 1, 2)]) == [
        "fault        cases  presses  lost  duplicated",
        "kill            60       59     1           2",
        "power cut  200,000        7     0           0",
    ]


@pytest.mark.parametrize("workers", [0, 3])
def test_the_run_ends_with_one_table_however_many_workers_it_has(workers: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_faults.py").write_text(TESTS)
    printed = run_pytest(tmp_path, "-n", str(workers))
    assert "\n".join(table([Row("power cut", 6000, 21, 0, 0), Row("kill", 60, 59, 1, 2)])) in printed
    assert printed.count("power cut") == 1


def test_a_run_without_faults_prints_no_table(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    assert "duplicated" not in run_pytest(tmp_path)
