import pytest
from aiocoap import Message
from aiocoap import oscore as library

from bondmate_sim.gateway import credentials, devices, oscore, sessions
from bondmate_sim.gateway.database import Database

KID = bytes.fromhex("aabbccdd")
SESSION = bytes.fromhex("00125be2aa10")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("19 00 06 00125be2aa10 aabbccdd", oscore.OptionValue(KID, SESSION)),
        ("1d 0102030405 06 00125be2aa10 aabbccdd", oscore.OptionValue(KID, SESSION)),
        ("", None),
        ("09 00 aabbccdd", None),
        ("18 06 00125be2aa10 aabbccdd", None),
        ("1e 010203040506 06 00125be2aa10 aabbccdd", None),
        ("39 00 06 00125be2aa10 aabbccdd", None),
        ("99 00 06 00125be2aa10 aabbccdd", None),
        ("19 00 05 00125be2aa aabbccdd", None),
        ("19 00 06 00125be2aa10 aabbccddee", None),
        ("19 00 06 00125be2aa10 aabbcc", None),
        ("19 00", None),
        ("19", None),
    ],
)
def test_the_option_names_kid_and_session_or_nothing(value: str, named: oscore.OptionValue | None) -> None:
    assert oscore.parse_option(bytes.fromhex(value)) == named


def test_a_missing_option_names_nothing() -> None:
    assert oscore.parse_option(None) is None


@pytest.fixture
def named(database: Database) -> oscore.OptionValue:
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    return oscore.OptionValue(made.kids["ip"], SESSION)


def keep(database: Database, contexts: oscore.Contexts, channel: oscore.Channel) -> None:
    with database.transaction():
        kept = contexts.keep(channel, now_ms=0)
    contexts.committed(kept)


def test_a_context_is_kept_only_once_a_message_verified(database: Database, named: oscore.OptionValue) -> None:
    contexts = oscore.Contexts(database)
    first = contexts.find(named)
    assert first is not None
    assert contexts.find(named) is not first
    assert sessions.find(database, named.kid, SESSION) is None
    keep(database, contexts, first)
    assert contexts.find(named) is first
    assert sessions.find(database, named.kid, SESSION) is not None


def test_a_context_comes_back_with_its_window(database: Database, named: oscore.OptionValue) -> None:
    contexts = oscore.Contexts(database)
    channel = contexts.find(named)
    assert channel is not None
    channel.recipient_replay_window.strike_out(3)
    channel.recipient_replay_window.strike_out(70)
    keep(database, contexts, channel)
    again = oscore.Contexts(database).find(named)
    assert again is not None
    valid = [number for number in range(80) if again.recipient_replay_window.is_valid(number)]
    assert valid == [*range(7, 70), *range(71, 80)]


def test_sender_numbers_are_used_once_across_restarts(database: Database, named: oscore.OptionValue) -> None:
    used = []
    for _ in range(5):
        contexts = oscore.Contexts(database)
        channel = contexts.find(named)
        assert channel is not None
        for _ in range(12):
            keep(database, contexts, channel)
            used += [channel.new_sequence_number() for _ in range(4)]
    assert len(used) == len(set(used)) == 240


def test_no_sender_number_is_used_that_is_not_reserved(database: Database, named: oscore.OptionValue) -> None:
    channel = oscore.Contexts(database).find(named)
    assert channel is not None
    with pytest.raises(library.ContextUnavailable):
        channel.protect(Message(code=library.POST, payload=b"receipt"))


def test_unknown_kids_closed_sessions_and_old_counters_have_no_context(
    database: Database, named: oscore.OptionValue
) -> None:
    contexts = oscore.Contexts(database)
    assert contexts.find(oscore.OptionValue(KID, SESSION)) is None
    opened = [oscore.OptionValue(named.kid, bytes([0, 40 + number]) + bytes(4)) for number in range(17)]
    for each in opened:
        channel = contexts.find(each)
        assert channel is not None
        keep(database, contexts, channel)
    for reopened in (contexts, oscore.Contexts(database)):
        assert reopened.find(opened[0]) is None
        assert reopened.find(opened[1]) is not None
        assert reopened.find(oscore.OptionValue(named.kid, bytes([0, 39]) + bytes(4))) is None
        assert reopened.find(oscore.OptionValue(named.kid, bytes([0, 40, 1]) + bytes(3))) is not None


def test_secrets_stay_out_of_the_repr(database: Database, named: oscore.OptionValue) -> None:
    channel = oscore.Contexts(database).find(named)
    assert channel is not None
    assert repr(channel.bearer.channel_secret) not in repr(channel)
    assert repr(channel.recipient_key) not in repr(channel)
