import argparse
from pathlib import Path

import pytest

from bondmate_sim.arguments import address, between, count, delays, file, percentage, telephone_number, windows


def test_words_become_values(tmp_path: Path) -> None:
    assert between(0, 1)("0.5") == 0.5
    assert count("3") == 3
    assert (percentage("0"), percentage("100")) == (0, 100)
    assert windows("1,2.5") == (1.0, 2.5)
    assert address("localhost:5683") == ("localhost", 5683)
    assert delays("2") == (2.0, 2.0)
    assert delays("1,2") == (1.0, 2.0)
    assert telephone_number("+4915550001") == "+4915550001"
    (tmp_path / "x").touch()
    assert file(str(tmp_path / "x")) == tmp_path / "x"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (between(0, 1), "1.1"), (between(0, 1), "nan"), (count, "0"), (percentage, "101"),
        (percentage, "-1"), (windows, "1"), (address, "5683"),
        (address, "h:65536"), (delays, "2,1"), (delays, "-1"), (telephone_number, "112"), (telephone_number, "+49x"),
        (telephone_number, "+" + "1" * 16), (file, "no-such-file"),
    ],
)  # fmt: skip
def test_wrong_words_are_named(kind: object, text: str) -> None:
    assert callable(kind)
    with pytest.raises(argparse.ArgumentTypeError):
        kind(text)
