import json
import re
import stat
from pathlib import Path

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import credentials, keys

GATEWAY_KEY = ec.generate_private_key(ec.SECP256R1())


def test_the_enrolment_file_is_that_of_the_specification(tmp_path: Path) -> None:
    made = credentials.generate()
    path = credentials.write(made, tmp_path, ["coap://192.0.2.7:5683"], GATEWAY_KEY.public_key())
    document = json.loads(path.read_text())
    assert path.name == f"{document['device']}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert re.fullmatch("BM-[0-9a-f]{8}", document["device"])
    assert re.fullmatch("[0-9a-f]{64}", document["channel_secret"])
    assert document["version"] == 1
    kids = [each["kid"] for each in document["bearers"].values()]
    assert list(document["bearers"]) == ["ip", "lte", "sms"]
    assert all(re.fullmatch("[0-9a-f]{8}", kid) for kid in kids)
    assert len(set(kids)) == 3
    key = serialization.load_pem_private_key(document["signing_key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers() == made.signing_key.private_numbers()
    assert document["gateways"] == [
        {
            "id": "67",
            "addresses": ["coap://192.0.2.7:5683"],
            "keys": [{"id": "01", "public_key": keys.public_pem(GATEWAY_KEY.public_key())}],
        }
    ]


def test_secrets_stay_out_of_the_repr() -> None:
    made = credentials.generate()
    assert made.channel_secret.hex() not in repr(made)
    assert repr(made.channel_secret) not in repr(made)


def test_master_keys_are_hkdf_of_the_channel_secret() -> None:
    def expand(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
        # RFC 5869 by hand: one block is enough for 16 octets.
        extract = hmac.HMAC(salt, hashes.SHA256())
        extract.update(secret)
        block = hmac.HMAC(extract.finalize(), hashes.SHA256())
        block.update(info + b"\x01")
        return block.finalize()[:length]

    secret, device = bytes(range(32)), bytes.fromhex("7f3a09c1")
    for bearer in ("ip", "lte", "sms"):
        assert credentials.master_keys(secret, device, bearer) == (
            expand(device, secret, f"bondmate 1 oscore {bearer} secret".encode(), 16),
            expand(device, secret, f"bondmate 1 oscore {bearer} salt".encode(), 8),
        )
