"""Writes iwd's profiles from the Wi-Fi networks of the enrolment: iwd.network(5), docs/hardening.md.

Run by bondmate-wifi.service with the rights to iwd's directory and no others. What it reads was written by the daemon,
which is not trusted with more: it is bounded and checked, and of a file with anything wrong nothing is taken. The
profiles of a former enrolment go. Passphrases are never printed.
"""

import json
import os
import re
import sys
from pathlib import Path

MAX_OCTETS = 16 * 1024
MAX_NETWORKS = 16
PLAIN_NAME = re.compile(r"[A-Za-z0-9_ -]+")
"""iwd writes any other SSID in hexadecimal."""
PASSPHRASE = re.compile(r"[ -~]{8,63}")
"""IEEE 802.11, annex J.4: 8 to 63 printable characters of ASCII."""
PROFILES = ("*.psk", "*.open", "*.8021x")


class UnfitError(Exception):
    """The file is not what an enrolment writes."""


def networks(data: bytes) -> list[tuple[str, str]]:
    """SSID and passphrase of each network. Raises UnfitError, without any passphrase in its text."""
    if len(data) > MAX_OCTETS:
        raise UnfitError(f"it has more than {MAX_OCTETS} octets")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnfitError("it is no JSON") from error
    if not isinstance(found, dict) or not isinstance(listed := found.get("wifi", []), list):
        raise UnfitError('it has no list "wifi"')
    if len(listed) > MAX_NETWORKS:
        raise UnfitError(f"it has more than {MAX_NETWORKS} networks")
    return [network(number, entry) for number, entry in enumerate(listed, start=1)]


def network(number: int, entry: object) -> tuple[str, str]:
    """One entry of the list."""
    if not (isinstance(entry, dict) and entry.keys() == {"ssid", "passphrase"}):
        raise UnfitError(f"network {number} is no ssid with a passphrase")
    ssid, passphrase = entry["ssid"], entry["passphrase"]
    if not (isinstance(ssid, str) and isinstance(passphrase, str)):
        raise UnfitError(f"the ssid or the passphrase of network {number} is no text")
    try:
        octets = len(ssid.encode())
    except UnicodeEncodeError as error:
        raise UnfitError(f"the SSID of network {number} is no text") from error
    if not 1 <= octets <= 32 or "\0" in ssid:
        raise UnfitError(f"the SSID of network {number} has {octets} octets, allowed are 1 to 32")
    if PASSPHRASE.fullmatch(passphrase) is None:
        raise UnfitError(f"the passphrase of network {number} is not 8 to 63 printable characters of ASCII")
    return ssid, passphrase


def file_name(ssid: str) -> str:
    """The name that iwd looks for."""
    return f"{ssid}.psk" if PLAIN_NAME.fullmatch(ssid) else f"={ssid.encode().hex()}.psk"


def profile(passphrase: str) -> str:
    """What iwd reads; its settings have escapes, and drop blanks at either end."""
    escaped = passphrase.replace("\\", "\\\\").replace(" ", "\\s")
    return f"[Security]\nPassphrase={escaped}\n\n[Settings]\nAutoConnect=true\n"


def write(directory: Path, wanted: dict[str, str]) -> None:
    """Make the directory's profiles these, each whole at any moment."""
    for pattern in PROFILES:
        for old in directory.glob(pattern):
            if old.name not in wanted:
                old.unlink()
    for name, text in wanted.items():
        part = directory / f".{name}.part"
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        part.rename(directory / name)


def main() -> int:
    """Read the credential that the unit hands in; the exit code is 1 for one that is unfit."""
    source = Path(os.environ["CREDENTIALS_DIRECTORY"]) / "network.json"
    directory = Path(os.environ["STATE_DIRECTORY"])
    with source.open("rb") as file:
        data = file.read(MAX_OCTETS + 1)
    try:
        wanted = {file_name(ssid): profile(passphrase) for ssid, passphrase in networks(data)}
    except UnfitError as error:
        sys.stderr.write(f"network.json of the enrolment: {error}; no profile was changed: enrol anew\n")
        return 1
    write(directory, wanted)
    sys.stderr.write(f"{len(wanted)} Wi-Fi profiles written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
