"""Rollouts in the database: what devices are sent, in any order of events, by whatever process."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bondmate_sim.gateway import bundles, devices, messages, records, rollouts
from bondmate_sim.gateway.bundles import BundleError
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk
from bondmate_sim.gateway.messages import Type
from bondmate_sim.gateway.rollouts import Order, RolloutError
from tests.gateway.cddl import validate_message
from tests.gateway.device import Device

KEY = ec.generate_private_key(ec.SECP256R1())
DAY_MS = 24 * 3600 * 1000
ORDER = Order("Ann", at_once=False, tolerated_percent=5, overdue_ms=7 * DAY_MS)
URL = "https://gateway.example/bundles"
DONE, FAILED, WITHOUT_EFFECT = 5, 6, 4


class Fleet:
    """Some devices, and a clock."""

    def __init__(self, database: Database, place: Path, count: int, *versions: str) -> None:
        self.database = database
        self.devices = [Device(database, "north" if number % 2 else "south") for number in range(count)]
        self.devices.sort(key=lambda each: each.made.device)
        self.now_ms = self.devices[0].now_ms
        self.sequence = 0
        for version in versions:
            file = place / "made"
            file.write_bytes(version.encode())
            bundles.add(database, place / "data", file, version, self.now_ms)

    def start(self, version: str, *groups: str, batch: int = 2, order: Order = ORDER) -> int:
        return rollouts.start(self.database, version, groups, lambda _: batch, order, self.now_ms)

    def step(self, base_url: str | None = URL) -> list[rollouts.Stepped]:
        return rollouts.step(self.database, KEY, base_url, self.now_ms)

    def sent(self) -> list[int]:
        """Step, and return which devices were told of something."""
        return [self.at(device) for each in self.step() for device in each.sent]

    def at(self, device: bytes) -> int:
        return next(number for number, each in enumerate(self.devices) if each.made.device == device)

    def say(self, number: int, state: int, text: str = "", update: int | None = None) -> None:
        """Let a device fetch what lies there, and say what became of its newest update, or of that one."""
        device = self.devices[number]
        cursor, fetched = 0, 1
        while fetched:  # an answer has room for a few
            with self.database.transaction():
                answer = messages.answer(self.database, device.made.device, cursor, KEY)
            fetched = len(cbor2.loads(answer.payload))
            cursor += fetched
        self.sequence += 1
        update = update or self.updates(number)[-1][0]
        body = [update, state] if state == WITHOUT_EFFECT else [update, state, text]
        device.send(records.MESSAGE_STATE, self.sequence, body=[body])

    def updates(self, number: int) -> list[tuple[int, list[Any]]]:
        """Return the updates that lie in a mailbox, by number."""
        rows = self.database.rows(
            "SELECT number, tagged FROM message WHERE device = ? AND type = ? ORDER BY number",
            (self.devices[number].made.device, Type.UPDATE),
        )
        return [(at, messages.content(tagged)[7]) for at, tagged in rows]

    def status(self, rollout: int) -> dict[str, Any]:
        (found,) = (each for each in rollouts.status(self.database, self.now_ms) if each["rollout"] == rollout)
        return found

    def states(self, rollout: int) -> list[str]:
        return [each["state"] for each in self.status(rollout)["devices"]]


@pytest.fixture
def fleet(database: Database, tmp_path: Path) -> Fleet:
    return Fleet(database, tmp_path, 5, "1.3.0", "1.4.0")


def test_a_device_is_told_where_the_bundle_is_and_what_it_is(fleet: Fleet) -> None:
    made = fleet.start("1.3.0", order=Order("Ann", at_once=True, tolerated_percent=5, overdue_ms=7 * DAY_MS))
    assert fleet.sent() == [0, 1]
    bundle = bundles.present(fleet.database, "1.3.0")
    ((number, body),) = fleet.updates(0)
    assert body == ["1.3.0", f"{URL}/1.3.0.raucb", 5, bundle.sha256, 1]
    ((tagged, expires_ms, urgent),) = fleet.database.rows(
        "SELECT tagged, expires_ms, urgent FROM message WHERE device = ?", (fleet.devices[0].made.device,)
    )
    validate_message(tagged)
    assert messages.content(tagged)[6] == "Ann"
    assert expires_ms == (fleet.now_ms + 7 * DAY_MS) // 1000 * 1000
    assert (number, urgent) == (1, 1)
    assert fleet.status(made) == {
        "rollout": made,
        "version": "1.3.0",
        "state": "running",
        "why": None,
        "devices": [
            {"device": each.name, "state": state, "text": None}
            for each, state in zip(fleet.devices, ["sent"] * 2 + ["waiting"] * 3, strict=True)
        ],
    }


def test_only_what_is_ordered_at_once_is_worth_an_sms(fleet: Fleet) -> None:
    fleet.start("1.3.0")
    fleet.sent()
    assert fleet.database.rows("SELECT DISTINCT urgent FROM message") == [(0,)]


def test_it_goes_on_batch_by_batch_until_all_have_it(fleet: Fleet) -> None:
    made = fleet.start("1.3.0")
    told = []
    for _ in range(3):
        told.append(fleet.sent())
        assert fleet.sent() == []
        for number in told[-1]:
            fleet.say(number, DONE, "bondmate 1.3.0")
    assert told == [[0, 1], [2, 3], [4]]
    assert fleet.step() != []
    assert fleet.step() == [], "it has ended"
    assert (fleet.status(made)["state"], fleet.states(made)) == ("done", ["done"] * 5)
    assert fleet.status(made)["devices"][0]["text"] == "bondmate 1.3.0"


def test_groups_are_whose_devices_get_it(fleet: Fleet) -> None:
    made = fleet.start("1.3.0", "north", "none")
    north = {row[0] for row in fleet.database.rows("SELECT device FROM member WHERE name = 'north'")}
    assert {each["device"] for each in fleet.status(made)["devices"]} == set(map(records.device_text, north))
    assert len(fleet.status(fleet.start("1.3.0", "north", "south"))["devices"]) == 5
    with pytest.raises(RolloutError, match="no device in the groups none can be updated"):
        fleet.start("1.3.0", "none")
    with pytest.raises(BundleError, match="no bundle of 9 is here"):
        fleet.start("9")


def test_two_failures_stop_it_and_it_stays_so_until_somebody_lets_it_go_on(fleet: Fleet) -> None:
    made = fleet.start("1.3.0")
    fleet.sent()
    fleet.say(0, FAILED, "no space")
    assert fleet.sent() == []
    fleet.say(1, WITHOUT_EFFECT)
    (stepped,) = fleet.step()
    assert stepped.stopped == "2 of 2 devices that were told failed or are overdue; more than 5 % is too many"
    fleet.now_ms += 30 * DAY_MS
    assert fleet.step() == []
    shown = fleet.status(made)
    assert (shown["state"], shown["why"]) == ("stopped", stepped.stopped)
    assert [each["text"] for each in shown["devices"]][:3] == ["no space", rollouts._WITHOUT_EFFECT, None]
    rollouts.resume(fleet.database, None, fleet.now_ms)
    assert fleet.status(made)["state"] == "running"
    assert fleet.sent() == [2, 3]
    fleet.now_ms += ORDER.overdue_ms
    assert fleet.step()[0].stopped is not None, "silence counts as failure"
    assert fleet.states(made) == ["failed", "failed", "overdue", "overdue", "waiting"]
    fleet.say(2, DONE, "late")
    assert fleet.states(made)[2] == "done"


def test_a_person_stops_all_or_one_and_goes_on_with_one(fleet: Fleet) -> None:
    first, second = fleet.start("1.3.0", "north"), fleet.start("1.4.0", "south")
    rollouts.stop(fleet.database, second, "Bob", fleet.now_ms)
    assert fleet.status(second)["why"] == "by Bob"
    rollouts.stop(fleet.database, None, "Ann", fleet.now_ms)
    assert fleet.status(first)["why"] == "by Ann"
    rollouts.stop(fleet.database, second, "Ann", fleet.now_ms)
    assert fleet.status(second)["why"] == "by Bob", "it was stopped before"
    assert fleet.step() == []
    with pytest.raises(RolloutError, match="2 of the rollouts are stopped"):
        rollouts.resume(fleet.database, None, fleet.now_ms)
    for _ in range(2):
        rollouts.resume(fleet.database, first, fleet.now_ms)
    assert [fleet.status(each)["state"] for each in (first, second)] == ["running", "stopped"]
    with pytest.raises(RolloutError, match="there is no rollout 99"):
        rollouts.resume(fleet.database, 99, 0)
    with pytest.raises(RolloutError, match="there is no rollout 99"):
        rollouts.stop(fleet.database, 99, "Ann", 0)


def test_one_that_has_ended_is_not_stopped(fleet: Fleet) -> None:
    made = fleet.start("1.3.0", batch=5)
    for number in fleet.sent():
        fleet.say(number, DONE)
    rollouts.stop(fleet.database, made, "Ann", fleet.now_ms)
    assert fleet.status(made)["state"] == "done"


def test_without_a_place_to_fetch_it_from_nobody_is_told(fleet: Fleet) -> None:
    made = fleet.start("1.3.0")
    assert [each.nowhere for each in fleet.step(None)] == [True]
    assert fleet.states(made) == ["waiting"] * 5
    assert fleet.sent() == [0, 1]
    assert [each.nowhere for each in fleet.step(None)] == [False]


def test_devices_go_through_versions_in_order(fleet: Fleet) -> None:
    first, second = fleet.start("1.3.0", batch=5), fleet.start("1.4.0", batch=5)
    assert fleet.sent() == [0, 1, 2, 3, 4]
    assert fleet.sent() == []
    fleet.say(1, DONE)
    fleet.say(2, FAILED, "why")
    assert fleet.sent() == [1]
    assert [each[1][0] for each in fleet.updates(1)] == ["1.3.0", "1.4.0"]
    assert fleet.states(first) == ["sent", "done", "failed", "sent", "sent"]
    assert fleet.states(second) == ["waiting", "sent", "waiting", "waiting", "waiting"]
    for number in (0, 3, 4):
        fleet.say(number, DONE)
    fleet.say(1, DONE)
    assert fleet.sent() == [0, 2, 3, 4], "one that failed may try the next once the one before has ended"


def test_an_update_that_was_begun_later_does_not_overtake(fleet: Fleet) -> None:
    first = fleet.start("1.3.0", batch=1)
    second = fleet.start("1.4.0", batch=5)
    assert fleet.sent() == [0]
    assert fleet.sent() == []
    rollouts.stop(fleet.database, first, "Ann", fleet.now_ms)
    assert fleet.sent() == [1, 2, 3, 4], "what is stopped holds nobody up, but who was told of it"
    assert fleet.states(second)[0] == "waiting"


def test_revoked_devices_and_those_to_be_wiped_get_none(fleet: Fleet) -> None:
    desk = Desk(fleet.database, KEY, "Ann", fleet.now_ms)
    devices.revoke(fleet.database, fleet.devices[0].made.device, fleet.now_ms)
    made = fleet.start("1.3.0", batch=1)
    assert len(fleet.states(made)) == 4
    desk.wipe(fleet.devices[1].made.device)
    assert fleet.sent() == [2]
    devices.revoke(fleet.database, fleet.devices[2].made.device, fleet.now_ms)
    assert fleet.sent() == [3], "nobody waits for what a revoked device says"
    fleet.say(3, DONE)
    devices.revoke(fleet.database, fleet.devices[3].made.device, fleet.now_ms)
    assert fleet.states(made) == ["done", "waiting"], "what it did stays"
    assert [fleet.updates(number) for number in (0, 1)] == [[], []]


def test_a_bundle_that_is_being_rolled_out_cannot_be_removed(fleet: Fleet) -> None:
    made = fleet.start("1.3.0")
    rollouts.remove_bundle(fleet.database, "1.4.0", fleet.now_ms)
    with pytest.raises(BundleError, match=f"rollout stop {made}' before"):
        rollouts.remove_bundle(fleet.database, "1.3.0", fleet.now_ms)
    rollouts.stop(fleet.database, None, "Ann", fleet.now_ms)
    assert rollouts.remove_bundle(fleet.database, "1.3.0", fleet.now_ms).version == "1.3.0"
    with pytest.raises(RolloutError, match=r"the bundle of 1\.3\.0 is not here any more"):
        rollouts.resume(fleet.database, made, fleet.now_ms)


def test_a_message_that_is_numbered_anew_stays_the_rollouts(fleet: Fleet) -> None:
    made = fleet.start("1.3.0", batch=1)
    assert fleet.sent() == [0]
    with fleet.database.transaction():
        messages.answer(fleet.database, fleet.devices[0].made.device, 5, KEY)
    ((number, _),) = fleet.updates(0)
    assert number == 6
    fleet.say(0, DONE, "1.3.0")
    assert fleet.states(made)[0] == "done"


class Story(RuleBasedStateMachine):
    """Rollouts over one fleet, with people, silence and restarts between."""

    @initialize(count=st.integers(1, 5))
    def begin(self, count: int) -> None:
        self.stack = contextlib.ExitStack()
        self.place = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.open()
        self.fleet = Fleet(self.database, self.place, count, "1.3.0", "1.4.0")
        self.revoked: set[int] = set()
        self.at_stop: list[int] | None = None

    def open(self) -> None:
        self.database = Database(self.place / "data", create=True)
        self.database.rows("PRAGMA synchronous = OFF")

    @rule(version=st.sampled_from(["1.3.0", "1.4.0"]), batch=st.integers(1, 3))
    def start(self, version: str, batch: int) -> None:
        with contextlib.suppress(RolloutError):
            self.fleet.start(version, batch=batch)
            self.at_stop = None

    @rule(number=st.integers(0, 4), state=st.sampled_from([DONE, FAILED, WITHOUT_EFFECT]))
    def say(self, number: int, state: int) -> None:
        if number < len(self.fleet.devices) and self.fleet.updates(number) and number not in self.revoked:
            self.fleet.say(number, state)

    @rule()
    def step(self) -> None:
        self.fleet.step()

    @rule(days=st.integers(1, 8))
    def wait(self, days: int) -> None:
        self.fleet.now_ms += days * DAY_MS

    @rule()
    def stop(self) -> None:
        rollouts.stop(self.database, None, "Ann", self.fleet.now_ms)
        self.at_stop = self.count()

    @rule(number=st.integers(1, 3))
    def resume(self, number: int) -> None:
        with contextlib.suppress(RolloutError):
            rollouts.resume(self.database, number, self.fleet.now_ms)
            self.at_stop = None

    @rule(number=st.integers(0, 4))
    def revoke(self, number: int) -> None:
        if number < len(self.fleet.devices):
            self.revoked.add(number)
            devices.revoke(self.database, self.fleet.devices[number].made.device, self.fleet.now_ms)
            self.told_revoked = self.count()

    @rule()
    def restart(self) -> None:
        self.database.close()
        self.open()
        self.fleet.database = self.database
        for each in self.fleet.devices:
            each.database = self.database

    def count(self) -> list[int]:
        return [len(self.fleet.updates(number)) for number in range(len(self.fleet.devices))]

    @invariant()
    def stopped_means_stopped(self) -> None:
        if getattr(self, "at_stop", None) is not None:
            assert self.count() == self.at_stop

    @invariant()
    def revoked_devices_get_none(self) -> None:
        if getattr(self, "revoked", None):
            assert all(self.count()[number] == self.told_revoked[number] for number in self.revoked)

    @invariant()
    def no_device_has_two_updates_at_once(self) -> None:
        if not hasattr(self, "fleet"):
            return
        open_ones = self.database.rows(
            "SELECT device, count(*) FROM message WHERE type = 8 AND expires_ms > ? AND NOT EXISTS"
            " (SELECT 1 FROM message_ended AS ended WHERE ended.device = message.device"
            "  AND ended.number = message.number) GROUP BY device HAVING count(*) > 1",
            (self.fleet.now_ms,),
        )
        assert open_ones == []

    def teardown(self) -> None:
        """Where nobody fails from here on, each device that is not revoked gets every version of what goes on."""
        if not hasattr(self, "fleet"):
            return
        made = len(rollouts.status(self.database, self.fleet.now_ms))
        for number in range(1, made + 1):
            rollouts.resume(self.database, number, self.fleet.now_ms)
        for _ in range(6 * made + 1):
            for each in rollouts.status(self.database, self.fleet.now_ms):
                if each["state"] == "stopped":
                    rollouts.resume(self.database, each["rollout"], self.fleet.now_ms)
            for stepped in self.fleet.step():
                for device in stepped.sent:
                    self.fleet.say(self.fleet.at(device), DONE)
            self.fleet.now_ms += 2 * DAY_MS
        for each in rollouts.status(self.database, self.fleet.now_ms):
            assert each["state"] == "done", each
            assert all(one["state"] in {"done", "failed", "overdue"} for one in each["devices"])
        self.database.close()
        self.stack.close()


Story.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestStory = Story.TestCase
