"""The network's description: what is read of it, and that no error shows what it holds."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate import network as device
from bondmate.errors import RemoteError
from bondmate_sim.gateway import network
from bondmate_sim.gateway.network import Network, NetworkError

WHOLE = b"""
apn = "internet"
sim_pin = "0000"
sms_from = ["+4915550001", "+351961"]
sms_to = "+4915550001"
[[wifi]]
ssid = "station"
passphrase = "correct horse"
"""


def test_all_of_it_is_read_and_encoded() -> None:
    assert network.parse(WHOLE).encoded() == {
        1: [["station", "correct horse"]],
        2: "internet",
        3: "0000",
        4: ["+4915550001", "+351961"],
        5: "+4915550001",
    }
    assert network.parse(b"") == Network()
    assert network.parse(b"").encoded() == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"apn = ", "no TOML in UTF-8"),
        (b"\xff", "no TOML in UTF-8"),
        (b"#" * (64 << 10) + b"#", "more than 65536 octets"),
        (b'pin = "1234"', "has no 'pin'"),
        (b"apn = 5", "apn is"),
        (b'sim_pin = "secret"', "sim_pin is 4 to 8 digits"),
        (b"sim_pin = 123456", "sim_pin is 4 to 8 digits, in quotes"),
        (b'sms_from = "secret"', "sms_from is a list"),
        (b'sms_from = ["secret"]', "sms_from is a number"),
        (b'sms_to = "secret"', "sms_to is a number"),
        (b'wifi = ["secret"]', "each wifi has ssid and passphrase"),
        (b'[[wifi]]\nssid = "a"\npassphrase = "secret"', "the passphrase is 8 to 63"),
        (b'[[wifi]]\nssid = ""\npassphrase = "secret-secret"', "the ssid is text of 1 to 32"),
        (b'[[wifi]]\nssid = "a"\npassphrase = "secret-secret"\npsk = "secret"', "nothing else"),
        (b'[[wifi]]\nssid = "a"\npassphrase = "secret-secret"\n' * 9, "at most 8"),
    ],
)
def test_what_cannot_be_used_is_named_without_its_value(text: bytes, why: str) -> None:
    with pytest.raises(NetworkError) as caught:
        network.parse(text)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "123456" not in str(caught.value)


MEMBERS: dict[str, tuple[str, Callable[[str], dict[int, Any]]]] = {
    "number": ("sms_to = {}", lambda text: {5: text}),
    "numbers": ("sms_from = [{}]", lambda text: {4: [text]}),
    "PIN": ("sim_pin = {}", lambda text: {3: text}),
    "ssid": ('[[wifi]]\nssid = {}\npassphrase = "correct horse"', lambda text: {1: [[text, "correct horse"]]}),
    "passphrase": ('[[wifi]]\nssid = "a"\npassphrase = {}', lambda text: {1: [["a", text]]}),
}
"""How each is described, and how it stands in a file."""


def verdicts(member: str, text: str) -> tuple[bool, bool]:
    """Whether the gateway takes the text, and whether a device does."""
    line, encoded = MEMBERS[member]
    gateway = device_too = True
    try:
        # A string of JSON is one of TOML.
        assert network.parse(line.format(json.dumps(text)).encode()).encoded() == encoded(text)
    except NetworkError:
        gateway = False
    try:
        device.decode(encoded(text))
    except RemoteError:
        device_too = False
    return gateway, device_too


@pytest.mark.parametrize(
    ("member", "text", "taken"),
    [
        *((each, "+4917", True) for each in ("number", "numbers")),
        *((each, "+123456789012345", True) for each in ("number", "numbers")),
        *((each, "+1234567890123456", False) for each in ("number", "numbers")),
        *((each, "+491", False) for each in ("number", "numbers")),
        *((each, "72772", False) for each in ("number", "numbers")),
        *((each, "01715550001", False) for each in ("number", "numbers")),
        *((each, "+01715550001", False) for each in ("number", "numbers")),
        ("PIN", "0000", True),
        ("PIN", "123456789", False),
        ("ssid", "é" * 16, True),
        ("ssid", "é" * 17, False),
        ("ssid", "a\0b", False),
        ("passphrase", "~" * 63, True),
        ("passphrase", "~" * 64, False),
        ("passphrase", "pässwörd", False),
        ("passphrase", "tab\tulator", False),
    ],
)
def test_the_gateway_and_a_device_judge_alike(member: str, text: str, taken: bool) -> None:
    assert verdicts(member, text) == (taken, taken)


@given(st.sampled_from([*MEMBERS]), st.text("+0123456789") | st.text("+01aé ~\0\n"))
def test_the_gateway_signs_nothing_that_devices_refuse(member: str, text: str) -> None:
    gateway, device_too = verdicts(member, text)
    assert gateway == device_too


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_whatever_is_given_is_read_or_refused(text: bytes) -> None:
    with contextlib.suppress(NetworkError):
        network.parse(text)
