"""The life of an alert at the device: called again, taken back, acknowledged and closed by the gateway, and felt."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate.cose import KeySigner
from bondmate.records import DeviceId, Felt, How, Kind
from tests.desk import (
    ACKNOWLEDGED,
    ATTENTION,
    COULD_NOT_STORE,
    DELIVERED,
    EARLIER,
    STORED,
    fix_at,
    letter,
    running,
    silence,
)
from tests.virtual import run

ACKNOWLEDGE, CLOSE = 4, 5
STRANGER = KeySigner(ec.generate_private_key(ec.SECP256R1()))


def fresh(directory: Path) -> Path:
    """Another device's."""
    return Path(tempfile.mkdtemp(dir=directory))


def test_a_press_while_an_alert_is_open_is_an_escalation_with_its_own_way_and_its_own_word(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(10)
            first = desk.device.alert
            await desk.press()
            await asyncio.sleep(10)
            assert first is not None
            assert desk.device.alert is not None
            assert desk.device.alert.record.kind is Kind.ESCALATION
            assert desk.device.alert.escalates == first.record.id
            assert desk.palm.pulses == 2 * (STORED + DELIVERED)
            assert len(desk.bearer.sent_of(Kind.ESCALATION)) == 1

    run(story())


def test_a_press_when_the_alert_is_over_is_a_new_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            desk.device.cancel_alert(How.PIN)
            await desk.press()
            assert [record.kind for record in desk.records(Kind.PANIC)] == [Kind.PANIC, Kind.PANIC]
            assert desk.records(Kind.ESCALATION) == []

    run(story())


def test_an_acknowledgement_is_felt_once_however_often_it_comes(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            digest = desk.record(Kind.PANIC).digest
            desk.bearer.mail += [letter(1, ACKNOWLEDGE, [[digest]]), letter(2, ACKNOWLEDGE, [[digest]])]
            await asyncio.sleep(20)
            assert desk.state == "acknowledged"
            assert desk.palm.pulses == STORED + DELIVERED + ACKNOWLEDGED
            assert desk.device.alert is not None
            assert desk.device.alert.to_json(0.0)["acknowledged_by"] == "Ada"
            assert desk.rows()[digest][1] == Felt.ACKNOWLEDGED

    run(story())


def test_the_dispatcher_closes_the_newest_call_and_positions_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            desk.bearer.mail.append(letter(1, CLOSE, [[desk.record(Kind.PANIC).digest]]))
            await asyncio.sleep(20)
            assert desk.state == "closed"
            assert not desk.device.alert_open
            desk.device.on_fix(fix_at(asyncio.get_running_loop().time()))
            assert desk.records(Kind.POSITION) == []

    run(story())


def test_a_close_of_an_older_call_leaves_the_newest_open(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            await desk.press()
            desk.bearer.mail.append(letter(1, CLOSE, [[desk.record(Kind.PANIC).digest]]))
            await asyncio.sleep(20)
            assert desk.device.alert_open
            assert desk.state == "delivered"

    run(story())


def test_what_is_felt_of_a_close(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            desk.bearer.mail.append(letter(1, CLOSE, [[desk.record(Kind.PANIC).digest]]))
            await asyncio.sleep(20)
            assert desk.palm.pulses == STORED + DELIVERED + ATTENTION

    run(story())


def test_at_the_beginning_of_a_shift_it_is_felt_whether_the_device_is_armed(tmp_path: Path) -> None:
    async def story(failure: Exception | None) -> list[float]:
        async with running(fresh(tmp_path), on_duty=None) as desk:
            desk.disk.failure = failure
            await desk.device.set_duty(True)
            await asyncio.sleep(5)
            return desk.palm.pulses

    assert run(story(None)) == STORED
    assert run(story(OSError("no card"))) == COULD_NOT_STORE


def test_positions_from_before_go_once_and_not_with_each_call(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            loop = asyncio.get_running_loop()
            for _ in range(20):
                desk.device.on_fix(fix_at(loop.time()))
                await asyncio.sleep(1)
            await desk.press()
            await asyncio.sleep(5)
            await desk.press()
            await asyncio.sleep(5)
            assert len(desk.records(Kind.ESCALATION)) == 1
            assert len(desk.records(Kind.POSITIONS_BEFORE)) == 1

    run(story())


def test_a_mailbox_that_fails_takes_nothing_down(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:

            async def broken(_cursor: int) -> bytes:
                raise ZeroDivisionError

            desk.bearer.fetch = broken  # type: ignore[method-assign,assignment]
            desk.device.wake_up()
            await asyncio.sleep(0.1)
            assert "mailbox-fetching" in desk.faults
            await desk.press()
            await asyncio.sleep(2)
            assert desk.state == "delivered"

    run(story())


def test_what_the_device_calls_by_itself_while_an_alert_is_open_escalates_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            desk.device.raise_alert(Kind.MAN_DOWN)
            await asyncio.sleep(3)
            assert [record.kind for record in desk.calls()] == [Kind.PANIC, Kind.ESCALATION]
            desk.bearer.mail.append(letter(1, CLOSE, [[record.digest for record in desk.calls()]]))
            await asyncio.sleep(20)
            assert not desk.device.alert_open

    run(story())


@pytest.mark.parametrize(
    "forged",
    [
        lambda digest: letter(1, CLOSE, [[digest]], key=STRANGER),
        lambda digest: letter(1, CLOSE, [[digest]], device=DeviceId(bytes(4))),
        lambda digest: letter(1, CLOSE, [[bytes(16)]]),
        lambda digest: letter(2, CLOSE, [[digest]]),
        lambda digest: b"\xd2\x84\x00",
    ],
    ids=["a stranger's key", "for another device", "of another record", "behind a gap", "garbage"],
)
def test_only_a_message_for_this_device_and_this_record_closes_it(forged: object, tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            await desk.press()
            await asyncio.sleep(3)
            digest = desk.record(Kind.PANIC).digest
            desk.bearer.mail.append(forged(digest))  # type: ignore[operator]
            await asyncio.sleep(120)
            assert desk.device.alert_open
            number = 1 + await desk.outbox.cursor()
            desk.bearer.mail[:] = [*desk.bearer.mail[: number - 1], letter(number, CLOSE, [[digest]])]
            await asyncio.sleep(120)
            assert not desk.device.alert_open, "the test could never have closed it"

    run(story())


def test_a_closed_alert_stays_closed_over_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            await desk.press()
            await asyncio.sleep(3)
            desk.bearer.mail.append(letter(1, CLOSE, [[desk.record(Kind.PANIC).digest]]))
            await asyncio.sleep(20)
        async with running(tmp_path, earlier=tuple(desk.bearer.made.values()), on_duty=None) as later:
            assert later.state == "closed"
            assert not later.device.alert_open

    run(story())


def test_an_acknowledgement_that_a_crash_cut_short_is_felt_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            await desk.press()
            await asyncio.sleep(3)
            desk.bearer.mail.append(letter(1, ACKNOWLEDGE, [[desk.record(Kind.PANIC).digest]]))
            while desk.state != "acknowledged":  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0.01)
        async with running(tmp_path, earlier=tuple(desk.bearer.made.values()), on_duty=None, forget=False) as later:
            await asyncio.sleep(5)
            assert later.state == "acknowledged"
            assert later.device.alert is not None
            assert later.device.alert.acknowledged_by == "Ada"
            assert later.palm.pulses == ACKNOWLEDGED

    run(story())


def test_after_a_minute_without_a_way_out_the_officer_is_told_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, answer=silence) as desk:
            await desk.press()
            await asyncio.sleep(59)
            assert desk.palm.pulses == STORED
            await asyncio.sleep(600)
            assert desk.palm.pulses == STORED + COULD_NOT_STORE

    run(story())


def test_an_open_alert_that_was_delivered_is_known_to_a_fresh_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=EARLIER) as desk:
            await desk.press()
            await asyncio.sleep(5)
            assert desk.outbox._connection is not None
            desk.outbox._give_up(desk.outbox._connection)
            await asyncio.sleep(30)
        async with running(tmp_path, on_duty=None, earlier=tuple(desk.bearer.made.values())) as later:
            await asyncio.sleep(5)
            assert later.device.alert_open

    run(story())
