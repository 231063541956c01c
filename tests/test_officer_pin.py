import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bondmate import officer_pin
from bondmate.core.lockout import FIRST_S, FREE
from bondmate.errors import StoreError
from bondmate.officer_pin import PIN_FILE, OfficerPin, PinAnswer, document, has_form
from bondmate.records import How, Moment
from tests.api.served import set_pin

TRUE, DURESS, WRONG = "271828", "314159", "000000"


LOCKS = FREE + 1
"""The wrong PIN of this number locks."""


@dataclass
class States:
    """Small states in memory; what was written to them in this order."""

    kept: dict[str, bytes | None] = field(default_factory=dict)
    writes: list[tuple[str, bytes | None]] = field(default_factory=list)
    failure: Exception | None = None

    async def get(self, name: str) -> bytes | None:
        if self.failure is not None:
            raise self.failure
        return self.kept.get(name)

    async def keep(self, name: str, octets: bytes | None, deadline_s: float) -> bool:
        self.writes.append((name, octets))
        if self.failure is None:
            self.kept[name] = octets
        return self.failure is None


@dataclass
class Ages:
    lifetime_s: float = 1000.0

    def moment(self) -> Moment:
        return Moment(self.lifetime_s, None)


class Compared:
    """Counts what was compared with what."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []

    def __call__(self, one: bytes, other: bytes) -> bool:
        self.pairs.append((one, other))
        return one == other


@pytest.fixture
def file(tmp_path: Path) -> Path:
    set_pin(tmp_path, TRUE, DURESS)
    return tmp_path / PIN_FILE


def checked(pin: OfficerPin, *tries: str) -> list[PinAnswer]:
    async def main() -> list[PinAnswer]:
        return [await pin.check(each) for each in tries]

    return asyncio.run(main())


def test_the_pin_and_the_duress_pin_are_told_apart_here_alone(file: Path) -> None:
    """Up to `how` both answers, what is compared and what is written are the same."""
    seen: dict[str, Any] = {}
    for tried in (TRUE, DURESS):
        compared, states = Compared(), States()
        [answer] = checked(OfficerPin(file, states, Ages(), 1.0, compare=compared), tried)
        seen[tried] = answer, len(compared.pairs), states.writes
    true, duress = seen[TRUE], seen[DURESS]
    assert (true[0].how, duress[0].how) == (How.PIN, How.DURESS)
    assert [true[0].tries_left, true[0].locked_s, true[0].trouble] == [
        duress[0].tries_left,
        duress[0].locked_s,
        duress[0].trouble,
    ]
    assert true[1:] == duress[1:]
    assert true[1] == 2


def test_both_are_compared_also_where_none_fits_and_where_no_duress_pin_is_set(tmp_path: Path) -> None:
    set_pin(tmp_path, TRUE, None)
    compared = Compared()
    pin = OfficerPin(tmp_path / PIN_FILE, States(), Ages(), 1.0, compare=compared)
    answers = checked(pin, WRONG, DURESS, TRUE)
    assert [answer.how for answer in answers] == [None, None, How.PIN]
    assert [len(other) for _, other in compared.pairs] == [32] * 6


def test_ten_wrong_pins_in_a_row_are_refused_and_from_the_fifth_on_it_is_locked(file: Path) -> None:
    compared = Compared()
    pin = OfficerPin(file, States(), Ages(), 1.0, compare=compared)
    answers = checked(pin, *[WRONG] * 10, TRUE, DURESS)
    assert [answer.how for answer in answers] == [None] * 12, "locked, no PIN is looked at"
    assert [answer.tries_left for answer in answers] == [4, 3, 2, 1, *[0] * 8]
    assert [answer.locked_s for answer in answers] == [0.0] * 4 + [FIRST_S] * 8
    assert len(compared.pairs) == 2 * LOCKS


def test_the_lock_ends_and_the_next_wrong_pin_locks_for_twice_as_long(file: Path) -> None:
    ages = Ages()
    pin = OfficerPin(file, States(), ages, 1.0)
    checked(pin, *[WRONG] * LOCKS)
    ages.lifetime_s += FIRST_S
    [answer] = checked(pin, WRONG)
    assert answer.locked_s == 2 * FIRST_S
    ages.lifetime_s += 2 * FIRST_S
    assert [answer.how for answer in checked(pin, TRUE, WRONG, TRUE)] == [How.PIN, None, How.PIN]


def test_a_restart_gives_no_further_try(file: Path) -> None:
    """Nor does a power cut: the count is kept before the answer is known."""
    states, ages = States(), Ages()
    for wrong in range(1, LOCKS):
        [answer] = checked(OfficerPin(file, states, ages, 1.0), WRONG)
        assert (answer.tries_left, len(states.writes)) == (LOCKS - wrong, wrong)
    [locked] = checked(OfficerPin(file, states, ages, 1.0), WRONG)
    ages.lifetime_s += 10
    [after] = checked(OfficerPin(file, states, ages, 1.0), TRUE)
    assert (locked.locked_s, after.how, after.locked_s) == (FIRST_S, None, FIRST_S - 10)


def test_a_right_pin_forgets_the_wrong_ones_over_a_restart_too(file: Path) -> None:
    states = States()
    checked(OfficerPin(file, states, Ages(), 1.0), *[WRONG] * 4, DURESS)
    [answer] = checked(OfficerPin(file, states, Ages(), 1.0), WRONG)
    assert answer.tries_left == LOCKS - 1


def test_many_at_once_are_counted_one_by_one(file: Path) -> None:
    pin = OfficerPin(file, States(), Ages(), 1.0)

    async def main() -> list[PinAnswer]:
        return await asyncio.gather(*(pin.check(WRONG) for _ in range(20)), pin.check(TRUE))

    answers = asyncio.run(main())
    assert {answer.how for answer in answers} == {None}
    assert [answer.tries_left for answer in answers[:LOCKS]] == [4, 3, 2, 1, 0]


def test_without_a_store_it_counts_in_memory_and_adds_what_was_kept_when_that_is_known(file: Path) -> None:
    states, ages = States(), Ages()
    checked(OfficerPin(file, states, ages, 1.0), *[WRONG] * 3)
    states.failure = StoreError("no disk")
    pin = OfficerPin(file, states, ages, 1.0)
    [answer] = checked(pin, WRONG)
    assert answer.tries_left == LOCKS - 1
    states.failure = None
    [answer] = checked(pin, WRONG)
    assert answer.tries_left == 0
    assert answer.locked_s == FIRST_S


def test_what_was_kept_and_cannot_be_read_begins_anew(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    [answer] = checked(OfficerPin(file, States({officer_pin.STATE: b"?"}), Ages(), 1.0), WRONG)
    assert answer.tries_left == LOCKS - 1
    assert "it begins anew" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 5000,
        b"\xff",
        {"version": 2},
        {"salt": "00"},
        {"salt": 1},
        {"iterations": 0},
        {"iterations": True},
        {"iterations": 10**9},
        {"pin": "zz"},
        {"pin": None},
        {"duress": "00"},
    ],
)
def test_a_file_that_cannot_be_used_is_said_to_be_so_and_counts_no_try(content: Any, file: Path) -> None:
    whole = json.loads(file.read_bytes())
    if isinstance(content, dict):
        file.write_text(json.dumps(whole | content))
    else:
        file.write_bytes(content)
    states = States()
    [answer] = checked(OfficerPin(file, states, Ages(), 1.0), TRUE)
    assert (answer.how, answer.tries_left, states.writes) == (None, None, [])
    assert answer.trouble is not None
    assert "set the PIN anew" in answer.trouble
    assert whole["pin"] not in answer.trouble


def test_one_hash_for_both_is_refused(file: Path) -> None:
    whole = json.loads(file.read_bytes())
    file.write_text(json.dumps(whole | {"duress": whole["pin"]}))
    [answer] = checked(OfficerPin(file, States(), Ages(), 1.0), TRUE)
    assert (answer.how, answer.tries_left) == (None, None)


@pytest.mark.parametrize("nowhere", [None, Path("/nowhere/pin.json")])
def test_without_a_file_no_pin_is_set(nowhere: Path | None) -> None:
    [answer] = checked(OfficerPin(nowhere, States(), Ages(), 1.0), TRUE)
    assert (answer.how, answer.tries_left) == (None, None)
    assert (answer.trouble or "").startswith("no PIN is set")


def test_a_file_that_is_a_directory_is_said_in_words(tmp_path: Path) -> None:
    [answer] = checked(OfficerPin(tmp_path, States(), Ages(), 1.0), TRUE)
    assert answer.trouble == f"{tmp_path}: Is a directory"


def test_a_new_pin_needs_no_restart(file: Path) -> None:
    pin = OfficerPin(file, States(), Ages(), 1.0)
    assert [answer.how for answer in checked(pin, TRUE, "1234")] == [How.PIN, None]
    set_pin(file.parent, "1234", None)
    assert [answer.how for answer in checked(pin, TRUE, "1234")] == [None, How.PIN]


def test_no_pin_is_in_a_log_or_a_repr(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pin = OfficerPin(file, States(), Ages(), 1.0)
    answers = checked(pin, TRUE, DURESS, *["90210"] * 6)
    hashes = json.loads(file.read_bytes())
    said = caplog.text + repr(answers) + repr(pin) + repr(officer_pin._load(file)) + repr(vars(pin))
    assert "a wrong PIN, number 5 in a row" in said, "the control"
    for secret in (TRUE, DURESS, "90210", hashes["pin"], hashes["duress"], hashes["salt"]):
        assert secret not in said


def test_the_log_does_not_tell_a_true_cancel_from_one_under_duress(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logs = []
    for tried in (TRUE, DURESS):
        caplog.clear()
        checked(OfficerPin(file, States(), Ages(), 1.0), WRONG, tried)
        logs.append([record.getMessage() for record in caplog.records if record.name.startswith("bondmate")])
    assert logs[0] == logs[1] != []


@pytest.mark.parametrize("pin", ["123", "1" * 13, "12a4", "", "\uff11\uff12\uff13\uff14", "1234\n", " 1234"])
def test_a_pin_has_4_to_12_digits(pin: str) -> None:
    assert not has_form(pin)
    with pytest.raises(ValueError, match="4 to 12 digits"):
        document(pin, None)
    with pytest.raises(ValueError, match="4 to 12 digits"):
        document("1234", pin)


def test_what_is_written_is_what_is_promised() -> None:
    content = json.loads(document("1234", "123456789012"))
    assert (content["version"], content["iterations"]) == (1, 100_000)
    assert [len(bytes.fromhex(content[name])) for name in ("salt", "pin", "duress")] == [16, 32, 32]
    assert json.loads(document("1234", None))["duress"] is None
    assert json.loads(document("1234", None))["salt"] != content["salt"]
    with pytest.raises(ValueError, match="must differ"):
        document("1234", "1234")
