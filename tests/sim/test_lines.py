import pytest

from bondmate_sim.lines import Level, Line


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (Line(), 0),
        (Line(pull="up"), 1),
        (Line(pull="down"), 0),
        (Line(pull="up", driven=0), 0),
        (Line(pull="down", driven=1), 1),
        (Line(function="output", output=1), 1),
        (Line(function="output", output=0, pull="up"), 0),
        (Line(function="output", output=1, driven=0), 1),
        (Line(function="output", output=1, shorted=0), 0),
        (Line(function="output", output=0, shorted=1), 1),
        (Line(pull="up", driven=1, shorted=0), 0),
    ],
)
def test_who_drives_decides_the_level(line: Line, level: Level) -> None:
    assert line.level == level
