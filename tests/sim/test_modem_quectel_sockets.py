from typing import Any

import pytest

from bondmate_sim.modem_effects import CloseSocket, OpenSocket, SendDatagram
from tests.sim.modem_bench import SERVER, Bench

OPEN = f'AT+QIOPEN=1,0,"UDP","{SERVER[0]}",{SERVER[1]},0'


def online(**setup: Any) -> Bench:
    bench = Bench(**setup)
    bench.tell("AT+QIACT=1")
    return bench


def opened(mode: int = 0, **setup: Any) -> Bench:
    bench = online(**setup)
    assert bench.ask(f"{OPEN},{mode}") == "OK"
    bench.open_sockets()
    assert bench.take() == b"\r\n+QIOPEN: 0,0\r\n"
    return bench


def test_a_context_is_configured_activated_and_deactivated() -> None:
    bench = Bench(apn="police.example")
    bench.tell('AT+QICSGP=1,1,"wrong","","",0')
    assert bench.ask("AT+QIACT=1") == "ERROR"
    assert bench.ask("AT+QIGETERROR") == "+QIGETERROR: 561,open PDP context failed\r\n\r\nOK"
    bench.tell('AT+QICSGP=1,1,"police.example","","",0')
    assert bench.ask("AT+QICSGP=1") == '+QICSGP: 1,"police.example","","",0\r\n\r\nOK'
    assert bench.ask("AT+CGDCONT?").startswith('+CGDCONT: 1,"IP","police.example"')
    assert bench.ask("AT+QIACT?") == "OK"
    bench.tell("AT+QIACT=1")
    assert bench.ask("AT+QIACT?") == '+QIACT: 1,1,1,"10.64.0.2"\r\n\r\nOK'
    assert bench.ask("AT+QIACT=1") == "ERROR"
    bench.tell("AT+QIDEACT=1")
    assert bench.ask("AT+QIACT?") == "OK"
    assert bench.ask("AT+QIACT=17") == "ERROR"
    assert bench.ask("AT+QIGETERROR") == "+QIGETERROR: 552,invalid parameters\r\n\r\nOK"


def test_no_context_without_a_network() -> None:
    assert Bench(registration="denied").ask("AT+QIACT=1") == "ERROR"


def test_a_socket_opens_later_and_has_a_state() -> None:
    bench = online()
    assert bench.ask(f"{OPEN},0") == "OK"
    assert bench.ask("AT+QISTATE=1,0") == f'+QISTATE: 0,"UDP","{SERVER[0]}",{SERVER[1]},0,1,1,0,0,"usbmodem"\r\n\r\nOK'
    assert bench.taken(OpenSocket) == [OpenSocket(0, SERVER, 0)]
    bench.modem.opened(0, 40_000, True, bench.now_s)
    expected = f'+QISTATE: 0,"UDP","{SERVER[0]}",{SERVER[1]},40000,2,1,0,0,"usbmodem"\r\n\r\nOK'
    for line in ("AT+QISTATE=1,0", "AT+QISTATE=0,1", "AT+QISTATE?", "AT+QISTATE"):
        assert bench.ask(line) == expected
    assert bench.ask("AT+QISTATE=1,1") == "OK"
    bench.tell("AT+QICLOSE=0")
    assert bench.taken(CloseSocket) == [CloseSocket(0)]
    assert bench.ask("AT+QISTATE?") == "OK"
    bench.tell("AT+QICLOSE=0")


@pytest.mark.parametrize(("found", "error"), [(False, 565), (True, 566)])
def test_a_socket_that_cannot_be_made(found: bool, error: int) -> None:
    bench = online()
    bench.tell('AT+QIOPEN=1,0,"UDP","nowhere.example",5683,0,1')
    bench.effects += bench.modem.opened(0, None, found, bench.now_s)
    assert bench.take() == b"\r\n+QIOPEN: 0,%d\r\n" % error
    assert bench.ask("AT+QISTATE?") == "OK"


def test_what_cannot_be_opened() -> None:
    bench = Bench()
    assert bench.ask(f"{OPEN},0") == "OK\r\n\r\n+QIOPEN: 0,561"
    bench = opened()
    assert bench.ask(f"{OPEN},0") == "OK\r\n\r\n+QIOPEN: 0,563"
    for line in ('AT+QIOPEN=1,12,"UDP","x",1,0,0', 'AT+QIOPEN=1,1,"UDP","x",0,0,0', 'AT+QIOPEN=1,1,"UDP","x",1,0,2'):
        assert bench.ask(line) == "ERROR"
        assert bench.ask("AT+QIGETERROR").startswith("+QIGETERROR: 552,")
    assert bench.ask('AT+QIOPEN=1,1,"TCP","x",1,0,0') == "ERROR"
    assert bench.ask("AT+QIGETERROR").startswith("+QIGETERROR: 555,")


def test_octets_are_counted_and_sent_whatever_they_are() -> None:
    bench = opened()
    octets = b"\x1a\x1b\r\n\x00AT\xff"
    assert bench.hear(b"AT+QISEND=0,%d\r" % len(octets)) == b"\r\n> "
    assert bench.hear(octets[:3]) == b""
    assert bench.hear(octets[3:] + b"AT\r") == b"\r\nSEND OK\r\n\r\nOK\r\n"
    assert bench.taken(SendDatagram) == [SendDatagram(0, octets)]
    assert bench.ask("AT+QISEND=0,0") == "+QISEND: 8,8,0\r\n\r\nOK"


