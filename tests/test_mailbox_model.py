"""The mailbox with the real store, against anything that a network and other keys may do, and what it must come to.

The judge knows which messages the gateway signed for this device, and nothing of how the device works.
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bondmate import mailbox, messages
from bondmate.core import inbox
from bondmate.errors import RemoteError, StoreError, StoreTrouble
from bondmate.mail import MessageState
from bondmate.mailbox import EXERCISE as KEPT_EXERCISE
from bondmate.records import Kind, Moment, SignedRecord
from bondmate.store import mail, marks
from tests.letters import (
    ACKNOWLEDGE,
    ALERT,
    CLOSE,
    EXERCISE,
    NOW_S,
    OTHER,
    OTHER_DEVICE,
    STRANGER,
    TEXT,
    WIPE,
    payload,
    signed,
)
from tests.mailbox_desk import Desk, Gateway
from tests.store.samples import record

MEMORY = Path("/dev/shm")
"""Where syncing costs nothing: what it is good for is not the subject here."""
FAILED = StoreError("the card answers with errors", StoreTrouble.IO)


@dataclass
class Said:
    """A message that the gateway signed for this device, as it said it."""

    type: int
    digests: tuple[bytes, ...] = ()
    exercise: tuple[int, int] | None = None
    expires_s: int | None = None


def spoilt(message: bytes) -> bytes:
    """Its signature is not the one that was made."""
    return message[:-1] + bytes([message[-1] ^ 1])


class Talk(RuleBasedStateMachine):
    """A device with its mailbox, a gateway, and whoever stands between them."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="bmm-", dir=MEMORY if MEMORY.is_dir() else None)
        self.loop = asyncio.new_event_loop()
        self.gateway = Gateway()
        self.said: dict[int, Said] = {}
        """What the gateway said, by number."""
        self.sequence = 0
        self.stored: list[SignedRecord] = []
        """The calls that the store has."""
        self.in_memory: list[SignedRecord] = []
        """Those behind them that it has not."""
        self.cancelled = False
        """Whether the newest of the calls that the store has is cancelled."""
        self.utc_s: float | None = NOW_S
        self.over_early = False
        """The last that was said of an exercise is that it is over, which may be said before it is kept."""
        self.cursor = 0
        self.taken_at: dict[int, float | None] = {}
        """UTC when a message was taken."""
        self.version = 0
        self.judged = 0
        """How much of what was heard was looked at."""

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    # --- the device ------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        async def made() -> Desk:
            desk = Desk(Path(self.directory.name), self.gateway)
            desk.utc_s = self.utc_s
            await desk.begin()
            return desk

        self.desk: Desk = self.do(made())
        self.judged = 0

    @rule(kind=st.sampled_from([Kind.PANIC, Kind.ESCALATION]), stored=st.booleans())
    def press(self, kind: Kind, stored: bool) -> None:
        self.sequence += 1
        self.in_memory.append(record(kind, self.sequence))
        if stored:
            self.commit()

    @rule()
    def commit(self) -> None:
        """The store takes what was only in memory."""
        for call in self.in_memory:
            self.do(self.desk.outbox.add(call, self.moment()))
            self.cancelled = False
        self.stored += self.in_memory
        self.in_memory = []

    @rule()
    def cancel(self) -> None:
        self.commit()
        self.sequence += 1
        self.do(self.desk.outbox.add(record(Kind.CANCELLATION, self.sequence), self.moment()))
        self.cancelled = True

    @rule(how=st.sampled_from(["ended", "killed"]))
    def restart(self, how: str) -> None:
        """What is only in memory is forgotten, and the mailbox begins anew."""
        self.hear()
        if how == "ended":
            self.do(self.desk.end())
        else:
            connection, self.desk.outbox._connection = self.desk.outbox._connection, None
            assert connection is not None
            connection.close()
        self.in_memory = []
        self.begin()
        if self.over_early:
            # what was told before its commit may be forgotten, and then what came before it is heard once more
            self.version = self.kept_version()
            self.over_early = False

    @rule(utc_s=st.none() | st.sampled_from([NOW_S - 10**8, NOW_S - 50, NOW_S, NOW_S + 50, NOW_S + 10**8]))
    def clock_jumps(self, utc_s: float | None) -> None:
        self.utc_s = self.desk.utc_s = utc_s

    @rule(number=st.integers(1, 12), answer=st.none() | st.sampled_from(["yes", "no"]))
    def read(self, number: int, answer: str | None) -> None:
        letters = {letter.kept.number: letter for letter in self.do(self.desk.mailbox.messages())}
        if number not in letters or letters[number].kept.answer not in (None, answer):
            return
        doing = self.desk.mailbox.read(number) if answer is None else self.desk.mailbox.answer(number, answer)
        assert self.do(doing).kept.state in (MessageState.READ, MessageState.ANSWERED)

    # --- the gateway -----------------------------------------------------------------------------

    @rule(type_=st.sampled_from([ACKNOWLEDGE, CLOSE]), which=st.lists(st.integers(0, 4), min_size=1, max_size=3))
    def dispatcher_looks(self, type_: int, which: list[int]) -> None:
        """At calls of this device, old ones and new ones, or at what is none."""
        calls = [*self.stored, *self.in_memory]
        digests = tuple(calls[-1 - one].digest if one < len(calls) else OTHER for one in which)
        self.said[self.gateway.says(type_, [list(digests)])] = Said(type_, digests)

    @rule(
        type_=st.sampled_from([TEXT, ALERT, WIPE, 77]), expires_s=st.none() | st.sampled_from([NOW_S - 20, NOW_S + 20])
    )
    def dispatcher_writes(self, type_: int, expires_s: int | None) -> None:
        number = self.gateway.says(type_, expires_s=expires_s, urgency=len(self.said) % 2)
        self.said[number] = Said(type_, expires_s=expires_s)

    @rule(version=st.integers(0, 4), seconds=st.sampled_from([0, 60]), expires_s=st.sampled_from([None, NOW_S + 20]))
    def exercise_is_ordered(self, version: int, seconds: int, expires_s: int | None) -> None:
        number = self.gateway.says(EXERCISE, [version, seconds], expires_s=expires_s)
        self.said[number] = Said(EXERCISE, exercise=(version, seconds), expires_s=expires_s)

    # --- what comes ------------------------------------------------------------------------------

    @rule()
    def fetch(self) -> None:
        """All is well."""
        self.desk.line.answer = None
        before = -1
        while self.cursor != before:
            before = self.cursor
            self.do(self.desk.fetch())
            self.hear()
        assert self.cursor == len(self.said), "it got everything"
        assert "mailbox" not in self.desk.faults

    @rule(data=st.data())
    def answered_by_whoever(self, data: st.DataObject) -> None:
        """Replays, other orders, doubles, other devices' messages, other keys, in any mixture."""
        pool: list[bytes] = [*self.gateway.messages, *self.false()]
        chosen = data.draw(st.lists(st.sampled_from(pool), max_size=5))
        answer = cbor2.dumps(chosen)

        async def whatever(_: int) -> bytes:
            return answer

        self.desk.line.answer = whatever
        self.do(self.desk.fetch())
        self.hear()

    def false(self) -> list[bytes]:
        """Nobody signed these for this device: all of its calls are closed, and an exercise begins."""
        number, digests = self.cursor + 1, [call.digest for call in self.stored[-3:]] or [OTHER]
        order = payload(number, EXERCISE, [77, 60], expires_s=NOW_S + 10**9)
        return [
            made
            for content in (payload(number, CLOSE, [digests]), payload(number, ACKNOWLEDGE, [digests]), order)
            for made in (
                signed(content, device=OTHER_DEVICE),
                signed(content, key=STRANGER),
                signed(content, label="bondmate receipt 1"),
                spoilt(signed(content)),
            )
        ]

    @rule(held=st.booleans(), skip=st.integers(0, 2))
    def the_store_fails(self, held: bool, skip: int) -> None:
        """While it takes a message: it has it all the same, or has it not."""
        outbox, take_message = self.desk.outbox, self.desk.outbox.take_message
        left = skip

        async def failing(*arguments: Any, **effects: Any) -> bool:
            nonlocal left
            left -= 1
            if left >= 0:
                return await take_message(*arguments, **effects)
            if held:
                await take_message(*arguments, **effects)
            raise FAILED

        outbox.take_message = failing  # type: ignore[method-assign]
        self.desk.line.answer = None
        self.do(self.desk.fetch())
        del outbox.take_message
        self.hear(early=True)

    # --- the judge -------------------------------------------------------------------------------

    def moment(self) -> Moment:
        return Moment(self.loop.time(), None)

    def kept_version(self) -> int:
        """Of the exercise that the store knows."""
        return int((self.do(self.desk.outbox.kept(KEPT_EXERCISE)) or b"0").split()[0])

    def hear(self, *, early: bool = False) -> None:
        """Look at what the device was told, and at its cursor. `early`: its store failed, an acknowledgement may be."""
        cursor = self.do(self.desk.outbox.cursor())
        assert self.cursor <= cursor <= len(self.said), "it only grows, and only by what the gateway said"
        for number in range(self.cursor + 1, cursor + 1):
            self.taken_at[number] = self.utc_s
        self.cursor = cursor
        for what, *told in self.desk.ears.heard[self.judged :]:
            reach = len(self.said) if early and what == "seen" else cursor
            known = [self.said[number] for number in range(1, reach + 1)]
            match what:
                case "seen":
                    assert any(said.type == ACKNOWLEDGE and told[0] in said.digests for said in known)
                case "closed":
                    assert any(said.type == CLOSE and told[0] in said.digests for said in known)
                case "exercise":
                    version, seconds = told
                    if version <= self.version:
                        # of no effect: that it is over, told before its commit and again behind it; or the order before
                        # that, at which the store failed
                        assert self.over_early or (seconds == 0 and version == self.version), "it only grows"
                    else:
                        self.version, self.over_early = version, seconds == 0
                    self.over_early = self.over_early and self.version > self.kept_version()
                    known = list(self.said.values()) if seconds == 0 else known
                    assert any(
                        said.exercise is not None
                        and said.exercise[0] == version
                        and seconds <= said.exercise[1]
                        and (seconds == 0 or self.may_begin(said))
                        for said in known
                    )
                case "ordered":
                    assert any(said.type == WIPE for said in known)
                case _:
                    assert (what, self.said[told[0]].type) in (("arrived", TEXT), ("arrived", ALERT))
        self.judged = len(self.desk.ears.heard)
        for number, state, *_ in self.desk.ears.states:
            assert number <= cursor, "no state of what was not taken"
            assert state in (1, 2, 3, 4)

    def may_begin(self, said: Said) -> bool:
        assert said.exercise is not None
        if said.exercise[1] == 0:
            return True
        times = [self.taken_at.get(number) for number, one in self.said.items() if one is said]
        return said.expires_s is not None and any(utc_s is not None and utc_s < said.expires_s for utc_s in times)

    def named(self, type_: int, call: SignedRecord) -> bool:
        """Whether the gateway said that of a call, in what was taken."""
        return any(
            said.type == type_ and call.digest in said.digests
            for number, said in self.said.items()
            if number <= self.cursor
        )

    @invariant()
    def no_alert_is_forgotten_invented_or_closed_by_anybody_else(self) -> None:
        if not hasattr(self, "desk"):
            return
        self.hear(early=True)
        found = self.do(self.desk.outbox.latest_alert())
        assert (found is None) == (not self.stored)
        if found is None:
            return
        newest = self.stored[-1]
        assert found.alert.record == newest
        assert found.cancelled == self.cancelled
        assert (found.closed is not None) == self.named(CLOSE, newest)
        assert (found.acknowledged is not None) == self.named(ACKNOWLEDGE, newest)

    @invariant()
    def every_effect_is_kept(self) -> None:
        if not hasattr(self, "desk"):
            return
        assert self.kept_version() >= self.version or self.over_early
        found = {letter.kept.number for letter in self.do(self.desk.mailbox.messages())}
        for number, said in self.said.items():
            to_read = number <= self.cursor and said.type in (TEXT, ALERT) and said.expires_s is None
            assert (number in found) >= to_read, "no message is lost"
            assert number <= self.cursor or number not in found

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.do(self.desk.end())
        self.loop.close()
        self.directory.cleanup()


