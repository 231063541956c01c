"""New keys while the device runs: begun when nothing else is to be done, given up for a press, used by the next run."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bondmate import credentials, identity
from bondmate.edhoc import Initiator
from bondmate.enrolment_file import parse
from bondmate.errors import LinkError
from bondmate.identity import FreshKeys
from bondmate.parts import KeyChange
from bondmate.records import Kind
from bondmate.rekeying import FIRST_RETRY_S, LOOK_S, MAX_AGE_S, NO_KEY
from tests.desk import UTC_MS, Desk, letter, payload, running
from tests.enrolment_desk import Force, Registrar, Wire, xy
from tests.test_identity import FRESH
from tests.virtual import run

REKEY = 11


class Bench:
    """An enrolled device's directory, and the gateway's side of the exchange."""

    def __init__(self, directory: Path, *, made_s: int | None = UTC_MS // 1000 - 86400) -> None:
        self.directory = directory / "credentials"
        self.directory.mkdir()
        self.force = Force()
        file = parse(self.force.file(), self.force.key.public_key())
        keys = identity.prepare(self.directory, file)
        identity.commit(self.directory, file, keys, FRESH)
        self.registrar = Registrar(self.force)
        self.registrar.dh = xy(keys.dh)
        self.wires = [Wire(self.registrar), Wire(self.registrar, "lte")]
        self.made_s = made_s
        self.failure: OSError | None = None

    @property
    def known(self) -> credentials.Credentials:
        return credentials.load(self.directory)

    def keep(self, fresh: FreshKeys, order: int) -> None:
        if self.failure is not None:
            raise self.failure
        identity.rekey(self.directory, fresh, order)

    def change(self) -> KeyChange:
        known = self.known
        keys = known.exchange
        assert keys is not None

        async def exchanging() -> Callable[[], Initiator]:
            return lambda: Initiator(known.device, keys.own, keys.gateway_id, keys.gateway)

        return KeyChange(
            bearers=self.wires, exchanging=exchanging, keep=self.keep, made_s=self.made_s, order=known.order
        )

    def is_new(self) -> bool:
        """Whether the device's file has the keys that the gateway has."""
        known, fresh = self.known, self.registrar.fresh
        return fresh is not None and {name: each.kid for name, each in known.bearers.items()} == {
            name: kid for name, kid in fresh.items() if name != "channel"
        }


def story(tmp_path: Path, bench: Bench | None, work: Any, **settings: Any) -> None:
    async def main() -> None:
        # threads do not know virtual time
        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(asyncio, "to_thread", in_the_loop)
            change = None if bench is None else bench.change()
            async with running(tmp_path, key_change=change, **settings) as desk:
                await work(desk)

    run(main())


async def in_the_loop(call: Callable[..., Any], *arguments: Any) -> Any:
    await asyncio.sleep(0.01)
    return call(*arguments)


def ordered(desk: Desk) -> None:
    desk.bearer.mail.append(letter(len(desk.bearer.mail) + 1, REKEY, []))
    desk.device.wake_up()


def told(desk: Desk) -> list[list[Any]]:
    return [state for record in desk.records(Kind.MESSAGE_STATE) for state in payload(record)[7]]


