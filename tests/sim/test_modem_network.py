import pytest

from bondmate_sim.modem_effects import Attach, Detach
from tests.sim.modem_bench import Bench

PLACE = '"1A2B","01A2B3C4",7'


@pytest.mark.parametrize(("state", "stat"), [("home", 1), ("roaming", 5), ("searching", 2), ("denied", 3), ("none", 0)])
@pytest.mark.parametrize("name", ["CREG", "CGREG", "CEREG"])
def test_registration_by_all_three(name: str, state: str, stat: int) -> None:
    bench = Bench(registration=state)
    assert bench.ask(f"AT+{name}=?") == f"+{name}: (0-2)\r\n\r\nOK"
    assert bench.ask(f"AT+{name}?") == f"+{name}: 0,{stat}\r\n\r\nOK"
    bench.tell(f"AT+{name}=2")
    where = f",{PLACE}" if state in ("home", "roaming") else ""
    assert bench.ask(f"AT+{name}?") == f"+{name}: 2,{stat}{where}\r\n\r\nOK"
    assert bench.ask(f"AT+{name}=3") == "+CME ERROR: 50"


def test_a_search_comes_first_and_every_change_is_told_as_asked_for() -> None:
    bench = Bench(registered_after_s=0.0)
    assert bench.hear(b"AT+CREG=1;+CGREG=0;+CEREG=2\r") == b"\r\nOK\r\n"
    assert bench.hear(b"AT+CEREG?\r") == b"\r\n+CEREG: 2,2\r\n\r\nOK\r\n"
    bench.wait(1.0)
    assert bench.take().decode() == f"\r\n+CREG: 1\r\n\r\n+CEREG: 1,{PLACE}\r\n"
    assert bench.taken(Attach) == [Attach()]
    bench.suffer("registration", state="denied")
    assert bench.take() == b"\r\n+CREG: 3\r\n\r\n+CEREG: 3\r\n"
    assert bench.taken(Detach) == [Detach()]
    bench.suffer("registration", state="roaming")
    assert bench.take() == b"\r\n+CREG: 2\r\n\r\n+CEREG: 2\r\n"
    bench.wait(1.0)
    assert bench.take().decode() == f"\r\n+CREG: 5\r\n\r\n+CEREG: 5,{PLACE}\r\n"


def test_a_search_that_ends_otherwise_registers_nowhere() -> None:
    bench = Bench(registered_after_s=0.0)
    bench.suffer("registration", state="denied")
    bench.suffer("registration", state="home")
    bench.suffer("signal", dbm=None)
    bench.wait(5.0)
    assert bench.ask("AT+CEREG?") == "+CEREG: 0,2\r\n\r\nOK"
    assert bench.taken(Attach) == []
    bench.suffer("signal", dbm=-100)
    bench.wait(1.0)
    assert bench.ask("AT+CEREG?") == "+CEREG: 0,1\r\n\r\nOK"


def test_the_operator_in_three_forms_and_by_hand() -> None:
    bench = Bench()
    assert bench.ask("AT+COPS?") == '+COPS: 0,0,"Test Network",7\r\n\r\nOK'
    bench.tell("AT+COPS=3,2")
    assert bench.ask("AT+COPS?") == '+COPS: 0,2,"00101",7\r\n\r\nOK'
    bench.tell("AT+COPS=3,1")
    assert bench.ask("AT+COPS?") == '+COPS: 0,1,"TestNet",7\r\n\r\nOK'
    bench.tell("AT+COPS=2")
    assert bench.ask("AT+COPS?") == "+COPS: 2\r\n\r\nOK"
    assert bench.ask("AT+CEREG?") == "+CEREG: 0,0\r\n\r\nOK"
    assert bench.ask('AT+COPS=1,2,"99999"') == "+CME ERROR: 30"
    bench.tell('AT+COPS=1,2,"00101"')
    assert bench.ask("AT+COPS?") == '+COPS: 1,2,"00101",7\r\n\r\nOK'
    bench.tell("AT+COPS=0")


def test_a_scan_takes_its_time_and_what_is_said_meanwhile_waits() -> None:
    bench = Bench(registration="roaming")
    assert bench.hear(b"AT+COPS=?\rAT+CEREG?\r") == b""
    bench.wait(0.5)
    assert bench.take().decode() == (
        '\r\n+COPS: (1,"Test Network","TestNet","00101",7),(2,"Other Network","OtherNet","00102",7),,(0-4),(0-2)\r\n'
        "\r\nOK\r\n\r\n+CEREG: 0,5\r\n\r\nOK\r\n"
    )


