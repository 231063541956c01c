"""Who is woken when, and how often."""

import asyncio
from pathlib import Path
from typing import Any

import aiocoap
import apsw
import pytest

from bondmate_sim.gateway import messages, unfetched
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk
from bondmate_sim.gateway.sms import SmsFace
from bondmate_sim.gateway.wakes import LOOK_S, Waker
from tests.gateway.test_sms import NUMBER
from tests.gateway.test_sms import Desk as SmsDesk
from tests.gateway.twin import Twin
from tests.virtual import run

BEGIN_S = 1_795_186_800.0


class Pushes:
    """Where a device can be reached over IP, or not."""

    def __init__(self) -> None:
        self.reachable = True
        self.woken: list[bytes] = []

    def wake(self, device: bytes, now_s: float) -> bool:
        self.woken += [device] if self.reachable else []
        return self.reachable

    def push_to_newest(self, device: bytes, receipt: bytes, now_s: float) -> None:
        pass

    def heard(self, *_: object) -> None:
        pass


class Story:
    """A gateway with one device, in which time passes at once."""

    def __init__(self, database: Database, place: Path) -> None:
        self.sms = SmsDesk(database, place)
        self.database = database
        self.file = self.sms.enrol()
        self.pushes = Pushes()
        self.face: SmsFace | None = self.sms.face
        with Twin(self.file, ("127.0.0.1", 9)) as twin:
            self.device = twin.device

    def waker(self) -> Waker:
        now_s = asyncio.get_running_loop().time
        pushed: Any = self.pushes
        return Waker(self.database, self.sms.face._inbox, pushed, self.face, lambda: BEGIN_S - 1000 + now_s())

    def write(self, *, urgent: bool = False, expires_s: int | None = None) -> None:
        draft = messages.Draft(messages.Type.MESSAGE, ["text", []], "Ann", urgent, expires_s)
        now_ms = int((BEGIN_S - 1000 + asyncio.get_running_loop().time()) * 1000)
        with self.database.transaction():
            messages.write(self.database, self.device, draft, self.sms.key, now_ms)

    def fetched(self, cursor: int) -> None:
        with self.database.transaction():
            messages.answer(self.database, self.device, cursor - 1, self.sms.key)
            messages.answer(self.database, self.device, cursor, self.sms.key)

    def queued(self) -> list[tuple[str, bytes]]:
        found = []
        while self.face is not None and not self.face._waiting.empty():
            number, octets, what = self.face._waiting.get_nowait()
            assert what == "wake-up"
            found.append((number, octets))
        return found

    def hear_sms(self, twin: Twin) -> None:
        taken = self.sms.face.take(self.sms.sms(twin.sms(twin.record()), NUMBER))
        assert taken
        # Its receipt is none of this.
        self.sms.face._waiting.get_nowait()


@pytest.fixture
def story(database: Database, tmp_path: Path) -> Story:
    return Story(database, tmp_path)


async def running(story: Story, *steps: tuple[float, Any]) -> None:
    """Have a waker look, and take each step after so many seconds."""
    task = asyncio.create_task(story.waker().run())
    for wait_s, step in steps:
        await asyncio.sleep(wait_s)
        if step is not None:
            step()
    await asyncio.sleep(2 * LOOK_S)
    task.cancel()


# --- Over IP -------------------------------------------------------------------------------------


def test_what_is_new_wakes_once(story: Story) -> None:
    run(running(story, (1, story.write), (100, None)))
    assert story.pushes.woken == [story.device]


def test_each_message_wakes_and_several_at_once_wake_together(story: Story) -> None:
    def two() -> None:
        story.write()
        story.write()

    run(running(story, (1, story.write), (1, two), (100, None)))
    assert len(story.pushes.woken) == 2


def test_what_was_written_while_nobody_could_be_reached_wakes_when_somebody_can(story: Story) -> None:
    story.pushes.reachable = False

    def heard() -> None:
        story.pushes.reachable = True
        with story.database.transaction():
            unfetched.came_by_sms(story.database, story.device, NUMBER)

    run(running(story, (1, story.write), (100, heard), (100, None)))
    assert story.pushes.woken == [story.device]


def test_what_was_fetched_wakes_nobody(story: Story) -> None:
    async def before() -> None:
        story.write()

    run(before())
    story.fetched(1)
    run(running(story, (1, None)))
    assert story.pushes.woken == []


