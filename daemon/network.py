"""What an enrolment file says of the networks, kept beside the credentials (docs/protocol.md, section 9).

It has the last word over the configuration, which the image brings and which is the same for all devices: the access
point's name, the SIM's PIN, the numbers for SMS. Wi-Fi networks are kept for whoever manages them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bondmate import rules
from bondmate.config import Configuration
from bondmate.durable import replace_file
from bondmate.errors import LocalError, RemoteError

NETWORK_FILE = "network.json"
PIN_FILE = "network-sim-pin"
"""The PIN alone, as `modem.pin_file` is: so whoever looks at the rest for a network's name has not read it."""
_VERSION = 1
_MAX_OCTETS = 16 * 1024
_MAX_NETWORKS = _MAX_NUMBERS = 8
_SSID_OCTETS = range(1, 33)
_PASSPHRASE = re.compile(r"[ -~]{8,63}")
"""IEEE 802.11, annex J.4. Of a file with any other, whoever joins the networks takes nothing (wifi_profiles.py)."""
_WIFI, _APN, _PIN, _NUMBERS, _GATEWAY = range(1, 6)


@dataclass(frozen=True, slots=True)
class Wifi:
    """A network to join, and its passphrase (WPA)."""

    ssid: str
    passphrase: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Network:
    """Each is None, or empty, where the file says nothing: then the configuration's counts."""

    wifi: tuple[Wifi, ...] = ()
    apn: str | None = None
    sim_pin: str | None = field(default=None, repr=False)
    allowed_numbers: tuple[str, ...] | None = None
    gateway_number: str | None = None


def decode(item: Any) -> Network:
    """Read the CDDL's `network`; RemoteError says what of it cannot be used, and quotes no secret.

    All of it goes to a modem as commands sooner or later, so each part is held against the configuration's own rules.
    """
    if item is None:
        return Network()
    if not isinstance(item, Mapping):
        raise RemoteError("its network part is no map")
    network = Network(
        wifi=tuple(_wifi(each) for each in _listed(item, _WIFI, _MAX_NETWORKS, "Wi-Fi networks") or ()),
        apn=_if_there(item, _APN, rules.APN.check, f"the access point is {rules.APN.allowed}"),
        sim_pin=_if_there(item, _PIN, _is_pin, "the SIM's PIN has 4 to 8 digits"),
        gateway_number=_if_there(item, _GATEWAY, rules.NUMBER.check, f"the gateway's is {rules.NUMBER.allowed}"),
    )
    numbers = _listed(item, _NUMBERS, _MAX_NUMBERS, "numbers")
    if numbers is not None and not rules.NUMBERS.check(numbers):
        raise RemoteError(f"the allowed numbers are {rules.NUMBERS.allowed}")
    return replace(network, allowed_numbers=None if numbers is None else tuple(numbers))


def keep(network: Network, directory: Path) -> None:
    """Write it durably, but what is there already; readable by the owner alone. Raises OSError."""
    pin = directory / PIN_FILE
    if network.sim_pin is not None:
        _write(pin, network.sim_pin.encode("ascii"))
    document = {
        "version": _VERSION,
        "wifi": [{"ssid": each.ssid, "passphrase": each.passphrase} for each in network.wifi],
        "apn": network.apn,
        "sim_pin": network.sim_pin is not None,
        "allowed_numbers": None if network.allowed_numbers is None else list(network.allowed_numbers),
        "gateway_number": network.gateway_number,
    }
    _write(directory / NETWORK_FILE, json.dumps(document, ensure_ascii=False, indent=1).encode())
    if network.sim_pin is None:
        pin.unlink(missing_ok=True)


def applied(configuration: Configuration, directory: Path) -> Configuration:
    """The configuration, with what was kept in the place of what it says. Raises LocalError for what cannot be read."""
    path = directory / NETWORK_FILE
    try:
        if path.stat().st_size > _MAX_OCTETS:
            raise LocalError(f"{path}: larger than {_MAX_OCTETS} octets")
        said = json.loads(path.read_bytes())
        if said["version"] != _VERSION:
            raise LocalError(f"{path}: version {said['version']!r}, this daemon reads {_VERSION}")
        modem, sms = configuration.modem, configuration.sms
        if (apn := said["apn"]) is not None and rules.APN.check(apn):
            modem = replace(modem, apn=apn)
        if said["sim_pin"]:
            modem = replace(modem, pin_file=directory / PIN_FILE)
        if (numbers := said["allowed_numbers"]) is not None and rules.NUMBERS.check(numbers):
            sms = replace(sms, allowed_numbers=tuple(numbers))
        if (number := said["gateway_number"]) is not None and rules.NUMBER.check(number):
            sms = replace(sms, gateway_number=number)
    except FileNotFoundError:
        return configuration
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LocalError(f"{path} cannot be read: {type(error).__name__}") from None
    return replace(configuration, modem=modem, sms=sms)


def _write(path: Path, data: bytes) -> None:
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass  # it is not there, or cannot be read: it is written
    replace_file(path, data)


def _wifi(item: Any) -> Wifi:
    match item:
        case [str(ssid), str(passphrase)]:
            if len(ssid.encode()) in _SSID_OCTETS and "\0" not in ssid and _PASSPHRASE.fullmatch(passphrase):
                return Wifi(ssid, passphrase)
        case _:
            pass
    raise RemoteError(
        "a Wi-Fi network has a name of 1 to 32 octets, none of them NUL, and a passphrase of 8 to 63 printable"
        " characters of ASCII"
    )


def _is_pin(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdecimal() and 4 <= len(value) <= 8


def _if_there(item: Mapping[Any, Any], key: int, check: Any, text: str) -> Any:
    if (value := item.get(key)) is not None and not check(value):
        raise RemoteError(text)
    return value


def _listed(item: Mapping[Any, Any], key: int, most: int, what: str) -> list[Any] | None:
    value = item.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise RemoteError(f"there are 1 to {most} {what}")
    return value
