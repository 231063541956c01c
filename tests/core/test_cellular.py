"""Lines of modems to values: examples of TS 27.007 and of the makers' manuals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core import cellular
from bondmate.core.cellular import Cell, Operator, Registration, Signal, Sim

LTE = ("1A2B", "0102A3F1", "LTE")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('+CEREG: 2,1,"1A2B","0102A3F1",7', Cell(Registration.HOME, *LTE)),
        ('+CEREG: 1,"1A2B","0102A3F1",7', Cell(Registration.HOME, *LTE)),
        ("+CEREG: 2,5,1A2B,0102A3F1,7", Cell(Registration.ROAMING, *LTE)),
        ('+CEREG: 5,"1A2B","0102A3F1",8', Cell(Registration.ROAMING, "1A2B", "0102A3F1", "LTE-M")),
        ('+CEREG: 1,"1A2B","0102A3F1",9', Cell(Registration.HOME, "1A2B", "0102A3F1", "NB-IoT")),
        ('+CREG: 2,1,"0C1F","9A",0', Cell(Registration.HOME, "0C1F", "9A", "GSM")),
        ('+CREG: 1,"0012","34",2', Cell(Registration.HOME, "0012", "34", "UMTS")),
        ("+CREG: 1,0012,34,2", Cell(Registration.HOME, "0012", "34", "UMTS")),
        ("+CEREG: 0,1", Cell(Registration.HOME)),
        ("+CEREG: 2,2", Cell(Registration.SEARCHING)),
        ("+CEREG: 3", Cell(Registration.DENIED)),
        ("+CEREG: 0", Cell(Registration.NOT)),
        ("+CREG: 0,6", Cell(Registration.HOME)),
        ("+CREG: 0,7", Cell(Registration.ROAMING)),
        ("+CREG: 8", Cell(Registration.NOT)),
        ("+CREG: 0,10", Cell(Registration.ROAMING)),
        ('+CEREG: 4,1,"1A2B","0102A3F1",7,,,"00000001","00000001"', Cell(Registration.HOME, *LTE)),
        ("+CEREG: 12", None),
        ("+CEREG: ", None),
        ("+CEREG: x,1", None),
        ("+COPS: 0", None),
    ],
)
def test_registration(line: str, said: Cell | None) -> None:
    assert cellular.cell(line) == said


def test_registered_is_at_home_or_roaming() -> None:
    assert {one for one in Registration if one.is_registered} == {Registration.HOME, Registration.ROAMING}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        # 27.007, 8.69: 0 is below -140 dBm, 97 is -44 dBm or more; 0 below -19.5 dB, 34 is -3 dB or more
        ("+CESQ: 99,99,255,255,20,51", Signal(-90.0, -10.0)),
        ("+CESQ: 99,99,255,255,34,97", Signal(-44.0, -3.0)),
        ("+CESQ: 99,99,255,255,1,1", Signal(-140.0, -19.5)),
        ("+CESQ: 99,99,255,255,255,255", Signal()),
        # the manual of BG96: SINR = X / 5 - 20
        ('+QCSQ: "CAT-M1",-52,-81,195,-10', Signal(-81.0, -10.0, 19.0)),
        ('+QCSQ: "LTE",-69,-102,150,-12', Signal(-102.0, -12.0, 10.0)),
        ('+QCSQ: "NOSERVICE"', Signal()),
        ('+QCSQ: "GSM",-69', Signal()),
        ('+QCSQ: "WCDMA",-60,-70,-5', Signal()),
        # tenths, and twice the last, less 20 dB
        ("+CPSI: LTE,Online,460-01,0x74,2519,203,EUTRAN-BAND8,3740,3,3,-92,-672,-418,14", Signal(-67.2, -9.2, 8.0)),
        ("+CPSI: NO SERVICE,Online", Signal()),
        ("+CPSI: GSM,Online,460-00,0x182d,12401,27 EGSM 900,-64,2110,42-42", Signal()),
        # positive numbers are what some firmware has for these, and no measurement
        ("+CPSI: LTE,Online,460-11,0x774B,126375687,303,EUTRAN-BAND1,100,5,0,12,36,42,5", Signal(None, 1.2, -10.0)),
        ("+CSQ: 20,99", None),
        ("+CESQ: 1", None),
    ],
)  # fmt: skip
def test_signal(line: str, said: Signal | None) -> None:
    assert cellular.signal(line) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('+COPS: 0,0,"MEO",7', Operator("MEO", "LTE")),
        ('+COPS: 1,2,"26806"', Operator("26806")),
        ('+COPS: 0,0,"",7', Operator(None, "LTE")),
        ("+COPS: 0", Operator(None)),
        ('+COPS: (2,"MEO","MEO","26806",7)', None),
    ],
)
def test_operator(line: str, said: Operator | None) -> None:
    assert cellular.operator(line) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("+CPIN: READY", Sim.READY), ("+CPIN:READY", Sim.READY), ("+CPIN: SIM PIN", Sim.PIN),
        ("+CPIN: SIM PUK", Sim.PUK), ("+CPIN: SIM PIN2", Sim.READY), ("+CPIN: PH-NET PIN", Sim.LOCKED),
        ("+CPIN: NOT INSERTED", Sim.ABSENT), ("+CPIN: NOT READY", Sim.ABSENT), ("+CPBS: 1", None),
    ],
)  # fmt: skip
def test_the_state_of_the_sim(line: str, said: Sim | None) -> None:
    assert cellular.sim(line) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (10, Sim.ABSENT),
        (11, Sim.PIN),
        (12, Sim.PUK),
        (13, Sim.FAILED),
        (14, Sim.BUSY),
        (3, Sim.FAILED),
        (None, Sim.FAILED),
    ],
)
def test_what_an_error_says_of_the_sim(number: int | None, said: Sim) -> None:
    assert cellular.sim_of_error(number) is said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('+QPINC: "SC",3,10', 3), ('+QPINC: "P2",3,10', None), ("+SPIC: 2,10,0,10", 2), ("+CPINR: SIM PIN,1,3", 1),
        ("+CPINR: SIM PIN2,1,3", None), ("+SPIC: x", None),
    ],
)  # fmt: skip
def test_attempts_at_the_pin(line: str, said: int | None) -> None:
    assert cellular.attempts(line) == said


def test_the_numbers_of_equipment_and_sim() -> None:
    assert cellular.imei("861234567890123") == "861234567890123"
    assert cellular.imei('+CGSN: "861234567890123"') == "861234567890123"
    assert cellular.imei("OK") is None
    assert cellular.iccid("+QCCID: 8935101234567890123F") == "8935101234567890123"
    assert cellular.iccid("+ICCID: 89351012345678901234") == "89351012345678901234"
    assert cellular.iccid("+ICCID: 12") is None


PARSERS = [
    cellular.cell, cellular.signal, cellular.operator, cellular.sim, cellular.attempts, cellular.imei, cellular.iccid,
]  # fmt: skip
BEGINNINGS = ["+CEREG: ", "+CESQ: ", "+QCSQ: ", "+CPSI: LTE,Online,", "+COPS: 0,", "+CPIN: ", "+SPIC: ", ""]


@given(st.sampled_from(BEGINNINGS), st.text('0123456789,"-ABCDEF²٣', max_size=60))
def test_no_line_raises(beginning: str, rest: str) -> None:
    for parser in PARSERS:
        parser(beginning + rest)
    found = cellular.signal(beginning + rest)
    if found is not None and found.rsrp_dbm is not None:
        assert -160 <= found.rsrp_dbm <= -30
