"""The digester, by what the manuals of modules print and V.250 says: whole, in pieces, with results in between."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.at import MAX_DATA, MAX_LINE, MAX_LINES, Command, Digester, Prompt, Response, Said, Urc

PLAIN = Command("AT+CMGF=0")
IDENTITY = Command("ATI", r"(?!\+C).+")
REGISTERED = Command("AT+CEREG?", r"\+CEREG: ?[0-9],[0-9]+(?:,.*)?")
READ = Command("AT+QIRD=0", r"\+QIRD: ?[0-9]+", r"\+QIRD: ?([0-9]+)")
READ_SIMCOM = Command("AT+CIPRXGET=2,0", r"\+CIPRXGET: ?2,.*", r"\+CIPRXGET: ?2,[0-9],([0-9]+),[0-9]+")
SEND = Command("AT+QISEND=0,5", finals={"SEND OK": True, "SEND FAIL": False}, prompts=True)
MESSAGE = Command("AT+CMGR=3", r"\+CMGR: .*|(?:[0-9A-F]{2})+")


def heard(octets: bytes, command: Command | None = None, *, piece: int | None = None) -> list[Said]:
    digester = Digester()
    if command is not None:
        digester.begin(command)
    piece = piece or max(1, len(octets))
    return [one for at in range(0, len(octets), piece) for one in digester.feed(octets[at : at + piece])]


def done(*lines: str, data: bytes | None = None) -> Response:
    return Response(True, "OK", lines=lines, data=data)


@pytest.mark.parametrize("piece", [None, 1, 2, 7])
@pytest.mark.parametrize(
    ("command", "octets", "said"),
    [
        (PLAIN, b"\r\nOK\r\n", [done()]),
        (PLAIN, b"AT+CMGF=0\r\r\nOK\r\n", [done()]),
        (PLAIN, b"AT+CMGF=0\r0\r", [done()]),
        (PLAIN, b"4\r", [Response(False, "ERROR")]),
        (PLAIN, b"\r\nERROR\r\n", [Response(False, "ERROR")]),
        (PLAIN, b"\r\nNO CARRIER\r\n", [Response(False, "NO CARRIER")]),
        (
            IDENTITY,
            b"\r\nQuectel\r\nEC25\r\nRevision: EC25EFAR06A01M4G\r\n\r\nOK\r\n",
            [done("Quectel", "EC25", "Revision: EC25EFAR06A01M4G")],
        ),
        (REGISTERED, b'\r\n+CEREG: 2,1,"1A2B","0102A3F1",7\r\n\r\nOK\r\n', [done('+CEREG: 2,1,"1A2B","0102A3F1",7')]),
        (REGISTERED, b"\r\n+CME ERROR: 10\r\n", [Response(False, "SIM not inserted", "CME", 10)]),
        (REGISTERED, b"\r\n+CME ERROR: SIM not inserted\r\n", [Response(False, "SIM not inserted", "CME", 10)]),
        (REGISTERED, b"\r\n+CME ERROR: 3529\r\n", [Response(False, "error 3529", "CME", 3529)]),
        (SEND, b"\r\n+CMS ERROR: 38\r\n", [Response(False, "network out of order", "CMS", 38)]),
        (
            MESSAGE,
            b'\r\n+CMGR: 0,,24\r\n0791AB\r\n\r\nOK\r\n',
            [done("+CMGR: 0,,24", "0791AB")],
        ),
    ],
)  # fmt: skip
def test_an_answer_is_what_came_before_its_final_result(
    command: Command, octets: bytes, said: list[Said], piece: int | None
) -> None:
    assert heard(octets, command, piece=piece) == said


@pytest.mark.parametrize("piece", [None, 1, 3])
def test_unsolicited_results_between_information_and_its_ok_are_told_apart(piece: int | None) -> None:
    octets = (
        b'\r\n+CEREG: 5,"1A2B","0102A3F1",7\r\n'
        b'\r\n+CEREG: 2,1,"1A2B","0102A3F1",7\r\n\r\n+CMTI: "SM",4\r\n\r\n+QIURC: "recv",0\r\n\r\nOK\r\n\r\nRDY\r\n'
    )
    assert heard(octets, REGISTERED, piece=piece) == [
        Urc('+CEREG: 5,"1A2B","0102A3F1",7'),
        Urc('+CMTI: "SM",4'),
        Urc('+QIURC: "recv",0'),
        done('+CEREG: 2,1,"1A2B","0102A3F1",7'),
        Urc("RDY"),
    ]


@pytest.mark.parametrize("piece", [None, 1, 4])
@pytest.mark.parametrize("payload", [b"\r\nOK\r\n\r\nERROR\r\n", bytes(range(256)), b"\n\n> ", b"\r", b""])
def test_data_are_counted_and_never_looked_into(payload: bytes, piece: int | None) -> None:
    octets = b"\r\n+QIRD: %d\r\n%b\r\n\r\nOK\r\n\r\nRDY\r\n" % (len(payload), payload)
    assert heard(octets, READ, piece=piece) == [done(f"+QIRD: {len(payload)}", data=payload), Urc("RDY")]
    octets = b"\r\n+CIPRXGET: 2,0,%d,7\r\n%b\r\nOK\r\n" % (len(payload), payload)
    line = f"+CIPRXGET: 2,0,{len(payload)},7"
    assert heard(octets, READ_SIMCOM, piece=piece) == [done(line, data=payload)]


def test_data_are_expected_of_the_command_alone_that_has_any() -> None:
    assert heard(b"\r\n+QIRD: 5\r\nhello\r\nOK\r\n", PLAIN) == [Urc("+QIRD: 5"), Urc("hello"), done()]
    assert heard(b"\r\n+QIRD: 5\r\nhello\r\n") == [Urc("+QIRD: 5"), Urc("hello")]


def test_a_line_that_announces_more_than_any_module_has_announces_nothing() -> None:
    line = f"+QIRD: {MAX_DATA + 1}"
    assert heard(f"\r\n{line}\r\n\r\nOK\r\n".encode(), READ) == [done(line)]
    assert heard(b"\r\n+QIRD: 99999999999\r\nOK\r\n", READ) == [done("+QIRD: 99999999999")]


@pytest.mark.parametrize("piece", [None, 1, 5])
def test_a_prompt_is_one_where_it_is_expected_with_or_without_results_before_it(piece: int | None) -> None:
    octets = b'\r\n+CMTI: "SM",1\r\n\r\n> \r\n+QIURC: "recv",0\r\n\r\nSEND OK\r\n'
    assert heard(octets, SEND, piece=piece) == [
        Urc('+CMTI: "SM",1'),
        Prompt(),
        Urc('+QIURC: "recv",0'),
        Response(True, "SEND OK"),
    ]
    assert heard(b"\r\n> \r\nOK\r\n", PLAIN, piece=piece) == [Urc(">"), done()]
    assert heard(b"\r\n>\r\n> x\r\nSEND FAIL\r\n", SEND, piece=piece) == [
        Prompt(), Urc("> x"), Response(False, "SEND FAIL")
    ]  # fmt: skip


@pytest.mark.parametrize("piece", [None, 1])
def test_a_message_that_comes_by_itself_is_one_result_of_two_lines(piece: int | None) -> None:
    assert heard(b"\r\n+CMT: ,24\r\n0791ABCD\r\n\r\nOK\r\n", MESSAGE, piece=piece) == [
        Urc("+CMT: ,24", "0791ABCD"),
        done(),
    ]
    assert heard(b"\r\n+CDS: 25\r\n0006\r\n+CMT: ,3\r\n+CMTI: 1\r\n", piece=piece) == [
        Urc("+CDS: 25", "0006"),
        Urc("+CMT: ,3"),
        Urc("+CMTI: 1"),
    ]


def test_a_final_result_without_a_command_is_late_and_ends_nothing() -> None:
    digester = Digester()
    digester.begin(PLAIN)
    digester.give_up()
    assert digester.feed(b"\r\nOK\r\n") == [Urc("OK")]
    digester.begin(REGISTERED)
    assert digester.feed(b"\r\nERROR\r\n\r\nOK\r\n") == [Response(False, "ERROR"), Urc("OK")]


def test_data_of_an_answer_that_was_given_up_are_lines() -> None:
    digester = Digester()
    digester.begin(READ)
    assert digester.feed(b"\r\n+QIRD: 9\r\nabc") == []
    digester.give_up()
    digester.begin(PLAIN)
    assert digester.feed(b"\r\n\r\nOK\r\n") == [Urc("abc"), done()]


def test_lines_that_are_too_long_are_dropped_and_the_next_is_understood() -> None:
    assert heard(b"x" * MAX_LINE + b"\r\nOK\r\n", PLAIN) == [Urc("x" * MAX_LINE), done()]
    for piece in (None, 1, 500):
        assert heard(b"x" * (MAX_LINE + 1) + b"\r\nOK\r\n", PLAIN, piece=piece) == [done()]


def test_memory_is_bounded_whatever_comes() -> None:
    digester = Digester()
    digester.begin(IDENTITY)
    for _ in range(100):
        digester.feed(b"y" * 4096)
        assert digester.held <= MAX_LINE
    digester.feed(b"\r\n")
    for number in range(4 * MAX_LINES):
        digester.feed(f"line {number}\r\n".encode())
    [response] = digester.feed(b"OK\r\n")
    assert isinstance(response, Response)
    assert response.lines == tuple(f"line {number}" for number in range(MAX_LINES))
    digester.begin(READ)
    digester.feed(f"+QIRD: {MAX_DATA}\r\n".encode())
    for _ in range(MAX_DATA - 1):
        digester.feed(b"\r")
        assert digester.held <= MAX_DATA + MAX_LINE


PIECES = [
    b"\r\n", b"\r", b"\n", b"> ", b">", b"OK\r\n", b"ERROR\r\n", b"0\r", b"4\r\n", b"\r\n+QIRD: 7\r\n", b"+QIRD: 0\r\n",
    b"+CMT: ,9\r\n", b"07AB\r\n", b"+CME ERROR: 10\r\n", b"SEND OK\r\n", b"+CEREG: 2,1\r\n", b"x" * 1500, b"\x00\xff",
    b"AT+QIRD=0\r", b"SEND FAIL\r\n", b"RDY\r\n",
]  # fmt: skip
COMMANDS = [PLAIN, IDENTITY, REGISTERED, READ, READ_SIMCOM, SEND, MESSAGE]


def conversation(octets: bytes, cuts: list[int], command: Command) -> list[Said]:
    """A command is begun again whenever one ended, as a driver would."""
    digester, said = Digester(), list[Said]()
    digester.begin(command)
    for begin, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        said += digester.feed(octets[begin:end])
        assert digester.held <= MAX_DATA + MAX_LINE + MAX_LINES * MAX_LINE
    return said


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=30), st.sampled_from(COMMANDS), st.data())
def test_the_pieces_make_no_difference(parts: list[bytes], command: Command, data: st.DataObject) -> None:
    octets = b"".join(parts)
    whole = conversation(octets, [], command)
    assert conversation(octets, list(range(1, len(octets))), command) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    assert conversation(octets, cuts, command) == whole


def test_a_lossy_line_never_invents_success() -> None:
    rng = random.Random(11)
    octets = b'\r\n+CEREG: 2,1,"1A2B","0102A3F1",7\r\n\r\n+CME ERROR: 30\r\n'
    for _ in range(500):
        said = heard(bytes(one for one in octets if rng.random() > 0.05), REGISTERED)
        assert not any(isinstance(one, Response) and one.ok for one in said)


def test_why_is_told_in_words_with_the_number() -> None:
    assert Response(False, "SIM busy", "CME", 14).why == "SIM busy (CME 14)"
    assert Response(False, "own words", "CME", None).why == "own words (CME ?)"
    assert Response(False, "SEND FAIL").why == "SEND FAIL"


def test_nothing_that_may_be_secret_is_in_a_representation() -> None:
    command = Command('AT+CPIN="1234"')
    assert "1234" not in repr(command)
    assert command.name == "AT+CPIN"
    assert "4915" not in repr(Urc("+CMT: +4915", "0791")) + repr(Response(True, "OK", lines=("4915",)))


def test_a_success_before_the_prompt_is_of_the_command_before() -> None:
    """Without its data a command that prompts cannot succeed; it can fail."""
    command = Command("AT+CMGS=14", r"\+CMGS: .*", prompts=True)
    digester = Digester()
    digester.begin(command)
    assert digester.feed(b"\r\n+CMGS: 6\r\n\r\nOK\r\n\r\n> ") == [Prompt()]
    assert digester.feed(b"\r\n+CMGS: 7\r\n\r\nOK\r\n") == [Response(True, "OK", lines=("+CMGS: 7",))]
    digester.begin(command)
    assert digester.feed(b"\r\nOK\r\n\r\n+CMS ERROR: 38\r\n") == [Response(False, "network out of order", "CMS", 38)]
