"""Spoilt results and messages by the thousand, in any pieces: no error leaves the cores, and memory is bounded."""

import datetime as dt

import pytest

from bondmate.core import at, pdu
from bondmate.core.at import Digester, Response, Said
from bondmate.core.pdu import Other, Sms
from tests.faults.modem_fuzz import BUILT_IN, PDUS, Mutator, check_message, check_said

INPUTS = 1000
"""Of one number, of each of the two."""
SHORT, LONG = range(10), range(10, 60)
"""20,000 inputs, and a million, ten times as many of each number."""


def fuzz(number: int, inputs: int = INPUTS) -> tuple[int, int]:
    """How many answers and how many messages were understood."""
    mutator = Mutator(number)
    answers = messages = 0
    for count in range(inputs):
        octets, command = mutator.said(), mutator.command()
        # octet by octet is slow, and two pieces find nearly as much
        pieces = [[octets[at : at + 1] for at in range(len(octets))]] if count % 5 == 0 else []
        said = check_said(octets, command, mutator.chunks(octets), *pieces)
        answers += sum(isinstance(one, Response) for one in said)
        messages += isinstance(check_message(mutator.message()), Sms)
    return answers, messages


@pytest.mark.parametrize("number", SHORT)
def test_twenty_thousand_spoilt_inputs(number: int) -> None:
    answers, messages = fuzz(number)
    assert answers > INPUTS / 5, "whoever spoils all of it tests nothing"
    assert messages > INPUTS / 5


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", LONG)
def test_a_million_spoilt_inputs(number: int) -> None:
    answers, messages = fuzz(number, 10 * INPUTS)
    assert answers > 2 * INPUTS
    assert messages > 2 * INPUTS


def test_one_number_is_always_the_same_inputs() -> None:
    """Else nobody could repeat what failed."""
    assert Mutator(7).said() == Mutator(7).said()
    assert [Mutator(7).said() for _ in range(3)] != [Mutator(8).said() for _ in range(3)]


def test_what_is_not_spoilt_is_understood() -> None:
    assert [type(check_message(octets)) for octets in PDUS] == [Sms, Sms, Sms, Sms, Other, Other]
    assert all(check_said(octets, None) or octets == b"\r\n> " for octets in BUILT_IN)


# --- that the fuzz notices --------------------------------------------------------------------------------------------

FEED = Digester.feed


def forgetful(self: Digester, data: bytes) -> list[Said]:
    """Keeps nothing that was begun."""
    said = FEED(self, data)
    self._begun.clear()
    return said


BROKEN: dict[str, tuple[object, str, object, type[Exception] | tuple[type[Exception], ...]]] = {
    "a digester that depends on its chunks": (Digester, "feed", forgetful, AssertionError),
    "data without a limit": (at, "MAX_DATA", 10**9, AssertionError),
    "a line without a limit": (at, "MAX_LINE", 10**9, AssertionError),
    "a reader that does not look where the message ends": (
        pdu._Reader, "take", lambda self, count: self._octets[self._at : self._at + count], (IndexError, ValueError),
    ),
    "an address without a limit": (pdu, "MAX_DIGITS", 255, AssertionError),
    "a time that must be one": (
        pdu, "_time", lambda octets: dt.datetime(2026, octets[1], octets[2], tzinfo=dt.UTC), ValueError,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("owner", "name", "variant", "error"), BROKEN.values(), ids=BROKEN.keys())
def test_a_core_that_is_broken_is_noticed(
    owner: object,
    name: str,
    variant: object,
    error: type[Exception] | tuple[type[Exception], ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, variant)
    with pytest.raises(error):
        fuzz(0, 5 * INPUTS)
