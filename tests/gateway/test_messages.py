"""Mailboxes: numbers, signatures, what fits an answer, what becomes of a restored database."""

import sqlite3
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey, VerifyError
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import bodies, keys, messages
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Draft, MessageError, Place, Type
from tests.gateway.cddl import ValidationError, validate_message, validate_message_payload, validate_messages
from tests.gateway.device import Device

KEY = ec.generate_private_key(ec.SECP256R1())
NOW_MS = 1_795_186_800_120
LONGEST = Draft(
    Type.ALERT, ["ä" * 240, ["é" * 20] * 4, [-899_999_999, -1_799_999_999, 2**32 - 1]], "b" * 64, True, 2**32 - 1
)


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def text(words: str) -> Draft:
    return Draft(Type.MESSAGE, messages.texts(words, []), "Ann")


def write(device: Device, *drafts: Draft) -> list[int]:
    with device.database.transaction():
        return [messages.write(device.database, device.made.device, each, KEY, NOW_MS) for each in drafts]


def answer(device: Device, cursor: int) -> messages.Answer:
    with device.database.transaction():
        return messages.answer(device.database, device.made.device, cursor, KEY)


def fetch_all(device: Device) -> None:
    cursor = 0
    while found := numbers(answer(device, cursor).payload):
        cursor = found[-1]


def numbers(payload: bytes) -> list[int]:
    return [messages.content(each)[1] for each in cbor2.loads(payload)]


