"""The messages of an M8, made and judged by pyubx2."""

import pytest
from pyubx2 import SET, SET_LAYER_RAM, TXN_NONE, UBXMessage

from bondmate_sim.programme import NMEA_40, Programme, Sentence
from bondmate_sim.receiver import Reaction
from bondmate_sim.receiver_ublox import Ublox
from bondmate_sim.receiver_ublox_m8 import M8Configuration
from bondmate_sim.sky import System
from tests.sim.spoken import programme, ubx_verdict

GNSS_IDS = {"GPS": 0, "SBAS": 1, "Galileo": 2, "BeiDou": 3, "IMES": 4, "QZSS": 5, "GLONASS": 6}
NMEA_IDS: dict[Sentence, int] = {
    "GGA": 0,
    "GLL": 1,
    "GSA": 2,
    "GSV": 3,
    "RMC": 4,
    "VTG": 5,
    "GST": 7,
    "ZDA": 8,
    "GNS": 13,
}


def receiver() -> Ublox:
    return Ublox(M8Configuration())


def gnss(on: str, off: str = "", *, most: int = 8, reserved: int = 4) -> bytes:
    """UBX-CFG-GNSS that switches these on and those off."""
    names = [(name, 1) for name in on.split()] + [(name, 0) for name in off.split()]
    fields: dict[str, int] = {}
    for index, (name, enable) in enumerate(names, 1):
        block = {"gnssId": GNSS_IDS[name], "resTrkCh": reserved, "maxTrkCh": most, "enable": enable, "sigCfMask": 1}
        fields |= {f"{field}_{index:02d}": value for field, value in block.items()}
    message = UBXMessage(
        "CFG", "CFG-GNSS", SET, msgVer=0, numTrkChHw=32, numTrkChUse=32, numConfigBlocks=len(names), **fields
    )
    octets: bytes = message.serialize()
    return octets


def test_the_factory_s_settings() -> None:
    assert programme(receiver()) == Programme(
        interval_ms=1000,
        rates={"GGA": 1, "GLL": 1, "GSA": 1, "GSV": 1, "RMC": 1, "VTG": 1},
        systems=frozenset((System.GPS, System.SBAS, System.QZSS, System.GLONASS)),
        edition=NMEA_40,
    )


@pytest.mark.parametrize("sentence", list(NMEA_IDS))
@pytest.mark.parametrize("form", [3, 8])
def test_both_forms_of_cfg_msg_are_obeyed(sentence: Sentence, form: int) -> None:
    name = bytes([0xF0, NMEA_IDS[sentence]])
    # The long form has a rate for I2C, UART1, UART2, USB, SPI and one that is reserved.
    payload = name + b"\x05" if form == 3 else name + b"\x01\x05\x01\x01\x01\x00"
    one = receiver()
    reaction = one.hear(UBXMessage("CFG", "CFG-MSG", SET, payload=payload).serialize(), 0.0)
    assert (ubx_verdict(reaction), reaction.news) == ("ACK-ACK", (f"obeyed {sentence} every 5",))
    assert programme(one).rates == {**programme(receiver()).rates, sentence: 5}


@pytest.mark.parametrize(
    ("meas_ms", "nav", "interval_ms"), [(100, 1, 100), (200, 5, 1000), (1000, 1, 1000), (5000, 1, 5000)]
)
def test_rates_are_obeyed(meas_ms: int, nav: int, interval_ms: int) -> None:
    one = receiver()
    message = UBXMessage("CFG", "CFG-RATE", SET, measRate=meas_ms, navRate=nav, timeRef=0).serialize()
    reaction = one.hear(message, 0.0)
    assert (ubx_verdict(reaction), reaction.news) == ("ACK-ACK", (f"obeyed rate {interval_ms} ms",))
    assert programme(one).interval_ms == interval_ms


