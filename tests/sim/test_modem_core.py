from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate_sim.modem_core import STORM_RESULT
from bondmate_sim.modem_effects import Ears, PortBack, PortGone, Submit
from bondmate_sim.modem_talk import MAX_DATA_OCTETS
from tests.sim.modem_bench import Bench
from tests.sim.test_modem_quectel_sockets import opened
from tests.sim.test_modem_sending import SUBMIT


def ports(bench: Bench) -> list[Any]:
    return [effect for effect in bench.effects if isinstance(effect, PortGone | PortBack)]


@pytest.mark.parametrize("dialect", ["quectel", "simcom"])
def test_octet_by_octet_is_the_same_as_whole(dialect: str) -> None:
    script = b"AT\rATI\rAT+CMEE=2;+CREG?\rAT+COPS=?\rAT+CMGS=23\r" + SUBMIT.encode() + b"\x1bAT+NO\r" + b"AT+CSQ\r"
    whole, single = Bench(dialect=dialect, echo=True), Bench(dialect=dialect, echo=True)
    whole.hear(script)
    said = bytearray()
    for octet in script:
        said += single.hear(bytes([octet]))
    single.wait(1.0)
    said += single.take()
    whole = Bench(dialect=dialect, echo=True)
    expected = whole.hear(script)
    whole.wait(1.0)
    assert bytes(said) == expected + whole.take()


def test_a_hung_modem_answers_nothing_and_comes_to() -> None:
    bench = Bench()
    bench.tell("AT+CREG=1")
    bench.suffer("hang", seconds=5)
    assert bench.hear(b"AT\r") == b""
    bench.suffer("registration", state="denied")
    bench.wait(4.9)
    assert bench.take() == b""
    bench.wait(0.2)
    assert bench.take() == b""
    assert bench.ask("AT+CREG?") == "+CREG: 1,3\r\n\r\nOK", "what it was told while it hung is forgotten"


def test_a_hang_in_the_middle_of_a_command_has_no_result() -> None:
    bench = Bench()
    bench.hear(b"AT+COPS=?\r")
    bench.suffer("hang", seconds=1)
    bench.wait(2.0)
    assert bench.take() == b""
    assert bench.ask("AT") == "OK"


@pytest.mark.parametrize(
    "cure", [[{"op": "reset"}], [{"op": "pwrkey", "seconds": 1.0}, {"op": "pwrkey", "seconds": 1.0}],
             [{"op": "rail-off"}, {"op": "rail-on"}], [{"op": "brown-out"}]]
)  # fmt: skip
def test_a_hang_without_end_ends_with_power(cure: list[dict[str, Any]]) -> None:
    bench = Bench()
    bench.suffer("hang", seconds=None)
    bench.wait(3_600)
    assert bench.hear(b"AT+CFUN=1,1\r") == b""
    for action in cure:
        bench.suffer(**action)
        bench.wait(0.1)
    bench.wait(2.0)
    assert [type(effect) for effect in ports(bench)] == [PortGone, PortBack]
    assert b"RDY" in bench.take()
    bench.tell("AT")


def test_a_deaf_modem_does_not_even_read() -> None:
    bench = Bench()
    bench.suffer("deaf", seconds=5)
    assert bench.taken(Ears) == [Ears(open=False)]
    bench.wait(5.0)
    assert bench.taken(Ears) == [Ears(open=True)]
    bench.suffer("deaf", seconds=None)
    bench.taken(Ears)
    bench.suffer("reset")
    assert bench.taken(Ears) == [Ears(open=True)]


