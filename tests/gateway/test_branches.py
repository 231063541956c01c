"""Sessions that continue one and the same session: a cloned card, a restored one, one that keeps nothing."""

from typing import Any

import apsw
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate_sim.gateway import credentials, devices, intake, inventory, records
from bondmate_sim.gateway.database import Database
from tests.gateway import twin
from tests.gateway.device import FIRST, SECOND, THIRD

FOURTH = bytes.fromhex("000400000004")


class Card:
    """A device's card: it knows the last state record, and a copy of it goes on from there by itself."""

    def __init__(self, database: Database, made: credentials.Credentials | None = None) -> None:
        self.database = database
        self.made = made or credentials.generate()
        self.last: list[Any] | None = None
        if made is None:
            devices.add(database, [self.made], now_ms=0)

    def copy(self) -> "Card":
        other = Card(self.database, self.made)
        other.last = self.last
        return other

    def open(self, session: bytes, *, elapsed_ms: int = 0) -> bytes:
        """Begin a session, and return its opening."""
        entries = [] if self.last is None else [[records.STATE, *self.last]]
        return self._sign(records.OPENING, session, 1, elapsed_ms, [entries])

    def anchor(self, session: bytes) -> bytes:
        """Make the session's second state record."""
        return self._sign(records.ANCHOR, session, 2, 1, [])

    def _sign(self, kind: int, session: bytes, sequence: int, elapsed_ms: int, body: list[Any]) -> bytes:
        previous = None if self.last is None else self.last[2][:4]
        payload = cbor2.dumps([1, kind, sequence, previous, elapsed_ms, None, None, *body])
        tagged = twin.sign(payload, ["bondmate record 1", self.made.device, session], self.made.signing_key)
        self.last = [session, sequence, twin.digest(tagged)[:16]]
        return tagged

    def deliver(self, tagged: bytes, session: bytes) -> list[str]:
        """Have a record taken; return what is told of branches."""
        bearer = devices.bearer(self.database, self.made.kids["ip"])
        assert bearer is not None
        with self.database.transaction():
            outcome = intake.take(self.database, bearer, session, tagged, now_ms=1)
        assert outcome is not None
        return [each for each in outcome.alarms if "BRANCH" in each]

    def start(self, session: bytes) -> list[str]:
        """Begin a session whose opening arrives at once."""
        return self.deliver(self.open(session), session)

    def branches(self) -> Any:
        name = records.device_text(self.made.device)
        (shown,) = [each for each in inventory.devices(self.database, 0) if each["device"] == name]
        return shown["branches"]

    def name(self, session: bytes, sequence: int) -> str:
        return records.record_text(self.made.device, session, records.STATE, sequence)


def texts(*sessions: bytes) -> list[str]:
    return [records.session_text(each) for each in sessions]


@pytest.fixture
def card(database: Database) -> Card:
    return Card(database)


def test_one_card_that_keeps_all_makes_no_branch(card: Card) -> None:
    assert [card.start(session) for session in (FIRST, SECOND, THIRD)] == [[]] * 3
    assert card.branches() == []


def test_a_copied_card_is_told_once_and_shown(card: Card) -> None:
    card.start(FIRST)
    clone = card.copy()
    assert card.start(SECOND) == []
    opening = clone.open(THIRD)
    (alarm,) = clone.deliver(opening, THIRD)
    for words in (*texts(FIRST, SECOND, THIRD), "cloned", "restored", "not keep what it is told", "check the device"):
        assert words in alarm
    assert clone.deliver(opening, THIRD) == [], "the same record again tells nothing new"
    assert card.branches() == [{"record": card.name(FIRST, 1), "sessions": texts(SECOND, THIRD)}]


def test_after_the_branch_both_may_live_on_untold(card: Card) -> None:
    card.start(FIRST)
    clone = card.copy()
    card.start(SECOND)
    clone.start(THIRD)
    assert (card.start(FOURTH), clone.start(bytes.fromhex("000400000005"))) == ([], [])
    assert len(card.branches()) == 1


