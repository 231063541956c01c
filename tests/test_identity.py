"""What an enrolment leaves on the disk: durable, for the owner alone, and gone when it is of no use any more."""

import json
import stat
import time
from pathlib import Path

import pytest

from bondmate import credentials, identity
from bondmate.edhoc import FreshKeys
from bondmate.enrolment_file import parse
from bondmate.identity import PENDING_FILE
from bondmate.network import NETWORK_FILE
from tests.enrolment_desk import GATEWAY_ID, KEY_ID, Force

FORCE = Force()
FILE = parse(FORCE.file(), FORCE.key.public_key())
FRESH = FreshKeys(bytes(range(32)), {"ip": b"ip__", "lte": b"lte_", "sms": b"sms_"})


def test_keys_are_made_once_for_a_file(tmp_path: Path) -> None:
    keys = identity.prepare(tmp_path, FILE)
    again = identity.prepare(tmp_path, FILE)
    assert again.signing.private_numbers() == keys.signing.private_numbers()
    assert again.dh.private_numbers() == keys.dh.private_numbers()
    assert keys.signing.private_numbers() != keys.dh.private_numbers()
    assert stat.S_IMODE((tmp_path / PENDING_FILE).stat().st_mode) == 0o600
    assert (tmp_path / NETWORK_FILE).exists()
    assert identity.is_pending(tmp_path)


def test_another_file_gets_keys_of_its_own(tmp_path: Path) -> None:
    keys = identity.prepare(tmp_path, FILE)
    other = identity.prepare(tmp_path, parse(FORCE.file(kid=b"kid2"), FORCE.key.public_key()))
    assert other.signing.private_numbers() != keys.signing.private_numbers()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "kid": "6b696421", "signing_key": 1}']
)
def test_keys_that_cannot_be_read_are_made_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / PENDING_FILE).write_text(content)
    keys = identity.prepare(tmp_path, FILE)
    assert identity.prepare(tmp_path, FILE).dh.private_numbers() == keys.dh.private_numbers()


def test_what_is_committed_are_credentials(tmp_path: Path) -> None:
    keys = identity.prepare(tmp_path, FILE)
    identity.commit(tmp_path, FILE, keys, FRESH)
    assert credentials.exposed(tmp_path) is None
    known = credentials.load(tmp_path)
    assert known.device == FILE.device
    assert known.gateway_keys == {KEY_ID: FORCE.gateway_key.public_key()}
    assert known.addresses == FILE.gateway.places
    assert {name: each.kid for name, each in known.bearers.items()} == FRESH.kids
    assert {each.gateway_id for each in known.bearers.values()} == {GATEWAY_ID}
    expected = credentials.channel_keys("ip", FILE.device, FRESH.channel_secret, kid=b"ip__", gateway_id=GATEWAY_ID)
    assert known.bearers["ip"] == expected
    document = json.loads((tmp_path / credentials.CREDENTIALS_FILE).read_text())
    assert document["version"] == 1
    assert document["dh_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert document["gateways"][0]["dh"].startswith("-----BEGIN PUBLIC KEY-----")
    assert FORCE.secret.hex() not in json.dumps(document)


def test_other_keys_take_the_place_of_the_channels_and_of_nothing_else(tmp_path: Path) -> None:
    keys = identity.prepare(tmp_path, FILE)
    identity.commit(tmp_path, FILE, keys, FRESH)
    path = tmp_path / credentials.CREDENTIALS_FILE
    before = json.loads(path.read_text())
    assert before["keys_order"] == 0
    assert 0 <= time.time() - before["keys_made_s"] < 3600
    other = FreshKeys(bytes(32), {"ip": b"IP__", "lte": b"LTE_", "sms": b"SMS_"})
    identity.rekey(tmp_path, other, 7)
    after = json.loads(path.read_text())
    assert {name for name in after if after[name] != before[name]} - {"keys_made_s"} == {
        "channel_secret", "bearers", "keys_order",
    }  # fmt: skip
    known = credentials.load(tmp_path)
    assert (known.order, {name: each.kid for name, each in known.bearers.items()}) == (7, other.kids)
    assert known.exchange is not None
    assert known.exchange.own.private_numbers() == keys.dh.private_numbers()
    assert known.exchange.gateway == FORCE.gateway_dh.public_key()
    assert "PrivateKey" not in repr(known)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_clock_that_was_never_set_does_not_say_when_the_keys_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    identity.commit(tmp_path, FILE, identity.prepare(tmp_path, FILE), FRESH)
    assert credentials.load(tmp_path).made_s is None


@pytest.mark.parametrize(("member", "value"), [("dh_key", "no key"), ("dh_key", 1), ("keys_made_s", "x"), ("dh", [])])
def test_what_only_a_change_of_keys_needs_stops_no_device(tmp_path: Path, member: str, value: object) -> None:
    identity.commit(tmp_path, FILE, identity.prepare(tmp_path, FILE), FRESH)
    path = tmp_path / credentials.CREDENTIALS_FILE
    document = json.loads(path.read_text())
    (document["gateways"][0] if member == "dh" else document)[member] = value
    path.write_text(json.dumps(document))
    known = credentials.load(tmp_path)
    assert (known.made_s if member == "keys_made_s" else known.exchange) is None


def test_what_led_there_is_erased(tmp_path: Path) -> None:
    file, _ = FORCE.put(tmp_path / "boot")
    identity.prepare(tmp_path, FILE)
    held = file.open("rb")
    identity.forget(tmp_path, file)
    assert not file.exists()
    assert not identity.is_pending(tmp_path)
    with held:
        assert set(held.read()) == {0}, "who still had it open reads nothing of it"
    identity.forget(tmp_path, file)  # and there may be nothing any more
    identity.forget(tmp_path, None)


def test_erasing_follows_no_link(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_bytes(b"precious")
    link.symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        identity.erase(link)
    assert other.read_bytes() == b"precious"


def test_no_private_key_is_in_a_repr(tmp_path: Path) -> None:
    assert "PrivateKey" not in repr(identity.prepare(tmp_path, FILE))
