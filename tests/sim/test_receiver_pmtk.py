"""Sentences with their checksums are those of the manuals, or what modules of this generation were seen to answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynmeagps import NMEAReader

from bondmate_sim import nmea
from bondmate_sim.programme import NMEA_MEDIATEK, Programme
from bondmate_sim.receiver import Reaction, together
from bondmate_sim.receiver_pmtk import Pmtk
from bondmate_sim.sky import System
from tests.sim.spoken import programme

RELEASE = b"$PMTK605*31\r\n"
STANDBY = b"$PMTK161,0*28\r\n"
BACK = b"$PMTK010,002*2D\r\n"


def test_the_factory_s_settings() -> None:
    # MC60 hardware design, table 10, for this generation: "RMC, VTG, GGA, GSA, GSV and GLL".
    assert programme(Pmtk()) == Programme(
        interval_ms=1000,
        rates={"RMC": 1, "VTG": 1, "GGA": 1, "GSA": 1, "GSV": 1, "GLL": 1},
        systems=frozenset((System.GPS, System.SBAS, System.GLONASS)),
        edition=NMEA_MEDIATEK,
    )


def test_the_release_is_told() -> None:
    answer = Pmtk().hear(RELEASE, 0.0).octets
    assert answer == b"$PMTK705,AXN_5.1.6_3333_19010218,0007,Quectel-L76L,1.0*53\r\n"
    assert NMEAReader.parse(answer).field_03 == "Quectel-L76L"


@pytest.mark.parametrize("interval_ms", [100, 200, 1000, 5000])
def test_rates_from_a_fifth_to_ten_hertz_are_obeyed(interval_ms: int) -> None:
    receiver = Pmtk()
    reaction = receiver.hear(nmea.frame(f"PMTK220,{interval_ms}"), 0.0)
    assert reaction == Reaction(b"$PMTK001,220,3*30\r\n", (f"obeyed rate {interval_ms} ms",))
    assert programme(receiver).interval_ms == interval_ms


def test_nineteen_fields_choose_the_sentences() -> None:
    receiver = Pmtk()
    reaction = receiver.hear(b"$PMTK314,0,1,0,1,0,5,0,1,0,0,0,0,0,0,0,0,0,1,0*2D\r\n", 0.0)
    assert reaction.octets == b"$PMTK001,314,3*36\r\n"
    assert {name: rate for name, rate in programme(receiver).rates.items() if rate} == {
        "RMC": 1, "GGA": 1, "GSV": 5, "GST": 1, "ZDA": 1,
    }  # fmt: skip
    assert {"obeyed RMC every 1", "obeyed GSV every 5", "obeyed GLL off", "obeyed GSA off"} < set(reaction.news)
    assert receiver.hear(b"$PMTK314,-1*04\r\n", 0.0).octets == b"$PMTK001,314,3*36\r\n"
    assert programme(receiver).rates == programme(Pmtk()).rates


@pytest.mark.parametrize(
    ("command", "answer", "heard"),
    [
        (b"$PMTK353,1,0,0,0,0*2A\r\n", b"$PMTK001,353,3,1,0,0,0,0,1*35\r\n", {"GPS"}),
        (b"$PMTK353,1,0,1,0,0*2B\r\n", nmea.frame("PMTK001,353,3,1,0,1,0,0,13"), {"GPS", "Galileo"}),
        (b"$PMTK353,1,1,1,0,0*2A\r\n", nmea.frame("PMTK001,353,3,1,1,1,0,0,15"), {"GPS", "GLONASS", "Galileo"}),
        (b"$PMTK353,0,0,0,0,1*2A\r\n", b"$PMTK001,353,3,0,0,0,0,1,48*08\r\n", {"BeiDou"}),
        (nmea.frame("PMTK353,1,1"), nmea.frame("PMTK001,353,3,1,1,0,0,0,3"), {"GPS", "GLONASS"}),
    ],
)
def test_systems_are_obeyed_and_the_module_starts_again(command: bytes, answer: bytes, heard: set[str]) -> None:
    receiver = Pmtk()
    reaction = receiver.hear(command + RELEASE, 5.0)
    assert reaction.octets == answer, "and what came behind it is lost"
    for system in ("GPS", "GLONASS", "Galileo", "BeiDou"):
        assert f"obeyed {system} {'on' if system in heard else 'off'}" in reaction.news
    assert (receiver.programme, receiver.due_s) == (None, 5.5)
    assert receiver.hear(RELEASE, 5.4) == Reaction()
    assert receiver.hear(b"", 5.5).octets == b"$PMTK011,MTKGPS*08\r\n$PMTK010,001*2E\r\n"
    assert {system.value for system in programme(receiver).systems} == heard | {"SBAS"}
    assert receiver.hear(RELEASE, 5.6).octets.startswith(b"$PMTK705,")


@pytest.mark.parametrize(
    ("body", "flag"),
    [
        ("PMTK220", 0),
        ("PMTK220,fast", 0),
        ("PMTK220,-1", 0),
        ("PMTK220,100,200", 0),
        ("PMTK220,99", 2),
        ("PMTK220,10001", 2),
        ("PMTK314,1,1,1", 0),
        ("PMTK314,0,6" + ",0" * 17, 0),
        ("PMTK314,0,x" + ",0" * 17, 0),
        ("PMTK353,1", 0),
        ("PMTK353,1,2,0,0,0", 0),
        ("PMTK353,1,1,0,0,0,0", 0),
        ("PMTK353,0,0,0,0,0", 2),
        ("PMTK353,1,1,0,0,1", 2),
        ("PMTK161,9", 0),
        ("PMTK605,1", 0),
        ("PMTK424", 1),
        ("PMTK869,1,1", 1),
    ],
)
def test_the_flag_says_why_not_and_nothing_changes(body: str, flag: int) -> None:
    receiver = Pmtk()
    assert receiver.hear(nmea.frame(body), 0.0) == Reaction(nmea.frame(f"PMTK001,{body[4:7]},{flag}"))
    assert receiver.programme == Pmtk().programme


def test_an_unknown_command_is_unsupported() -> None:
    # What an L70 answered, in gpsd's quectel-L70.log.
    assert Pmtk().hear(nmea.frame("PMTK424"), 0.0).octets == b"$PMTK001,424,1*30\r\n"


def test_wrong_checksums_and_other_languages_have_no_answer() -> None:
    receiver = Pmtk()
    for data in (
        b"$PMTK605*32\r\n",
        b"$PMTK605\r\n",
        nmea.frame("PQVERNO,R"),
        nmea.frame("PMTK60"),
        nmea.frame("PMTKABC"),
    ):
        assert receiver.hear(data, 0.0) == Reaction()
    assert receiver.hear(bytes.fromhex("b5620a0400000e34"), 0.0) == Reaction()


def test_standby_is_acknowledged_and_any_octet_ends_it_with_all_settings_kept() -> None:
    receiver = Pmtk()
    receiver.hear(nmea.frame("PMTK220,200"), 0.0)
    assert receiver.hear(STANDBY, 1.0) == Reaction(b"$PMTK001,161,3*36\r\n", ("asleep",))
    assert (receiver.programme, receiver.due_s) == (None, None)
    assert receiver.hear(b"", 1e6) == Reaction()
    assert receiver.hear(b"\xff", 2e6) == Reaction(BACK, ("awake",))
    assert programme(receiver).interval_ms == 200


def test_what_wakes_it_is_not_understood() -> None:
    receiver = Pmtk()
    receiver.hear(STANDBY, 1.0)
    assert receiver.hear(RELEASE, 2.0).octets == BACK
    assert receiver.hear(RELEASE, 2.0).octets.startswith(b"$PMTK705,")


def test_octet_by_octet_is_the_same_as_at_once() -> None:
    script = (
        RELEASE
        + b"$PMTK220,200*2C\r\n"
        + b"\xb5b$PMTK605*00\r\n"
        + STANDBY
        + RELEASE
        + RELEASE
        + nmea.frame("PMTK353,1,1")
    )
    whole, receiver = Pmtk().hear(script, 7.0), Pmtk()
    assert together(receiver.hear(bytes([octet]), 7.0) for octet in script) == whole
    assert whole.news[:3] == ("obeyed rate 200 ms", "asleep", "awake")


@given(st.lists(st.binary(max_size=300) | st.text("$PMTK0123456,*\r\n", max_size=60).map(str.encode), max_size=8))
def test_garbage_never_raises_and_is_overcome(chunks: list[bytes]) -> None:
    receiver, now = Pmtk(), 0.0
    for chunk in chunks:
        now += 1.0
        receiver.hear(chunk, now)
    assert receiver.hear(b"\r\n" + RELEASE, now + 10.0).octets.endswith(b"*53\r\n")