def test_a_card_that_keeps_nothing_is_told_once_and_shown_with_every_session(card: Card) -> None:
    card.start(FIRST)
    told = [len(card.copy().start(session)) for session in (SECOND, THIRD, FOURTH)]
    assert told == [0, 1, 0]
    assert card.branches() == [{"record": card.name(FIRST, 1), "sessions": texts(SECOND, THIRD, FOURTH)}]


def test_a_copy_that_is_older_than_the_end_of_its_session_is_shown_too(card: Card) -> None:
    card.start(FIRST)
    clone = card.copy()
    card.deliver(card.anchor(FIRST), FIRST)
    card.start(SECOND)
    assert len(clone.start(THIRD)) == 1
    assert card.branches() == [{"record": card.name(FIRST, 1), "sessions": texts(SECOND, THIRD)}]


def test_that_the_record_they_continue_never_came_hides_no_branch(card: Card) -> None:
    card.open(FIRST)
    clone = card.copy()
    card.start(SECOND)
    assert len(clone.start(THIRD)) == 1


def test_two_openings_of_one_session_are_a_fork_and_no_branch(card: Card) -> None:
    card.start(FIRST)
    clone = card.copy()
    card.start(SECOND)
    assert clone.deliver(clone.open(SECOND, elapsed_ms=5), SECOND) == []
    assert card.branches() == []


def test_a_fork_of_the_second_opening_is_not_told_as_another_branch(card: Card) -> None:
    card.start(FIRST)
    clone, other = card.copy(), card.copy()
    card.start(SECOND)
    assert len(clone.start(THIRD)) == 1
    assert other.deliver(other.open(THIRD, elapsed_ms=5), THIRD) == []
    assert card.branches() == [{"record": card.name(FIRST, 1), "sessions": texts(SECOND, THIRD)}]


def test_an_alert_may_be_the_last_one_before_many_sessions(card: Card) -> None:
    alert = [records.ALERT, FIRST, 1, bytes(16)]
    for session in (FIRST, SECOND, THIRD):
        entries = [alert] if card.last is None else [alert, [records.STATE, *card.last]]
        assert card.deliver(card._sign(records.OPENING, session, 1, 0, [entries]), session) == []
    assert card.branches() == []


def test_lost_stores_continue_no_session(card: Card) -> None:
    for session in (SECOND, THIRD):
        tagged = card._sign(records.OPENING, session, 1, 0, [[[records.STATE, None]]])
        assert card.deliver(tagged, session) == []
    assert card.branches() == []


def test_devices_with_the_same_session_id_are_no_branch_of_each_other(card: Card) -> None:
    other = Card(card.database)
    for each, session in ((card, SECOND), (other, THIRD)):
        each.start(FIRST)
        assert each.start(session) == []
        assert each.branches() == []


@given(sources=st.lists(st.integers(0, 20), max_size=12), order=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_branches_are_the_sessions_with_more_than_one_follower_in_any_order_of_arrival(
    one_database: Database, sources: list[int], order: Any
) -> None:
    card = Card(one_database)
    cards, ids, followers = [card], [bytes(6)], dict[bytes, set[bytes]]()
    openings = [(card.open(ids[0]), ids[0])]
    for number, source in enumerate(sources, 1):
        before, session = source % len(cards), number.to_bytes(6)
        cards.append(cards[before].copy())
        openings.append((cards[-1].open(session), session))
        followers.setdefault(ids[before], set()).add(session)
        ids.append(session)
    order.shuffle(openings)
    told = sum(len(card.deliver(*each)) for each in openings)
    expected = {card.name(session, 1): set(texts(*each)) for session, each in followers.items() if len(each) > 1}
    assert {each["record"]: set(each["sessions"]) for each in card.branches()} == expected
    assert told == len(expected)


@pytest.mark.parametrize("keeps", [True, False])
def test_an_opening_costs_the_same_however_many_are_held(card: Card, keeps: bool) -> None:
    steps: list[int] = []

    def note(event: dict[str, Any]) -> None:
        steps[-1] += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    card.start(FIRST)
    # SQLite counts its own steps, which no other load of the machine changes.
    card.database._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    for number in range(100, 300):
        steps.append(0)
        (card if keeps else card.copy()).start(number.to_bytes(6))
    assert 0 < max(steps[2:]) < 2 * min(steps[2:])
