"""`POST /e` and `POST /k` as the inbox serves them: verdicts, exchanges, what ends and what holds."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiocoap
import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate_sim.gateway import credentials, devices, edhoc, enrolments, keys
from bondmate_sim.gateway.inbox import RefusedError
from tests.gateway.cddl import (
    validate_enrol_answer,
    validate_enrol_request,
    validate_rekey_answer,
    validate_rekey_request,
)
from tests.gateway.recruit import Exchange, File, Keys, Office, Recruit, record

TAKEN, WAITING, OTHER_KEY, OVER = range(4)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path / "data")
    yield made
    made.database.close()


# --- POST /e -------------------------------------------------------------------------------------


def test_the_first_key_is_taken_and_told_the_same_again(office: Office) -> None:
    recruit = office.recruit()
    assert [recruit.ask() for _ in range(3)] == [TAKEN] * 3
    office.restart()
    assert recruit.ask() == TAKEN


def test_another_key_under_the_same_secret_is_refused_and_changes_nothing(office: Office) -> None:
    first, other = office.recruit(), None
    assert first.ask() == TAKEN
    other = office.recruit(first.file)
    assert other.ask() == OTHER_KEY
    context = other.context()
    assert other.agree(context) is None
    assert other.code == aiocoap.BAD_REQUEST
    keys = first.agree(first.context())
    assert keys is not None
    assert first.alert(keys)


def test_the_same_signing_key_with_another_dh_key_is_another_key(office: Office) -> None:
    recruit = office.recruit()
    assert recruit.ask() == TAKEN
    recruit.dh_key = ec.generate_private_key(ec.SECP256R1())
    assert recruit.ask() == OTHER_KEY


def test_expiry_is_for_files_that_nobody_asked_with(office: Office) -> None:
    late = office.recruit(office.file(expires_ms=1))
    assert late.ask() == OVER
    in_time = office.recruit(office.file())
    assert in_time.ask() == TAKEN
    office.database.rows("UPDATE enrolment SET expires_ms = 1")
    assert in_time.ask() == TAKEN
    assert in_time.agree(in_time.context()) is not None


def test_approval_is_waited_for_and_no_keys_are_agreed_on_before(office: Office) -> None:
    recruit = office.recruit(office.file(approval=True))
    context = recruit.context()
    assert [recruit.ask(context) for _ in range(2)] == [WAITING] * 2
    assert recruit.agree(context) is None
    found = enrolments.find(office.database, recruit.file.device)
    assert found is not None
    assert found.keys is not None
    enrolments.approve(office.database, recruit.file.device, keys.fingerprint(recruit.der), "Ann", 1)
    assert recruit.ask(context) == TAKEN
    assert recruit.agree(context) is not None


def test_a_withdrawn_file_is_over_also_when_keys_were_agreed_on(office: Office) -> None:
    recruit = office.recruit()
    assert recruit.ask() == TAKEN
    agreed = recruit.agree(recruit.context())
    assert agreed is not None
    enrolments.withdraw(office.database, recruit.file.device, 1)
    assert recruit.ask() == OVER
    assert not recruit.alert(agreed)
    assert recruit.agree(recruit.context()) is None
    assert recruit.code == aiocoap.BAD_REQUEST


P384 = ec.generate_private_key(ec.SECP384R1()).public_key()


def der(key: Any, form: Any = serialization.PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return bytes(key.public_bytes(serialization.Encoding.DER, form))


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"key": b"no key" * 10},
        {"key": der(P384)},
        {"key": b"\x00" * 43},
        {"dh": [bytes(32), bytes(32)]},
        {"dh": [bytes(31), bytes(33)]},
        {"dh": [bytes(32)]},
        {"dh": 5},
        {"software": "s" * 65},
        {"software": b"octets"},
    ],
    ids=["version", "no key", "P-384", "short key", "no point", "uneven", "x alone", "no dh", "long name", "no text"],
)
def test_a_claim_that_cannot_be_read_changes_nothing(office: Office, changed: dict[str, Any]) -> None:
    recruit = office.recruit()
    context = recruit.context()
    assert recruit.post(context, "e", recruit.claim(context.id_context, **changed)) == b""
    assert recruit.code == aiocoap.BAD_REQUEST
    assert office.state(recruit.file.device) == "offered"


def test_a_claim_of_another_session_device_or_signer_changes_nothing(office: Office) -> None:
    recruit, other = office.recruit(), office.recruit()
    context = recruit.context()
    forged = office.recruit(recruit.file)
    claim = forged.claim(context.id_context, key=recruit.der)
    for payload in (b"", recruit.claim(secrets.token_bytes(6)), other.claim(context.id_context), claim):
        recruit.post(context, "e", payload)
        assert recruit.code == aiocoap.BAD_REQUEST
    assert office.state(recruit.file.device) == "offered"


def test_a_claim_from_a_later_version_is_read(office: Office) -> None:
    recruit = office.recruit()
    context = recruit.context()
    recruit.post(context, "e", recruit.claim(context.id_context, later="more"))
    assert recruit.code == aiocoap.CHANGED


def test_what_is_on_the_wire_is_of_the_cddl(office: Office) -> None:
    recruit = office.recruit()
    context = recruit.context()
    claim = recruit.claim(context.id_context)
    validate_enrol_request(claim)
    answer = recruit.post(context, "e", claim)
    assert answer is not None
    validate_enrol_answer(answer)
    exchange = recruit.exchange()
    for step in (1, 3):
        request = cbor2.dumps([step, exchange.identity, exchange.message_1 if step == 1 else exchange.message_3])
        validate_rekey_request(request)
        if step == 1:
            assert exchange.begin(context)
        else:
            assert exchange.end(context)
    assert exchange.message_2 is not None
    validate_rekey_answer(cbor2.dumps(exchange.message_2))


# --- What else an enrolment's channel is for: nothing ----------------------------------------------


def test_each_channel_has_its_own_resources(office: Office) -> None:
    recruit = office.recruit()
    context = recruit.context()
    for path in ("r", "m", "x"):
        recruit.post(context, path, b"")
        assert recruit.code == aiocoap.NOT_FOUND
    for path in ("e", "k"):
        recruit.post(context, path, b"", aiocoap.GET)
        assert recruit.code == aiocoap.METHOD_NOT_ALLOWED
        recruit.post(context, path, bytes(1025))
        assert recruit.code == aiocoap.REQUEST_ENTITY_TOO_LARGE
    enrolled, keys = office.enrolled()
    context = enrolled.context(keys)
    enrolled.post(context, "e", enrolled.claim(context.id_context))
    assert enrolled.code == aiocoap.NOT_FOUND
    by_sms = enrolled.context(keys, "sms")
    enrolled.post(by_sms, "k", cbor2.dumps([1, bytes(8), b"m"]))
    assert enrolled.code == aiocoap.NOT_FOUND


def test_nothing_is_enrolled_by_sms(office: Office) -> None:
    recruit = office.recruit()
    refused = []

    def by_sms(raw: bytes) -> None:
        with pytest.raises(RefusedError, match="nothing is enrolled by SMS"):
            office.inbox.take(aiocoap.Message.decode(raw), "a test", "+4915550001", by_sms=True)
        refused.append(raw)

    recruit.send = by_sms
    assert recruit.ask() is None
    assert len(refused) == 1
    assert office.state(recruit.file.device) == "offered"


def test_the_last_16_sessions_are_open_and_counters_decide_nothing(office: Office) -> None:
    recruit = office.recruit()
    contexts = [recruit.context(session=bytes([counter * 7 % 251, 0, 0, 0, 0, counter])) for counter in range(17)]
    assert [recruit.ask(each) for each in contexts] == [TAKEN] * 17
    assert recruit.ask(contexts[0]) is None
    assert [recruit.ask(each) for each in contexts[1:]] == [TAKEN] * 16
    office.restart()
    assert recruit.ask(contexts[0]) is None
    assert recruit.ask(contexts[1]) == TAKEN


def test_a_datagram_is_taken_once_also_after_a_restart(office: Office) -> None:
    recruit = office.recruit()
    sent: list[bytes] = []

    def keep(raw: bytes) -> Any:
        sent.append(raw)
        return office.send(raw)

    recruit.send = keep
    assert recruit.ask() == TAKEN
    assert office.send(sent[0]) is None
    office.restart()
    assert office.send(sent[0]) is None


# --- POST /k -------------------------------------------------------------------------------------


def taken(office: Office) -> Recruit:
    recruit = office.recruit()
    assert recruit.ask() == TAKEN
    return recruit


def test_both_keys_hold_until_the_first_message_under_the_new_ones(office: Office) -> None:
    recruit, first = office.enrolled()
    second = recruit.agree(recruit.context(first))
    assert second is not None
    assert recruit.alert(first)
    assert recruit.alert(second, "lte")
    assert not recruit.alert(first)
    assert not recruit.alert(first, "sms")
    assert recruit.alert(second, "sms")
    third = recruit.agree(recruit.context(second, "lte"))
    assert third is not None
    assert recruit.alert(third)
    assert not recruit.alert(second)


def test_old_keys_are_erased_from_the_database(office: Office) -> None:
    recruit, first = office.enrolled()
    second = recruit.agree(recruit.context(first))
    third = recruit.agree(recruit.context(first))
    assert second is not None
    assert third is not None
    assert recruit.alert(third)
    left = b"".join(each.read_bytes() for each in office.place.iterdir())
    for gone in (recruit.file.secret, recruit.file.kid, first.secret, second.secret, *first.kids.values()):
        assert gone not in left
    assert third.secret in left


def test_messages_of_an_exchange_again_get_the_same_answer(office: Office) -> None:
    recruit = taken(office)
    context = recruit.context()
    exchange = recruit.exchange()
    assert exchange.begin(context)
    assert exchange.begin(recruit.context())
    keys = exchange.end(context)
    assert exchange.end(recruit.context()) == keys
    assert keys is not None
    assert recruit.alert(keys)
    assert exchange.end(recruit.context(keys)) is None


def test_an_exchange_that_was_replaced_cannot_come_back(office: Office) -> None:
    recruit, keys = office.enrolled()
    first, second = recruit.exchange(), recruit.exchange()
    context = recruit.context(keys)
    assert first.begin(context)
    assert first.end(context)
    assert second.begin(context)
    new = second.end(context)
    assert first.end(context) is None
    assert new is not None
    assert recruit.alert(new)


def test_a_restart_ends_an_exchange_and_another_works(office: Office) -> None:
    recruit = taken(office)
    context = recruit.context()
    first = recruit.exchange()
    assert first.begin(context)
    office.restart()
    assert first.end(context) is None
    assert recruit.code == aiocoap.BAD_REQUEST
    second = recruit.exchange()
    assert second.begin(context)
    unused = second.end(context)
    office.restart()
    assert second.end(context) is None
    keys = recruit.agree(context)
    assert keys is not None
    assert unused is not None
    assert not recruit.alert(unused)
    assert recruit.alert(keys)


def test_who_else_has_the_file_cannot_end_an_exchange_by_beginning_one(office: Office) -> None:
    recruit = taken(office)
    other = office.recruit(recruit.file)
    context = recruit.context()
    exchange = recruit.exchange()
    assert exchange.begin(context)
    assert other.agree(other.context()) is None
    assert exchange.end(context) is not None


def test_no_more_exchanges_are_open_than_the_newest(office: Office) -> None:
    recruit = taken(office)
    context = recruit.context()
    exchanges = [recruit.exchange() for _ in range(20)]
    assert all(each.begin(context) for each in exchanges)
    assert [each.end(context) is None for each in exchanges[:-2]] == [True] * 18
    assert exchanges[-1].end(context) is not None
    ((_, held),) = office.inbox._enrolling._open.items()
    assert len(held) == 1


def test_what_is_out_of_turn_is_400_and_leaves_an_exchange_alone(office: Office) -> None:
    recruit = taken(office)
    context = recruit.context()
    exchange = recruit.exchange()
    assert exchange.begin(context)
    other = recruit.exchange()
    for step, identity, message in (
        (1, exchange.identity, other.message_1),
        (2, exchange.identity, exchange.message_1),
        (3, secrets.token_bytes(8), exchange.message_3),
        (1, bytes(7), other.message_1),
        (3, exchange.identity, b""),
        (3, exchange.identity, bytes(513)),
    ):
        recruit.post(context, "k", cbor2.dumps([step, identity, message]))
        assert recruit.code == aiocoap.BAD_REQUEST
    assert exchange.end(context) is not None
    recruit.post(context, "k", cbor2.dumps([3, exchange.identity, exchange.message_1]))
    assert recruit.code == aiocoap.BAD_REQUEST
    assert exchange.end(context) is not None


def test_a_message_3_that_does_not_verify_ends_its_exchange(office: Office) -> None:
    recruit = taken(office)
    context = recruit.context()
    exchange = recruit.exchange()
    assert exchange.begin(context)
    true = exchange.message_3
    exchange.message_3 = true[:-1] + bytes([true[-1] ^ 1])
    assert exchange.end(context) is None
    exchange.message_3 = true
    assert exchange.end(context) is None
    assert recruit.agree(context) is not None


def test_a_device_that_came_with_its_keys_has_no_dh_key_and_gets_400(office: Office) -> None:
    made = credentials.generate()
    devices.add(office.database, [made], now_ms=0)
    device = office.recruit(File(made.device, b"", b"", [], None))
    context = device.context(Keys(made.channel_secret, made.kids))
    device.post(context, "k", cbor2.dumps([1, bytes(8), device.exchange().message_1]))
    assert device.code == aiocoap.BAD_REQUEST


def test_a_revoked_device_gets_no_new_keys_and_those_agreed_on_before_are_refused_like_the_others(
    office: Office,
) -> None:
    recruit, keys = office.enrolled()
    fresh = recruit.agree(recruit.context(keys))
    assert fresh is not None
    assert devices.revoke(office.database, recruit.file.device, 1)
    assert recruit.agree(recruit.context(keys)) is None
    context = recruit.context(fresh)
    answer = recruit.post(context, "r", record(recruit, context.id_context))
    assert answer is not None
    assert cbor2.loads(cbor2.loads(answer).value[2])[2][0][4:] == [2, 1]


def test_a_kid_that_is_taken_is_a_conflict(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    recruit = taken(office)
    other, its = office.enrolled()
    context = recruit.context()
    true = edhoc.Responder._keys
    kids: list[dict[str, bytes]] = [
        its.kids,
        dict.fromkeys(("ip", "lte", "sms"), b"same"),
        {"ip": office.file().kid, "lte": b"free", "sms": b"also"},
    ]
    for each in kids:
        monkeypatch.setattr(edhoc.Responder, "_keys", lambda _, each=each: edhoc.ChannelKeys(bytes(32), each))
        exchange = recruit.exchange()
        assert exchange.begin(context)
        assert exchange.end(context) is None
        assert recruit.code == aiocoap.CONFLICT
        assert exchange.end(context) is None
        assert recruit.code == aiocoap.BAD_REQUEST
    monkeypatch.setattr(edhoc.Responder, "_keys", true)
    assert recruit.agree(context) is not None
    assert other.alert(its)


def test_what_could_not_be_stored_is_stored_when_it_comes_again(office: Office) -> None:
    recruit = taken(office)
    context = recruit.context()
    exchange = recruit.exchange()
    assert exchange.begin(context)
    office.database._connection.set_commit_hook(lambda: True)
    assert exchange.end(context) is None
    assert recruit.code is None
    office.database._connection.set_commit_hook(None)
    keys = exchange.end(context)
    assert keys is not None
    # The same for the first message under the new keys: the old ones hold until it is stored.
    office.database._connection.set_commit_hook(lambda: True)
    assert not recruit.alert(keys)
    office.database._connection.set_commit_hook(None)
    assert recruit.ask() == TAKEN
    assert recruit.alert(keys)
    assert recruit.ask() is None


# --- Whatever comes --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("one") / "data")
    yield made
    made.database.close()


@settings(max_examples=300, deadline=None)
@given(
    path=st.sampled_from(["e", "k"]),
    payload=st.one_of(
        st.binary(max_size=600),
        st.tuples(st.sampled_from([1, 3]), st.binary(min_size=8, max_size=8), st.binary(max_size=60)).map(cbor2.dumps),
        st.binary(min_size=32, max_size=32).map(
            lambda x: cbor2.dumps([1, bytes(8), bytes.fromhex("03025820") + x + bytes.fromhex("4149")])
        ),
        st.lists(st.one_of(st.integers(), st.binary(max_size=99), st.text(max_size=20)), max_size=5).map(cbor2.dumps),
    ),
)
def test_whatever_an_authentic_device_sends_is_answered_and_changes_nothing(
    one_office: Office, path: str, payload: bytes
) -> None:
    recruit = one_office.recruit()
    if path == "k":
        assert recruit.ask() == TAKEN
    context = recruit.context()
    assert recruit.post(context, path, payload) is not None
    assert recruit.code in {aiocoap.BAD_REQUEST, *([aiocoap.CHANGED] if path == "k" else [])}
    assert one_office.state(recruit.file.device) == ("taken" if path == "k" else "offered")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_changed_of_a_message_3_no_keys_come_of_it(one_office: Office, data: st.DataObject) -> None:
    recruit = one_office.recruit()
    assert recruit.ask() == TAKEN
    context = recruit.context()
    exchange: Exchange = recruit.exchange()
    assert exchange.begin(context)
    true = exchange.message_3
    position = data.draw(st.integers(0, len(true) - 1))
    exchange.message_3 = data.draw(
        st.one_of(
            st.just(true[:position]),
            st.just(true[:position] + bytes([true[position] ^ (1 << position % 8)]) + true[position + 1 :]),
            st.binary(min_size=1, max_size=40).map(lambda more: true + more),
            st.binary(min_size=19, max_size=19).map(lambda octets: b"\x53" + octets),
        )
    )
    assert exchange.end(context) is None
    assert recruit.code == aiocoap.BAD_REQUEST
    assert one_office.database.rows("SELECT * FROM fresh WHERE device = ?", (recruit.file.device,)) == []
    assert recruit.agree(context) is not None
