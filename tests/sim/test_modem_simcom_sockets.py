from typing import Any

import pytest

from bondmate_sim.modem_effects import CloseSocket, OpenSocket, SendDatagram
from tests.sim.modem_bench import SERVER, Bench

SEND = f'AT+CIPSEND=1,%s,"{SERVER[0]}",{SERVER[1]}'
OPEN = 'AT+CIPOPEN=1,"UDP",,,0'


def online(**setup: Any) -> Bench:
    bench = Bench(dialect="simcom", **setup)
    assert bench.ask("AT+NETOPEN") == "OK\r\n\r\n+NETOPEN: 0"
    return bench


def opened(*, manual: bool = True) -> Bench:
    bench = online()
    bench.tell(f"AT+CIPRXGET={int(manual)}")
    assert bench.hear(OPEN.encode() + b"\r") == b""
    bench.open_sockets()
    assert bench.take() == b"\r\n+CIPOPEN: 1,0\r\n\r\nOK\r\n"
    return bench


def test_the_network_opens_and_closes() -> None:
    bench = online()
    assert bench.ask("AT+NETOPEN?") == "+NETOPEN: 1\r\n\r\nOK"
    assert bench.ask("AT+NETOPEN") == "+IP ERROR: Network is already opened\r\n\r\nERROR"
    assert bench.ask("AT+IPADDR") == "+IPADDR: 10.64.0.2\r\n\r\nOK"
    assert bench.ask("AT+NETCLOSE") == "OK\r\n\r\n+NETCLOSE: 0"
    assert bench.ask("AT+NETOPEN?") == "+NETOPEN: 0\r\n\r\nOK"
    assert bench.ask("AT+NETCLOSE") == "+NETCLOSE: 2\r\n\r\nERROR"
    assert bench.ask("AT+IPADDR") == "+IP ERROR: Network not opened\r\n\r\nERROR"


def test_the_network_does_not_open_elsewhere_or_under_another_name() -> None:
    nowhere = Bench(dialect="simcom", registration="searching")
    assert nowhere.ask("AT+NETOPEN") == "OK\r\n\r\n+NETOPEN: 1"
    bench = Bench(dialect="simcom", apn="police.example")
    assert bench.ask("AT+NETOPEN") == "OK\r\n\r\n+NETOPEN: 1"
    bench.tell('AT+CGDCONT=1,"IP","police.example"')
    assert bench.ask("AT+NETOPEN") == "OK\r\n\r\n+NETOPEN: 0"


def test_a_socket_opens_before_the_ok_and_closes() -> None:
    bench = online()
    assert bench.hear(b'AT+CIPOPEN=3,"UDP",,,5000\r') == b""
    assert bench.taken(OpenSocket) == [OpenSocket(3, None, 5000)]
    bench.effects += bench.modem.opened(3, 5000, True, bench.now_s)
    assert bench.take() == b"\r\n+CIPOPEN: 3,0\r\n\r\nOK\r\n"
    assert '\r\n+CIPOPEN: 3,"UDP",' in bench.ask("AT+CIPOPEN?")
    assert bench.ask("AT+CIPCLOSE?") == "+CIPCLOSE: 0,0,0,1,0,0,0,0,0,0\r\n\r\nOK"
    assert bench.ask('AT+CIPOPEN=3,"UDP",,,5000') == "+CIPOPEN: 3,4\r\n\r\nERROR"
    assert bench.ask("AT+CIPCLOSE=3") == "+CIPCLOSE: 3,0\r\n\r\nOK"
    assert bench.taken(CloseSocket) == [CloseSocket(3)]
    assert bench.ask("AT+CIPCLOSE=3") == "+CIPCLOSE: 3,4\r\n\r\nERROR"


def test_what_cannot_be_opened() -> None:
    bench = Bench(dialect="simcom")
    assert bench.ask(OPEN) == "+CIPOPEN: 1,2\r\n\r\nERROR"
    bench = online()
    bench.hear(OPEN.encode() + b"\r")
    bench.effects += bench.modem.opened(1, None, True, bench.now_s)
    assert bench.take() == b"\r\n+CIPOPEN: 1,5\r\n\r\nERROR\r\n"
    bench.hear(OPEN.encode() + b"\r")
    bench.suffer("lose-context")
    assert bench.take().startswith(b"\r\n+CIPOPEN: 1,1\r\n\r\nERROR\r\n"), "no command hangs"
    assert bench.ask("AT") == "OK"


