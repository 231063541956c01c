import io
import json

import pytest

from bondmate_image.display import JsonLines, PlainLines, Terminal
from bondmate_image.meter import Progress


@pytest.fixture
def two() -> list[Progress]:
    made = [Progress("/dev/sdb", 1000), Progress("/dev/sdc", 1000)]
    for card in made:
        card.heard("writing", 0, 0.0)
    return made


def test_a_terminal_has_a_line_a_card_always_in_its_place(two: list[Progress]) -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.show(two)
    first = stream.getvalue()
    assert first.count("\n") == 2
    assert "\x1b[2A" not in first
    two[0].end = "done"
    terminal.end(two)
    again = stream.getvalue().removeprefix(first)
    assert "\x1b[2A\r/dev/sdb  done\x1b[K\n\r/dev/sdc  writing" in again


def test_a_log_has_a_line_for_each_tenth_and_one_for_the_end(
    two: list[Progress], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = PlainLines()
    for octets in (0, 10, 99, 100, 150, 210):
        two[0].heard("writing", octets, 1.0)
        lines.show(two[:1])
    two[0].end = "done"
    lines.show(two[:1])
    lines.end(two[:1])
    shown = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in shown[:-1]] == ["0", "10", "21"]
    assert shown[-1] == "/dev/sdb  done"


def test_a_machine_gets_lines_of_json_and_a_result(two: list[Progress], capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines()
    lines.show(two)
    two[0].end, two[0].ok, two[1].end = "done", True, "FAILED: it burnt"
    lines.show(two)
    lines.end(two)
    *shown, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert [each["card"] for each in shown] == ["/dev/sdb", "/dev/sdc"]
    assert result == {
        "event": "result",
        "ok": False,
        "cards": [
            {"card": "/dev/sdb", "ok": True, "text": "done"},
            {"card": "/dev/sdc", "ok": False, "text": "FAILED: it burnt"},
        ],
    }