def judge(tagged: bytes, device: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> Any:
    """Verify by an independent library."""
    judged = COSEKey.from_pem(keys.public_pem(key.public_key()), alg="ES256", kid=keys.KEY_ID)
    return cbor2.loads(COSE.new().decode(tagged, judged, external_aad=cbor2.dumps(["bondmate message 1", device])))


DRAFTS = [
    Draft(Type.MESSAGE, ["come in", ["yes", "no"]], "Ann"),
    Draft(Type.ALERT, ["look out", [], None], "Ann", True, 1_795_190_400),
    Draft(Type.ALERT, ["look out", ["seen"], Place(38.7223, -9.1393, 500).encoded()], "Ann"),
    Draft(Type.ASSISTANCE, ["help", ["I am going"], Place(-33.5, 151.0, 0).encoded(), 1], "control room", True),
    Draft(Type.ACKNOWLEDGE, [[bytes(16)] * 16], "Ann"),
    Draft(Type.CLOSE, [[bytes(range(16))]], "Ann"),
    Draft(Type.EXERCISE, [1_795_186_800, 14_400], "Ann", expires_s=1_795_190_400),
    Draft(Type.UPDATE, ["s" * 64, "https://" + "u" * 192, 2**30, bytes(32), 1], "Ann", expires_s=1_795_190_400),
    Draft(Type.UPDATE, ["1.3.0", "http://192.0.2.7/1.3.0.raucb", 1, bytes(range(32)), 0], "Ann"),
    Draft(Type.WIPE, [], "Ann", True),
    Draft(Type.REKEY, [], "Ann"),
    LONGEST,
]


@pytest.mark.parametrize("draft", DRAFTS, ids=[f"{n}-{each.type.name}" for n, each in enumerate(DRAFTS)])
def test_a_message_verifies_with_an_independent_library_and_validates_against_the_cddl(
    device: Device, draft: Draft
) -> None:
    write(device, draft)
    (tagged,) = validate_messages(answer(device, 0).payload)
    assert judge(tagged, device.made.device) == [
        *(1, 1, int(draft.type), NOW_MS // 1000, draft.expires_s, int(draft.urgent), draft.by, draft.body)
    ]
    assert cbor2.loads(tagged).value[1] == {4: keys.KEY_ID}


def test_a_message_of_another_device_or_another_key_does_not_verify(device: Device) -> None:
    write(device, text("for this one"))
    (tagged,) = cbor2.loads(answer(device, 0).payload)
    with pytest.raises(VerifyError):
        judge(tagged, bytes(4))
    with pytest.raises(VerifyError):
        judge(tagged, device.made.device, ec.generate_private_key(ec.SECP256R1()))
    altered = cbor2.loads(tagged)
    altered.value[2] = altered.value[2].replace(b"this", b"that")
    with pytest.raises(VerifyError):
        judge(cbor2.dumps(altered), device.made.device)


def test_the_cddl_catches_a_message_that_is_wrong(device: Device) -> None:
    good = [1, 1, 1, 1_795_186_800, None, 0, "Ann", ["text", []]]
    validate_message_payload(cbor2.dumps(good))
    for index, wrong in ((1, 0), (5, 2), (6, ""), (6, "b" * 65), (7, ["", []]), (7, ["text", [""]]), (7, ["text"])):
        with pytest.raises(ValidationError):
            validate_message_payload(cbor2.dumps([*good[:index], wrong, *good[index + 1 :]]))
    write(device, text("right"))
    (tagged,) = cbor2.loads(answer(device, 0).payload)
    validate_message(tagged)


def test_numbers_are_the_devices_own_and_gapless_whatever_the_type(device: Device) -> None:
    other = Device(device.database)
    assert write(device, *DRAFTS) == list(range(1, len(DRAFTS) + 1))
    assert write(other, text("one")) == [1]
    assert write(device, text("more")) == [len(DRAFTS) + 1]


def test_what_failed_leaves_no_gap(device: Device) -> None:
    write(device, text("one"))
    with pytest.raises(MessageError):
        write(device, text("two"), Draft(Type.MESSAGE, ["text", []], ""))
    assert write(device, text("two again")) == [2]


@pytest.mark.parametrize(
    ("text", "replies", "why"),
    [
        ("", [], "the text has 1 to 480 octets in UTF-8, not 0"),
        ("ä" * 241, [], "not 482"),
        ("\udcff", [], "the text is no Unicode"),
        ("text", ["yes"] * 5, "at most 4 quick replies, not 5"),
        ("text", [""], "a quick reply has 1 to 40 octets in UTF-8, not 0"),
        ("text", ["ä" * 21], "a quick reply has 1 to 40 octets in UTF-8, not 42"),
    ],
)
def test_what_does_not_fit_is_said(text: str, replies: list[str], why: str) -> None:
    with pytest.raises(MessageError, match=why):
        messages.texts(text, replies)


@pytest.mark.parametrize("by", ["", "b" * 65, "ä" * 33])
def test_a_name_that_does_not_fit_is_said(device: Device, by: str) -> None:
    with pytest.raises(MessageError, match="the name of who sends it has 1 to 64 octets"):
        write(device, Draft(Type.MESSAGE, ["text", []], by))
    assert messages.newest(device.database, device.made.device) == 0


def test_an_answer_holds_what_fits_and_one_at_least(device: Device) -> None:
    write(device, LONGEST, LONGEST, *[text("short")] * 9)
    cursor, fetched = 0, []
    while found := numbers(answer(device, cursor).payload):
        assert len(answer(device, cursor).payload) <= messages.MAX_ANSWER_OCTETS
        fetched.append(found)
        cursor = found[-1]
    assert fetched[0] == [1], "two of the longest do not fit"
    assert [each for found in fetched for each in found] == list(range(1, 12))
    assert max(map(len, fetched)) > 3


@given(sizes=st.lists(st.integers(1, 480), min_size=1, max_size=12), cursor=st.integers(0, 12))
def test_any_mailbox_is_answered_in_order_within_bounds(one_database: Database, sizes: list[int], cursor: int) -> None:
    device = Device(one_database)
    write(device, *(text("x" * size) for size in sizes))
    cursor = min(cursor, len(sizes))
    fetch_all(device)
    payload = answer(device, cursor).payload
    found = numbers(payload)
    assert found == list(range(cursor + 1, cursor + 1 + len(found)))
    assert len(payload) <= messages.MAX_ANSWER_OCTETS
    assert bool(found) == (cursor < len(sizes))
    # No more would fit.
    following = answer(device, found[-1]).payload if found and found[-1] < len(sizes) else b""
    one_more = [*cbor2.loads(payload), *(cbor2.loads(following)[:1] if following else ())]
    assert not following or len(cbor2.dumps(one_more)) > messages.MAX_ANSWER_OCTETS


def test_the_cursor_is_remembered_also_when_it_goes_back(device: Device) -> None:
    write(device, text("one"), text("two"))
    for cursor in (0, 2, 1, 2, 0):
        answer(device, cursor)
        assert messages.fetched(device.database, device.made.device) == cursor


# --- A restored database -------------------------------------------------------------------------


def test_numbers_go_on_behind_the_cursor_of_a_device_that_has_more(device: Device) -> None:
    write(device, text("one"))
    answer(device, 0)
    assert answer(device, 7) == messages.Answer(cbor2.dumps([]), 6)
    assert write(device, text("the next")) == [8]
    assert numbers(answer(device, 7).payload) == [8]


def test_what_was_written_before_a_restored_database_knew_is_not_lost(device: Device) -> None:
    write(device, text("one"), text("two"))
    answer(device, 0)
    # The backup was taken here; what the device got since is not in it, and this is written without knowing.
    write(device, text("three"), text("four"))
    answered = answer(device, 5)
    assert answered.moved == 3
    found = [judge(each, device.made.device) for each in cbor2.loads(answered.payload)]
    assert [(each[1], each[7][0]) for each in found] == [(6, "three"), (7, "four")]
    assert write(device, text("five")) == [8]
    assert answer(device, 7).moved == 0


@given(
    st.lists(st.sampled_from(["write", "fetch", "save", "restore"]), max_size=30),
)
def test_whatever_is_restored_every_message_reaches_the_device_without_a_gap(
    one_database: Database, steps: list[str]
) -> None:
    device = Device(one_database)
    tables = ("message", "mailbox")
    backup: dict[str, list[tuple[Any, ...]]] = {each: [] for each in tables}
    cursor, written, had = 0, 0, set()
    since_backup: set[str] = set()

    def rows(table: str) -> list[tuple[Any, ...]]:
        return one_database.rows(f"SELECT * FROM {table} WHERE device = ?", (device.made.device,))

    for step in [*steps, "fetch"]:
        if step == "write":
            written += 1
            since_backup.add(str(written))
            write(device, text(str(written)))
        elif step == "save":
            backup = {each: rows(each) for each in tables}
            since_backup = set()
        elif step == "restore":
            with one_database.transaction():
                for each in tables:
                    one_database.rows(f"DELETE FROM {each} WHERE device = ?", (device.made.device,))
                    for row in backup[each]:
                        marks = ", ".join("?" * len(row))
                        one_database.rows(f"INSERT INTO {each} VALUES ({marks})", row)
            # What was written since, and not fetched, went with the disk.
            written_off = {each for each in since_backup if each not in had}
            had |= written_off
            since_backup = set()
        else:
            while found := cbor2.loads(answer(device, cursor).payload):
                for tagged in found:
                    content = messages.content(tagged)
                    assert content[1] == cursor + 1
                    cursor = content[1]
                    had.add(content[7][0])
    assert had == {str(each) for each in range(1, written + 1)}


def test_states_of_messages_that_are_not_from_here_are_not_taken_for_others(device: Device) -> None:
    write(device, text("one"), text("two"))
    answer(device, 0)
    write(device, text("three"))
    states = [bodies.MessageState(number, bodies.State.READ, None) for number in (1, 3)]
    with device.database.transaction():
        messages.report(device.database, device.made.device, states, NOW_MS)
        messages.report(device.database, device.made.device, states, NOW_MS + 1)
    assert device.database.rows("SELECT number, state, received_ms FROM message_state") == [(1, 2, NOW_MS)]


def test_a_device_whose_numbers_are_used_up_gets_no_other_devices(device: Device) -> None:
    answer(device, messages.MAX_NUMBER)
    with pytest.raises(MessageError, match="used up"):
        write(device, text("one more"))


def test_a_revoked_device_reads_nothing(device: Device) -> None:
    write(device, text("secret"))
    with device.database.transaction():
        answered = messages.answer_revoked(device.database, device.made.device, 0, KEY)
    assert answered == messages.Answer(cbor2.dumps([]), 0)


def test_all_of_it_is_on_the_disk(device: Device, tmp_path: Path) -> None:
    write(device, text("one"))
    answer(device, 0)
    other = sqlite3.connect(f"file:{tmp_path}/data/gateway.db?mode=ro", uri=True)
    assert other.execute("SELECT number, fetched, served FROM message JOIN mailbox USING (device)").fetchall() == [
        (1, 0, 1)
    ]
    other.close()
