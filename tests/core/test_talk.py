"""A conversation, by a clock that the test moves: what is sent when, and what becomes of answers that do not come."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.talk import ANSWER_S, TRIES, Answer, Ask, Outcome, Script, Talk


def asks(text: str, pause_s: float = 0.0, *, answered: bool = True) -> Ask:
    """A question that is answered by its own text in capital letters; `!` behind it is a refusal."""

    def understand(message: bytes) -> Answer | None:
        said = message.decode()
        return Answer(not said.endswith("!"), said) if said.rstrip("!") == text.upper() else None

    return Ask(text.encode(), understand if answered else None, pause_s)


def script(heard: list[str | None], *questions: Ask) -> Script:
    """Asks one after the other, and notes what was answered."""
    for question in questions:
        answer = yield question
        heard.append(None if answer is None else answer.text)


class Table:
    """Both ends of a line: the conversation, and a receiver that answers after a while, or not."""

    def __init__(self, *questions: Ask) -> None:
        self.heard: list[str | None] = []
        self.now = 0.0
        self.sent: list[tuple[float, bytes]] = []
        self.talk = Talk(script(self.heard, *questions), self.now)
        self._take()

    def _take(self) -> None:
        octets = self.talk.take()
        if octets:
            self.sent.append((self.now, octets))

    def says(self, message: str, at_s: float) -> None:
        self.passes(at_s)
        self.talk.heard(message.encode(), self.now)
        self._take()

    def is_over(self) -> bool:
        return self.talk.is_over

    def passes(self, until_s: float) -> None:
        """Polled when it asks for it, and at no other time."""
        for _ in range(100):
            due = self.talk.next_due()
            if due is None or due > until_s:
                break
            assert due >= self.now
            self.now = due
            self.talk.poll(due)
            self._take()
        self.now = until_s


def test_one_question_is_asked_at_a_time_and_the_next_with_the_answer() -> None:
    table = Table(asks("one"), asks("two"), asks("three"))
    assert table.sent == [(0.0, b"one")]
    table.says("ONE", 0.3)
    assert table.sent == [(0.0, b"one"), (0.3, b"two")]
    table.says("TWO!", 0.5)
    assert not table.is_over()
    table.says("THREE", 0.6)
    assert table.is_over()
    assert table.talk.next_due() is None
    assert table.heard == ["ONE", "TWO!", "THREE"]
    assert table.talk.take() == b""


def test_a_question_that_is_not_answered_is_asked_again_and_then_given_up() -> None:
    table = Table(asks("one"), asks("two"))
    table.passes(10.0)
    # three times each, a second apart
    assert table.sent == [
        (0.0, b"one"), (1.0, b"one"), (2.0, b"one"), (3.0, b"two"), (4.0, b"two"), (5.0, b"two"),
    ]  # fmt: skip
    assert (ANSWER_S, TRIES) == (1.0, 3)
    assert table.heard == [None, None]
    assert table.is_over()


def test_an_answer_to_a_question_asked_again_is_an_answer() -> None:
    table = Table(asks("one"), asks("two"))
    table.says("ONE", 1.2)
    table.says("TWO", 2.9)
    assert table.sent[:2] == [(0.0, b"one"), (1.0, b"one")]
    assert {octets for _, octets in table.sent[2:]} == {b"two"}
    assert table.heard == ["ONE", "TWO"]


@pytest.mark.parametrize("message", ["TWO", "one", "", "ONES", "$GPGGA,,,,,,0,,,,,,,,*66"])
def test_what_is_no_answer_changes_nothing(message: str) -> None:
    """A receiver goes on to talk, and another's answer is none."""
    table = Table(asks("one"), asks("two"))
    table.says(message, 0.5)
    assert table.heard == []
    assert table.talk.next_due() == ANSWER_S, "and puts nothing off"
    table.says("ONE", 0.9)
    assert table.heard == ["ONE"]


def test_what_expects_no_answer_is_sent_once_and_waits_for_its_pause() -> None:
    table = Table(asks("reset", 0.4, answered=False), asks("two"))
    table.says("RESET", 0.1)
    table.passes(0.3)
    assert table.sent == [(0.0, b"reset")]
    table.passes(0.4)
    assert table.sent == [(0.0, b"reset"), (0.4, b"two")]
    assert table.heard == [None]


