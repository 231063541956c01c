"""What the enrolment file says of networks: kept for the owner alone, and in the place of the configuration's."""

import json
import stat
from pathlib import Path

import pytest

from bondmate import config, network
from bondmate.errors import LocalError
from bondmate.network import NETWORK_FILE, PIN_FILE, Network, Wifi
from tests.test_config import NEEDED

ALL = Network((Wifi("station 7", "passphrase"),), "iot.example", "1234", ("+4915558888",), "+4915559999")
CONFIGURATION = config.parse(
    NEEDED
    + """
[modem]
port = "/dev/modem"
apn = "of.the.image"
pin_file = "/etc/pin"
[sms]
allowed_numbers = ["+491234567"]
""",
    "device.toml",
)


def test_what_was_kept_counts_and_the_rest_of_the_configuration_stays(tmp_path: Path) -> None:
    network.keep(ALL, tmp_path)
    applied = network.applied(CONFIGURATION, tmp_path)
    assert applied.modem.apn == "iot.example"
    assert applied.modem.pin_file == tmp_path / PIN_FILE
    assert (tmp_path / PIN_FILE).read_text() == "1234"
    assert applied.sms.gateway_number == "+4915559999"
    assert applied.sms.allowed_numbers == ("+4915558888",)
    assert (applied.modem.port, applied.gnss) == ("/dev/modem", CONFIGURATION.gnss)


def test_only_the_owner_may_read_them_and_the_secrets_are_in_no_repr(tmp_path: Path) -> None:
    network.keep(ALL, tmp_path)
    for name in (NETWORK_FILE, PIN_FILE):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert json.loads((tmp_path / NETWORK_FILE).read_text())["wifi"] == [
        {"ssid": "station 7", "passphrase": "passphrase"}
    ]
    assert "1234" not in (tmp_path / NETWORK_FILE).read_text().replace("+491234567", "")
    assert "passphrase" not in repr(ALL).replace("passphrase=", "")
    assert "1234" not in repr(ALL)


def test_what_the_file_does_not_say_stays_the_configurations(tmp_path: Path) -> None:
    assert network.applied(CONFIGURATION, tmp_path) == CONFIGURATION
    network.keep(ALL, tmp_path)
    network.keep(Network(), tmp_path)
    assert network.applied(CONFIGURATION, tmp_path) == CONFIGURATION
    assert not (tmp_path / PIN_FILE).exists(), "a PIN of an earlier file is no longer there"


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    network.keep(ALL, tmp_path)
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    network.keep(ALL, tmp_path)
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 2}', '{"version": 1}', "1", "null", "[" * 20000])
def test_a_damaged_file_is_told_and_raises_nothing_else(tmp_path: Path, content: str) -> None:
    (tmp_path / NETWORK_FILE).write_text(content)
    with pytest.raises(LocalError, match=NETWORK_FILE):
        network.applied(CONFIGURATION, tmp_path)


def test_what_would_be_a_command_to_the_modem_is_not_taken_from_a_damaged_file_either(tmp_path: Path) -> None:
    network.keep(ALL, tmp_path)
    said = json.loads((tmp_path / NETWORK_FILE).read_text())
    said |= {"apn": 'a"\r\nAT', "gateway_number": "1;DROP", "allowed_numbers": ["x"]}
    (tmp_path / NETWORK_FILE).write_text(json.dumps(said))
    applied = network.applied(CONFIGURATION, tmp_path)
    assert applied.modem.apn == "of.the.image"
    assert applied.sms == CONFIGURATION.sms
