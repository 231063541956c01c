import pytest

from bondmate_sim.modem_card import ICCID, IMSI, PUK
from bondmate_sim.modem_effects import PortBack, PortGone
from tests.sim.modem_bench import Bench


def luhn_sum(digits: str) -> int:
    doubled = [sum(divmod(2 * int(one), 10)) for one in digits[-2::-2]]
    return sum(doubled) + sum(map(int, digits[-1::-2]))


def test_numbers_of_device_and_card_are_well_formed() -> None:
    bench = Bench()
    imei, ok = bench.ask("AT+CGSN").split("\r\n\r\n")
    assert (len(imei), luhn_sum(imei) % 10, ok) == (15, 0, "OK")
    assert (len(ICCID), luhn_sum(ICCID) % 10, ICCID[:2]) == (20, 0, "89")
    assert len(IMSI) == 15


def test_a_quectel_says_who_it_is() -> None:
    bench = Bench()
    assert bench.ask("ATI") == "Quectel\r\nEC25\r\nRevision: EC25EFAR06A17M4G\r\n\r\nOK"
    assert bench.ask("AT+CGMI") == "Quectel\r\n\r\nOK"
    assert bench.ask("AT+CGMM") == "EC25\r\n\r\nOK"
    assert bench.ask("AT+CGMR") == "EC25EFAR06A17M4G\r\n\r\nOK"
    assert bench.ask("AT+QCCID") == f"+QCCID: {ICCID}\r\n\r\nOK"
    assert bench.ask("AT+CCID") == f"+CCID: {ICCID}\r\n\r\nOK"
    assert bench.ask("AT+CICCID") == "+CME ERROR: 4", "that is the other one's"


def test_a_simcom_says_who_it_is() -> None:
    bench = Bench(dialect="simcom")
    assert bench.ask("ATI").split("\r\n")[:4] == [
        "Manufacturer: SIMCOM INCORPORATED", "Model: SIMCOM_SIM7600E-H", "Revision: SIM7600M22_V2.0",
        "IMEI: 490154203237518",
    ]  # fmt: skip
    assert bench.ask("AT+CGMI") == "SIMCOM INCORPORATED\r\n\r\nOK"
    assert bench.ask("AT+CGMM") == "SIMCOM_SIM7600E-H\r\n\r\nOK"
    assert bench.ask("AT+CGMR") == "+CGMR: LE20B04SIM7600M22\r\n\r\nOK"
    assert bench.ask("AT+CICCID") == f"+ICCID: {ICCID}\r\n\r\nOK"
    assert bench.ask("AT+QCCID") == "+CME ERROR: operation not supported"


def test_errors_have_three_forms() -> None:
    bench = Bench(has_sim=False)
    forms = {"0": "ERROR", "1": "+CME ERROR: 10", "2": "+CME ERROR: SIM not inserted"}
    for detail, form in forms.items():
        bench.tell(f"AT+CMEE={detail}")
        assert bench.ask("AT+CMEE?") == f"+CMEE: {detail}\r\n\r\nOK"
        assert bench.ask("AT+CPIN?") == form
    assert bench.ask("AT+CMEE=3") == "+CME ERROR: Incorrect parameters"
    assert bench.ask("ATD1") == "ERROR"
    assert bench.ask("AT+NONSENSE") == "+CME ERROR: operation not supported"


def test_echo_is_on_off_and_on_again_after_a_reset() -> None:
    bench = Bench(echo=True)
    assert bench.hear(b"AT\r") == b"AT\r\r\nOK\r\n"
    assert bench.hear(b"ATE0\r") == b"ATE0\r\r\nOK\r\n"
    assert bench.hear(b"AT\r") == b"\r\nOK\r\n"
    assert bench.hear(b"ATE1\r") == b"\r\nOK\r\n"
    assert bench.hear(b"ATE0\r") == b"ATE0\r\r\nOK\r\n"
    bench.suffer("reset")
    bench.wait(1.0)
    bench.take()
    assert bench.hear(b"AT\r") == b"AT\r\r\nOK\r\n"


def test_registers_and_what_hosts_say_at_first() -> None:
    bench = Bench()
    assert bench.ask("ATS3?") == "013\r\n\r\nOK"
    assert bench.ask("ATS4?") == "010\r\n\r\nOK"
    bench.tell("ATS3=13")
    assert bench.ask("ATS3=10") == "ERROR"
    for line in ("ATZ", "ATZ E0 V1", "AT&F", "AT X4 &C1", "ATQ0"):
        bench.tell(line)


def test_a_line_of_commands_stops_at_the_first_that_fails() -> None:
    bench = Bench()
    assert bench.ask("AT+CMEE=1;+CMEE?;+CFUN?") == "+CMEE: 1\r\n\r\n+CFUN: 1\r\n\r\nOK"
    assert bench.ask("AT+CMEE?;+CMEE=9;+CFUN?") == "+CMEE: 1\r\n\r\n+CME ERROR: 50"
    assert bench.ask("AT" + ";".join(["+CMEE=1"] * 60)) == "OK"


