import errno
import shutil
import stat
from pathlib import Path

import pytest

from bondmate_image import boot, cli, targets
from bondmate_image.boot import Boot
from bondmate_image.errors import ImageError
from tests.image import cards
from tests.image.desk import Desk, file, offer

ONE, TWO = "BM-00000001", "BM-00000002"


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [cards.bootable(tmp_path / name) for name in ("a", "b")]


def held(card: Path) -> bytes | None:
    (target,) = targets.check([card], 1)
    with boot.opened(target) as found:
        return found.read()


def waiting(directory: Path, *devices: str) -> Path:
    """A directory as --out leaves it."""
    directory.mkdir(exist_ok=True)
    for each in devices:
        (directory / f"{each}.cose").write_bytes(file(each))
    return directory


def enrol(desk: Desk, *words: object) -> int:
    return cli.main(["enrol", "--gateway", str(desk.data), *map(str, words)])


def test_each_card_gets_a_file_of_its_own(desk: Desk, two: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    desk.will_say(offer(ONE, TWO))
    assert enrol(desk, *two) == 0
    assert [held(card) for card in two] == [file(ONE), file(TWO)]
    assert capsys.readouterr().out == f"{two[0]}  {ONE}\n{two[1]}  {TWO}\n"
    assert desk.asked == [(["enrol", "--data", str(desk.data), "--count", "2", "--cards", "--json"], "")]


def test_a_card_in_a_reader_gets_its_file(desk: Desk, two: list[Path]) -> None:
    desk.will_say(offer(ONE))
    with cards.loop(two[0]) as device:
        assert enrol(desk, device) == 0
    assert held(two[0]) == file(ONE)


def test_through_ssh_too(desk: Desk, two: list[Path]) -> None:
    desk.will_say(offer(ONE))
    assert cli.main(["enrol", "--gateway", "ssh://ann@host", str(two[0])]) == 0
    assert held(two[0]) == file(ONE)
    assert desk.asked == [(["enrol", "--count", "1", "--cards", "--json"], "")]


def test_what_the_gateway_has_to_know_is_passed_on_and_secrets_by_the_pipe(desk: Desk, tmp_path: Path) -> None:
    network = tmp_path / "network.toml"
    network.write_text('[[wifi]]\nssid = "station"\npassphrase = "not on a command line"\n')
    desk.will_say(offer(ONE))
    words = ["--address", "coap://a", "--address", "coap://b", "--group", "north", "--approve", "--network", network]
    assert enrol(desk, *words, "--out", tmp_path / "kept") == 0
    ((asked, given),) = desk.asked
    assert asked[3:] == [
        "--count", "1", "--cards", "--json", "--address", "coap://a", "--address", "coap://b", "--group", "north",
        "--approve", "--network", "-",
    ]  # fmt: skip
    assert given == network.read_text()


def test_labels_are_printed_for_what_was_enrolled(
    desk: Desk, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.will_say(offer(ONE, TWO))
    sheet = tmp_path / "labels.pdf"
    assert enrol(desk, "--labels", sheet, *two) == 0
    assert sheet.read_bytes().startswith(b"%PDF")
    assert f"{sheet}  2 labels" in capsys.readouterr().out


def test_a_card_that_holds_a_file_is_refused_before_the_gateway_is_asked(
    desk: Desk, two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    desk.will_say(offer(ONE))
    assert enrol(desk, two[1]) == 0
    assert enrol(desk, *two) == 1
    said = capsys.readouterr().err
    assert f"not asked:\n  {two[1]} holds the enrolment file of {ONE} already. Use it, or flash the card again" in said
    assert len(desk.asked) == 1
    assert (held(two[0]), held(two[1])) == (None, file(ONE))


def test_a_card_that_is_none_is_refused_before_the_gateway_is_asked(
    desk: Desk, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = cards.bootable(tmp_path / "other", "DATA")
    assert enrol(desk, *two, other, cards.blank(tmp_path / "blank")) == 1
    said = capsys.readouterr().err
    assert f"nothing was written:\n  {other} has the label DATA" in said
    assert f"{tmp_path}/blank has no partition table" in said
    assert enrol(desk, two[0], two[0]) == 1
    assert f"{two[0]} is the same as {two[0]}" in capsys.readouterr().err
    assert desk.asked == []


def test_a_gateway_that_refuses_leaves_the_cards_alone(
    desk: Desk, two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    desk.will_fail("no disk")
    assert enrol(desk, *two) == 1
    assert "refused; it says: bondmate-gateway: no disk" in capsys.readouterr().err
    assert [held(card) for card in two] == [None, None]


def test_a_card_that_fails_stops_no_other_and_its_device_is_named(
    desk: Desk,
    two: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = Boot.write

    def fails(self: Boot, data: bytes) -> None:
        if self.target.path == two[0]:
            raise ImageError("burns")
        real(self, data)

    monkeypatch.setattr(Boot, "write", fails)
    desk.will_say(offer(ONE, TWO))
    assert enrol(desk, "--labels", tmp_path / "labels.pdf", *two) == 1
    said = capsys.readouterr()
    assert (
        f"1 of 2 cards NOT ENROLLED:\n  {two[0]} burns. {ONE} may be on it: run 'bondmate-gateway withdraw {ONE}'"
        in (said.err)
    )
    assert held(two[1]) == file(TWO)
    assert "labels.pdf  1 label\n" in said.out


def test_files_are_kept_for_cards_that_come_later(
    desk: Desk, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    desk.will_say(offer(ONE, TWO))
    assert enrol(desk, "--count", "2", "--out", kept) == 0
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept.iterdir()} == {
        f"{ONE}.cose": 0o600,
        f"{TWO}.cose": 0o600,
    }
    said = capsys.readouterr()
    assert said.out == f"{kept}/{ONE}.cose\n{kept}/{TWO}.cose\n"
    assert "hold secrets" in said.err

    assert cli.main(["enrol", "--from", str(kept), str(two[0])]) == 0
    assert held(two[0]) == file(ONE)
    assert [path.name for path in kept.iterdir()] == [f"{TWO}.cose"]
    assert cli.main(["enrol", "--from", str(kept), *map(str, two)]) == 1
    assert f"{two[0]} holds the enrolment file of {ONE} already" in capsys.readouterr().err


def test_a_card_keeps_the_file_that_it_has_of_those_that_wait(
    desk: Desk, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a stop between the writing of the card and the removal of the file."""
    kept = tmp_path / "kept"
    desk.will_say(offer(ONE, TWO), offer(ONE))
    assert enrol(desk, "--count", "2", "--out", kept) == 0
    assert enrol(desk, two[1]) == 0
    capsys.readouterr()
    assert cli.main(["enrol", "--from", str(kept), *map(str, two)]) == 0
    assert [held(card) for card in two] == [file(TWO), file(ONE)]
    assert capsys.readouterr().out == f"{two[0]}  {TWO}\n{two[1]}  {ONE}, which it held already\n"
    assert list(kept.iterdir()) == []


def test_a_file_that_a_failed_card_may_have_goes_onto_no_other(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = waiting(tmp_path / "kept", ONE, TWO)
    real = Boot.write

    def fails(self: Boot, data: bytes) -> None:
        real(self, data)
        raise OSError(errno.EIO, "Input/output error")  # as the reader that is pulled out before the file is read back

    with monkeypatch.context() as patch:
        patch.setattr(Boot, "write", fails)
        assert cli.main(["enrol", "--from", str(kept), str(two[0])]) == 1
    assert f"{ONE} may be on it: run 'bondmate-gateway withdraw {ONE}'" in capsys.readouterr().err
    assert cli.main(["enrol", "--from", str(kept), str(two[1])]) == 0
    assert [held(card) for card in two] == [file(ONE), file(TWO)]


def test_two_cards_with_one_file_are_refused_by_name(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a card that was copied after a stop between the writing and the removal of the file."""
    kept = waiting(tmp_path / "kept", ONE)
    assert cli.main(["enrol", "--from", str(kept), str(two[0])]) == 0
    waiting(kept, ONE, TWO)
    shutil.copy(*two)
    assert cli.main(["enrol", "--from", str(kept), *map(str, two)]) == 1
    assert (
        f"nothing was written:\n  {two[1]} holds the enrolment file of {ONE}, as {two[0]} does. Flash one of them again"
        in capsys.readouterr().err
    )
    assert {path.stem for path in kept.iterdir()} == {ONE, TWO}


def test_a_file_that_somebody_took_away_meanwhile_loses_no_label(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, sheet = waiting(tmp_path / "kept", ONE, TWO), tmp_path / "labels.pdf"
    real = Boot.write

    def taken(self: Boot, data: bytes) -> None:
        real(self, data)
        (kept / f"{ONE}.cose").unlink(missing_ok=True)

    monkeypatch.setattr(Boot, "write", taken)
    assert cli.main(["enrol", "--from", str(kept), "--labels", str(sheet), *map(str, two)]) == 0
    assert sheet.exists()


def test_too_few_files_or_a_wrong_one_are_refused(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{ONE}.cose").write_bytes(file(ONE))
    assert cli.main(["enrol", "--from", str(tmp_path), *map(str, two)]) == 1
    assert "has 1 files, for 2 cards" in capsys.readouterr().err
    (tmp_path / f"{TWO}.cose").write_bytes(file(ONE))
    assert cli.main(["enrol", "--from", str(tmp_path), *map(str, two)]) == 1
    assert f"{TWO}.cose is not the enrolment file of {TWO}" in capsys.readouterr().err
    assert [held(card) for card in two] == [None, None]


def test_a_file_that_waits_is_never_written_over(desk: Desk, tmp_path: Path) -> None:
    desk.will_say(offer(ONE), offer(ONE))
    assert enrol(desk, "--out", tmp_path) == 0
    assert enrol(desk, "--out", tmp_path) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--gateway", "g"], "either cards or --out"),
        (["--gateway", "g", "--out", "d", "c"], "either cards or --out"),
        (["--gateway", "g", "--count", "2", "c"], "--count 2 is not the number of cards, 1"),
        (["--gateway", "ssh://-l", "c"], "is not ssh://"),
        (["--gateway", "g", "--count", "1001", "--out", "d"], "not between 1 and 1000"),
        (["--from", "d", "--out", "d"], "--from takes cards"),
        (["--from", "d", "--approve", "c"], "--from takes cards"),
        (["--from", "d", "--gateway", "g", "c"], "not allowed with"),
        (["c"], "required"),
    ],
)
def test_what_contradicts_itself_is_usage(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["enrol", *words])
    assert stop.value.code == 2
    assert why in capsys.readouterr().err


def test_labels_that_cannot_be_printed_are_said_before_the_gateway_is_asked(desk: Desk, two: list[Path]) -> None:
    assert enrol(desk, "--labels", "/nowhere/labels.pdf", *two) == 1
    assert desk.asked == []
