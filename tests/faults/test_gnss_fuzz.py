"""Spoilt sentences by the thousand, in any pieces: no error leaves the cores, and the pieces make no difference."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from bondmate.core import fields, lines
from tests.conftest import TOP
from tests.faults.gnss_fuzz import BUILT_IN, LINES, Mutator, check, octet_by_octet, outcome, sealed, seeds

STREAMS = 200
"""Of one number: 10,000 lines."""
SHORT, LONG = range(5), range(5, 105)
"""50,000 lines, and a million."""


@pytest.fixture(scope="session")
def real(request: pytest.FixtureRequest) -> list[bytes]:
    """Lines to spoil: from the corpus where it is present, and built-in ones."""
    try:
        corpus: Path | None = request.getfixturevalue("corpus")
    except pytest.skip.Exception:
        corpus = None
    return seeds(corpus)


def fuzz(real: list[bytes], number: int, streams: int = STREAMS) -> tuple[int, int]:
    """How many sentences were understood, and how many fixes they made: whole, in two sorts of pieces, by octets."""
    mutator = Mutator(real, number)
    understood = made = 0
    for _ in range(streams):
        octets = mutator.stream()
        whole = check(octets, mutator.chunks(octets), mutator.chunks(octets), octet_by_octet(octets))
        understood += whole.counts.total()
        made += len(whole.fixes)
    return understood, made


@pytest.mark.parametrize("number", SHORT)
def test_ten_thousand_spoilt_lines(real: list[bytes], number: int) -> None:
    understood, made = fuzz(real, number)
    assert understood > STREAMS * LINES / 4, "whoever spoils every line tests the checksum alone"
    assert made > STREAMS


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", LONG)
def test_a_million_spoilt_lines(real: list[bytes], number: int) -> None:
    fuzz(real, number)


def test_built_in_lines_are_enough_without_a_corpus() -> None:
    understood, made = fuzz(seeds(None), 0, streams=20)
    assert understood > 200
    assert made > 20
    assert {line[3:6] for line in BUILT_IN} >= {b"GGA", b"RMC", b"GLL", b"GNS", b"GSA", b"GSV", b"GST", b"VTG", b"ZDA"}
    whole = outcome(BUILT_IN)
    assert whole.counts.total() == len(BUILT_IN), "each is a sentence"
    assert not whole.rejected


def test_one_number_is_always_the_same_stream(real: list[bytes]) -> None:
    """Else nobody could repeat what failed."""
    assert Mutator(real, 7).stream() == Mutator(real, 7).stream() != Mutator(real, 8).stream()


def test_a_line_gets_the_checksum_that_it_should_have() -> None:
    assert sealed(b"x$GPGGA,1*00\r\n$GPHDT,,T\n$") == b"x$GPGGA,1*4B\r\n$GPHDT,,T*1B\n$*00"
    assert [sealed(line) for line in BUILT_IN] == [*BUILT_IN]


# --- that the fuzz notices -------------------------------------------------------------------------------------------


def forgetful(self: lines.SentenceSplitter, data: bytes) -> list[bytes]:
    """Keeps nothing that was begun."""
    found: list[bytes] = SPLIT(self, data)
    self._begun = b""
    return found


SPLIT = lines.SentenceSplitter.feed
READ = fields._degrees


def without_range(text: str, hemisphere: str, allowed: str, most: int) -> float:
    return READ(text, hemisphere, allowed, 1000)


BROKEN: dict[str, tuple[str, object, type[Exception] | tuple[type[Exception], ...]]] = {
    "a splitter that depends on its chunks": ("bondmate.core.lines.SentenceSplitter.feed", forgetful, AssertionError),
    "a count that is any number": ("bondmate.core.fields.count", lambda text: int(text or "0"), ValueError),
    "fields that are not counted": ("bondmate.core.fields.least", lambda said, wanted: None, (IndexError, ValueError)),
    "a position that is not on earth": ("bondmate.core.fields._degrees", without_range, AssertionError),
    "a number that may be infinite": (
        "bondmate.core.fields.number", lambda text, bounds, factor=1.0: float(text) if text else None, ValueError,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "variant", "error"), BROKEN.values(), ids=BROKEN.keys())
def test_a_core_that_is_broken_is_noticed(
    name: str,
    variant: object,
    error: type[Exception] | tuple[type[Exception], ...],
    real: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(name, variant)
    with pytest.raises(error):
        fuzz(real, 0)


# --- a fuzzer that looks where it gets to ----------------------------------------------------------------------------

ATHERIS = """
import sys
import atheris

with atheris.instrument_imports(include=["bondmate"]):
    from tests.faults import gnss_fuzz

atheris.Setup(sys.argv, gnss_fuzz.one_input)
atheris.Fuzz()
"""
RUNS = 50_000


@pytest.mark.long
@pytest.mark.timeout(900)
def test_atheris_finds_nothing(real: list[bytes], tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: there is none for this Python")
    known = tmp_path / "known"
    known.mkdir()
    for number, line in enumerate(real):
        (known / f"{number:04}").write_bytes(line)
    command = [sys.executable, "-c", ATHERIS, f"-runs={RUNS}", "-seed=20261120", "-max_len=400", "-timeout=20"]
    ended = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/", str(known)],
        cwd=TOP, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert f"Done {RUNS} runs" in ended.stderr