def test_it_is_not_over_before_the_last_pause_is() -> None:
    table = Table(asks("sleep", 0.2, answered=False))
    assert not table.is_over()
    table.passes(0.19)
    assert not table.is_over()
    table.passes(0.2)
    assert table.is_over()
    assert table.sent == [(0.0, b"sleep")]


def test_a_script_that_asks_nothing_is_over_at_once() -> None:
    talk = Talk(script([]), 100.0)
    assert (talk.is_over, talk.next_due(), talk.take()) == (True, None, b"")
    talk.heard(b"ONE", 100.0)
    talk.poll(1000.0)
    assert talk.is_over


def test_polled_too_early_it_does_nothing() -> None:
    table = Table(asks("one"))
    table.talk.poll(0.0)
    table.talk.poll(0.999)
    assert table.talk.take() == b""
    table.talk.poll(1.0)
    assert table.talk.take() == b"one"


def test_polled_late_it_asks_once_and_not_for_every_time_that_passed() -> None:
    table = Table(asks("one"))
    table.talk.poll(200.0)
    assert table.talk.take() == b"one"
    assert table.talk.next_due() == 200.0 + ANSWER_S


def test_what_a_script_fills_in_is_there_at_its_end() -> None:
    def telling(outcome: Outcome) -> Script:
        answer = yield asks("who")
        outcome.identity = None if answer is None else answer.text
        if (yield asks("set")) is None:
            outcome.problems.append("no answer to it")

    outcome = Outcome()
    talk = Talk(telling(outcome), 100.0)
    talk.heard(b"WHO", 100.0)
    for second in range(1, 5):
        talk.poll(100.0 + second)
    assert outcome == Outcome("WHO", ["no answer to it"])
    assert Outcome() == Outcome(None, []), "and not in the next one"


# u-blox's acknowledgement names the message alone, and all settings are one
def test_the_second_answer_to_a_question_asked_twice_is_not_the_next_one_s() -> None:
    def acknowledgement(message: bytes) -> Answer | None:
        return Answer(message == b"ACK", message.decode()) if message in (b"ACK", b"NAK") else None

    verdicts = {b"rate": "ACK", b"usb": "NAK", b"constellations": "ACK"}
    table = Table(*(Ask(text, acknowledgement) for text in verdicts))
    answered = 0
    for tenth in range(300):
        if answered < len(table.sent) and table.sent[answered][0] + ANSWER_S + 0.05 <= tenth / 10:
            table.says(verdicts[table.sent[answered][1]], tenth / 10)
            answered += 1
        table.passes(tenth / 10)
    assert table.heard == ["ACK", "NAK", "ACK"]


# --- any receiver ----------------------------------------------------------------------------------------------------

_REPLIES = st.lists(st.tuples(st.integers(0, 4), st.floats(0.01, 3.5), st.booleans()), max_size=12)


@given(_REPLIES)
def test_whatever_the_receiver_does_every_question_is_asked_and_none_more_than_three_times(
    replies: Sequence[tuple[int, float, bool]],
) -> None:
    names = ["a", "b", "c", "d", "e"]
    table = Table(*(asks(name) for name in names))
    now = 0.0
    for which, after_s, done in replies:
        now += after_s
        table.says(names[which].upper() + ("" if done else "!"), now)
    table.passes(now + 30.0)
    assert table.is_over()
    asked = [octets.decode() for _, octets in table.sent]
    assert "".join(sorted(set(asked))) == "abcde"
    assert asked == sorted(asked), "one after the other"
    assert all(1 <= asked.count(name) <= TRIES for name in names)
    for name, answer in zip(names, table.heard, strict=True):
        assert answer is None or answer.rstrip("!") == name.upper()


def test_a_talk_that_gives_up_at_once_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.core.talk.TRIES", 1)
    table = Table(asks("one"))
    table.says("ONE", 1.2)
    assert table.heard == [None]


def test_a_talk_that_never_gives_up_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.core.talk.TRIES", 1000)
    table = Table(asks("one"), asks("two"))
    table.passes(10.0)
    assert not table.is_over()
