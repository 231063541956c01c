"""Sentences with their checksums are the examples of the protocol specification of the LG290P, V1.2.0, chapter 2.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynmeagps import SET, NMEAMessage, NMEAReader

from bondmate_sim import nmea
from bondmate_sim.programme import NMEA_411, Programme
from bondmate_sim.receiver import Reaction, together
from bondmate_sim.receiver_pqtm import Pqtm
from bondmate_sim.sky import System
from tests.sim.spoken import programme

SAVE, HOT, RESET = b"$PQTMSAVEPAR*5A\r\n", b"$PQTMHOT*4B\r\n", b"$PQTMSRR*4B\r\n"
VERSION = b"$PQTMVERNO*58\r\n"
STOP, START = b"$PQTMGNSSSTOP*09\r\n", b"$PQTMGNSSSTART*51\r\n"
ONE_HERTZ = b"$PQTMCFGFIXRATE,W,1000*59\r\n"
FOUR_SYSTEMS = b"$PQTMCFGCNST,W,1,1,1,1,0,0*2B\r\n"
GPS_ONLY = nmea.frame("PQTMCFGCNST,W,1,0,0,0,0,0")
BANNER = b"$PQTMVER,1,MODULE,LG290P03AANR01A06S,2025/09/18,12:00:00*"


def test_the_factory_s_settings() -> None:
    assert programme(Pqtm()) == Programme(
        interval_ms=100,
        rates={"RMC": 1, "GGA": 1, "GSV": 10, "GSA": 10, "VTG": 1, "GLL": 1},  # GSV and GSA: once a second
        systems=frozenset(System),
        edition=NMEA_411,
    )


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (ONE_HERTZ, b"$PQTMCFGFIXRATE,OK*27\r\n"),
        (ONE_HERTZ + b"$PQTMCFGFIXRATE,R*71\r\n", b"$PQTMCFGFIXRATE,OK*27\r\n$PQTMCFGFIXRATE,OK,1000*0A\r\n"),
        (FOUR_SYSTEMS, b"$PQTMCFGCNST,OK*78\r\n"),
        (FOUR_SYSTEMS + b"$PQTMCFGCNST,R*2E\r\n", b"$PQTMCFGCNST,OK*78\r\n$PQTMCFGCNST,OK,1,1,1,1,0,0*78\r\n"),
        (b"$PQTMCFGMSGRATE,W,GGA,1*0A\r\n", b"$PQTMCFGMSGRATE,OK*29\r\n"),
        (b"$PQTMCFGMSGRATE,R,GGA*12\r\n", b"$PQTMCFGMSGRATE,OK,GGA,1*59\r\n"),
        (b"$PQTMCFGMSGRATE,W,1,1,GGA,1*0A\r\n", b"$PQTMCFGMSGRATE,OK*29\r\n"),
        (b"$PQTMCFGMSGRATE,R,1,1,GGA*12\r\n", b"$PQTMCFGMSGRATE,OK,1,1,GGA,1*59\r\n"),
        (SAVE, b"$PQTMSAVEPAR,OK*72\r\n"),
        (STOP, b"$PQTMGNSSSTOP,OK*21\r\n"),
        (START, b"$PQTMGNSSSTART,OK*79\r\n"),
        (HOT, b""),
        (RESET, b""),
    ],
)
def test_the_manual_s_examples(command: bytes, answer: bytes) -> None:
    assert Pqtm().hear(command, 0.0).octets == answer


def test_the_version_is_told() -> None:
    answer = NMEAReader.parse(Pqtm().hear(VERSION, 0.0).octets)
    assert (answer.identity, answer.verstr) == ("PQTMVERNO", "LG290P03AANR01A06S")


def test_commands_of_an_independent_implementation_are_obeyed() -> None:
    receiver = Pqtm()
    for message, answer in (
        (NMEAMessage("P", "QTMCFGFIXRATE", SET, fixinterval=200), b"$PQTMCFGFIXRATE,OK*27\r\n"),
        (NMEAMessage("P", "QTMCFGMSGRATE", SET, msgname="GSV", rate=0), b"$PQTMCFGMSGRATE,OK*29\r\n"),
        (
            NMEAMessage("P", "QTMCFGCNST", SET, gps=1, glonass=0, galileo=1, beidou=0, qzss=0, navic=0),
            b"$PQTMCFGCNST,OK*78\r\n",
        ),
        (NMEAMessage("P", "QTMSAVEPAR", SET), b"$PQTMSAVEPAR,OK*72\r\n"),
        (NMEAMessage("P", "QTMSRR", SET), b""),
    ):
        assert receiver.hear(message.serialize(), 1.0).octets == answer
    assert receiver.hear(b"", 2.0).news == (
        "obeyed rate 200 ms", "obeyed GLONASS off", "obeyed BeiDou off", "obeyed QZSS off",
    )  # fmt: skip
    assert programme(receiver).interval_ms == 200


def test_message_rates_count_at_once() -> None:
    receiver = Pqtm()
    assert receiver.hear(nmea.frame("PQTMCFGMSGRATE,W,VTG,0"), 0.0).news == ("obeyed VTG off",)
    assert receiver.hear(nmea.frame("PQTMCFGMSGRATE,W,ZDA,5"), 0.0).news == ("obeyed ZDA every 5",)
    assert (programme(receiver).rates["VTG"], programme(receiver).rates["ZDA"]) == (0, 5)


def test_the_fix_interval_counts_after_saving_and_a_reset_of_the_module() -> None:
    receiver = Pqtm()
    receiver.hear(ONE_HERTZ, 0.0)
    assert programme(receiver).interval_ms == 100, "only stored"
    receiver.hear(SAVE + HOT, 1.0)
    receiver.hear(b"", 2.0)
    assert programme(receiver).interval_ms == 100, "a hot start is not enough"
    receiver.hear(RESET, 3.0)
    reaction = receiver.hear(b"", 4.0)
    assert reaction.octets.startswith(BANNER), "a start begins with the version"
    assert reaction.news == ("obeyed rate 1000 ms",)
    assert programme(receiver).interval_ms == 1000
    assert programme(receiver).rates["GSV"] == 1


@pytest.mark.parametrize("restart", [HOT, RESET, b"$PQTMWARM*11\r\n", b"$PQTMCOLD*1C\r\n"])
def test_the_systems_count_after_saving_and_any_start(restart: bytes) -> None:
    receiver = Pqtm()
    receiver.hear(GPS_ONLY, 0.0)
    assert programme(receiver).systems == frozenset(System), "only stored"
    receiver.hear(SAVE + restart, 1.0)
    assert (receiver.programme, receiver.due_s) == (None, 2.0)
    assert receiver.hear(VERSION, 1.9) == Reaction(), "it starts"
    assert set(receiver.hear(b"", 2.0).news) == {
        f"obeyed {name} off" for name in ("GLONASS", "Galileo", "BeiDou", "QZSS")
    }
    assert programme(receiver).systems == {System.GPS, System.SBAS}


def test_what_was_not_saved_is_lost_with_a_reset() -> None:
    receiver = Pqtm()
    receiver.hear(ONE_HERTZ + GPS_ONLY + nmea.frame("PQTMCFGMSGRATE,W,VTG,0") + RESET, 0.0)
    assert receiver.hear(b"", 1.0).news == ()
    assert receiver.programme == Pqtm().programme
    assert receiver.hear(b"$PQTMCFGFIXRATE,R*71\r\n", 1.0).octets == nmea.frame("PQTMCFGFIXRATE,OK,100")


def test_a_stopped_engine_is_silent_and_its_port_is_not() -> None:
    receiver = Pqtm()
    assert receiver.hear(STOP, 0.0).news == ("asleep",)
    assert (receiver.programme, receiver.due_s) == (None, None)
    assert receiver.hear(STOP, 0.0) == Reaction(b"$PQTMGNSSSTOP,OK*21\r\n")
    assert receiver.hear(VERSION, 0.0).octets.startswith(b"$PQTMVERNO,LG290P")
    assert receiver.hear(nmea.frame("PQTMCFGMSGRATE,W,VTG,0"), 0.0).news == ("obeyed VTG off",)
    assert receiver.hear(START, 0.0).news == ("awake",)
    assert programme(receiver).rates["VTG"] == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("PQTMCFGFIXRATE,W,0", 1),  # measured by others: ERROR,1
        ("PQTMCFGFIXRATE,W,fast", 1),
        ("PQTMCFGFIXRATE,W,99999", 1),
        ("PQTMCFGFIXRATE,W", 1),
        ("PQTMCFGFIXRATE", 1),
        ("PQTMCFGCNST,W,0,0,0,0,0,0", 1),  # "It is not supported to disable all constellations at the same time"
        ("PQTMCFGCNST,W,1,1,1,1,0", 1),
        ("PQTMCFGCNST,W,1,1,1,1,0,2", 1),
        ("PQTMCFGMSGRATE,W,GGA,256", 1),
        ("PQTMCFGMSGRATE,W,XYZ,1", 1),
        ("PQTMCFGMSGRATE,R,XYZ", 1),
        ("PQTMCFGMSGRATE,W,GGA,1,0", 1),  # measured by others: the version is only for PQTM messages
        ("PQTMCFGMSGRATE,W,1,2,GGA,1", 1),
        ("PQTMSAVEPAR,1", 1),
        ("PQTMVERNO,R", 1),
        ("PQTMSRR,1", 1),
        ("PQTMCFGPPS,R,1", 3),
        ("PQTMNONSENSE", 3),
    ],
)
def test_the_error_says_why_not_and_nothing_changes(body: str, code: int) -> None:
    receiver = Pqtm()
    answer = receiver.hear(nmea.frame(body), 0.0)
    assert answer == Reaction(nmea.frame(f"{body.partition(',')[0]},ERROR,{code}"))
    assert (receiver.programme, receiver.wanted) == (Pqtm().programme, Pqtm().wanted)


def test_wrong_checksums_and_other_languages_have_no_answer() -> None:
    receiver = Pqtm()
    for data in (b"$PQTMVERNO*59\r\n", b"$PQTMVERNO\r\n", nmea.frame("PMTK605"), bytes.fromhex("b5620a0400000e34")):
        assert receiver.hear(data, 0.0) == Reaction()


def test_octet_by_octet_is_the_same_as_at_once() -> None:
    script = VERSION + ONE_HERTZ + b"\xb5b$PQTMVERNO*00\r\n" + GPS_ONLY + SAVE + STOP + START + RESET + VERSION
    whole, receiver = Pqtm().hear(script, 7.0), Pqtm()
    assert together(receiver.hear(bytes([octet]), 7.0) for octet in script) == whole
    assert whole.news == ("asleep", "awake")


@given(st.lists(st.binary(max_size=300) | st.text("$PQTMCFGSR0123,*\r\n", max_size=60).map(str.encode), max_size=8))
def test_garbage_never_raises_and_is_overcome(chunks: list[bytes]) -> None:
    receiver, now = Pqtm(), 0.0
    for chunk in chunks:
        now += 1.0
        receiver.hear(chunk, now)
    assert b"$PQTMVERNO,LG290P" in receiver.hear(b"\r\n" + VERSION, now + 10.0).octets
