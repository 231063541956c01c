from bondmate_sim.modem_effects import Acknowledge, Attach, Submit
from bondmate_sim.short_message import UserData
from tests.sim.modem_bench import Bench
from tests.sim.test_modem_sending import BINARY, HELLO, SUBMIT

# The centre is +4915550000, the sender +4915550002, the time 26-11-26 10:00:05 UTC: 3GPP TS 23.040, clause 9
HEAD = "06919451550000" + "04" + "0A91" + "9451550020"


def sms(data: UserData, coding: str) -> str:
    return HEAD + "00" + coding + "62116201005000" + f"{data.length:02X}" + data.octets.hex().upper()


def length(data: UserData) -> int:
    return 18 + len(data.octets)


def test_what_comes_during_data_entry_is_said_after_it() -> None:
    bench = Bench()
    bench.tell("AT+CEREG=1")
    bench.hear(b"AT+CMGS=23\r" + SUBMIT[:10].encode())
    assert bench.deliver("c1", HELLO) == b""
    assert bench.hear(b"\x1b") == b'\r\nOK\r\n\r\n+CMTI: "SM",0\r\n'


def test_a_message_is_kept_announced_read_and_deleted() -> None:
    bench = Bench()
    assert bench.deliver("c1", HELLO) == b'\r\n+CMTI: "SM",0\r\n'
    assert bench.deliver("c2", BINARY) == b'\r\n+CMTI: "SM",1\r\n'
    assert [effect.id for effect in bench.taken(Acknowledge)] == ["c1", "c2"]
    assert bench.ask("AT+CPMS?") == '+CPMS: "SM",2,20,"SM",2,20,"SM",2,20\r\n\r\nOK'
    assert bench.ask("AT+CMGR=0") == f"+CMGR: 0,,{length(HELLO)}\r\n{sms(HELLO, '00')}\r\n\r\nOK"
    assert bench.ask("AT+CMGR=0") == f"+CMGR: 1,,{length(HELLO)}\r\n{sms(HELLO, '00')}\r\n\r\nOK"
    assert bench.ask("AT+CMGL") == f"+CMGL: 1,0,,{length(BINARY)}\r\n{sms(BINARY, '04')}\r\n\r\nOK"
    assert bench.ask("AT+CMGL=0") == "OK"
    assert bench.ask("AT+CMGL=4").count("+CMGL:") == 2
    bench.tell("AT+CMGD=0")
    assert bench.ask("AT+CMGR=0") == "+CMS ERROR: 321"
    assert bench.ask("AT+CMGR=99") == "+CMS ERROR: 321"
    assert bench.ask("AT+CMGD=20") == "+CMS ERROR: 321"
    bench.tell("AT+CMGD=0,4")
    assert bench.ask("AT+CMGL=4") == "OK"


def test_a_full_card_takes_no_more_until_there_is_room() -> None:
    bench = Bench()
    for number in range(20):
        bench.deliver(f"c{number}", HELLO)
    assert len(bench.taken(Acknowledge)) == 20
    assert bench.deliver("c20", HELLO) == b""
    assert bench.taken(Acknowledge) == []
    bench.taken(Attach)
    bench.tell("AT+CMGD=7")
    assert bench.taken(Attach) == [Attach()], "the centre tries again"
    assert bench.deliver("c20", HELLO) == b'\r\n+CMTI: "SM",7\r\n'


def test_the_modem_has_a_memory_too_and_messages_outlive_a_reset() -> None:
    bench = Bench()
    assert bench.ask('AT+CPMS="ME","ME","ME"') == "+CPMS: 0,23,0,23,0,23\r\n\r\nOK"
    assert bench.deliver("c1", HELLO) == b'\r\n+CMTI: "ME",0\r\n'
    bench.suffer("brown-out")
    bench.wait(1.0)
    bench.take()
    bench.tell("ATE0")
    assert bench.ask("AT+CPMS?").startswith('+CPMS: "SM",0,20')
    assert bench.ask('AT+CPMS="ME"').startswith("+CPMS: 1,23,0,20")
    assert bench.ask('AT+CPMS="XX"') == "+CMS ERROR: 302"


def test_messages_can_be_shown_at_once_and_confirmed() -> None:
    bench = Bench()
    bench.tell("AT+CNMI=2,2,0,0,0")
    said = bench.deliver("c1", HELLO).decode()
    assert said == f"\r\n+CMT: ,{length(HELLO)}\r\n{sms(HELLO, '00')}\r\n"
    assert [effect.id for effect in bench.taken(Acknowledge)] == ["c1"]
    assert bench.ask("AT+CSMS=1") == "+CSMS: 1,1,1\r\n\r\nOK"
    bench.deliver("c2", HELLO)
    assert bench.taken(Acknowledge) == []
    bench.tell("AT+CNMA")
    assert [effect.id for effect in bench.taken(Acknowledge)] == ["c2"]
    assert bench.ask("AT+CNMA") == "+CMS ERROR: 340"
    assert bench.ask("AT+CNMI?") == "+CNMI: 2,2,0,0,0\r\n\r\nOK"


def test_messages_can_be_kept_in_silence() -> None:
    bench = Bench()
    bench.tell("AT+CNMI=2,0,0,0,0")
    assert bench.deliver("c1", HELLO) == b""
    assert bench.ask("AT+CMGL=4").startswith("+CMGL: 0,0,,")


def test_text_mode() -> None:
    bench = Bench()
    bench.tell("AT+CMGF=1")
    assert bench.hear(b'AT+CMGS="+46708251358"\r') == b"\r\n> "
    bench.hear(b"hellohello\x1a")
    [submit] = bench.taken(Submit)
    assert (submit.to, submit.data) == ("+46708251358", HELLO)
    bench.submitted(submit.name)
    bench.deliver("c1", HELLO)
    head = '"+4915550002",,"26/11/26,10:00:05+00"'
    assert bench.ask('AT+CMGL="ALL"') == f'+CMGL: 0,"REC UNREAD",{head}\r\nhellohello\r\n\r\nOK'
    bench.tell("AT+CSDH=1")
    assert bench.ask("AT+CMGR=0") == (
        f'+CMGR: "REC READ",{head},145,4,0,0,"+4915550000",145,10\r\nhellohello\r\n\r\nOK'
    )
    assert bench.ask("AT+CMGL=4") == "+CMS ERROR: 305"
