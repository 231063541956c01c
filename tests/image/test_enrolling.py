"""Flashed, enrolled and labelled by the programs themselves, with the reference gateway as it is."""

import json
import subprocess
import sys
from pathlib import Path

import cbor2
import pypdfium2
import pytest
import zxingcpp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.image import cards
from tests.image.cards import BLOCK, BOOT_OFFSET

BIN = Path(sys.executable).parent


def run(program: str, *arguments: object) -> str:
    done = subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    return tmp_path / "gateway"


def is_signed(file: bytes, pem: str) -> bool:
    """Whether a file is signed as docs/protocol.md says (RFC 9052, section 4.4)."""
    protected, _, payload, signature = cbor2.loads(file).value
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = cbor2.dumps(["Signature1", protected, cbor2.dumps(["bondmate enrolment 1"]), payload])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    return True


def test_from_an_image_to_labelled_cards_that_the_gateway_knows(gateway: Path, tmp_path: Path) -> None:
    image = cards.bootable(tmp_path / "bondmate.img")
    cards.bmap(image, (range(image.stat().st_size // BLOCK),))
    three = [cards.blank(tmp_path / name, image.stat().st_size) for name in "abc"]
    run("bondmate-image", "flash", image, *three)

    sheet = tmp_path / "labels.pdf"
    said = run("bondmate-image", "enrol", "--gateway", gateway, "--labels", sheet, *three)
    *lines, last = said.splitlines()
    assert last == f"{sheet}  3 labels"
    named = {card: device for card, _, device in (line.partition("  ") for line in lines)}
    assert list(named) == list(map(str, three))

    force_key = run("bondmate-gateway", "force-key", "--data", gateway)
    known = {
        each["device"]: each for each in json.loads(run("bondmate-gateway", "devices", "--data", gateway, "--json"))
    }
    for card, device in named.items():
        file = subprocess.run(
            ["mtype", "-i", f"{card}@@{BOOT_OFFSET}", "::bondmate-enrol.cose"], capture_output=True, check=True
        ).stdout
        assert is_signed(file, force_key)
        assert cbor2.loads(cbor2.loads(file).value[2])[1].hex() == device.removeprefix("BM-")
        assert (known[device]["state"], known[device]["fingerprint"]) == ("offered", None)

    (page,) = pypdfium2.PdfDocument(sheet)
    read = zxingcpp.read_barcodes(page.render(scale=150 / 72).to_pil())
    assert {each.text for each in read} == set(named.values())


def test_nothing_of_a_file_stays_at_the_gateway(gateway: Path, tmp_path: Path) -> None:
    """What the gateway keeps is enough to verify a device that has the secret, and the file itself is nowhere."""
    run("bondmate-image", "enrol", "--gateway", gateway, "--out", tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    payload = cbor2.loads(kept.read_bytes()).value[2]
    for path in gateway.rglob("*"):
        assert not path.is_file() or payload not in path.read_bytes()
