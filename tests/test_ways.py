"""Which ways to the gateway there are, by configuration and credentials."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory

from bondmate import config, credentials
from bondmate.core.routes import Route, over_ip, over_lte, over_sms
from bondmate.credentials import Address, ChannelKeys, Credentials
from bondmate.errors import LocalError
from bondmate.records import SessionId, Stream
from bondmate.ways import PIN_MEMORY_FILE, Ways, ways_to_enrol, ways_to_gateway
from tests.gateway.conftest import Gateway
from tests.test_config import NEEDED

SESSION = SessionId(bytes(6))
NUMBER, OTHER = "+4915559999", "+4915558888"
MODEM = """
[modem]
port = "/dev/modem"
"""
SMS = f"""
[sms]
gateway_number = "{NUMBER}"
allowed_numbers = ["{OTHER}"]
"""


def never() -> SessionId:
    raise AssertionError("nobody refused us")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """What an enrolment file of today gives."""
    return credentials.load(_placed(tmp_path_factory.mktemp("enrolled")))


def _placed(folder: Path, **changes: Any) -> Path:
    document = json.loads(Gateway(folder).enrol().read_text()) | changes
    (folder / credentials.CREDENTIALS_FILE).write_text(json.dumps(document))
    return folder


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    made = MockFactory()
    yield made
    made.reset()


def ways(text: str, known: Credentials, factory: MockFactory) -> Ways:
    return ways_to_gateway(config.parse(NEEDED + text, "device.toml"), known, SESSION, never, factory)


def names(made: Ways) -> list[str]:
    return [bearer.name for bearer in made.bearers]


def without(known: Credentials, bearer: str) -> Credentials:
    return dataclasses.replace(known, bearers={name: keys for name, keys in known.bearers.items() if name != bearer})


def test_without_a_modem_there_is_ip_alone(known: Credentials, factory: MockFactory) -> None:
    made = ways("", known, factory)
    assert (names(made), made.routes) == (["ip"], [over_ip()])
    assert (made.modem, made.sms, made.power) == (None, None, None)


def test_with_a_modem_there_is_lte_too(known: Credentials, factory: MockFactory) -> None:
    made = ways(MODEM, known, factory)
    assert (names(made), made.routes) == (["ip", "lte"], [over_ip(), over_lte()])
    assert made.sms is None
    assert made.modem is not None
    assert made.modem.state().port == "/dev/modem"


def test_with_the_gateways_number_there_is_sms_too(known: Credentials, factory: MockFactory) -> None:
    made = ways(MODEM + SMS + "[delivery]\nsms_after_s = 42\n", known, factory)
    assert (names(made), made.routes) == (["ip", "lte", "sms"], [over_ip(), over_lte(), over_sms(42)])
    assert made.routes[-1].after_s[Stream.ALERT] == 42
    assert made.sms is not None
    assert made.sms._allowed == {NUMBER, OTHER}
    # scarce, and in the session that runs, each with keys of its own
    assert [bearer.is_scarce for bearer in made.bearers] == [False, False, True]
    assert {bearer.session for bearer in made.bearers} == {SESSION}


def test_every_route_has_a_bearer_of_its_name(known: Credentials, factory: MockFactory) -> None:
    for text in ("", MODEM, MODEM + SMS):
        made = ways(text, known, factory)
        assert [route.name for route in made.routes] == names(made)


def test_sms_is_for_alerts_and_positions_alone() -> None:
    assert set(over_sms(15).after_s) == {Stream.ALERT, Stream.POSITION}
    assert not over_sms(15).answers
    assert over_sms(15).pace_s.keys() == {Stream.POSITION}


@pytest.mark.parametrize("route", [Route("any"), over_ip(), over_lte()], ids=["any", "ip", "lte"])
def test_alerts_wait_for_nothing_but_sms(route: Route) -> None:
    assert route.after_s[Stream.ALERT] == 0
    assert set(route.after_s) == set(Stream)


@pytest.mark.parametrize(("bearer", "text"), [("lte", MODEM), ("lte", MODEM + SMS), ("sms", MODEM + SMS)])
def test_keys_that_are_missing_are_named(known: Credentials, factory: MockFactory, bearer: str, text: str) -> None:
    with pytest.raises(LocalError, match=f"no keys for the bearer {bearer}: enrol the device anew"):
        ways(text, without(known, bearer), factory)


def test_keys_that_are_not_needed_may_be_missing(known: Credentials, factory: MockFactory) -> None:
    assert names(ways("", without(without(known, "lte"), "sms"), factory)) == ["ip"]
    assert names(ways(MODEM, without(known, "sms"), factory)) == ["ip", "lte"]


def test_an_enrolment_file_from_before_there_was_a_modem(tmp_path: Path, factory: MockFactory) -> None:
    only_ip = {"ip": {"kid": "01020304"}}
    known = credentials.load(_placed(tmp_path, bearers=only_ip))
    assert names(ways("", known, factory)) == ["ip"]
    with pytest.raises(LocalError, match="no keys for the bearer lte"):
        ways(MODEM, known, factory)


def test_what_the_modem_is_told_is_what_is_configured(known: Credentials, factory: MockFactory) -> None:
    text = MODEM + 'speed_baud = 9600\napn = "police.example"\nroaming = true\npin_file = "/etc/pin"\n'
    made = ways(text, known, factory)
    assert made.modem is not None
    settings = made.modem._settings
    assert (settings.speed_baud, settings.apn, settings.roaming) == (9600, "police.example", True)
    # an attempt at the PIN is remembered where it survives a restart
    state_dir = config.parse(NEEDED, "device.toml").device.state_dir
    assert (settings.pin_file, settings.pin_memory) == (Path("/etc/pin"), state_dir / PIN_MEMORY_FILE)


def test_pins_of_the_modem_are_claimed_and_let_go(known: Credentials, factory: MockFactory) -> None:
    made = ways(MODEM + "power_key_pin = 5\npower_rail_pin = 6\n", known, factory)
    assert made.power is not None
    assert (made.power.has_key, made.power.has_rail) == (True, True)
    assert (factory.pin(5).state, factory.pin(6).state) == (False, True), "it has power, and nobody presses the key"
    made.power.close()
    again = ways(MODEM + "power_key_pin = 5\n", known, factory)
    assert again.power is not None
    assert (again.power.has_key, again.power.has_rail) == (True, False)


def test_a_pin_that_cannot_be_had_is_named(known: Credentials, factory: MockFactory) -> None:
    with pytest.raises(LocalError, match="the modem's power key at pin 63"):
        ways(MODEM + "power_key_pin = 63\n", known, factory)


def test_no_number_and_no_key_is_shown(known: Credentials, factory: MockFactory) -> None:
    made = ways(MODEM + SMS, known, factory)
    shown = repr(made)
    for word in (NUMBER[1:], OTHER[1:], repr(known.bearers["sms"].master_secret)):
        assert word not in shown


# --- to be enrolled --------------------------------------------------------------------------------------

CHANNEL = ChannelKeys(b"kid!", b"g", bytes(16), bytes(8))
PLACES = (Address("192.0.2.7", 5683),)


def test_a_device_is_enrolled_over_ip_and_where_there_is_a_modem_over_lte(factory: MockFactory) -> None:
    for text, expected in (("", ["ip"]), (MODEM, ["ip", "lte"]), (MODEM + SMS, ["ip", "lte"])):
        made = ways_to_enrol(config.parse(NEEDED + text, "device.toml"), CHANNEL, PLACES, factory)
        assert names(made) == expected
        assert (made.modem is not None, made.sms) == (len(expected) == 2, None)
        if made.power is not None:
            made.power.close()


def test_no_two_bearers_and_no_two_runs_enrol_in_the_same_session(factory: MockFactory) -> None:
    """The keys are the same over each: in one session they would use each nonce twice."""
    configuration = config.parse(NEEDED + MODEM, "device.toml")
    sessions = [
        bearer.session for _ in range(20) for bearer in ways_to_enrol(configuration, CHANNEL, PLACES, factory).over_coap
    ]
    assert len(set(sessions)) == 40


def test_a_session_that_the_gateway_refuses_is_followed_by_another(factory: MockFactory) -> None:
    [bearer] = ways_to_enrol(config.parse(NEEDED, "device.toml"), CHANNEL, PLACES, factory).over_coap
    assert bearer._renew() != bearer._renew()