def test_octets_up_to_ctrl_z_and_in_hexadecimal() -> None:
    bench = opened()
    assert bench.hear(b"AT+QISEND=0\r") == b"\r\n> "
    assert bench.hear(b"hello\x1a") == b"\r\nSEND OK\r\n"
    assert bench.hear(b"AT+QISEND=0\rhello\x1b") == b"\r\n> \r\nOK\r\n"
    assert bench.ask('AT+QISENDEX=0,"00ff"') == "SEND OK"
    assert [sent.octets for sent in bench.taken(SendDatagram)] == [b"hello", b"\x00\xff"]


def test_what_cannot_be_sent() -> None:
    bench = opened()
    for line in ("AT+QISEND=1,5", "AT+QISEND=0,1461", "AT+QISEND=0,x", "AT+QISENDEX=0,zz"):
        assert bench.ask(line) == "ERROR"
    bench.suffer("fail-sends", count=2)
    for verdict in ("SEND FAIL", "SEND FAIL", "SEND OK"):
        assert bench.hear(b"AT+QISEND=0,2\rhi").decode() == f"\r\n> \r\n{verdict}\r\n"
    assert len(bench.taken(SendDatagram)) == 1


def test_data_are_echoed_only_where_echo_is_on_and_wanted() -> None:
    bench = opened()
    bench.tell("ATE1")
    assert bench.hear(b"AT+QISEND=0,2\rhi") == b"AT+QISEND=0,2\r\r\n> hi\r\nSEND OK\r\n"
    bench.hear(b"AT+QISDE=0\r")
    assert bench.hear(b"AT+QISEND=0,2\rhi") == b"AT+QISEND=0,2\r\r\n> \r\nSEND OK\r\n"


def test_buffer_mode_says_once_that_something_is_there() -> None:
    bench = opened()
    assert bench.receive(0, b"first") == b'\r\n+QIURC: "recv",0\r\n'
    assert bench.receive(0, b"second") == b""
    assert bench.ask("AT+QIRD=0,0") == "+QIRD: 11,0,11\r\n\r\nOK"
    assert bench.ask("AT+QIRD=0,1500") == "+QIRD: 5\r\nfirst\r\n\r\nOK"
    assert bench.receive(0, b"third") == b"", "the second is unread yet"
    assert bench.ask("AT+QIRD=0,2") == "+QIRD: 2\r\nse\r\n\r\nOK"
    assert bench.ask("AT+QIRD=0") == "+QIRD: 4\r\ncond\r\n\r\nOK"
    assert bench.ask("AT+QIRD=0") == "+QIRD: 5\r\nthird\r\n\r\nOK"
    assert bench.ask("AT+QIRD=0") == "+QIRD: 0\r\n\r\nOK"
    assert bench.ask("AT+QIRD=0,0") == "+QIRD: 16,16,0\r\n\r\nOK"
    assert bench.receive(0, b"") == b'\r\n+QIURC: "recv",0\r\n'


def test_a_buffer_has_an_end() -> None:
    bench = opened()
    for _ in range(20):
        bench.receive(0, bytes(1_000))
    assert bench.ask("AT+QIRD=0,0") == "+QIRD: 10000,0,10000\r\n\r\nOK"


def test_push_mode_says_what_came() -> None:
    bench = opened(1)
    assert bench.receive(0, b"\r\nOK\r\n\x00") == b'\r\n+QIURC: "recv",0,7\r\n\r\nOK\r\n\x00\r\n'
    assert bench.ask("AT+QISTATE=1,0").endswith(',2,1,0,1,"usbmodem"\r\n\r\nOK')


def test_a_lost_socket_is_told_and_must_be_closed() -> None:
    bench = opened()
    bench.suffer("lose-socket", link=0)
    assert bench.take() == b'\r\n+QIURC: "closed",0\r\n'
    assert bench.taken(CloseSocket) == [CloseSocket(0)]
    assert bench.ask("AT+QISEND=0,5") == "ERROR"
    assert bench.ask("AT+QISTATE=1,0").split(",")[5] == "4"
    assert bench.ask(f"{OPEN},0") == "OK\r\n\r\n+QIOPEN: 0,563"
    bench.tell("AT+QICLOSE=0")
    bench.tell(f"{OPEN},0")
    with pytest.raises(ValueError, match="no socket 5"):
        bench.suffer("lose-socket", link=5)


def test_a_lost_context_must_be_deactivated_first() -> None:
    bench = opened()
    bench.suffer("lose-context")
    assert bench.take() == b'\r\n+QIURC: "pdpdeact",1\r\n'
    assert bench.ask("AT+QISEND=0,5") == "ERROR"
    assert bench.ask("AT+QIACT=1") == "ERROR"
    bench.tell("AT+QIDEACT=1")
    bench.tell("AT+QIACT=1")
    bench.tell(f"{OPEN},0")


def test_the_network_s_end_is_the_context_s() -> None:
    bench = opened()
    bench.suffer("registration", state="searching")
    assert bench.take() == b'\r\n+QIURC: "pdpdeact",1\r\n'
