"""The keys of an M10. Their names and numbers are pyubx2's, which has them from the interface descriptions."""

import pytest
from pyubx2 import (
    SET,
    SET_LAYER_BBR,
    SET_LAYER_FLASH,
    SET_LAYER_RAM,
    TXN_NONE,
    TXN_START,
    UBXMessage,
)

from bondmate_sim.programme import NMEA_411, Programme
from bondmate_sim.receiver import Reaction
from bondmate_sim.receiver_ublox import Ublox
from bondmate_sim.receiver_ublox_m10 import M10Configuration
from bondmate_sim.sky import System
from tests.sim.spoken import programme, ubx_verdict

SYSTEMS = {
    "GPS": System.GPS, "SBAS": System.SBAS, "GAL": System.GALILEO,
    "BDS": System.BEIDOU, "QZSS": System.QZSS, "GLO": System.GLONASS,
}  # fmt: skip
RATE_200 = b"\x01\x00\x21\x30\xc8\x00"
SLEEP = UBXMessage("RXM", "RXM-PMREQ", SET, version=0, duration=0, backup=1, force=1, uartrx=1).serialize()


def valset(*values: tuple[str, int], layers: int = SET_LAYER_RAM, transaction: int = TXN_NONE) -> bytes:
    octets: bytes = UBXMessage.config_set(layers, transaction, list(values)).serialize()
    return octets


def receiver() -> Ublox:
    return Ublox(M10Configuration())


def test_the_factory_s_settings() -> None:
    # UBX-21035062: the default values in the tables 61 (CFG-MSGOUT), 75 (CFG-RATE) and 79 (CFG-SIGNAL).
    assert programme(receiver()) == Programme(
        interval_ms=1000,
        rates={"GGA": 1, "GLL": 1, "GNS": 0, "GSA": 1, "GST": 0, "GSV": 1, "RMC": 1, "VTG": 1, "ZDA": 0},
        systems=frozenset((System.GPS, System.SBAS, System.GALILEO, System.QZSS)),
        edition=NMEA_411,
    )


@pytest.mark.parametrize("sentence", ["GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA", "GST", "GNS"])
def test_every_sentence_has_its_key(sentence: str) -> None:
    one = receiver()
    reaction = one.hear(valset((f"CFG_MSGOUT_NMEA_ID_{sentence}_UART1", 3)), 0.0)
    assert (ubx_verdict(reaction), reaction.news) == ("ACK-ACK", (f"obeyed {sentence} every 3",))
    changed = {name: rate for name, rate in programme(one).rates.items() if programme(receiver()).rates[name] != rate}
    assert changed == {sentence: 3}


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_every_system_has_its_key(name: str) -> None:
    one, system = receiver(), SYSTEMS[name]
    on = system not in programme(one).systems
    reaction = one.hear(valset((f"CFG_SIGNAL_{name}_ENA", int(on))), 0.0)
    word = "on" if on else "off"
    assert (ubx_verdict(reaction), reaction.news) == ("ACK-ACK", (f"obeyed {system.value} {word}",))
    assert programme(one).systems ^ programme(receiver()).systems == {system}


@pytest.mark.parametrize("layers", [SET_LAYER_RAM, SET_LAYER_RAM | SET_LAYER_BBR | SET_LAYER_FLASH])
@pytest.mark.parametrize("interval_ms", [100, 200, 1000, 5000])
def test_rates_from_a_fifth_to_ten_hertz_are_obeyed(layers: int, interval_ms: int) -> None:
    one = receiver()
    reaction = one.hear(valset(("CFG_RATE_MEAS", interval_ms), layers=layers), 0.0)
    assert (ubx_verdict(reaction), reaction.news) == ("ACK-ACK", (f"obeyed rate {interval_ms} ms",))
    assert programme(one).interval_ms == interval_ms


def test_many_at_once_and_the_last_of_several_counts() -> None:
    one = receiver()
    message = valset(
        ("CFG_RATE_MEAS", 200),
        ("CFG_RATE_NAV", 2),
        ("CFG_RATE_MEAS", 500),
        ("CFG_MSGOUT_NMEA_ID_GSV_UART1", 0),
        ("CFG_SIGNAL_GLO_ENA", 1),
    )
    assert one.hear(message, 0.0).news == ("obeyed rate 1000 ms", "obeyed GSV off", "obeyed GLONASS on")


