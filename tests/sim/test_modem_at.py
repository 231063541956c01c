import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.modem_at import MAX_COMMANDS, MAX_LINE_OCTETS, Command, LineError, Lines, NumberError, commands, whole


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("AT", []),
        ("at", []),
        ("ATE0", [Command("E", "set", "0")]),
        ("ATI", [Command("I", "run")]),
        ("ATE1V1", [Command("E", "set", "1"), Command("V", "set", "1")]),
        ("AT&C1", [Command("&C", "set", "1")]),
        ("ATS3?", [Command("S3", "read")]),
        ("ATS4=10", [Command("S4", "set", "10")]),
        ("ATE0+CMEE=2;+CREG?", [Command("E", "set", "0"), Command("+CMEE", "set", "2"), Command("+CREG", "read")]),
        ("AT+CPIN?", [Command("+CPIN", "read")]),
        ("AT+COPS=?", [Command("+COPS", "test")]),
        ("AT+CSQ", [Command("+CSQ", "run")]),
        ("at+csq;", [Command("+CSQ", "run")]),
        ("AT + CMGF = 0", [Command("+CMGF", "set", "0")]),
        ('AT+CGDCONT=1,"IP","a;b c"', [Command("+CGDCONT", "set", '1,"IP","a;b c"')]),
    ],
)
def test_a_line_is_its_commands(line: str, expected: list[Command]) -> None:
    assert commands(line) == expected


def test_parameters_stand_between_commas_outside_quotes() -> None:
    assert Command("+X", "set", '1,"a,b",,"c"').parameters == ["1", "a,b", "", "c"]


@pytest.mark.parametrize(
    "line", ["AT+", "AT?", "AT=1", "AT+CPIN?x", "AT+CPIN!1", "AT;", "AT" + "E0" * (MAX_COMMANDS + 1)]
)
def test_what_is_no_command_line(line: str) -> None:
    with pytest.raises(LineError):
        commands(line)


def pushed(octets: bytes) -> list[str]:
    lines = Lines()
    return [line for octet in octets if (line := lines.push(octet)) is not None]


def test_lines_end_with_cr_and_begin_with_at() -> None:
    assert pushed(b"AT\r\nATI\r") == ["AT", "ATI"]
    assert pushed(b"\x00\xff??AT+CSQ\r") == ["AT+CSQ"]
    assert pushed(b"hello\r\r\n") == []


def test_backspace_takes_back_and_a_slash_repeats() -> None:
    assert pushed(b"ATX\x08I\rA/a/") == ["ATI", "ATI", "ATI"]


def test_a_line_has_a_limit_and_the_next_is_good() -> None:
    lines = Lines()
    for octet in b"AT" + b"x" * MAX_LINE_OCTETS * 3:
        assert lines.push(octet) is None
    with pytest.raises(LineError):
        lines.push(0x0D)
    assert [lines.push(octet) for octet in b"AT\r"][-1] == "AT"


@pytest.mark.parametrize("text", ["", "-1", "1.0", "256", "0x1", "1" * 10, "\u0661"])
def test_what_is_no_number_from_0_to_255(text: str) -> None:
    with pytest.raises(NumberError):
        whole(text, 0, 255)


@given(st.binary(max_size=300))
def test_no_octets_are_an_error_but_their_own(octets: bytes) -> None:
    lines = Lines()
    for octet in octets:
        try:
            line = lines.push(octet)
            if line is not None:
                for command in commands(line):
                    assert command.parameters
        except LineError:
            pass
