"""What goes with an image: what is in it, how it is checked, what Raspberry Pi Imager shows."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bondmate_image.environment import PythonPackage
from bondmate_image.errors import ImageError
from bondmate_image.packages import DebianPackage
from bondmate_image.recipe import Wanted

_NAMESPACE = uuid.UUID("0b0d3a7e-0000-4000-8000-0000000000ff")
_BOARDS = ["pi3-64bit", "pi4-64bit"]
"""Raspberry Pi Imager's names; a Zero 2 W counts as a Pi 3, a CM4 as a Pi 4."""


def sha256(file: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def manifest(
    wanted: Wanted, debian: Iterable[DebianPackage], python: Iterable[PythonPackage], hashes: dict[str, str]
) -> str:
    """Return what an image is made of, as JSON. `hashes` are the SHA-256 of its pieces, by name."""
    return _json({
        "name": "bondmate",
        "version": wanted.version,
        "profile": wanted.profile.value,
        "screen": wanted.screen,
        "source_date_epoch": wanted.epoch,
        "sha256": hashes,
        "debian": [
            {"package": p.name, "version": p.version, "architecture": p.architecture, "sha256": p.sha256}
            for p in debian
        ],
        "python": [{"package": p.name, "version": p.version, "sha256": p.sha256} for p in python],
    })  # fmt: skip


def sbom(wanted: Wanted, debian: Sequence[DebianPackage], python: Sequence[PythonPackage]) -> str:
    """Return the software bill of materials (CycloneDX 1.6, JSON)."""
    components = [
        _component(p, f"pkg:deb/debian/{quote(p.name)}@{quote(p.version)}?arch={p.architecture}") for p in debian
    ]
    components += [
        _component(p, f"pkg:pypi/{quote(p.name.lower().replace('_', '-'))}@{quote(p.version)}") for p in python
    ]
    serial = uuid.uuid5(_NAMESPACE, json.dumps([wanted.name, wanted.epoch, components]))
    return _json({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": _time(wanted).isoformat().replace("+00:00", "Z"),
            "component": {"type": "firmware", "bom-ref": "bondmate", "name": "bondmate", "version": wanted.version},
        },
        "components": components,
    })  # fmt: skip


def os_list(wanted: Wanted, image: Path, octets: int, image_sha256: str) -> str:
    """Return a repository for Raspberry Pi Imager with this one image, at the place where it lies now."""
    return _json({
        "os_list": [
            {
                "name": f"BondMate {wanted.version} ({wanted.variant})",
                "description": "The police officer's pocket device",
                "url": image.resolve().as_uri(),
                "release_date": _time(wanted).date().isoformat(),
                "extract_size": octets,
                "extract_sha256": image_sha256,
                "image_download_size": octets,
                "image_download_sha256": image_sha256,
                "devices": _BOARDS,
                "init_format": "none",
            }
        ]
    })  # fmt: skip


def checksums(files: Iterable[Path]) -> str:
    """Return the list that `sha256sum --check` reads."""
    return "".join(f"{sha256(file)}  {file.name}\n" for file in files)


def sign(text: bytes, key_file: Path) -> bytes:
    """Return the signature over `text` of a private key in PEM: ECDSA P-256 with SHA-256 (DER), or Ed25519."""
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ImageError(f"{key_file} holds no private key in PEM without a passphrase: {error}") from error
    match key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return key.sign(text, ec.ECDSA(SHA256()))
        case ed25519.Ed25519PrivateKey():
            return key.sign(text)
        case _:
            raise ImageError(
                f"{key_file} is neither a P-256 nor an Ed25519 key; make one with: openssl genpkey -algorithm ED25519"
            )


def _component(package: DebianPackage | PythonPackage, purl: str) -> dict[str, object]:
    described: dict[str, object] = {
        "type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl,
    }  # fmt: skip
    if package.sha256 is not None:
        described["hashes"] = [{"alg": "SHA-256", "content": package.sha256}]
    return described


def _time(wanted: Wanted) -> datetime:
    return datetime.fromtimestamp(wanted.epoch, UTC)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
