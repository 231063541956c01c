"""The network of new devices, as a human writes it down in TOML, for their enrolment files.

```toml
apn = "internet"
sim_pin = "0000"
sms_from = ["+4915550001"]   # whom devices take SMS from
sms_to = "+4915550001"       # where devices send theirs

[[wifi]]
ssid = "station"
passphrase = "…"
```

All of it may be absent. It holds secrets, so no error shows a value.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_OCTETS = 64 << 10
NUMBER = r"\+[1-9][0-9]{3,14}"
"""ITU-T E.164, with + and the country's code: a device takes no file with any other (docs/protocol.md, section 9)."""

_MOST = 8


class NetworkError(Exception):
    """The description of the network cannot be used; the text says what to correct."""


@dataclass(frozen=True, slots=True)
class Network:
    """Wi-Fi networks with their passphrases, the APN, the SIM's PIN, and the numbers of SMS."""

    wifi: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    apn: str | None = None
    sim_pin: str | None = field(default=None, repr=False)
    sms_from: tuple[str, ...] = ()
    sms_to: str | None = None

    def encoded(self) -> dict[int, Any]:
        """Return the map of an enrolment file."""
        members = (list(map(list, self.wifi)), self.apn, self.sim_pin, list(self.sms_from), self.sms_to)
        return {number: value for number, value in enumerate(members, 1) if value}


def parse(text: bytes) -> Network:
    """Read the description. Raises NetworkError."""
    if len(text) > MAX_OCTETS:
        raise NetworkError(f"the network's description has more than {MAX_OCTETS} octets")
    try:
        document = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        where = re.search(r"at line \d+, column \d+|at end of document", str(error))
        place = f" {where[0]}" if where else ""
        raise NetworkError(f"the network's description is no TOML in UTF-8{place}") from None
    unknown = document.keys() - {"wifi", "apn", "sim_pin", "sms_from", "sms_to"}
    if unknown:
        raise NetworkError(
            f"the network's description has no {min(unknown)!a}: it has wifi, apn, sim_pin, sms_from, sms_to"
        )
    wifi = _list(document, "wifi")
    return Network(
        tuple(_wifi(each) for each in wifi),
        _optional(document, "apn", _apn),
        _optional(document, "sim_pin", _pin),
        tuple(_number("sms_from", each) for each in _list(document, "sms_from")),
        _optional(document, "sms_to", lambda value: _number("sms_to", value)),
    )


def _list(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name, [])
    if not isinstance(found, list) or len(found) > _MOST:
        raise NetworkError(f"{name} is a list of at most {_MOST}")
    return found


def _optional(document: dict[str, Any], name: str, read: Callable[[Any], str]) -> str | None:
    return read(document[name]) if name in document else None


def _wifi(table: Any) -> tuple[str, str]:
    if not isinstance(table, dict) or table.keys() != {"ssid", "passphrase"}:
        raise NetworkError("each wifi has ssid and passphrase, and nothing else")
    ssid, passphrase = table["ssid"], table["passphrase"]
    if not isinstance(ssid, str) or not 1 <= len(ssid.encode()) <= 32 or "\0" in ssid:
        raise NetworkError("wifi: the ssid is text of 1 to 32 octets, none of them NUL")
    # IEEE 802.11, annex J: a passphrase is 8 to 63 printable ASCII characters.
    return ssid, _matching("wifi: the passphrase", passphrase, r"[ -~]{8,63}", "8 to 63 printable ASCII characters")


def _apn(value: Any) -> str:
    return _matching("apn", value, r"[A-Za-z0-9.-]{1,100}", "1 to 100 letters, digits, dots and hyphens")


def _pin(value: Any) -> str:
    return _matching("sim_pin", value, r"[0-9]{4,8}", "4 to 8 digits, in quotes")


def _number(name: str, value: Any) -> str:
    words = 'a number with + and its country code, 4 to 15 digits in all, such as "+4915550001", in quotes'
    return _matching(name, value, NUMBER, words)


def _matching(what: str, value: Any, pattern: str, words: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise NetworkError(f"{what} is {words}")
    return value