@pytest.mark.parametrize("key", ["CFG_MSGOUT_NMEA_ID_GSV_USB", "CFG_MSGOUT_NMEA_ID_GSV_UART2"])
def test_one_unknown_key_refuses_the_whole_message(key: str) -> None:
    one = receiver()
    for message in (valset(("CFG_RATE_MEAS", 200), (key, 0)), valset((key, 0), ("CFG_RATE_MEAS", 200))):
        reaction = one.hear(message, 0.0)
        assert (ubx_verdict(reaction), reaction.news) == ("ACK-NAK", ())
    assert programme(one) == programme(receiver())


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(valset(("CFG_RATE_MEAS", 24)), id="faster than a measurement"),
        pytest.param(valset(("CFG_RATE_NAV", 0)), id="never a solution"),
        pytest.param(valset(("CFG_RATE_NAV", 128)), id="too rare a solution"),
        pytest.param(valset(("CFG_SIGNAL_GPS_ENA", 0), ("CFG_SIGNAL_GAL_ENA", 0)), id="no major system"),
        pytest.param(valset(("CFG_RATE_MEAS", 200), layers=0), id="no layer"),
        pytest.param(valset(("CFG_RATE_MEAS", 200), transaction=TXN_START), id="a transaction"),
        pytest.param(
            UBXMessage("CFG", "CFG-VALSET", SET, payload=b"\0\1\0\0" + RATE_200 * 65).serialize(), id="65 pairs"
        ),
        pytest.param(UBXMessage("CFG", "CFG-VALSET", SET, payload=b"\0\1\0").serialize(), id="too short"),
        pytest.param(UBXMessage("CFG", "CFG-VALSET", SET, payload=b"\2\1\0\0").serialize(), id="version 2"),
        pytest.param(
            UBXMessage("CFG", "CFG-VALSET", SET, payload=b"\0\1\0\0\1\0\x21\x30\xc8").serialize(), id="half a value"
        ),
        pytest.param(UBXMessage("CFG", "CFG-VALSET", SET, payload=b"\0\1\0\0\1\0\x21").serialize(), id="half a key"),
        # Of the class CFG, this generation has no other than CFG, RST, VALDEL, VALGET and VALSET (section 3.10).
        pytest.param(
            UBXMessage("CFG", "CFG-MSG", SET, msgClass=0xF0, msgID=3, rateUART1=0).serialize(), id="CFG-MSG"
        ),
        pytest.param(
            UBXMessage("CFG", "CFG-RATE", SET, measRate=200, navRate=1, timeRef=1).serialize(), id="CFG-RATE"
        ),
        pytest.param(UBXMessage("CFG", "CFG-GNSS", SET, payload=b"\0\0\x20\0").serialize(), id="CFG-GNSS"),
    ],
)  # fmt: skip
def test_what_is_refused_changes_nothing(message: bytes) -> None:
    one = receiver()
    reaction = one.hear(message, 0.0)
    assert (ubx_verdict(reaction), reaction.news) == ("ACK-NAK", ())
    assert programme(one) == programme(receiver())


def test_64_pairs_in_version_1_are_fine() -> None:
    one = receiver()
    message = UBXMessage("CFG", "CFG-VALSET", SET, payload=b"\1\1\0\0" + RATE_200 * 64)
    assert ubx_verdict(one.hear(message.serialize(), 0.0)) == "ACK-ACK"
    assert programme(one).interval_ms == 200


def test_what_is_only_kept_counts_after_the_next_start() -> None:
    one = receiver()
    assert ubx_verdict(one.hear(valset(("CFG_RATE_MEAS", 500), layers=SET_LAYER_BBR), 0.0)) == "ACK-ACK"
    assert ubx_verdict(one.hear(valset(("CFG_RATE_MEAS", 250), layers=SET_LAYER_FLASH), 0.0)) == "ACK-ACK"
    assert programme(one).interval_ms == 1000
    one.hear(valset(("CFG_MSGOUT_NMEA_ID_GSV_UART1", 0)) + SLEEP + b"\xff", 1.0)
    assert one.hear(b"", 2.0).news == ("awake",)
    assert programme(one).interval_ms == 500, "the battery-backed layer is above flash"
    assert programme(one).rates["GSV"] == 1, "RAM was lost"


@pytest.mark.parametrize("value", [("CFG_RATE_MEAS", 0), ("CFG_SIGNAL_GAL_ENA", 0)])
def test_what_could_not_be_started_with_is_not_kept_either(value: tuple[str, int]) -> None:
    one = receiver()
    assert ubx_verdict(one.hear(valset(("CFG_SIGNAL_GPS_ENA", 0), layers=SET_LAYER_FLASH), 0.0)) == "ACK-ACK"
    assert ubx_verdict(one.hear(valset(value, layers=SET_LAYER_BBR), 0.0)) == "ACK-NAK"
    one.hear(SLEEP + b"\xff", 1.0)
    one.hear(b"", 2.0)
    assert programme(one).systems == programme(receiver()).systems - {System.GPS}
    assert programme(one).interval_ms == 1000


def test_after_a_change_of_the_systems_half_a_second_is_deaf() -> None:
    one, rate = receiver(), valset(("CFG_RATE_MEAS", 200))
    on = valset(("CFG_SIGNAL_GLO_ENA", 1))
    assert ubx_verdict(one.hear(on + rate, 5.0)) == "ACK-ACK", "one answer, to the first"
    assert one.hear(rate, 5.4) == Reaction()
    assert one.programme is not None, "but not dumb"
    assert ubx_verdict(one.hear(rate, 5.5)) == "ACK-ACK"
    assert one.hear(on + rate, 9.0).news == ("obeyed GLONASS on", "obeyed rate 200 ms"), "nothing changed"


def test_it_sleeps_only_when_forced_and_knows_no_short_request() -> None:
    one = receiver()
    for message in (
        UBXMessage("RXM", "RXM-PMREQ", SET, version=0, duration=0, backup=1, uartrx=1),
        UBXMessage("RXM", "RXM-PMREQ", SET, version=0, duration=0, force=1, uartrx=1),
        UBXMessage("RXM", "RXM-PMREQ", SET, version=1, duration=0, backup=1, force=1, uartrx=1),
        UBXMessage("RXM", "RXM-PMREQ", SET, payload=b"\0\0\0\0\6\0\0\0"),
    ):
        assert one.hear(message.serialize(), 0.0) == Reaction()
    assert one.hear(SLEEP, 0.0).news == ("asleep",)
