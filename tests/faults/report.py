"""One table of what the faults came to, at the end of a test run; a pytest plugin, which tests/conftest.py registers.

Also with pytest-xdist: each worker hands its rows over when it ends. It counts and prints; judging is the tests' own.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault came to; the fields are the table's columns."""

    fault: str
    cases: int
    presses: int
    lost: int
    duplicated: int


_HEADINGS = ("fault", "cases", "presses", "lost", "duplicated")
_HANDED_OVER = "faults"

_rows: list[Row] = []


def add(fault: str, cases: int, presses: int, lost: int, duplicated: int) -> None:
    """Count `cases` of a fault, with the confirmed presses in them, those lost, and those that came to be twice."""
    _rows.append(Row(fault, cases, presses, lost, duplicated))


def summed(rows: Iterable[Row]) -> list[Row]:
    """One row a fault, in the order of the faults' names."""
    sums: dict[str, Row] = {}
    for row in rows:
        before = sums.get(row.fault, Row(row.fault, 0, 0, 0, 0))
        sums[row.fault] = Row(
            row.fault,
            before.cases + row.cases,
            before.presses + row.presses,
            before.lost + row.lost,
            before.duplicated + row.duplicated,
        )
    return [sums[fault] for fault in sorted(sums)]


def table(rows: Iterable[Row]) -> list[str]:
    """The lines of the table: headings, then one row a fault."""
    cells = [_HEADINGS, *((row.fault, *(f"{number:,}" for number in astuple(row)[1:])) for row in summed(rows))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    return [
        "  ".join([line[0].ljust(widths[0]), *(line[column].rjust(widths[column]) for column in range(1, len(widths)))])
        for line in cells
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: hand the rows over."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_HANDED_OVER] = [astuple(row) for row in _rows]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """At the head of pytest-xdist's workers: take their rows. A worker that crashed has none, and fails the run."""
    output: dict[str, list[tuple[str, int, int, int, int]]] = getattr(node, "workeroutput", {})
    _rows.extend(Row(*row) for row in output.get(_HANDED_OVER, ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, if any fault was tried."""
    if _rows:
        terminalreporter.section("faults")
        terminalreporter.write_line("\n".join(table(_rows)))
