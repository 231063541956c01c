"""The SIM's PIN: that no SIM is blocked by this device, whatever happens."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from bondmate.drivers.modem_pin import PinGuard, PinRefusedError
from tests.drivers.at_peer import QUECTEL, Reply
from tests.drivers.modem_desk import codes, plugged
from tests.eventually import eventually


@pytest.fixture
def pin(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    path.write_text("4711\n")
    return path


@pytest.fixture
def guard(pin: Path, tmp_path: Path) -> PinGuard:
    return PinGuard(pin, tmp_path / "memory")


def test_a_pin_is_given_away_once(guard: PinGuard, tmp_path: Path) -> None:
    assert guard.take(3) == "4711"
    with pytest.raises(PinRefusedError, match="was tried before"):
        guard.take(2)
    with pytest.raises(PinRefusedError, match="was tried before"):
        PinGuard(tmp_path / "pin", tmp_path / "memory").take(2), "after a restart too"


def test_one_that_was_right_is_given_away_again(guard: PinGuard, tmp_path: Path) -> None:
    for _ in range(3):
        assert guard.take(3) == "4711"
        guard.opened()
    assert not (tmp_path / "memory").exists()


def test_an_attempt_of_which_nothing_is_known_counts_as_wrong(guard: PinGuard) -> None:
    """The power went between the attempt and its answer, and the modem cannot tell how many are left."""
    guard.take(None)
    with pytest.raises(PinRefusedError, match="was tried before"):
        guard.take(None)


def test_an_attempt_that_never_came_to_the_sim_is_not_counted(guard: PinGuard) -> None:
    guard.take(3)
    assert guard.take(3) == "4711", "three were left, and three are"
    with pytest.raises(PinRefusedError, match="was tried before"):
        guard.take(2)
    with pytest.raises(PinRefusedError, match="was tried before"):
        guard.take(None)


def test_another_pin_is_another_attempt(guard: PinGuard, pin: Path) -> None:
    guard.take(3)
    pin.write_text("4712")
    assert guard.take(2) == "4712"


@pytest.mark.parametrize("left", [0, 1])
def test_the_last_attempt_is_for_a_person(left: int, guard: PinGuard, tmp_path: Path) -> None:
    with pytest.raises(PinRefusedError, match="for a person"):
        guard.take(left)
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize("content", ["", "abcd", "123", "123456789", "12 34", "٤٧١١"])
def test_what_is_no_pin_is_not_tried_and_not_repeated(content: str, pin: Path, guard: PinGuard) -> None:
    pin.write_text(content)
    with pytest.raises(PinRefusedError, match="does not hold a PIN") as refused:
        guard.take(3)
    assert not content or content not in str(refused.value)


def test_what_is_missing_is_told(tmp_path: Path, pin: Path) -> None:
    with pytest.raises(PinRefusedError, match="no PIN is configured"):
        PinGuard(None, tmp_path / "memory").take(3)
    with pytest.raises(PinRefusedError, match="no file in which"):
        PinGuard(pin, None).take(3)
    with pytest.raises(PinRefusedError, match="cannot be read: No such file"):
        PinGuard(tmp_path / "nothing", tmp_path / "memory").take(3)


def test_without_a_place_for_the_memory_nothing_is_tried(pin: Path, tmp_path: Path) -> None:
    with pytest.raises(PinRefusedError, match="cannot be remembered"):
        PinGuard(pin, tmp_path / "nowhere" / "memory").take(3)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"salt": 1}', '{"salt": "", "digest": null}', "null"])
def test_a_memory_that_cannot_be_understood_counts_as_an_attempt(content: str, guard: PinGuard, tmp_path: Path) -> None:
    (tmp_path / "memory").write_text(content)
    with pytest.raises(PinRefusedError, match="was tried before"):
        guard.take(3)


def test_the_memory_does_not_say_the_pin_and_is_for_its_owner_alone(guard: PinGuard, tmp_path: Path) -> None:
    guard.take(3)
    memory = tmp_path / "memory"
    assert "4711" not in memory.read_text()
    assert set(json.loads(memory.read_text())) == {"salt", "digest", "left"}
    assert stat.S_IMODE(memory.stat().st_mode) == 0o600


# --- in the driver ------------------------------------------------------------------------------------


def test_a_sim_takes_its_pin_at_each_start(pin: Path, tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {"AT+CPIN?": "+CPIN: SIM PIN"}
        async with plugged(tmp_path, replies, ready=False, pin_file=pin, pin_memory=tmp_path / "memory") as (
            modem,
            peer,
        ):

            def unlock() -> str:
                assert (tmp_path / "memory").exists(), "remembered before it is tried"
                peer.replies["AT+CPIN?"] = "+CPIN: READY"
                return ""

            peer.replies['AT+CPIN="4711"'] = unlock
            await eventually(lambda: modem.state().why_not is None, "the modem to be ready")
            await eventually(lambda: not (tmp_path / "memory").exists(), "it to be known as right")
            peer.replies["AT+CPIN?"] = "+CPIN: SIM PIN"
            peer.unasked("RDY")
            await eventually(lambda: peer.heard.count('AT+CPIN="4711"') == 2, "it to be entered again")
            await eventually(lambda: modem.state().why_not is None, "the modem to be ready")

    asyncio.run(main())


@pytest.mark.parametrize("answer", ["!+CME ERROR: 16", "!+CME ERROR: incorrect password", "!ERROR"])
@pytest.mark.parametrize("attempts", ['+QPINC: "SC",{},10', "!ERROR"])
def test_a_wrong_pin_is_tried_once_however_often_the_modem_starts(
    attempts: str, answer: str, pin: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        left = [3]

        def refuse() -> str:
            left[0] -= 1
            return answer

        replies: dict[str, Reply] = QUECTEL | {
            "AT+CPIN?": "+CPIN: SIM PIN",
            'AT+CPIN="4711"': refuse,
            'AT+QPINC="SC"': lambda: attempts.format(left[0]),
        }
        async with plugged(tmp_path, replies, ready=False, pin_file=pin, pin_memory=tmp_path / "memory") as (
            modem,
            peer,
        ):
            await eventually(lambda: codes(modem) == ["sim-pin"], "the fault")
            for starts in range(2, 6):
                peer.unasked("RDY")
                await eventually(lambda starts=starts: peer.heard.count("ATE0") == starts, "another start")  # type: ignore[misc]
                await eventually(lambda: codes(modem) == ["sim-pin"], "the fault")
            assert left == [2]
            assert "4711" not in str(modem.faults())
            assert "modem.pin_file" in modem.faults()[0].next

    asyncio.run(main())