def test_a_database_that_fails_ends_nothing(
    story: Story, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, failing = story.database.rows, [True]

    def fails(*arguments: Any) -> Any:
        if failing[0]:
            raise apsw.BusyError("the disk sleeps")
        return rows(*arguments)

    async def tell() -> None:
        monkeypatch.setattr(story.database, "rows", fails)
        task = asyncio.create_task(story.waker().run())
        await asyncio.sleep(1)
        failing[0] = False
        story.write()
        await asyncio.sleep(1)
        task.cancel()

    run(tell())
    assert story.pushes.woken == [story.device]
    assert "the disk sleeps" in caplog.text


def test_a_device_that_trips_the_gateway_is_tried_again_and_keeps_no_other_from_being_woken(
    story: Story, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Twin(story.sms.enrol(), ("127.0.0.1", 9)) as twin:
        other, wake, tripping = twin.device, story.pushes.wake, [True]
    first, last = sorted((story.device, other))

    def trips(device: bytes, now_s: float) -> bool:
        if device == first and tripping[0]:
            raise RuntimeError("a bug")
        return wake(device, now_s)

    def write() -> None:
        for device in (first, last):
            story.device = device
            story.write()

    def mended() -> None:
        assert story.pushes.woken == [last]
        tripping[0] = False

    monkeypatch.setattr(story.pushes, "wake", trips)
    run(running(story, (1, write), (1, mended), (11, None)))
    assert story.pushes.woken == [last, first]
    assert "an error of the gateway's own; report this" in caplog.text


# --- By SMS --------------------------------------------------------------------------------------


def urgent(story: Story) -> None:
    story.write(urgent=True)


def test_an_urgent_message_that_is_not_fetched_in_ten_seconds_is_worth_one_sms(story: Story) -> None:
    with Twin(story.file, ("127.0.0.1", 9), bearer="sms") as twin:

        async def tell() -> None:
            story.hear_sms(twin)
            await running(story, (1, lambda: urgent(story)), (9, lambda: sent.append(story.queued())), (100, None))

        sent: list[Any] = []
        run(tell())
        ((number, octets),) = story.queued()
        assert (sent, number) == ([[]], NUMBER)
        inner = twin.open_sms(octets)
        assert (inner.code, inner.opt.uri_path, inner.payload) == (aiocoap.POST, ("w",), b"")
        # A restart of the gateway sends no other.
        run(running(story, (100, None)))
        assert story.queued() == []


def test_it_goes_in_the_present_session_though_that_never_sent_an_sms(story: Story) -> None:
    with Twin(story.file, ("127.0.0.1", 9), bearer="sms", counter=7) as old:

        async def before() -> None:
            story.hear_sms(old)

        run(before())
    present = bytes.fromhex("0008cafecafe")
    with (
        Twin(story.file, ("127.0.0.1", 9), session=present) as ip,
        Twin(story.file, ("127.0.0.1", 9), session=present, bearer="sms") as sms,
    ):
        story.sms.face._inbox.take(aiocoap.Message.decode(ip.protect(ip.record()).raw), "a test")
        run(running(story, (0, lambda: urgent(story)), (11, None)))
        ((_, octets),) = story.queued()
        assert sms.open_sms(octets).opt.uri_path == ("w",)


@pytest.mark.parametrize("case", ["routine", "fetched", "expired", "no number", "no provider"])
def test_otherwise_no_sms_is_sent(story: Story, case: str) -> None:
    def write() -> None:
        story.write(urgent=case != "routine", expires_s=int(BEGIN_S) + 5 if case == "expired" else None)

    with Twin(story.file, ("127.0.0.1", 9), bearer="sms") as twin:

        async def tell() -> None:
            if case != "no number":
                story.hear_sms(twin)
            if case == "no provider":
                story.face = None
            fetch = (lambda: story.fetched(1)) if case == "fetched" else None
            await running(story, (1, write), (8, fetch), (100, None))

        run(tell())
    assert story.queued() == []


def test_several_urgent_messages_cost_one_sms(story: Story) -> None:
    with Twin(story.file, ("127.0.0.1", 9), bearer="sms") as twin:

        async def tell() -> None:
            story.hear_sms(twin)
            for _ in range(3):
                urgent(story)
            await running(story, (100, None))

        run(tell())
        assert len(story.queued()) == 1
    assert story.database.rows("SELECT count(*) FROM message WHERE woken_ms IS NOT NULL") == [(3,)]


def test_what_a_person_writes_in_another_process_is_seen(story: Story, tmp_path: Path) -> None:
    other = Database(tmp_path / "data", create=False)

    def write() -> None:
        Desk(other, story.sms.key, "Ann", 0).message(story.device, "come in", [], urgent=False)

    run(running(story, (1, write)))
    other.close()
    assert story.pushes.woken == [story.device]