def test_signal_by_both_commands() -> None:
    bench = Bench(rsrp_dbm=-85)
    assert bench.ask("AT+CSQ") == "+CSQ: 28,99\r\n\r\nOK"
    assert bench.ask("AT+CESQ") == "+CESQ: 99,99,255,255,20,56\r\n\r\nOK"
    bench.suffer("signal", dbm=None)
    assert bench.ask("AT+CSQ") == "+CSQ: 99,99\r\n\r\nOK"
    assert bench.ask("AT+CESQ") == "+CESQ: 99,99,255,255,255,255\r\n\r\nOK"


def test_contexts_are_defined_and_activated() -> None:
    bench = Bench()
    bench.tell('AT+CGDCONT=1,"IP","police.example"')
    bench.tell('AT+CGDCONT=2,"IPV4V6","ims"')
    assert bench.ask("AT+CGDCONT?") == (
        '+CGDCONT: 1,"IP","police.example","0.0.0.0",0,0\r\n+CGDCONT: 2,"IPV4V6","ims","0.0.0.0",0,0\r\n\r\nOK'
    )
    assert bench.ask("AT+CGACT?") == "+CGACT: 1,1\r\n+CGACT: 2,0\r\n\r\nOK", "LTE has a default bearer"
    bench.tell("AT+CGACT=1,2")
    assert bench.ask("AT+CGACT?") == "+CGACT: 1,1\r\n+CGACT: 2,1\r\n\r\nOK"
    assert bench.ask("AT+CGPADDR") == '+CGPADDR: 1,"10.64.0.2"\r\n+CGPADDR: 2,"10.64.0.2"\r\n\r\nOK'
    bench.tell("AT+CGACT=0,2")
    bench.tell("AT+CGDCONT=2")
    assert bench.ask("AT+CGACT=1,2") == "+CME ERROR: 148"
    assert bench.ask('AT+CGDCONT=17,"IP","x"') == "+CME ERROR: 50"
    assert bench.ask('AT+CGDCONT=1,"X25","x"') == "+CME ERROR: 50"


def test_the_network_takes_one_access_point_name() -> None:
    bench = Bench(apn="police.example")
    bench.tell('AT+CGDCONT=2,"IP","internet"')
    assert bench.ask("AT+CGACT=1,2") == "+CME ERROR: 148"
    bench.tell('AT+CGDCONT=2,"IP","Police.Example"')
    bench.tell("AT+CGACT=1,2")


def test_attaching_to_packets() -> None:
    bench = Bench()
    assert bench.ask("AT+CGATT?") == "+CGATT: 1\r\n\r\nOK"
    bench.tell("AT+CGATT=0")
    assert bench.ask("AT+CGATT?") == "+CGATT: 0\r\n\r\nOK"
    assert bench.ask("AT+CGACT=1,1") == "+CME ERROR: 148"
    bench.tell("AT+CGATT=1")
    bench.tell("AT+CGACT=1,1")
    nowhere = Bench(registration="searching")
    assert nowhere.ask("AT+CGATT?") == "+CGATT: 0\r\n\r\nOK"
    assert nowhere.ask("AT+CGATT=1") == "+CME ERROR: 30"


def test_sleep_settings_outlive_a_reset() -> None:
    bench = Bench()
    bench.tell('AT+CPSMS=1,,,"00100001","00000010"')
    bench.tell('AT+CEDRXS=1,4,"0101"')
    bench.suffer("reset")
    bench.wait(1.0)
    bench.take()
    bench.tell("ATE0")
    assert bench.ask("AT+CPSMS?") == '+CPSMS: 1,,,"00100001","00000010"\r\n\r\nOK'
    assert bench.ask("AT+CEDRXS?") == '+CEDRXS: 4,"0101"\r\n\r\nOK'
    bench.tell("AT+CPSMS=0")
    bench.tell("AT+CEDRXS=0")
    assert bench.ask("AT+CPSMS?") == "+CPSMS: 0\r\n\r\nOK"
    assert bench.ask("AT+CEDRXS?") == "+CEDRXS: 0\r\n\r\nOK"
