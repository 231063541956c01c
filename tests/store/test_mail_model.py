"""Messages and small states against a plain Python model of them, through any sequence of calls and restarts."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bondmate.mail import ORDERS, SHOWN, KeptMessage, MessageState, MessageType
from bondmate.records import Moment
from bondmate.store import mail
from bondmate.store.outbox import SqliteOutbox
from tests.store.samples import DEVICE, FIRST
from tests.store.test_model import MEMORY

NAMES = ("exercise", "check-in")
some_number = st.integers(1, 8)
some_moment = st.builds(Moment, st.integers(0, 60).map(float), st.none() | st.integers(0, 60_000))
some_message = st.builds(
    KeptMessage,
    number=some_number,
    type=st.sampled_from(MessageType),
    data=st.sampled_from([b"octets", b"others"]),
    expires_s=st.none() | st.integers(0, 60),
    taken=some_moment,
    state=st.sampled_from([MessageState.TAKEN, MessageState.WITHOUT_EFFECT]),
    felt=st.booleans(),
)
some_octets = st.none() | st.binary(max_size=3)


class MailComparison(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="bms-", dir=MEMORY if MEMORY.is_dir() else None)
        self.loop = asyncio.new_event_loop()
        self.messages: dict[int, KeptMessage] = {}
        self.told: dict[int, int] = {}
        self.cursor = 0
        self.small: dict[str, bytes] = {}

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    @initialize()
    def start(self) -> None:
        self.outbox = SqliteOutbox(Path(self.directory.name), DEVICE)
        self.do(self.outbox.open())

    @rule()
    def restart(self) -> None:
        self.do(self.outbox.close())
        self.start()

    @rule(message=some_message, small=st.dictionaries(st.sampled_from(NAMES), some_octets, max_size=2))
    def take_message(self, message: KeptMessage, small: dict[str, bytes | None]) -> None:
        assert self.do(self.outbox.take_message(message, kept=small)) is (message.number > self.cursor)
        if message.number > self.cursor:
            self.cursor = message.number
            self.messages[message.number] = message
            for name, octets in small.items():
                self.kept(name, octets)

    def kept(self, name: str, octets: bytes | None) -> None:
        self.small.pop(name, None)
        if octets is not None:
            self.small[name] = octets

    def goes_on(self, message: KeptMessage, state: MessageState) -> bool:
        """What was without effect stays so, whatever state comes."""
        return message.state < state and message.state is not MessageState.WITHOUT_EFFECT

    @rule(number=some_number, state=st.sampled_from(MessageState), answer=st.none() | st.just("yes"))
    def mark_message(self, number: int, state: MessageState, answer: str | None) -> None:
        self.do(self.outbox.mark_message(number, state, answer, Moment(0.0, None)))
        message = self.messages.get(number)
        if message is not None and message.type in SHOWN and self.goes_on(message, state):
            self.messages[number] = replace(message, state=state, answer=answer)

    @rule(number=some_number, state=st.sampled_from(MessageState), text=st.none() | st.just("no room"))
    def mark_order(self, number: int, state: MessageState, text: str | None) -> None:
        self.do(self.outbox.mark_order(number, state, text, Moment(0.0, None)))
        message = self.messages.get(number)
        if message is not None and message.type in ORDERS and self.goes_on(message, state):
            self.messages[number] = replace(message, state=state, answer=text)

    @rule(number=some_number)
    def mark_begun(self, number: int) -> None:
        self.do(self.outbox.mark_begun(number))
        message = self.messages.get(number)
        if message is not None and message.type in ORDERS and message.state is MessageState.TAKEN:
            self.messages[number] = replace(message, expires_s=None)

    @rule(number=some_number)
    def mark_message_felt(self, number: int) -> None:
        self.do(self.outbox.mark_message_felt(number))
        if number in self.messages:
            self.messages[number] = replace(self.messages[number], felt=True)

    @rule(told=st.dictionaries(some_number, st.sampled_from(MessageState), max_size=3))
    def mark_told(self, told: dict[int, MessageState]) -> None:
        self.do(self.outbox.mark_told(told))
        for number in self.messages.keys() & told:
            self.told[number] = max(self.told.get(number, 0), told[number])

    @rule(name=st.sampled_from(NAMES), octets=some_octets)
    def keep(self, name: str, octets: bytes | None) -> None:
        self.do(self.outbox.keep(name, octets, Moment(0.0, None)))
        self.kept(name, octets)

    @rule(since_s=st.integers(0, 60), length_s=st.integers(0, 60), by_s=st.integers(1, 20))
    def shift(self, since_s: int, length_s: int, by_s: int) -> None:
        until_s = since_s + length_s
        self.do(self.outbox.shift(FIRST, float(since_s), float(until_s), float(by_s)))
        for number, message in self.messages.items():
            if since_s < message.taken.lifetime_s <= until_s:
                taken = replace(message.taken, lifetime_s=message.taken.lifetime_s + by_s)
                self.messages[number] = replace(message, taken=taken)

    @rule(moment=some_moment, keep_s=st.integers(0, 30), unread_s=st.integers(30, 60))
    def upkeep(self, moment: Moment, keep_s: int, unread_s: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mail, "UNREAD_S", float(unread_s))
            self.do(self.outbox.upkeep(moment, float(keep_s)))

        def stays(message: KeptMessage) -> bool:
            if (
                message.expires_s is not None
                and moment.utc_ms is not None
                and message.expires_s * 1000 <= moment.utc_ms
            ):
                return False
            to_read = message.type in SHOWN and message.state is MessageState.TAKEN
            if message.type in ORDERS and message.state is MessageState.TAKEN:
                return True
            return message.taken.lifetime_s >= moment.lifetime_s - (unread_s if to_read else keep_s)

        self.messages = {number: message for number, message in self.messages.items() if stays(message)}
        self.told = {number: state for number, state in self.told.items() if number in self.messages}

    @invariant()
    def the_same_is_there(self) -> None:
        assert self.do(self.outbox.cursor()) == self.cursor
        assert {name: self.do(self.outbox.kept(name)) for name in NAMES} == {
            name: self.small.get(name) for name in NAMES
        }
        untold = [message for number, message in self.messages.items() if self.told.get(number, 0) < message.state]
        assert self.do(self.outbox.untold()) == untold
        for number in range(1, 9):
            assert self.do(self.outbox.message(number)) == self.shown(None).get(number)
        for utc_s in (None, 30.5):
            assert self.do(self.outbox.orders(utc_s)) == [
                message
                for message in self.messages.values()
                if message.type in ORDERS
                and message.state is MessageState.TAKEN
                and (message.expires_s is None or utc_s is None or message.expires_s > utc_s)
            ]
            newest_first = list(self.shown(utc_s).values())[::-1]
            assert self.do(self.outbox.messages(100, utc_s)) == newest_first
            assert self.do(self.outbox.messages(1, utc_s)) == newest_first[:1]
            unread = [message for message in newest_first if message.state is MessageState.TAKEN]
            assert self.do(self.outbox.unread(utc_s)) == len(unread)
            assert self.do(self.outbox.unfelt(utc_s)) == [message for message in reversed(unread) if not message.felt]

    def shown(self, utc_s: float | None) -> dict[int, KeptMessage]:
        """In their order."""
        return {
            number: message
            for number, message in self.messages.items()
            if message.type in SHOWN
            and message.state is not MessageState.WITHOUT_EFFECT
            and (message.expires_s is None or utc_s is None or message.expires_s > utc_s)
        }

    def teardown(self) -> None:
        self.do(self.outbox.close())
        self.loop.close()
        self.directory.cleanup()


SHORT = settings(max_examples=60, stateful_step_count=25)
LONG = settings(max_examples=1000, stateful_step_count=25)


def test_the_mail_is_its_model() -> None:
    run_state_machine_as_test(MailComparison, settings=SHORT)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_mail_is_its_model_for_long() -> None:
    run_state_machine_as_test(MailComparison, settings=LONG)


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("_SHOWN", "type < 4"),
        ("_TO_READ", "(type < 4)"),
        ("_NOT_EXPIRED", "(?1 IS NULL OR expires_s > ?1)"),
        ("_cursor", lambda _: 0),
        ("_keep", lambda *_: None),
    ],
)
def test_the_model_catches_a_store_that_does_something_else(
    name: str, mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, name, mutant)
    found = settings(
        SHORT, max_examples=1000, database=None, derandomize=True, report_multiple_bugs=False, phases=[Phase.generate]
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(MailComparison, settings=found)
