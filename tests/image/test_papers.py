import json
import subprocess
from pathlib import Path

import cyclonedx.schema
import jsonschema_rs
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bondmate_image import papers
from bondmate_image.environment import PythonPackage
from bondmate_image.errors import ImageError
from bondmate_image.packages import DebianPackage
from bondmate_image.recipe import Profile, Wanted

WANTED = Wanted("1.2.3", Profile.RELEASE, 1_700_000_000)
DEBIAN = (
    DebianPackage("libc6", "2.41-12+deb13u1", "arm64", "ab" * 32),
    DebianPackage("rauc", "1:1.13", "arm64", "cd" * 32),
)
PYTHON = (PythonPackage("bondmate", "0.1.0", None), PythonPackage("typing_extensions", "4.16.0", "09" * 32))


def test_the_manifest_names_every_package_with_its_hash() -> None:
    document = json.loads(papers.manifest(WANTED, DEBIAN, PYTHON, {"image": "ef" * 32}))
    assert document["version"] == "1.2.3"
    assert document["sha256"] == {"image": "ef" * 32}
    assert document["debian"][1] == {
        "package": "rauc", "version": "1:1.13", "architecture": "arm64", "sha256": "cd" * 32,
    }  # fmt: skip
    # what is built from the repository has no archive
    assert document["python"] == [
        {"package": "bondmate", "version": "0.1.0", "sha256": None},
        {"package": "typing_extensions", "version": "4.16.0", "sha256": "09" * 32},
    ]


def test_the_bill_of_materials_is_cyclonedx() -> None:
    text = papers.sbom(WANTED, DEBIAN, PYTHON)
    schemas = Path(cyclonedx.schema.__file__).parent / "_res"
    parts = {
        f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json": json.loads(
            (schemas / f"{name}.SNAPSHOT.schema.json").read_text()
        )
        for name in ("bom-1.6", "spdx", "jsf-0.82")
    }
    registry = jsonschema_rs.Registry(list(parts.items()))
    valid = jsonschema_rs.validator_for(
        parts["http://cyclonedx.org/schema/bom-1.6.SNAPSHOT.schema.json"], registry=registry
    )
    valid.validate(json.loads(text))
    assert not valid.is_valid({**json.loads(text), "components": [{"type": "thing"}]})
    components = json.loads(text)["components"]
    assert [(component["purl"], component.get("hashes")) for component in components] == [
        ("pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=arm64", [{"alg": "SHA-256", "content": "ab" * 32}]),
        ("pkg:deb/debian/rauc@1%3A1.13?arch=arm64", [{"alg": "SHA-256", "content": "cd" * 32}]),
        ("pkg:pypi/bondmate@0.1.0", None),
        ("pkg:pypi/typing-extensions@4.16.0", [{"alg": "SHA-256", "content": "09" * 32}]),
    ]


def test_the_same_input_makes_the_same_papers() -> None:
    assert papers.sbom(WANTED, DEBIAN, PYTHON) == papers.sbom(WANTED, DEBIAN, PYTHON)
    assert papers.sbom(WANTED, DEBIAN, ()) != papers.sbom(WANTED, DEBIAN, PYTHON)


def test_the_checksums_are_those_that_sha256sum_checks(tmp_path: Path) -> None:
    files = [tmp_path / "a.img", tmp_path / "b.json"]
    for file in files:
        file.write_text(file.name)
    (tmp_path / "sums").write_text(papers.checksums(files))
    check = ["sha256sum", "--check", "--strict", "sums"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    files[0].write_text("other")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_the_checksums_are_signed(tmp_path: Path) -> None:
    p256, ed, other = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate(), tmp_path / "rsa"
    for name, key in (("p256", p256), ("ed", ed), ("rsa", rsa.generate_private_key(65537, 2048))):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / name).write_bytes(pem)
    p256.public_key().verify(papers.sign(b"text", tmp_path / "p256"), b"text", ec.ECDSA(SHA256()))
    ed.public_key().verify(papers.sign(b"text", tmp_path / "ed"), b"text")
    with pytest.raises(ImageError, match="neither a P-256 nor an Ed25519 key"):
        papers.sign(b"text", other)
    other.write_text("no key")
    with pytest.raises(ImageError, match="no private key in PEM"):
        papers.sign(b"text", other)


def test_raspberry_pi_imager_finds_the_image(tmp_path: Path) -> None:
    document = json.loads(papers.os_list(WANTED, tmp_path / "a b.img", 1000, "ab" * 32))
    (entry,) = document["os_list"]
    assert entry["url"] == f"file://{tmp_path}/a%20b.img"
    assert (entry["extract_size"], entry["extract_sha256"]) == (1000, "ab" * 32)
    assert entry["release_date"] == "2023-11-14"