def test_pwrkey_must_be_held_long_enough() -> None:
    bench = Bench()
    bench.suffer("pwrkey", seconds=0.3)
    assert ports(bench) == []
    bench.tell("AT")
    bench.suffer("pwrkey", seconds=0.7)
    assert bench.take() == b"\r\nPOWERED DOWN\r\n"
    bench.wait(0.1)
    assert [type(effect) for effect in ports(bench)] == [PortGone]
    bench.wait(60)
    assert bench.hear(b"AT\r") == b""
    bench.suffer("pwrkey", seconds=0.3)
    bench.wait(2.0)
    assert len(ports(bench)) == 1, "still off"
    bench.suffer("pwrkey", seconds=0.6)
    bench.wait(2.0)
    assert [type(effect) for effect in ports(bench)] == [PortGone, PortBack]
    other = Bench(dialect="simcom")
    other.suffer("pwrkey", seconds=2.0)
    assert ports(other) == []
    other.suffer("pwrkey", seconds=2.6)
    assert other.take() == b"\r\nNORMAL POWER DOWN\r\n"


def test_a_simcom_says_otherwise_that_its_card_is_gone() -> None:
    bench = Bench(dialect="simcom")
    bench.suffer("sim", inserted=False)
    assert bench.take() == b"\r\n+CPIN: SIM REMOVED\r\n"
    bench.suffer("reset")
    bench.wait(1.0)
    assert bench.take() == b"\r\nRDY\r\n\r\n+CPIN: SIM REMOVED\r\n"


def test_without_a_rail_nothing_starts() -> None:
    bench = Bench()
    bench.suffer("rail-off")
    bench.suffer("pwrkey", seconds=1.0)
    bench.suffer("reset")
    bench.wait(5.0)
    assert [type(effect) for effect in ports(bench)] == [PortGone]
    bench.suffer("rail-on")
    bench.wait(2.0)
    assert [type(effect) for effect in ports(bench)] == [PortGone, PortBack]


def test_unplugged_the_modem_lives_on_and_forgets_what_was_half_said() -> None:
    bench = opened()
    bench.hear(b"AT+QISEND=0,5\rhe")
    bench.suffer("unplug", seconds=2.0)
    assert ports(bench) == [PortGone(abrupt=True)]
    bench.wait(2.0)
    assert ports(bench)[1:] == [PortBack()]
    bench.take()
    assert bench.ask("AT+QISTATE=1,0").split(",")[5] == "2"


@pytest.mark.parametrize("step", range(4))
def test_a_brown_out_in_the_middle_of_anything(step: int) -> None:
    bench = opened()
    bench.hear([b"AT+CO", b"AT+QISEND=0,9\rhe", b"AT+CMGS=23\r0011", b"AT+CMGS=23\r" + SUBMIT.encode() + b"\x1a"][step])
    submits = bench.taken(Submit)
    bench.suffer("brown-out")
    assert ports(bench) == [PortGone(abrupt=True)]
    bench.wait(1.0)
    bench.take()
    for submit in submits:
        assert bench.submitted(submit.name) == b"", "whoever asked is gone"
    bench.wait(20.0)
    assert b"+CMS ERROR" not in bench.take()
    bench.tell("AT")
    assert bench.ask("AT+QISTATE?") == "OK"


def test_a_storm_and_garbage() -> None:
    bench = Bench()
    bench.suffer("storm", count=10_000)
    assert bench.take() == b"\r\n" + f"\r\n\r\n{STORM_RESULT}".join([STORM_RESULT, *[""] * 9_999]).encode() + b"\r\n"
    bench.suffer("garbage", octets=300)
    garbage = bench.take()
    assert len(garbage) == 300
    assert len(set(garbage)) > 100


def test_a_storm_during_data_entry_is_bounded() -> None:
    bench = opened()
    bench.hear(b"AT+QISEND=0,2\r")
    bench.suffer("storm", count=10_000)
    said = bench.hear(b"hi")
    assert said.startswith(b"\r\nSEND OK\r\n")
    assert said.count(STORM_RESULT.encode()) == 1_000


def test_a_prompt_that_gets_lost() -> None:
    bench = Bench()
    bench.suffer("lose-prompts", count=1)
    assert bench.hear(b"AT+CMGS=23\r") == b""
    assert bench.hear(b"\x1b") == b"\r\nOK\r\n"
    assert bench.hear(b"AT+CMGS=23\r") == b"\r\n> "


