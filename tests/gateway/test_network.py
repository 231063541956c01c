"""The network's description: what is read of it, and that no error shows what it holds."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import network
from bondmate_sim.gateway.network import Network, NetworkError

WHOLE = b"""
apn = "internet"
sim_pin = "0000"
sms_from = ["+4915550001", "12345"]
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
        4: ["+4915550001", "12345"],
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


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_whatever_is_given_is_read_or_refused(text: bytes) -> None:
    with contextlib.suppress(NetworkError):
        network.parse(text)
