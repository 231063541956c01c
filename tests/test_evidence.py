import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bondmate import cli, wire
from bondmate.cose import P256_ORDER, KeySigner, PrivateKey
from bondmate.evidence import verify
from bondmate.recorder import Recorder
from bondmate.records import ClockSource, Fix, Head, History, How, Kind, SessionId, SignedRecord, Stream, UtcTime
from tests.desk import DEVICE, SESSION, fix_at

KEYS: list[PrivateKey] = [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()]
AAD = wire.record_aad(DEVICE, SESSION).hex()
UTC = UtcTime(1_795_186_800_120, ClockSource.GNSS, 12)
FIX = Fix(taken_s=9.0, lat=38.7222525, lon=-9.139337, mode=3, accuracy_m=3.1)


def pem(directory: Path, key: PrivateKey) -> Path:
    path = directory / "key.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def made(kind: Kind, body: Any = None, key: PrivateKey = KEYS[0], fix: bytes | None = None) -> SignedRecord:
    history = History({Stream.ALERT: Head(SessionId(bytes(6)), 7, bytes(16)), Stream.STATE: None})
    recorder = Recorder(DEVICE, SESSION, KeySigner(key), history, 0.0)
    if kind is Kind.OPENING:
        return recorder.opening(10.0, UTC)
    return recorder.make(kind, 10.0, UTC, fix, body)


def told(directory: Path, record: SignedRecord, aad: str | None = AAD) -> dict[str, Any]:
    file = directory / "record"
    file.write_bytes(record.data)
    return verify(file, pem(directory, KEYS[0]), aad)


@pytest.mark.parametrize(("key", "alg"), list(zip(KEYS, ["ES256", "EdDSA"], strict=True)))
@pytest.mark.parametrize("as_text", [False, True])
def test_a_record_that_the_key_signed_is_valid_and_says_all_it_has(
    key: PrivateKey, alg: str, as_text: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = made(Kind.PANIC, key=key, fix=wire.pack_fix(FIX, 10.0))
    file = tmp_path / "record"
    file.write_bytes(record.data.hex().encode() + b"\n" if as_text else record.data)
    command = ["verify", str(file), "--key", str(pem(tmp_path, key)), "--aad", AAD]
    assert cli.main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["valid"], answer["alg"], answer["why_not"]) == (True, alg, None)
    fix = answer["record"].pop("fix")
    assert answer["record"] == {
        "id": f"{DEVICE}/{SESSION}/alert/1", "device": str(DEVICE), "session": str(SESSION), "kind": "panic",
        "stream": "alert", "sequence": 1, "previous": "00000000", "elapsed_ms": 10_000,
        "clock": {"time": "2026-11-20T15:00:00.117Z", "source": "gnss", "uncertainty_ms": 16}, "body": None,
    }  # fmt: skip
    assert (fix["lat"], fix["lon"], fix["mode"], fix["age_s"]) == (38.7222525, -9.139337, 3, 1.0)
    assert cli.main(command) == 0
    assert capsys.readouterr().out.startswith(f"valid, {alg}\n")


def test_what_is_not_the_device_s_is_not_valid_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "record"
    file.write_bytes(made(Kind.PANIC).data)
    command = ["verify", str(file), "--key", str(pem(tmp_path, KEYS[1])), "--aad", AAD]
    assert cli.main([*command, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["valid"], answer["why_not"]) == (False, "the signature does not verify")
    assert cli.main(command) == 1
    assert capsys.readouterr().out.startswith("NOT VALID: the signature does not verify\n")


def test_device_and_session_are_signed_too(tmp_path: Path) -> None:
    for aad in (None, wire.record_aad(DEVICE, SessionId(bytes(6))).hex()):
        assert told(tmp_path, made(Kind.PANIC), aad)["valid"] is False
    assert told(tmp_path, made(Kind.PANIC), None)["record"]["id"] is None


def test_the_other_signature_of_two_is_refused(tmp_path: Path) -> None:
    """Anybody can make it without the key, and it verifies."""
    record = made(Kind.PANIC)
    protected, unprotected, payload, signature = cbor2.loads(record.data).value
    other = (P256_ORDER - int.from_bytes(signature[32:])).to_bytes(32)
    file = tmp_path / "record"
    file.write_bytes(cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, signature[:32] + other])))
    answer = verify(file, pem(tmp_path, KEYS[0]), AAD)
    assert answer["valid"] is False
    assert "the other one of two" in answer["why_not"]