def test_octets_are_counted_and_sent_whatever_they_are() -> None:
    bench = opened()
    octets = b"\x1a\x1b\r\n\x00AT\xff"
    assert bench.hear(SEND.replace("%s", "8").encode() + b"\r") == b"\r\n>"
    assert bench.hear(octets) == b"\r\nOK\r\n\r\n+CIPSEND: 1,8,8\r\n"
    assert bench.taken(SendDatagram) == [SendDatagram(1, octets, SERVER)]
    assert bench.hear(SEND.replace("%s", "").encode() + b"\rhello\x1a") == b"\r\n>\r\nOK\r\n\r\n+CIPSEND: 1,5,5\r\n"
    assert bench.hear(SEND.replace("%s", "").encode() + b"\rhello\x1b") == b"\r\n>\r\nOK\r\n"
    assert bench.taken(SendDatagram) == [SendDatagram(1, b"hello", SERVER)]


def test_what_cannot_be_sent() -> None:
    bench = online()
    assert bench.ask(SEND.replace("%s", "8")) == "+CIPERROR: 4\r\n\r\nERROR"
    bench = opened()
    assert bench.ask(SEND.replace("%s", "1501")) == "+CME ERROR: Incorrect parameters"
    bench.suffer("fail-sends", count=1)
    for sent in (0, 2):
        said = bench.hear(SEND.replace("%s", "2").encode() + b"\rhi").decode()
        assert said == f"\r\n>\r\nOK\r\n\r\n+CIPSEND: 1,2,{sent}\r\n"
    assert len(bench.taken(SendDatagram)) == 1


def test_manual_reading() -> None:
    bench = opened()
    assert bench.ask("AT+CIPRXGET?") == "+CIPRXGET: 1\r\n\r\nOK"
    assert bench.receive(1, b"first") == b"\r\n+CIPRXGET: 1,1\r\n"
    assert bench.receive(1, b"second") == b""
    assert bench.ask("AT+CIPRXGET=4,1") == "+CIPRXGET: 4,1,11\r\n\r\nOK"
    assert bench.ask("AT+CIPRXGET=2,1,1500") == "+CIPRXGET: 2,1,5,6\r\nfirst\r\n\r\nOK"
    assert bench.ask("AT+CIPRXGET=2,1,2") == "+CIPRXGET: 2,1,2,4\r\nse\r\n\r\nOK"
    assert bench.ask("AT+CIPRXGET=3,1,100") == "+CIPRXGET: 3,1,4,0\r\n636F6E64\r\n\r\nOK"
    assert bench.ask("AT+CIPRXGET=2,1") == "+IP ERROR: No data\r\n\r\nERROR"
    assert bench.ask("AT+CIPRXGET=2,5") == "+IP ERROR: Operation not supported\r\n\r\nERROR"
    assert bench.receive(1, b"third") == b"\r\n+CIPRXGET: 1,1\r\n"


def test_reading_by_itself() -> None:
    bench = opened(manual=False)
    assert bench.receive(1, b"\r\nOK\r\n") == b"\r\nRECV FROM:192.0.2.7:5683\r\n+IPD6\r\n\r\nOK\r\n\r\n"
    bench.tell("AT+CIPSRIP=0")
    assert bench.receive(1, b"hi") == b"\r\n+IPD2\r\nhi\r\n"
    bench.tell("AT+CIPHEAD=0")
    assert bench.receive(1, b"hi") == b"\r\nhi\r\n"
    assert bench.ask("AT+CIPRXGET=4,1") == "+IP ERROR: Operation not supported\r\n\r\nERROR"


def test_a_lost_socket_is_closed() -> None:
    bench = opened()
    bench.suffer("lose-socket", link=1)
    assert bench.take() == b"\r\n+IPCLOSE: 1,1\r\n"
    assert bench.taken(CloseSocket) == [CloseSocket(1)]
    assert bench.ask(SEND.replace("%s", "8")) == "+CIPERROR: 4\r\n\r\nERROR"
    assert bench.hear(OPEN.encode() + b"\r") == b""


@pytest.mark.parametrize("cause", [{"op": "lose-context"}, {"op": "registration", "state": "none"}])
def test_a_lost_network_takes_all_sockets(cause: dict[str, str]) -> None:
    bench = opened()
    bench.suffer(**cause)
    assert bench.take() == b"\r\n+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n"
    assert bench.taken(CloseSocket) == [CloseSocket(1)]
    assert bench.ask("AT+NETOPEN?") == "+NETOPEN: 0\r\n\r\nOK"


def test_a_socket_lost_while_data_are_entered() -> None:
    bench = opened()
    bench.hear(SEND.replace("%s", "2").encode() + b"\rh")
    bench.suffer("lose-socket", link=1)
    assert bench.take() == b""
    assert bench.hear(b"i") == b"\r\nOK\r\n\r\n+CIPSEND: 1,2,-1\r\n\r\n+IPCLOSE: 1,1\r\n"