def test_the_card_is_taken_out_and_put_back() -> None:
    bench = Bench()
    bench.tell("AT+CEREG=1")
    bench.suffer("sim", inserted=False)
    assert bench.take() == b"\r\n+CPIN: NOT INSERTED\r\n\r\n+CEREG: 0\r\n"
    assert bench.ask("AT+CPIN?") == "+CME ERROR: 10"
    bench.suffer("sim", inserted=False)
    assert bench.take() == b""
    bench.suffer("sim", inserted=True)
    bench.wait(1.0)
    assert bench.take() == b"\r\n+CPIN: READY\r\n\r\n+CEREG: 2\r\n\r\n+CEREG: 1\r\n"


def test_data_without_end_are_bounded() -> None:
    bench = Bench()
    bench.hear(b"AT+CMGS=23\r")
    bench.hear(b"0" * 100_000)
    assert len(bench.modem._talk._data) <= MAX_DATA_OCTETS
    assert bench.hear(b"\x1a") == b"\r\n+CMS ERROR: 304\r\n"


@pytest.mark.parametrize(
    "action",
    [{"op": "fly"}, {}, {"op": "signal", "dbm": 5}, {"op": "signal", "dbm": "-80"},
     {"op": "registration", "state": "x"}, {"op": "lose-socket", "link": 0},
     {"op": "storm", "count": 10**9}, {"op": "garbage", "octets": 0}, {"op": "hang", "seconds": -1},
     {"op": "hang", "seconds": float("nan")}, {"op": "unplug"}, {"op": "sim", "inserted": 1}],
)  # fmt: skip
def test_what_cannot_be_done_to_it(action: dict[str, Any]) -> None:
    bench = Bench()
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        bench.modem.suffer(action, bench.now_s)
    bench.tell("AT")


ACTIONS: list[dict[str, Any]] = [
    {"op": "reset"}, {"op": "hang", "seconds": 1.0}, {"op": "lose-context"}, {"op": "registration", "state": "denied"},
    {"op": "registration", "state": "home"}, {"op": "sim", "inserted": False}, {"op": "sim", "inserted": True},
    {"op": "unplug", "seconds": 1.0}, {"op": "pwrkey", "seconds": 3.0}, {"op": "lose-prompts", "count": 1},
]  # fmt: skip
LINES = [
    b"AT\r", b"AT+CFUN=1,1\r", b"AT+CFUN=0;+CFUN=1\r", b"AT+QIACT=1\r", b"AT+NETOPEN\r", b"AT+CMGS=23\r", b"\x1a",
    b"\x1b", b'AT+QIOPEN=1,0,"UDP","h",1\r', b'AT+CIPOPEN=1,"UDP",,,0\r', b"AT+QISEND=0,3\r", b"AT+COPS=?\r",
    b"AT+CPIN=1\r", b"AT+CMGL=4\r", b"A/", b"AT+QIDEACT=1\r", b"AT+NETCLOSE\r", SUBMIT.encode(),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["quectel", "simcom"]),
    st.lists(
        st.one_of(st.sampled_from(LINES), st.binary(max_size=20), st.sampled_from(ACTIONS), st.floats(0, 3)),
        max_size=25,
    ),
)  # fmt: skip
def test_whatever_happens_power_brings_it_back(dialect: str, story: list[Any]) -> None:
    bench = Bench(dialect=dialect)
    for event in story:
        match event:
            case bytes():
                bench.hear(event)
            case float():
                bench.wait(event)
                bench.open_sockets()
            case _:
                try:
                    bench.suffer(**event)
                except ValueError:
                    continue
    bench.suffer("sim", inserted=True)
    bench.suffer("registration", state="home")
    bench.suffer("rail-off")
    bench.suffer("rail-on")
    bench.suffer("lose-prompts", count=0)
    bench.wait(2.0)
    assert b"RDY" in bench.take()
    bench.tell("AT")
    assert bench.ask("AT+CEREG?") == "+CEREG: 0,1\r\n\r\nOK"
