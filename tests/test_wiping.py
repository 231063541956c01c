"""A device that was ordered to be wiped: its button works, and nothing is owed to the gateway when the mark is made."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bondmate.errors import LinkError
from bondmate.records import DeviceId, How, Kind, SessionId, SignedRecord, Stream
from bondmate.wiping import FAULT, LOOK_S
from tests.desk import ATTENTION, EARLIER, HOLD_S, Desk, left_in, letter, payload, receipt, recorder, running
from tests.virtual import run

WIPE, UPDATE = 9, 8
REVOKED = [2, 1]
LONG_S = 3 * 3600.0


class Marks:
    """Where the mark is made."""

    def __init__(self) -> None:
        self.made: list[float] = []
        self.failure: OSError | None = None

    def __call__(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.made.append(asyncio.get_running_loop().time())


@asynccontextmanager
async def ordered(directory: Path, marks: Marks, *, mail: bool = True, **settings: Any) -> AsyncIterator[Desk]:
    """A device on duty; the wipe is in its mailbox, and it is told to look there, unless the test does it."""
    async with running(directory, mark_wiping=marks, **settings) as desk:
        desk.bearer.mail.append(letter(1, WIPE, []))
        if mail:
            desk.device.wake_up()
        yield desk


def told(desk: Desk) -> list[list[Any]]:
    """The states of messages that records told, in their order."""
    return [state for record in desk.records(Kind.MESSAGE_STATE) for state in payload(record)[7]]


async def unreachable(_record: SignedRecord) -> bytes:
    raise LinkError("no way to the gateway")


def test_a_device_that_owes_nothing_tells_the_gateway_and_is_marked(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks) as desk:
            await asyncio.sleep(2 * LOOK_S)
            assert told(desk) == [[1, 1], [1, 5, ""]]
            assert len(marks.made) == 1
            assert desk.device.over.is_set()
            assert desk.palm.pulses == ATTENTION, "it is felt once"
            await asyncio.sleep(60)
            assert len(marks.made) == 1

    run(story())


def test_off_duty_too(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, on_duty=False) as desk:
            await asyncio.sleep(2 * LOOK_S)
            assert len(marks.made) == 1
            assert told(desk)[-1] == [1, 5, ""]

    run(story())


def test_nothing_but_a_wipe_for_this_device_begins_one(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with running(tmp_path, mark_wiping=marks) as desk:
            bundle = ["0.9.0", "http://192.0.2.7/b", 5, bytes(32), 0]
            desk.bearer.mail += [letter(1, UPDATE, bundle), letter(2, 1, ["wipe", []])]
            desk.device.wake_up()
            await asyncio.sleep(120)
            assert [state[0] for state in told(desk)] == [1, 2]
            desk.bearer.mail.append(letter(3, WIPE, [], device=DeviceId(b"othr")))
            desk.device.wake_up()
            await asyncio.sleep(120)
            assert not desk.device.over.is_set()
        assert marks.made == []

    run(story())


def test_a_press_while_it_is_to_be_wiped_is_an_alert_and_is_delivered_first(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False) as desk:
            desk.bearer.answer = unreachable
            await desk.press()
            desk.device.wake_up()
            await asyncio.sleep(LONG_S)
            assert FAULT in desk.faults.codes()
            await desk.press()
            await asyncio.sleep(5.0)
            await desk.press()
            await asyncio.sleep(LONG_S)
            assert [record.kind for record in desk.calls()] == [Kind.PANIC, Kind.ESCALATION, Kind.ESCALATION]
            assert (marks.made, told(desk)) == ([], [[1, 1]]), "no gateway, no wipe, however long"
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(LONG_S)
            assert desk.device.waiting()[Stream.ALERT] == 0
            assert (marks.made, told(desk)) == ([], [[1, 1]]), "and none while the alert is open"
            close = [[desk.calls()[-1].digest]]
            desk.bearer.mail.append(letter(2, 5, close))
            desk.device.wake_up()
            await asyncio.sleep(3 * LOOK_S)
            assert told(desk)[-1] == [1, 5, ""]
            assert len(marks.made) == 1

    run(story())


@pytest.mark.parametrize("verdict", [[0], REVOKED], ids=["held", "refused"])
def test_one_that_comes_between_the_telling_and_its_receipt_is_waited_for(verdict: list[int], tmp_path: Path) -> None:
    """With state 5 the gateway takes the device for revoked, and refuses what comes behind that."""

    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False) as desk:
            held: list[SignedRecord] = []

            async def answer(record: SignedRecord) -> bytes:
                if record.kind is Kind.MESSAGE_STATE:
                    held.append(record)
                if held:
                    return await unreachable(record)
                return receipt(record)

            desk.bearer.answer = answer
            desk.device.wake_up()
            await asyncio.sleep(1.0)
            desk.device.mailbox.wake()
            await asyncio.sleep(3 * LOOK_S)
            assert told(desk)[-1] == [1, 5, ""]
            await desk.press()
            desk.device.take_receipt(receipt(desk.records(Kind.MESSAGE_STATE)[-1]))
            await asyncio.sleep(60)
            assert marks.made == []

            async def late(record: SignedRecord) -> bytes:
                return receipt(record, verdict=verdict)

            desk.bearer.answer = late
            if verdict == [0]:
                desk.bearer.mail.append(letter(2, 5, [[desk.calls()[-1].digest]]))
            await asyncio.sleep(60)
            assert len(marks.made) == 1

    run(story())


def test_a_press_that_is_taken_back_at_once_is_waited_for_too(tmp_path: Path) -> None:
    """Neither record is in the queue yet, and no alert is open."""

    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False) as desk:
            assert not desk.device._rooms.ending.owes()
            desk.disk.takes_s = 0.4
            desk.device.raise_alert(Kind.PANIC)
            desk.device.cancel_alert(How.PIN)
            assert desk.device.waiting()[Stream.ALERT] == 0
            assert desk.device._rooms.ending.owes()
            desk.disk.takes_s = 0.0
            desk.device.wake_up()
            await asyncio.sleep(60)
            assert desk.device.waiting()[Stream.ALERT] == 0
            assert len(marks.made) == 1

    run(story())


def test_what_an_earlier_session_left_is_delivered_first_and_the_wipe_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks) as desk:
            desk.bearer.answer = unreachable
            await asyncio.sleep(0.3)
            await desk.press()
            await asyncio.sleep(5)
            left = [*desk.bearer.made.values()]
            assert marks.made == []
        earlier = tuple(left)
        async with running(
            tmp_path, mark_wiping=marks, earlier=earlier, session=SessionId(b"\0\x13next"), on_duty=None
        ) as desk:
            desk.bearer.answer = unreachable
            await asyncio.sleep(600)
            assert FAULT in desk.faults.codes(), "it says so after a restart, off duty, and without a gateway"
            assert marks.made == []
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(60)
            assert marks.made == [], "the alert goes on"
            [raised] = [record for record in earlier if record.kind is Kind.PANIC]
            desk.bearer.mail += [letter(1, WIPE, []), letter(2, 5, [[raised.digest]])]
            desk.device.wake_up()
            await asyncio.sleep(3 * LOOK_S)
            assert len(marks.made) == 1
            assert told(desk)[-1] == [1, 5, ""], "told anew in this session"

    run(story())


def test_nothing_is_marked_before_the_store_told_what_it_has(tmp_path: Path) -> None:
    """Records of an earlier session that cannot be read yet may be calls."""
    call = recorder(EARLIER).make(Kind.PANIC, 1.0, None)

    async def story() -> None:
        await left_in(tmp_path, call)
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False, earlier=(call,)) as desk:
            desk.device._rooms.keeper._settled = False
            assert desk.device._rooms.ending.owes()
        assert marks.made == []

    run(story())


def test_of_a_revoked_device_a_refusal_counts_as_a_receipt(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False) as desk:

            async def refuse(record: SignedRecord) -> bytes:
                return receipt(record, verdict=REVOKED)

            desk.bearer.answer = refuse
            await desk.press()
            await asyncio.sleep(30)
            assert desk.device.waiting()[Stream.ALERT] == 1, "it may have been a mistake, so it is kept"
            desk.device.wake_up()
            await asyncio.sleep(3 * LOOK_S)
            assert told(desk)[-1] == [1, 5, ""]
            assert len(marks.made) == 1, "nobody closes its alert any more"

    run(story())


@pytest.mark.parametrize("verdict", [[2, 2], [2]])
def test_any_other_refusal_does_not(verdict: list[int], tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False) as desk:

            async def refuse(record: SignedRecord) -> bytes:
                return receipt(record, verdict=verdict)

            desk.bearer.answer = refuse
            await desk.press()
            desk.device.wake_up()
            await asyncio.sleep(600)
            assert marks.made == []

    run(story())


def test_a_false_receipt_of_the_telling_begins_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False) as desk:

            async def answer(record: SignedRecord) -> bytes:
                if record.kind is Kind.MESSAGE_STATE:
                    return receipt(record, digest=bytes(16))
                return receipt(record)

            desk.bearer.answer = answer
            desk.device.wake_up()
            await asyncio.sleep(600)
            assert (told(desk)[-1], marks.made) == ([1, 5, ""], [])

    run(story())


def test_a_disk_that_does_not_take_the_mark_is_asked_again_and_the_button_works(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        marks.failure = OSError(30, "Read-only file system")
        async with ordered(tmp_path, marks) as desk:
            await asyncio.sleep(30)
            assert not desk.device.over.is_set()
            [fault] = [each for each in desk.faults.to_json() if each["code"] == FAULT]
            assert "Read-only file system" in str(fault["text"])
            await desk.press()
            await asyncio.sleep(5)
            assert desk.state == "delivered"
            marks.failure = None
            await asyncio.sleep(30)
            assert marks.made == [], "an alert is open"
            desk.bearer.mail.append(letter(2, 5, [[desk.calls()[-1].digest]]))
            await asyncio.sleep(60)
            assert len(marks.made) == 1

    run(story())


def test_a_finger_that_is_on_the_button_is_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        marks = Marks()
        async with ordered(tmp_path, marks, mail=False) as desk:
            now = asyncio.get_running_loop().time()
            desk.device.on_edge(0, True, now)
            desk.device.wake_up()
            await asyncio.sleep(HOLD_S * 0.9)
            assert marks.made == []
            await asyncio.sleep(5)
            assert marks.made == []
            assert desk.device.alert_open

    run(story())