DIGEST = bytes(range(16))


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (Kind.CANCELLATION, DIGEST[:8] + bytes([How.DURESS]), {"digest": DIGEST[:8].hex(), "how": "duress"}),
        (Kind.CANCELLATION, DIGEST[:8], {"digest": DIGEST[:8].hex(), "how": None}),
        (Kind.CHECK_IN, [1, 1200, "cellar"], {"action": "begin", "seconds": 1200, "note": "cellar"}),
        (
            Kind.ACCEPTANCE,
            ["0.1.0", [["gnss", True, "sentences come"], ["modem", None]]],
            {
                "software": "0.1.0",
                "checks": [{"check": "gnss", "ok": True, "text": "sentences come"}, {"check": "modem", "ok": None}],
            },
        ),
        (Kind.CHECK_IN, [3, 0], {"action": "end", "seconds": 0, "note": None}),
        (
            Kind.MESSAGE_STATE,
            [[3, 2], [4, 3, "Yes"]],
            [
                {"number": 3, "state": "read", "answer": None},
                {"number": 4, "state": "answered", "answer": "Yes"},
            ],
        ),
        (
            Kind.GAP,
            [[2, SESSION.octets, 1, [1, [3, 5]]]],
            [{"stream": "position", "session": str(SESSION), "reason": "superseded", "numbers": [1, [3, 5]]}],
        ),
        (Kind.HEALTH, ["store", "gnss"], ["store", "gnss"]),
        (Kind.HEALTH, {"x": DIGEST}, str({"x": DIGEST})),
    ],
)
def test_bodies_have_names(kind: Kind, body: Any, says: Any, tmp_path: Path) -> None:
    answer = told(tmp_path, made(kind, body))
    assert (answer["valid"], answer["record"]["body"]) == (True, says)


def test_an_opening_names_the_heads_of_earlier_sessions(tmp_path: Path) -> None:
    body = told(tmp_path, made(Kind.OPENING))["record"]["body"]
    assert {"stream": "alert", "session": "0000-00000000", "sequence": 7, "digest": "00" * 16} in body
    assert {"stream": "state", "session": None, "sequence": None, "digest": None} in body


def test_positions_before_are_fixes(tmp_path: Path) -> None:
    packed = [wire.pack_fix(fix_at(8.0), 10.0), wire.pack_long_fix(fix_at(2.0), 10.0)]
    body = told(tmp_path, made(Kind.POSITIONS_BEFORE, packed))["record"]["body"]
    assert [each["age_s"] for each in body] == [2.0, 8.0]


@pytest.mark.parametrize(
    "octets", [b"", b"nothing", b"\xd2\x80", cbor2.dumps(cbor2.CBORTag(18, [b"", {}, cbor2.dumps([2]), b""]))]
)
def test_what_is_no_record_is_not_valid_and_says_nothing(octets: bytes, tmp_path: Path) -> None:
    file = tmp_path / "record"
    file.write_bytes(octets)
    answer = verify(file, pem(tmp_path, KEYS[0]), AAD)
    assert (answer["valid"], answer["record"]) == (False, None)
    assert answer["why_not"]


def test_a_kind_that_nobody_knows_is_shown_by_number(tmp_path: Path) -> None:
    payload = cbor2.dumps([1, 79, 1, None, 5, None, None, {"b": 1}, "later"])
    file = tmp_path / "record"
    file.write_bytes(cbor2.dumps(cbor2.CBORTag(18, [b"", {}, payload, b""])))
    record = verify(file, pem(tmp_path, KEYS[0]), None)["record"]
    assert (record["kind"], record["stream"], record["clock"], record["fix"]) == ("kind 79", "health", None, None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("no file", "record cannot be read: No such file"),
        ("large", "it is no record"),
        ("no key", "key.pem is no public key in PEM, P-256 or Ed25519"),
        ("aad", "--aad is not hexadecimal"),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_words(
    change: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, key = tmp_path / "record", pem(tmp_path, KEYS[0])
    if change != "no file":
        file.write_bytes(bytes(70_000) if change == "large" else made(Kind.PANIC).data)
    if change == "no key":
        key.write_text("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n")
    aad = "zz" if change == "aad" else AAD
    assert cli.main(["verify", str(file), "--key", str(key), "--aad", aad]) == 1
    assert why in capsys.readouterr().err
