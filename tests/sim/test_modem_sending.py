import pytest

from bondmate_sim.modem_effects import Submit
from bondmate_sim.short_message import UserData
from tests.sim.modem_bench import Bench

HELLO = UserData(0, False, 10, bytes.fromhex("E8329BFD4697D9EC37"))
SUBMIT = "0011000B916407281553F80000AA0AE8329BFD4697D9EC37"
BINARY = UserData(4, False, 140, bytes(range(140)))


def test_a_message_goes_out_in_pdu_mode_when_the_centre_has_it() -> None:
    bench = Bench()
    assert bench.hear(b"AT+CMGS=23\r") == b"\r\n> "
    assert bench.hear(SUBMIT.encode() + b"\x1a") == b""
    [submit] = bench.taken(Submit)
    assert (submit.to, submit.data) == ("+46708251358", HELLO)
    assert bench.submitted(submit.name) == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"
    assert bench.submitted(submit.name) == b"", "once"


def test_140_octets_go_out() -> None:
    bench = Bench()
    pdu = "00" + "01000B916407281553F8" + "0004" + "8C" + BINARY.octets.hex()
    bench.hear(f"AT+CMGS={len(pdu) // 2 - 1}\r".encode())
    bench.hear(pdu.encode() + b"\x1a")
    assert [submit.data for submit in bench.taken(Submit)] == [BINARY]


def test_escape_sends_nothing() -> None:
    bench = Bench()
    bench.hear(b"AT+CMGS=23\r")
    assert bench.hear(SUBMIT.encode() + b"\x1b") == b"\r\nOK\r\n"
    assert bench.taken(Submit) == []
    assert bench.ask("AT") == "OK"


@pytest.mark.parametrize(
    ("line", "entered", "error"),
    [
        ("AT+CMGS=22", SUBMIT, 304),
        ("AT+CMGS=23", SUBMIT[:-2], 304),
        ("AT+CMGS=23", SUBMIT[:-1] + "x", 304),
        ("AT+CMGS=23", "", 304),
    ],
)
def test_a_wrong_pdu_is_refused(line: str, entered: str, error: int) -> None:
    bench = Bench()
    bench.hear(line.encode() + b"\r")
    assert bench.hear(entered.encode() + b"\x1a") == b"\r\n+CMS ERROR: %d\r\n" % error
    assert bench.taken(Submit) == []


def test_no_way_out() -> None:
    bench = Bench(registration="searching")
    bench.hear(b"AT+CMGS=23\r")
    assert bench.hear(SUBMIT.encode() + b"\x1a") == b"\r\n+CMS ERROR: 331\r\n"
    bench = Bench()
    bench.tell("AT+CMEE=2")
    bench.hear(b"AT+CMGS=23\r")
    bench.hear(SUBMIT.encode() + b"\x1a")
    assert bench.submitted("m1", "full") == b"\r\n+CMS ERROR: Short message transfer rejected\r\n"
    bench.hear(b"AT+CMGS=23\r")
    bench.hear(SUBMIT.encode() + b"\x1a")
    bench.wait(9.9)
    assert bench.take() == b""
    bench.wait(0.2)
    assert bench.take() == b"\r\n+CMS ERROR: network timeout\r\n"
    assert Bench(has_sim=False).ask("AT+CMGS=23") == "+CMS ERROR: 310"
    assert Bench(pin="1234").ask("AT+CMGL") == "+CMS ERROR: 311"
    bench.tell('AT+CSCA=""')
    bench.hear(b"AT+CMGS=23\r")
    assert bench.hear(SUBMIT.encode() + b"\x1a") == b"\r\n+CMS ERROR: SMSC address unknown\r\n"


def test_the_centre_s_number() -> None:
    bench = Bench()
    assert bench.ask("AT+CSCA?") == '+CSCA: "+4915550000",145\r\n\r\nOK'
    bench.tell('AT+CSCA="+27381000015",145')
    assert bench.ask("AT+CSCA?") == '+CSCA: "+27381000015",145\r\n\r\nOK'
    bench.deliver("c1", HELLO)
    assert "07917283010010F5" in bench.ask("AT+CMGR=0")
