"""A device, its disk and a dispatcher, in any order of what may happen; and what must then be true of the alert.

The model knows docs/alert.md and the core's public face. It keeps what happened as facts, and knows nothing of a table.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bondmate.core import alert as module
from bondmate.core.alert import NO_WAY_OUT_S, Alert, Event, State
from bondmate.records import (
    DeviceId,
    EarlierAlert,
    Felt,
    How,
    Kind,
    Moment,
    RecordId,
    SessionId,
    SignedRecord,
    StoredRecord,
    utc_text,
)

MOST_CALLS = 5
"""In one life of the device: with more, little would happen to each."""
Facts = dict[str, int | None]
"""What happened to a call, and at which UTC it was first told."""
_UTC = st.none() | st.integers(0, 4_000_000_000_000)
"""A clock that jumps: any time at all, or none."""
_PAUSES = st.sampled_from([0.0, 0.01, 1.0, 9.9, 10.0, 59.0, 60.0, 3600.0])


@dataclass(frozen=True)
class Message:
    """A dispatcher's, or somebody's who would like to be one."""

    closes: bool
    digests: tuple[bytes, ...]
    genuine: bool
    for_us: bool


@dataclass
class Disk:
    """What outlasts the session."""

    calls: list[SignedRecord] = field(default_factory=list)
    facts: dict[bytes, Facts] = field(default_factory=dict)

    def newest(self) -> SignedRecord | None:
        """In the order in which they were made, which is not that of their commits."""
        return max(self.calls, key=lambda call: call.id.sequence, default=None)

    def keep(self, digest: bytes, fact: str, utc_ms: int | None) -> None:
        self.facts.setdefault(digest, {}).setdefault(fact, utc_ms)

    def earlier(self) -> EarlierAlert | None:
        """As the outbox tells it."""
        call = self.newest()
        if call is None:
            return None
        facts = self.facts[call.digest]
        moments = {fact: Moment(0.0, utc_ms) for fact, utc_ms in facts.items()}
        kept = StoredRecord(call, 1, moments["stored"], moments.get("delivered"), Felt.NOTHING)
        return EarlierAlert(kept, "cancelled" in facts, None, moments.get("acknowledged"), moments.get("closed"))


class AlertMachine(RuleBasedStateMachine):
    """The device keeps the newest call; the rules are what may happen to it."""

    make: type[Alert] = Alert
    steps = 0

    @initialize(utc_ms=_UTC)
    def power_on(self, utc_ms: int | None) -> None:
        self.now, self.utc_ms = 0.0, utc_ms
        self.session = 1
        self.calls: list[SignedRecord] = []
        self.uncommitted: list[tuple[SignedRecord, str]] = []
        """The calls, and the cancellations of calls, that are only in memory yet."""
        self.messages: list[Message] = []
        self.disk = Disk()
        self.alert: Alert | None = None
        self.newest: SignedRecord | None = None
        """What the device must be telling of."""
        self.facts: dict[bytes, Facts] = {}
        """What the device was told in this session, or knows of an earlier one."""
        self.escalated: RecordId | None = None
        self.resumed = False
        self.waits_since = 0.0
        self.warned = False

    # --- what must be true ---------------------------------------------------------------------------

    @property
    def known(self) -> Facts:
        """What happened to the newest call."""
        return {} if self.newest is None else self.facts[self.newest.digest]

    def is_open(self) -> bool:
        return self.newest is not None and not {"cancelled", "closed"} & set(self.known)

    def stands(self) -> str:
        for state in ("closed", "cancelled", "acknowledged", "delivered", "stored"):
            if state in self.known:
                return state
        return "raised"

    def told(self, digest: bytes, fact: str) -> bool:
        """The device learns it; whether that is news to the officer."""
        facts = self.facts.setdefault(digest, {})
        news = self.newest is not None and digest == self.newest.digest and self.is_open() and fact not in facts
        facts.setdefault(fact, self.utc_ms)
        return news

    @invariant()
    def the_alert_is_as_it_must_be(self) -> None:
        type(self).steps += 1
        if self.newest is None:
            assert self.alert is None, "an alert was invented"
            return
        alert = self.alert
        assert alert is not None, "an alert was forgotten"
        assert alert.record is self.newest, "it is not the newest call"
        assert alert.is_open or not self.is_open(), "it ended, and neither the officer nor a dispatcher ended it"
        assert self.is_open() or not alert.is_open, "it goes on, and it is over"
        assert alert.state == self.stands(), "it stands elsewhere than what happened says"
        shown = alert.to_json(self.now)
        for fact in ("stored", "delivered", "acknowledged", "closed"):
            assert shown[f"{fact}_at"] == utc_text(self.known.get(fact)), "another time than the first"
        assert (alert.escalates, alert.resumed) == (self.escalated, self.resumed), "it is not told where it came from"
        hopeless = self.is_open() and not self.warned and not {"delivered", "acknowledged"} & set(self.known)
        due_s = self.waits_since + NO_WAY_OUT_S if hopeless else None
        assert alert.no_way_out_due() == due_s, "felt at another time than a minute on"

    # --- the officer ---------------------------------------------------------------------------------

    @precondition(lambda self: len(self.calls) < MOST_CALLS)
    @rule()
    def calls_for_help(self) -> None:
        sequence = len(self.calls) + 1
        identity = RecordId(DeviceId(bytes(4)), SessionId(self.session.to_bytes(6)), Kind.PANIC.stream, sequence)
        kind = Kind.ESCALATION if self.is_open() else Kind.PANIC
        call = SignedRecord(identity, kind, b"", hashlib.sha256(bytes([sequence])).digest()[:16], None)
        escalates = self.alert.record.id if self.alert is not None and self.alert.is_open else None
        self.escalated = self.newest.id if self.newest is not None and self.is_open() else None
        self.alert = self.make(call, self.now, escalates=escalates)
        self.calls.append(call)
        self.newest, self.facts[call.digest] = call, {}
        self.uncommitted.append((call, "stored"))
        self.resumed, self.waits_since, self.warned = False, self.now, False

    @precondition(lambda self: self.alert is not None)
    @rule(how=st.sampled_from(How))
    def takes_it_back(self, how: How) -> None:
        assert self.alert is not None
        assert self.newest is not None
        was_open = self.is_open()
        assert self.alert.cancelled(self.now, self.utc_ms, how) is was_open, "what is over was cancelled"
        if was_open:
            self.told(self.newest.digest, "cancelled")
            self.uncommitted.append((self.newest, "cancelled"))

    @precondition(lambda self: self.alert is not None)
    @rule()
    def feels_what_is_due(self) -> None:
        assert self.alert is not None
        due_s = self.alert.no_way_out_due()
        felt = self.alert.no_way_out(self.now)
        assert felt is (due_s is not None and self.now >= due_s)
        self.warned = self.warned or felt

    # --- the disk and the network --------------------------------------------------------------------

    @precondition(lambda self: self.uncommitted)
    @rule(data=st.data())
    def a_commit_returns(self, data: st.DataObject) -> None:
        call, fact = self.uncommitted.pop(data.draw(st.integers(0, len(self.uncommitted) - 1)))
        self.disk.keep(call.digest, fact, self.utc_ms)
        if fact == "stored":
            self.disk.calls.append(call)
            self._happens(call.digest, fact, Alert.stored)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), kept=st.booleans())
    def a_receipt_comes(self, data: st.DataObject, kept: bool) -> None:
        """Of any call, again too, and of one that a crash made the device forget; it may be lost before it is kept."""
        call = data.draw(st.sampled_from(self.calls))
        if kept:
            self.disk.keep(call.digest, "delivered", self.facts.get(call.digest, {}).get("delivered", self.utc_ms))
        self._happens(call.digest, "delivered", Alert.delivered)

    @rule(pause_s=_PAUSES, utc_ms=_UTC)
    def time_passes(self, pause_s: float, utc_ms: int | None) -> None:
        self.now, self.utc_ms = self.now + pause_s, utc_ms

    @rule(now=st.sampled_from([0.0, 12.5, 1e6]), utc_ms=_UTC)
    def power_fails(self, now: float, utc_ms: int | None) -> None:
        """What was not committed is gone; the monotonic clock begins anywhere."""
        self.now, self.utc_ms, self.session = now, utc_ms, self.session + 1
        self.uncommitted.clear()
        earlier = self.disk.earlier()
        self.alert = None if earlier is None else self.make.restored(earlier, now)
        self.newest = self.disk.newest()
        self.facts = {digest: dict(facts) for digest, facts in self.disk.facts.items()}
        self.escalated, self.resumed = None, self.is_open()
        self.waits_since, self.warned = now, False

    # --- the dispatcher, and who would like to be one ------------------------------------------------

    @precondition(lambda self: self.calls)
    @rule(closes=st.booleans(), about=st.sampled_from(["newest", "all", "first", "none", "alike"]))
    def a_message_comes(self, closes: bool, about: str) -> None:
        """It names calls of this device, none that it ever made, or one of which only the beginning is right."""
        digests = [call.digest for call in self.calls]
        alike = digests[-1][:8] + bytes(8)
        named = {"newest": digests[-1:], "all": digests, "first": digests[:1], "none": [bytes(16)], "alike": [alike]}
        self._taken(Message(closes, tuple(named[about]), genuine=True, for_us=True))

    @precondition(lambda self: self.calls)
    @rule(closes=st.booleans(), genuine=st.booleans())
    def a_stranger_writes(self, closes: bool, genuine: bool) -> None:
        """It is not signed, or it is for another device."""
        self._taken(Message(closes, (self.calls[-1].digest,), genuine, for_us=not genuine))

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def a_message_comes_again(self, data: st.DataObject) -> None:
        """However old."""
        self._taken(data.draw(st.sampled_from(self.messages)))

    def _taken(self, message: Message) -> None:
        self.messages.append(message)
        if not self.believes(message):
            return
        fact = "closed" if message.closes else "acknowledged"
        event: Callable[[Alert, float, int | None], bool] = Alert.closed if message.closes else Alert.acknowledged
        news = False
        if message.genuine and message.for_us:
            for call in self.calls:
                if call.digest in message.digests:
                    self.disk.keep(call.digest, fact, self.facts.get(call.digest, {}).get(fact, self.utc_ms))
                    news = self.told(call.digest, fact) or news
        if self.alert is not None and self.alert.is_named(message.digests):
            assert event(self.alert, self.now, self.utc_ms) is news, "it is wrong about what is news"

    def believes(self, message: Message) -> bool:
        """What whoever verifies messages does before the core hears of one."""
        return message.genuine and message.for_us

    def _happens(self, digest: bytes, fact: str, event: Callable[[Alert, float, int | None], bool]) -> None:
        news = self.told(digest, fact)
        if self.alert is not None and self.alert.record.digest == digest:
            assert event(self.alert, self.now, self.utc_ms) is news, "it is wrong about what is news"


AlertMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestAlert = AlertMachine.TestCase


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_life_of_an_alert_at_length() -> None:
    class Long(AlertMachine):
        steps = 0

    run_state_machine_as_test(Long, settings=settings(max_examples=2500, stateful_step_count=60))
    assert Long.steps >= 100_000


# --- what the model is worth ----------------------------------------------------------------------------


def catch(broken: type[AlertMachine], complaint: str) -> None:
    class Broken(broken):  # type: ignore[misc, valid-type]
        pass

    with pytest.raises(AssertionError, match=complaint):
        run_state_machine_as_test(
            Broken,
            settings=settings(max_examples=2000, stateful_step_count=40, derandomize=True, phases=[Phase.generate]),
        )


@pytest.mark.parametrize(
    ("state", "event", "then", "complaint"),
    [
        (State.DELIVERED, Event.ACKNOWLEDGED, State.CLOSED, "neither the officer nor a dispatcher"),
        (State.RAISED, Event.STORED, State.CANCELLED, "neither the officer nor a dispatcher"),
        (State.CANCELLED, Event.STORED, State.STORED, "it goes on, and it is over"),
        (State.CLOSED, Event.ACKNOWLEDGED, State.ACKNOWLEDGED, "it goes on, and it is over"),
        (State.RAISED, Event.CLOSED, State.RAISED, "it goes on, and it is over"),
        (State.ACKNOWLEDGED, Event.DELIVERED, State.DELIVERED, "it stands elsewhere"),
        (State.CANCELLED, Event.CLOSED, State.CANCELLED, "it stands elsewhere"),
    ],
)
def test_the_model_catches_a_broken_table(
    state: State, event: Event, then: State, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {**module.TRANSITIONS, state: {**module.TRANSITIONS[state], event: then}}
    monkeypatch.setattr(module, "TRANSITIONS", broken)
    catch(AlertMachine, complaint)


class Familiar(Alert):
    """Takes each message for its own."""

    def is_named(self, digests: Any) -> bool:
        return True


class Shortsighted(Alert):
    """Looks at the beginning of a digest alone."""

    def is_named(self, digests: Any) -> bool:
        return any(digest[:8] == self.record.digest[:8] for digest in digests)


class Forgets(Alert):
    """Knows nothing of a close after a restart."""

    @classmethod
    def restored(cls, earlier: EarlierAlert, now: float | None = None) -> "Forgets":
        return super().restored(EarlierAlert(earlier.alert, earlier.cancelled, None, earlier.acknowledged, None), now)


class Restless(Alert):
    """Tells again and again that nothing gets through."""

    def no_way_out(self, now: float) -> bool:
        due_s = self.no_way_out_due()
        return due_s is not None and now >= due_s


class Latest(Alert):
    """The last time counts, not the first."""

    def _happens(self, event: Event, now: float | None, utc_ms: int | None) -> bool:
        self._happened.pop(event, None)
        return super()._happens(event, now, utc_ms)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Familiar, "wrong about what is news|neither the officer nor a dispatcher|stands elsewhere|another time"),
        (Shortsighted, "wrong about what is news|neither the officer nor a dispatcher|stands elsewhere|another time"),
        (Forgets, "it goes on, and it is over"),
        (Restless, "felt at another time"),
        (Latest, "wrong about what is news|another time than the first"),
    ],
)
def test_the_model_catches_a_broken_alert(broken: type[Alert], complaint: str) -> None:
    class Machine(AlertMachine):
        make = broken

    catch(Machine, complaint)


def test_the_model_catches_a_device_that_believes_strangers() -> None:
    class Credulous(AlertMachine):
        def believes(self, message: Message) -> bool:
            return True

    catch(Credulous, "wrong about what is news|neither the officer nor a dispatcher|stands elsewhere|another time")


def test_the_model_catches_a_device_that_forgets_its_alert() -> None:
    class Oblivious(AlertMachine):
        @rule()
        def loses_it(self) -> None:
            self.alert = None

    catch(Oblivious, "an alert was forgotten")


def test_the_model_catches_a_device_that_invents_one() -> None:
    class Dreaming(AlertMachine):
        @rule()
        def dreams(self) -> None:
            identity = RecordId(DeviceId(bytes(4)), SessionId(bytes(6)), Kind.PANIC.stream, 1)
            self.alert = self.alert or Alert(SignedRecord(identity, Kind.PANIC, b"", bytes(16), None), self.now)

    catch(Dreaming, "an alert was invented")
