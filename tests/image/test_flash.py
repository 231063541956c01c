import json
import os
import pty
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bondmate_image import cli, flash, writing
from bondmate_image.plan import Plan
from bondmate_image.targets import Target
from tests.image import cards
from tests.image.cards import BLOCK

PROGRAM = Path(sys.executable).with_name("bondmate-image")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = cards.image(tmp_path / "bondmate.img")
    cards.bmap(made)
    return made


def head(path: Path) -> bytes:
    return path.read_bytes()[: 40 * BLOCK]


def test_several_cards_are_written_at_once(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three = [cards.blank(tmp_path / name) for name in "abc"]
    assert cli.main(["flash", str(image), *map(str, three)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == (f"{image}: 12 MB, of which 5 MB are written; checked against bondmate.img.bmap")
    for card in three:
        assert head(card) == head(image)
        assert f"{card}  done: 5 MB written and compared in 0:0" in said.err


def test_loop_devices_are_written_at_once(image: Path, tmp_path: Path) -> None:
    one, two = cards.blank(tmp_path / "a"), cards.blank(tmp_path / "b")
    with cards.loop(one) as first, cards.loop(two) as second:
        done = subprocess.run([PROGRAM, "flash", image, first, second], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert head(one) == head(two) == head(image)


def test_without_a_map_all_is_written(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.with_name("bondmate.img.bmap").unlink()
    card = cards.blank(tmp_path / "card")
    assert cli.main(["flash", str(image), str(card)]) == 0
    assert "no bmap beside it: all of it is written" in capsys.readouterr().out
    assert card.read_bytes() == image.read_bytes()


def test_a_card_that_fails_does_not_stop_the_others(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, behind = cards.blank(tmp_path / "bad"), cards.blank(tmp_path / "good")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with cards.loop(behind) as good:
        # The kernel's own refusal, for files of this process and not for devices.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000 * BLOCK, before[1]))
        try:
            code = cli.main(["flash", str(image), str(good), str(bad)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert code == 1
    assert head(behind) == head(image)
    assert f"bondmate-image: 1 of 2 cards NOT USABLE:\n  {bad} could not be written at octet {2000 * BLOCK}" in said
    assert f"{good}  done" in said


def test_what_is_refused_leaves_all_cards_as_they_are(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, small = cards.blank(tmp_path / "good"), cards.blank(tmp_path / "small", 512)
    before = good.read_bytes()
    assert cli.main(["flash", str(image), str(good), str(small)]) == 1
    assert f"nothing was written:\n  {small} has 512 octets" in capsys.readouterr().err
    assert good.read_bytes() == before


def test_a_damaged_image_touches_no_card(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with image.open("r+b") as file:
        file.write(b"?")
    card = cards.blank(tmp_path / "card")
    before = card.read_bytes()
    assert cli.main(["flash", str(image), str(card)]) == 1
    assert "No card was touched" in capsys.readouterr().err
    assert card.read_bytes() == before


def test_an_image_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flash", str(tmp_path / "none.img"), str(cards.blank(tmp_path / "card"))]) == 1
    assert "none.img cannot be read: No such file" in capsys.readouterr().err


def test_a_machine_reads_a_result(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = cards.blank(tmp_path / "card")
    assert cli.main(["flash", "--json", str(image), str(card)]) == 0
    *_, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert (result["event"], result["ok"], result["cards"][0]["card"]) == ("result", True, str(card))


def test_on_a_terminal_each_card_has_its_line(image: Path, tmp_path: Path) -> None:
    one, two = cards.blank(tmp_path / "a"), cards.blank(tmp_path / "b")
    ours, theirs = pty.openpty()
    try:
        running = subprocess.Popen([PROGRAM, "flash", image, one, two], stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # EIO: the last writer has gone
                break
        assert running.wait(60) == 0
    finally:
        os.close(ours)
    assert shown.endswith(b"\x1b[?7h")
    for card in (one, two):
        assert f"\r{card}  done: 5 MB written and compared in ".encode() in shown


def test_a_stop_names_the_cards_that_are_not_usable(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = cards.blank(tmp_path / "one"), cards.blank(tmp_path / "two")
    written, stopped = threading.Event(), threading.Event()
    real = writing.flash

    def halfway(planned: Plan, target: Target, tell: writing.Tell) -> None:
        """One is done before the stop; of two something was written, and it waits for the stop."""

        def told(phase: writing.Phase, done: int) -> None:
            tell(phase, done)
            if target.path == two and done:
                assert written.wait(60)
                os.kill(os.getpid(), signal.SIGINT)
                while True:
                    tell(phase, done)
                    stopped.wait(0.01)

        real(planned, target, told)
        written.set()

    monkeypatch.setattr(writing, "flash", halfway)
    assert cli.main(["flash", str(image), str(one), str(two)]) == 1
    said = capsys.readouterr().err
    assert said.endswith(f"bondmate-image: stopped. NOT USABLE, flash them again: {two}\n")
    assert f"{two}  FAILED: was stopped before it was done. Flash it again" in said
    assert f"{one}  done" in said
    assert not any(two.read_bytes()[:512])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_card_that_hangs_is_left_behind(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = cards.blank(tmp_path / "card")
    over = threading.Event()

    def hangs(planned: Plan, target: Target, tell: writing.Tell) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert over.wait(60)

    monkeypatch.setattr(writing, "flash", hangs)
    monkeypatch.setattr(flash, "_STOP_WITHIN_S", 0.0)
    assert cli.main(["flash", str(image), str(card)]) == 1
    over.set()
    said = capsys.readouterr().err
    assert f"{card}  FAILED: hangs" in said
    assert f"NOT USABLE, flash them again: {card}" in said


def test_a_fault_of_the_tool_ends_the_card_and_not_the_waiting(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = cards.blank(tmp_path / "card")

    def fails(planned: Plan, target: Target, tell: writing.Tell) -> None:
        raise LookupError

    monkeypatch.setattr(writing, "flash", fails)
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)  # it would print what happened
    assert cli.main(["flash", str(image), str(card)]) == 1
    assert f"{card} failed by a fault of this tool" in capsys.readouterr().err