SHORT = settings(max_examples=60, stateful_step_count=30)
LONG = settings(max_examples=2200, stateful_step_count=50)


def test_whatever_comes_the_mailbox_does_what_the_gateway_said_and_nothing_else() -> None:
    run_state_machine_as_test(Talk, settings=SHORT)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_whatever_comes_the_mailbox_does_what_the_gateway_said_for_100_000_steps() -> None:
    run_state_machine_as_test(Talk, settings=LONG)


# --- negative controls -------------------------------------------------------------------------------


def unverified(data: bytes, *_: Any) -> Any:
    return messages.read(data)


def of_any_device(data: bytes, _device: Any, keys: Any) -> Any:
    try:
        return messages_verify(data, _device, keys)
    except RemoteError:
        return messages_verify(data, OTHER_DEVICE, keys)


def with_gaps(cursor: int, found: Any, utc_s: float | None, version: int) -> Any:
    takes = []
    for one in found:
        if one.number > cursor:
            takes += judge_well(one.number - 1, [one], utc_s, version)
            cursor = one.number
    return takes


def any_version(cursor: int, found: Any, _utc_s: float | None, _version: int) -> Any:
    return judge_well(cursor, found, NOW_S, -1)


def told_before_the_commit(self: mailbox.Mailbox, takes: Any) -> None:
    for take in takes:
        for digest in take.closes:
            self._listener.closed(digest, "nobody yet")