def test_a_pin_is_asked_for_and_attempts_are_counted() -> None:
    bench = Bench(pin="1234")
    assert bench.ask("AT+CPIN?") == "+CPIN: SIM PIN\r\n\r\nOK"
    assert bench.ask("AT+CEREG?") == "+CEREG: 0,0\r\n\r\nOK"
    assert bench.ask("AT+CIMI") == "+CME ERROR: 11"
    assert bench.ask('AT+CPIN="0000"') == "+CME ERROR: 16"
    assert bench.ask("AT+QPINC?") == '+QPINC: "SC",2,10\r\n+QPINC: "P2",3,10\r\n\r\nOK'
    assert bench.ask('AT+QPINC="SC"') == '+QPINC: "SC",2,10\r\n\r\nOK'
    assert bench.ask('AT+CPIN="1234"') == "OK\r\n\r\n+CPIN: READY"
    assert bench.ask("AT+CPIN?") == "+CPIN: READY\r\n\r\nOK"
    assert bench.ask("AT+CEREG?") == "+CEREG: 0,1\r\n\r\nOK"
    assert bench.ask("AT+CIMI") == f"{IMSI}\r\n\r\nOK"


def test_a_blocked_card_wants_its_puk() -> None:
    bench = Bench(blocked=True, dialect="simcom")
    bench.tell("AT+CMEE=1")
    assert bench.ask("AT+CPIN?") == "+CPIN: SIM PUK\r\n\r\nOK"
    assert bench.ask('AT+CPIN="1234"') == "+CME ERROR: 12"
    assert bench.ask('AT+CPIN="11111111","1234"') == "+CME ERROR: 16"
    assert bench.ask("AT+SPIC") == "+SPIC: 0,9,3,10\r\n\r\nOK"
    assert bench.ask(f'AT+CPIN="{PUK}","1234"') == "OK\r\n\r\n+CPIN: READY"
    assert bench.ask("AT+SPIC") == "+SPIC: 3,10,3,10\r\n\r\nOK"


def test_function_levels_switch_radio_and_card() -> None:
    bench = Bench()
    bench.tell("AT+CEREG=1")
    assert bench.ask("AT+CFUN=4") == "OK\r\n\r\n+CEREG: 0"
    assert bench.ask("AT+CEREG?") == "+CEREG: 1,0\r\n\r\nOK"
    assert bench.ask("AT+CPIN?") == "+CPIN: READY\r\n\r\nOK"
    assert "+CPIN: NOT READY" in bench.ask("AT+CFUN=0")
    assert bench.ask("AT+CPIN?") == "+CME ERROR: 13"
    assert bench.ask("AT+CSQ") == "+CSQ: 99,99\r\n\r\nOK"
    said = bench.ask("AT+CFUN=1").split("\r\n\r\n")
    assert set(said) == {"OK", "+CPIN: READY", "+CEREG: 2", "+CEREG: 1"}
    assert bench.ask("AT+CFUN?") == "+CFUN: 1\r\n\r\nOK"
    assert bench.ask("AT+CFUN=6") == "+CME ERROR: 50", "that is the other one's"


@pytest.mark.parametrize(
    ("dialect", "line", "booted"),
    [
        ("quectel", "AT+CFUN=1,1", "RDY|+CPIN: READY|+QIND: SMS DONE|+QIND: PB DONE"),
        ("simcom", "AT+CFUN=1,1", "RDY|+CPIN: READY|SMS DONE|PB DONE"),
        ("simcom", "AT+CFUN=6", "RDY|+CPIN: READY|SMS DONE|PB DONE"),
        ("simcom", "AT+CRESET", "RDY|+CPIN: READY|SMS DONE|PB DONE"),
    ],
)
def test_a_reset_answers_goes_and_comes_back(dialect: str, line: str, booted: str) -> None:
    bench = Bench(dialect=dialect)
    bench.tell("AT+CMEE=0")
    assert bench.hear(line.encode() + b"\r") == b"\r\nOK\r\n"
    assert bench.taken(PortGone) == []
    bench.wait(0.2)
    assert bench.taken(PortGone) == [PortGone(abrupt=False)]
    assert bench.hear(b"AT\r") == b"", "there is no port"
    bench.wait(0.3)
    assert bench.taken(PortBack) == [PortBack()]
    bench.wait(1.0)
    assert bench.take().decode().strip().split("\r\n\r\n") == booted.split("|")
    assert bench.ask("AT+CEREG?") == "+CEREG: 0,1\r\n\r\nOK"
    assert bench.ask("AT+CMEE?") != "+CMEE: 0\r\n\r\nOK", "as the factory made it"


def test_a_reset_asks_for_the_pin_again() -> None:
    bench = Bench(pin="1234")
    bench.ask('AT+CPIN="1234"')
    bench.suffer("reset")
    bench.wait(1.0)
    assert b"+CPIN: SIM PIN" in bench.take()
    assert bench.ask("AT+CPIN?") == "+CPIN: SIM PIN\r\n\r\nOK"


def test_words_in_ucs2() -> None:
    bench = Bench()
    assert bench.ask("AT+CSCS=?") == '+CSCS: ("GSM","IRA","UCS2")\r\n\r\nOK'
    bench.tell('AT+CSCS="UCS2"')
    assert bench.ask("AT+COPS?") == f'+COPS: 0,0,"{"Test Network".encode("utf-16-be").hex().upper()}",7\r\n\r\nOK'
    bench.tell('AT+CSCS="004900520041"')
    assert bench.ask("AT+CSCS?") == '+CSCS: "IRA"\r\n\r\nOK'
    assert bench.ask('AT+CSCS="EBCDIC"') == "+CME ERROR: 50"