@pytest.mark.parametrize("on_duty", [True, False])
def test_an_order_is_carried_out_and_told_under_the_new_keys(on_duty: bool, tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def first(desk: Desk) -> None:
        ordered(desk)
        await asyncio.sleep(4 * LOOK_S)
        assert bench.is_new()
        assert bench.known.order == 1
        assert desk.device.over.is_set()
        assert told(desk) == [[1, 1]], "the gateway has not heard the new keys yet"
        assert bench.registrar.requests == ["k1", "k3"]

    async def second(desk: Desk) -> None:
        await asyncio.sleep(3 * LOOK_S)
        assert told(desk) == [[1, 5, ""]]
        assert len(desk.bearer.sent_of(Kind.MESSAGE_STATE)) == 1, "off duty too"
        await asyncio.sleep(600)
        assert told(desk) == [[1, 5, ""]]
        assert bench.registrar.requests == ["k1", "k3"], "and not again"
        assert not desk.device.over.is_set()

    story(tmp_path, bench, first, on_duty=on_duty)
    before = json.loads((bench.directory / "credentials.json").read_text())
    story(tmp_path, bench, second, on_duty=on_duty)
    assert json.loads((bench.directory / "credentials.json").read_text()) == before
    assert before["signing_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert before["gateways"][0]["dh"].startswith("-----BEGIN PUBLIC KEY-----")


def test_nothing_begins_while_an_alert_is_open_or_a_call_undelivered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def work(desk: Desk) -> None:
        await desk.press()
        ordered(desk)
        await asyncio.sleep(600)
        assert bench.registrar.requests == []
        desk.bearer.mail.append(letter(2, 5, [[desk.calls()[-1].digest]]))
        await asyncio.sleep(120)
        assert bench.is_new()
        assert desk.device.over.is_set()

    story(tmp_path, bench, work)


def test_a_press_ends_the_exchange_and_is_delivered_as_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def work(desk: Desk) -> None:
        began = asyncio.Event()

        async def hangs(path: str, payload: bytes) -> bytes:
            began.set()
            await asyncio.Event().wait()
            raise AssertionError(path, payload)

        real = bench.wires[0].post
        bench.wires[0].post = hangs  # type: ignore[method-assign]
        ordered(desk)
        await began.wait()
        raised_s = await desk.press()
        await asyncio.sleep(0.2)
        assert [sent_s - raised_s for sent_s, _ in desk.bearer.sent_of(Kind.PANIC)] == [pytest.approx(0, abs=0.1)]
        await asyncio.sleep(60)
        assert desk.state == "delivered"
        assert (bench.registrar.requests, bench.is_new(), desk.device.over.is_set()) == ([], False, False)
        bench.wires[0].post = real  # type: ignore[method-assign]
        desk.bearer.mail.append(letter(2, 5, [[desk.calls()[-1].digest]]))
        await asyncio.sleep(120)
        assert bench.is_new()
        assert desk.device.over.is_set()

    story(tmp_path, bench, work)


def test_a_press_behind_the_keeping_holds_the_run_until_it_is_delivered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def work(desk: Desk) -> None:
        keep = bench.keep

        def pressed(fresh: FreshKeys, order: int) -> None:
            keep(fresh, order)
            desk.device.raise_alert(Kind.PANIC)

        object.__setattr__(desk.device.parts.key_change, "keep", pressed)

        async def lost(_record: Any) -> bytes:
            raise LinkError("no way")

        desk.bearer.answer = lost
        ordered(desk)
        await asyncio.sleep(600)
        assert bench.is_new()
        assert not desk.device.over.is_set(), "under the old keys, which the gateway still takes"
        desk.bearer.answer = desk.bearer.hold
        desk.bearer.mail.append(letter(2, 5, [[desk.calls()[-1].digest]]))
        await asyncio.sleep(60)
        assert desk.device.over.is_set()

    story(tmp_path, bench, work)


def test_a_finger_on_the_button_holds_the_run_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def work(desk: Desk) -> None:
        desk.device.on_edge(0, True, asyncio.get_running_loop().time())
        assert not desk.device._rooms.ending.is_idle()
        ordered(desk)
        await asyncio.sleep(0.9)
        assert bench.registrar.requests == []
        desk.device.on_edge(0, False, asyncio.get_running_loop().time())
        await asyncio.sleep(30)
        assert desk.device.over.is_set()

    story(tmp_path, bench, work)


@pytest.mark.parametrize("trouble", ["lost", "unanswered"])
def test_what_fails_is_tried_over_the_next_way_and_then_later(trouble: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wires[0].fails = dict.fromkeys(range(1, 99), trouble)

    async def work(desk: Desk) -> None:
        ordered(desk)
        await asyncio.sleep(30)
        assert bench.is_new()
        assert bench.wires[1].posted == 2

    story(tmp_path, bench, work)


def test_an_answer_that_is_lost_behind_the_gateways_commit_strands_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wires = bench.wires[:1]
    bench.wires[0].fails = {2: "unanswered"}

    async def work(desk: Desk) -> None:
        ordered(desk)
        await asyncio.sleep(30)
        assert bench.registrar.fresh is not None
        assert not bench.is_new()
        assert bench.known.bearers["ip"].kid == FRESH.kids["ip"], "the old ones, which the gateway still takes"
        await asyncio.sleep(FIRST_RETRY_S)
        assert bench.is_new()

    story(tmp_path, bench, work)


def test_a_disk_that_does_not_take_them_leaves_the_old_ones(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.failure = OSError(30, "Read-only file system")

    async def work(desk: Desk) -> None:
        ordered(desk)
        await asyncio.sleep(600)
        assert not desk.device.over.is_set()
        assert bench.known.bearers["ip"].kid == FRESH.kids["ip"]
        assert 2 <= bench.wires[0].posted / 2 <= 5, "not again and again"
        bench.failure = None
        await asyncio.sleep(3600)
        assert bench.is_new()

    story(tmp_path, bench, work)


def test_a_gateway_that_is_another_agrees_on_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.force.gateway_dh = Force().gateway_dh

    async def work(desk: Desk) -> None:
        ordered(desk)
        await asyncio.sleep(600)
        assert not desk.device.over.is_set()
        assert bench.known.bearers["ip"].kid == FRESH.kids["ip"]

    story(tmp_path, bench, work)


def test_a_device_without_a_key_for_it_says_so(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        ordered(desk)
        await asyncio.sleep(60)
        assert told(desk) == [[1, 1], [1, 6, NO_KEY]]

    story(tmp_path, None, work)
    assert len(NO_KEY.encode()) <= 160


@pytest.mark.parametrize(
    ("age_s", "settings", "expected"),
    [
        (MAX_AGE_S + 60, {}, True),
        (MAX_AGE_S - 3600, {}, False),
        (None, {}, False),
        (MAX_AGE_S + 60, {"on_duty": False}, False),
        (MAX_AGE_S + 60, {"utc_ms": None}, False),
    ],
    ids=["old", "young", "unknown", "off duty", "no UTC"],
)
def test_old_keys_are_changed_without_an_order(
    age_s: int | None, settings: dict[str, Any], expected: bool, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, made_s=None if age_s is None else UTC_MS // 1000 - age_s)

    async def work(desk: Desk) -> None:
        await asyncio.sleep(60)
        assert bench.is_new() is desk.device.over.is_set() is expected
        assert bench.known.order == 0

    story(tmp_path, bench, work, **settings)


def test_a_wipe_comes_before_new_keys(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    marks: list[int] = []

    async def work(desk: Desk) -> None:
        desk.bearer.mail += [letter(1, 9, []), letter(2, REKEY, [])]
        desk.device.wake_up()
        await asyncio.sleep(60)
        assert (marks, bench.registrar.requests) == ([1], [])

    story(tmp_path, bench, work, mark_wiping=lambda: marks.append(1))


def test_a_false_answer_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for wire in bench.wires:
        wire.changes = lambda _number, answer: answer[:-1] + bytes([answer[-1] ^ 1])

    async def work(desk: Desk) -> None:
        ordered(desk)
        await asyncio.sleep(30)
        assert not desk.device.over.is_set()
        assert bench.known.bearers["ip"].kid == FRESH.kids["ip"]

    story(tmp_path, bench, work)