def marks_the_newest(connection: Any, row: marks.Row) -> None:
    newest = connection.execute("SELECT digest FROM record WHERE stream = 0 ORDER BY sequence DESC LIMIT 1").get
    marks_put(connection, (newest or row[0], *row[1:]))


def no_cursor(_connection: Any) -> int:
    return 0


messages_verify, judge_well, marks_put = messages.verify, inbox.judge, marks.put

BROKEN: dict[str, tuple[object, str, Callable[..., Any]]] = {
    "unverified": (messages, "verify", unverified),
    "another device's": (messages, "verify", of_any_device),
    "gaps are taken": (mailbox, "judge", with_gaps),
    "any exercise begins": (mailbox, "judge", any_version),
    "told before the commit": (mailbox.Mailbox, "_tell_early", told_before_the_commit),
    "marks the newest call": (marks, "put", marks_the_newest),
    "the cursor is not kept": (mail, "_cursor", no_cursor),
    "no marks": (marks, "put", lambda *_: None),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_mailbox_that_is_broken_on_purpose_is_found_out(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, instead = BROKEN[broken]
    monkeypatch.setattr(place, name, instead)
    found = settings(
        SHORT, max_examples=1000, database=None, derandomize=True, report_multiple_bugs=False, phases=[Phase.generate]
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Talk, settings=found)
