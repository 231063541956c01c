"""The dialects, by the makers' manuals."""

import pytest

from bondmate.core.at import Digester, Response, Said
from bondmate.core.dialects import DIALECTS, MAX_DATAGRAM, QUECTEL, SIMCOM, Dialect, Event, Kind, choose, fill


@pytest.mark.parametrize(
    ("said", "dialect", "model"),
    [
        (["Quectel", "EC25", "Revision: EC25EFAR06A01M4G"], QUECTEL, "Quectel EC25"),
        (["Quectel", "EG25", "Revision: EG25GGBR07A08M2G"], QUECTEL, "Quectel EG25"),
        (["Quectel", "BG96", "Revision: BG96MAR02A07M1G"], QUECTEL, "Quectel BG96"),
        (
            ["Manufacturer: SIMCOM INCORPORATED", "Model: SIMCOM_SIM7600E-H", "Revision: SIM7600M22_V1.1"],
            SIMCOM,
            "SIMCom SIM7600",
        ),
        (["SIMCOM_SIM7600G-H"], SIMCOM, "SIMCom SIM7600"),
        (["Quectel", "M95"], None, ""),
        ([], None, ""),
    ],
)
def test_the_dialect_is_chosen_by_what_a_modem_says_that_it_is(
    said: list[str], dialect: Dialect | None, model: str
) -> None:
    assert choose(said) == (None if dialect is None else (dialect, model))


@pytest.mark.parametrize(
    ("dialect", "line", "event"),
    [
        (QUECTEL, '+QIURC: "recv",0', Event(Kind.RECEIVED, 0)),
        (QUECTEL, '+QIURC: "closed",11', Event(Kind.CLOSED, 11)),
        (QUECTEL, '+QIURC: "pdpdeact",1', Event(Kind.DEACTIVATED)),
        (QUECTEL, '+QIURC: "pdpdeact",2', None),
        (QUECTEL, '+QIURC: "incoming full"', None),
        (QUECTEL, "+QIOPEN: 0,0", Event(Kind.OPENED, 0, 0)),
        (QUECTEL, "+QIOPEN: 1,566", Event(Kind.OPENED, 1, 566)),
        (QUECTEL, "RDY", Event(Kind.RESTARTED)),
        (QUECTEL, "+CPIN: NOT READY", Event(Kind.SIM)),
        (QUECTEL, "+QSIMSTAT: 1,0", Event(Kind.SIM)),
        (SIMCOM, "+CIPRXGET: 1,0", Event(Kind.RECEIVED, 0)),
        (SIMCOM, "+IPCLOSE: 0,1", Event(Kind.CLOSED, 0)),
        (SIMCOM, "+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY", Event(Kind.DEACTIVATED)),
        (SIMCOM, "+CIPOPEN: 0,0", Event(Kind.OPENED, 0, 0)),
        (SIMCOM, "+NETOPEN: 0", Event(Kind.ACTIVATED, None, 0)),
        (SIMCOM, "+NETOPEN: 1", Event(Kind.ACTIVATED, None, 1)),
        (SIMCOM, "+CIPSEND: 0,5,5", Event(Kind.SENT, 0, 5)),
        (SIMCOM, "+CIPSEND: 0,5,-1", Event(Kind.SENT, 0, -1)),
        (SIMCOM, "+SIMCARD: NOT AVAILABLE", Event(Kind.SIM)),
        (SIMCOM, '+QIURC: "recv",0', None),
        (SIMCOM, "PB DONE", None),
    ],
)
def test_what_unsolicited_results_mean(dialect: Dialect, line: str, event: Event | None) -> None:
    assert dialect.event(line) == event


@pytest.mark.parametrize(
    ("dialect", "octets", "data"),
    [
        (QUECTEL, b"\r\n+QIRD: 4\r\nabcd\r\n\r\nOK\r\n", b"abcd"),
        (QUECTEL, b"\r\n+QIRD: 0\r\n\r\nOK\r\n", b""),
        (QUECTEL, b'\r\n+QIRD: 4,"192.0.2.1",5683\r\nabcd\r\n\r\nOK\r\n', b"abcd"),
        (SIMCOM, b"\r\n+CIPRXGET: 2,0,4,0\r\nabcd\r\n\r\nOK\r\n", b"abcd"),
        (SIMCOM, b"\r\n+IP ERROR: No data\r\n\r\nERROR\r\n", None),
    ],
)
def test_what_was_read_is_found_in_the_answer(dialect: Dialect, octets: bytes, data: bytes | None) -> None:
    digester = Digester()
    digester.begin(fill(dialect.read, socket=0))
    said: list[Said] = digester.feed(octets)
    [response] = said
    assert isinstance(response, Response)
    assert response.data == data


def test_commands_are_those_of_the_manuals() -> None:
    there = {"socket": 0, "host": "192.0.2.1", "port": 5683, "local_port": 5000}
    assert fill(QUECTEL.open, **there).text == 'AT+QIOPEN=1,0,"UDP","192.0.2.1",5683,0,0'
    assert fill(SIMCOM.open, **there).text == 'AT+CIPOPEN=0,"UDP",,,5000'
    assert fill(QUECTEL.send, length=5, **there).text == "AT+QISEND=0,5"
    assert fill(SIMCOM.send, length=5, **there).text == 'AT+CIPSEND=0,5,"192.0.2.1",5683'
    assert fill(QUECTEL.context, apn="internet").text == 'AT+QICSGP=1,1,"internet","","",0'
    assert fill(SIMCOM.context, apn="internet").text == 'AT+CGDCONT=1,"IP","internet"'
    assert fill(QUECTEL.read, socket=1).text == "AT+QIRD=1,1500"
    assert fill(SIMCOM.read, socket=1).text == "AT+CIPRXGET=2,1,1500"
    assert QUECTEL.active.fullmatch('+QIACT: 1,1,1,"10.0.0.2"')
    assert not QUECTEL.active.fullmatch('+QIACT: 1,0,1,"0.0.0.0"')
    assert SIMCOM.active.fullmatch("+NETOPEN: 1")
    assert not SIMCOM.active.fullmatch("+NETOPEN: 0")
    found = SIMCOM.resolved.fullmatch('+CDNSGIP: 1,"gateway.example","192.0.2.1"')
    assert found is not None
    assert found[1] == "192.0.2.1"


@pytest.mark.parametrize("apn", ['a"b', "a\rb", "a\\b", "a\x00"])
def test_nothing_that_ends_a_line_or_its_quotes_is_said(apn: str) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        fill(QUECTEL.context, apn=apn)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.maker)
def test_errors_have_names_and_strange_ones_their_numbers(dialect: Dialect) -> None:
    assert dialect.why(9999) == "error 9999"
    assert all(dialect.errors.values())
    assert MAX_DATAGRAM <= 1460


def test_reasons_are_those_of_the_manuals() -> None:
    assert QUECTEL.why(565) == "DNS parse failed"
    assert QUECTEL.why(563) == "socket identity has been used"
    assert SIMCOM.why(2) == "network not opened"