@pytest.mark.parametrize(
    ("on", "off", "heard"),
    [
        ("Galileo", "", "GPS SBAS QZSS GLONASS Galileo"),  # what is not named stays
        ("GPS BeiDou Galileo", "GLONASS", "GPS SBAS QZSS BeiDou Galileo"),
        ("GPS", "GLONASS SBAS QZSS Galileo BeiDou IMES", "GPS"),
    ],
)
def test_systems_that_two_radio_paths_can_hear_are_obeyed(on: str, off: str, heard: str) -> None:
    one = receiver()
    reaction = one.hear(gnss(on, off), 0.0)
    assert ubx_verdict(reaction) == "ACK-ACK"
    assert {system.value for system in programme(one).systems} == set(heard.split())
    named = [*(f"obeyed {name} on" for name in on.split()), *(f"obeyed {name} off" for name in off.split())]
    assert list(reaction.news) == [news for news in named if "IMES" not in news]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(gnss("BeiDou"), id="BeiDou beside GLONASS"),
        pytest.param(gnss("GPS Galileo BeiDou GLONASS"), id="four"),
        pytest.param(gnss("GLONASS", "GPS"), id="no GPS"),
        pytest.param(gnss("", "GPS GLONASS"), id="none"),
        pytest.param(gnss("IMES"), id="IMES"),
        pytest.param(gnss("Galileo", most=3), id="too few channels"),
        pytest.param(gnss("GPS Galileo GLONASS", reserved=11), id="too many channels"),
        pytest.param(UBXMessage("CFG", "CFG-GNSS", SET, payload=b"\0\0\x20\2" + bytes(8)).serialize(), id="no block"),
        pytest.param(UBXMessage("CFG", "CFG-GNSS", SET, payload=b"\0\0").serialize(), id="too short"),
        pytest.param(
            UBXMessage("CFG", "CFG-RATE", SET, measRate=49, navRate=1, timeRef=0).serialize(), id="too fast"
        ),
        pytest.param(
            UBXMessage("CFG", "CFG-RATE", SET, measRate=200, navRate=0, timeRef=0).serialize(), id="never"
        ),
        pytest.param(UBXMessage("CFG", "CFG-MSG", SET, payload=b"\xf0\xff\1").serialize(), id="no such sentence"),
        pytest.param(UBXMessage("CFG", "CFG-MSG", SET, payload=b"\1\7\1").serialize(), id="UBX output"),
        pytest.param(UBXMessage("CFG", "CFG-MSG", SET, payload=b"\xf0\0").serialize(), id="a question"),
        pytest.param(
            UBXMessage.config_set(SET_LAYER_RAM, TXN_NONE, [("CFG_RATE_MEAS", 200)]).serialize(), id="CFG-VALSET"
        ),
    ],
)  # fmt: skip
def test_what_is_refused_changes_nothing(message: bytes) -> None:
    one = receiver()
    reaction = one.hear(message, 0.0)
    assert (ubx_verdict(reaction), reaction.news) == ("ACK-NAK", ())
    assert programme(one) == programme(receiver())


def test_it_sleeps_by_the_short_request_and_any_octet_wakes_it() -> None:
    one = receiver()
    assert one.hear(UBXMessage("RXM", "RXM-PMREQ", SET, payload=bytes(8)).serialize(), 0.0) == Reaction()
    assert one.hear(UBXMessage("RXM", "RXM-PMREQ", SET, payload=b"\0\0\0\0\2\0\0\0").serialize(), 0.0).news == (
        "asleep",
    )
    one.hear(b"\xff", 3.0)
    assert one.hear(b"", 3.5).news == ("awake",)


def test_it_needs_no_force() -> None:
    one = receiver()
    message = UBXMessage("RXM", "RXM-PMREQ", SET, version=0, duration=2000, backup=1, uartrx=1).serialize()
    assert one.hear(message, 0.0).news == ("asleep",)
    assert one.due_s == 2.0


def test_after_a_change_of_the_systems_half_a_second_is_deaf() -> None:
    one, rate = receiver(), UBXMessage("CFG", "CFG-RATE", SET, measRate=200, navRate=1, timeRef=0).serialize()
    assert one.hear(gnss("Galileo") + rate, 5.0).news == ("obeyed Galileo on",)
    assert one.hear(rate, 5.5).news == ("obeyed rate 200 ms",)
