"""What a modem, its line or a stranger might say, and what must hold of any octets: for the digester and the PDUs."""

import random
from collections.abc import Sequence
from itertools import pairwise

from bondmate.core import cellular
from bondmate.core.at import MAX_DATA, MAX_LINE, MAX_LINES, Command, Digester, Prompt, Response, Said, Urc
from bondmate.core.dialects import DIALECTS, READ_OCTETS, choose, fill
from bondmate.core.pdu import MAX_OCTETS, Other, PduError, Sms, decode

BUILT_IN = (
    b"\r\nOK\r\n", b"\r\nERROR\r\n", b"0\r", b"4\r\n", b"\r\n> ", b"\r\nSEND OK\r\n", b"\r\nSEND FAIL\r\n",
    b"\r\nRDY\r\n", b"AT+QIRD=0,1500\r",
    b"\r\n+CME ERROR: 10\r\n", b"\r\n+CMS ERROR: 38\r\n", b"\r\n+CME ERROR: SIM not inserted\r\n",
    b'\r\n+CEREG: 2,1,"1A2B","0102A3F1",7\r\n', b'\r\n+CEREG: 5,"1A2B","0102A3F1",8\r\n', b"\r\n+CREG: 2,0\r\n",
    b"\r\n+QIRD: 5\r\nhello\r\n\r\nOK\r\n", b"\r\n+QIRD: 0\r\n\r\nOK\r\n",
    b"\r\n+CIPRXGET: 2,0,5,0\r\nhello\r\nOK\r\n", b"\r\n+QIRD: 3000\r\n%b\r\nOK\r\n" % bytes(3000),
    b'\r\n+QIURC: "recv",0\r\n', b'\r\n+QIURC: "pdpdeact",1\r\n', b"\r\n+QIOPEN: 0,0\r\n",
    b"\r\n+CIPSEND: 0,5,-1\r\n", b'\r\n+CMTI: "SM",3\r\n', b"\r\n+CMT: ,24\r\n0791ABCD\r\n",
    b"\r\n+CDS: 25\r\n0006\r\n", b"\r\n+CMGR: 0,,24\r\n0791\r\n",
    b'\r\n+QCSQ: "LTE",-69,-102,150,-12\r\n', b"\r\n+CESQ: 99,99,255,255,20,51\r\n", b'\r\n+COPS: 0,0,"MEO",7\r\n',
    b"\r\n+CPSI: LTE,Online,268-06,0x7496,25194,203,EUTRAN-BAND8,3740,3,3,-92,-672,-418,14\r\n",
    b"\r\n+CPIN: READY\r\n", b"\r\nQuectel\r\nEC25\r\nRevision: EC25EFAR06A01M4G\r\n", b"\r\n861234567890123\r\n",
    b"\r\n+QCCID: 8935101234567890123F\r\n",
)  # fmt: skip
NASTY = tuple(b'|\0|\xff|\r|\n|>|> |\x1a|\x1b|"|,,,,|-|99999999999|2048|2049'.split(b"|"))
COMMANDS = (
    None,
    Command("AT+CMGF=0"),
    Command("ATI", r"(?!\+).+"),
    Command("AT+CEREG?", r"\+CEREG: ?[0-5],[0-9]{1,2}(?:,.*)?"),
    Command("AT+CMGL=4", r"\+CMGL: .*|(?:[0-9A-Fa-f]{2})+"),
    *(fill(dialect.send, socket=0, length=5, host="192.0.2.1", port=1) for dialect in DIALECTS),
    *(fill(dialect.read, socket=0) for dialect in DIALECTS),
)
PDUS = tuple(
    bytes.fromhex(text)
    for text in (
        "07919461197000F0040C9194711032547600046211025100008002CAFE",
        "07919461197000F0440C9194711032547600046211025100008008050003A10201CAFE",
        "07919461197000F0040C919471103254760000621102510000800AE8329BFD4697D9EC37",
        "07919461197000F00406D04F5904000862110251000000060041D83DDE00",
        "07919461197000F006E80C919471103254766211025100008062110251000080" + "00",
        "0001000C91947110325476000402CAFE",
    )
)
"""The layouts of TS 23.040: 8-bit data, a part of a longer message, both alphabets of words, a report, a submission."""
LONG_ADDRESS = bytes.fromhex(f"07919461197000F0042891{'21' * 20}00046211025100008002CAFE")
"""More digits than there can be."""


class Mutator:
    """Spoils what a modem says, by chance and yet always the same for one number."""

    def __init__(self, number: int) -> None:
        self._chance = random.Random(number)

    def said(self) -> bytes:
        """A few results on a line."""
        pieces = [self._spoilt(self._chance.choice(BUILT_IN)) for _ in range(self._chance.randrange(1, 7))]
        if self._chance.random() < 0.02:
            pieces.insert(0, bytes([self._chance.randrange(256)]) * self._chance.choice((MAX_LINE, MAX_LINE + 1, 5000)))
        return b"".join(pieces)

    def message(self) -> bytes:
        """Something like a PDU."""
        if self._chance.random() < 0.1:
            return self._chance.randbytes(self._chance.randrange(260))
        octets = bytearray(self._chance.choice((*PDUS, LONG_ADDRESS)))
        for _ in range(self._chance.randrange(4)):
            match self._chance.randrange(3):
                case 0 if octets:
                    octets[self._chance.randrange(len(octets))] = self._chance.randrange(256)
                case 1:
                    del octets[self._chance.randrange(len(octets) + 1) :]
                case _:
                    octets += self._chance.randbytes(self._chance.randrange(20))
        return bytes(octets)

    def command(self) -> Command | None:
        return self._chance.choice(COMMANDS)

    def chunks(self, octets: bytes) -> list[bytes]:
        """The same octets in pieces."""
        places = sorted(self._chance.randrange(len(octets) + 1) for _ in range(self._chance.choice((1, 3, 20))))
        return [octets[begin:end] for begin, end in pairwise([0, *places, len(octets)])]

    def _spoilt(self, octets: bytes) -> bytes:
        if self._chance.random() < 0.5:
            return octets
        begin, end = sorted(self._chance.randrange(len(octets) + 1) for _ in range(2))
        match self._chance.randrange(4):
            case 0:
                return octets[:begin] + octets[end:]
            case 1:
                return octets[begin:end]
            case 2:
                return octets[:begin] + self._chance.choice(NASTY) + octets[begin:]
            case _:
                return octets[:begin] + self._chance.randbytes(self._chance.randrange(4)) + octets[begin + 1 :]


def digested(chunks: Sequence[bytes], command: Command | None) -> list[Said]:
    """What a digester makes of them; each time an answer came the command is begun again."""
    digester, said = Digester(), list[Said]()
    if command is not None:
        digester.begin(command)
    for chunk in chunks:
        said += digester.feed(chunk)
        assert digester.held <= MAX_LINE + MAX_DATA + MAX_LINES * MAX_LINE, "bounded"
    return said


def check_said(octets: bytes, command: Command | None, *pieces: Sequence[bytes]) -> list[Said]:
    """For any octets: no error, nothing that cannot be, and the same in each of these pieces."""
    try:
        whole = digested([octets], command)
        for each in pieces:
            assert digested(each, command) == whole, "the pieces make a difference"
        for said in whole:
            _check(said, command)
        assert sum(isinstance(said, Response) for said in whole) <= (command is not None)
        assert sum(isinstance(said, Prompt) for said in whole) <= (command is not None and command.prompts)
    except Exception as error:
        error.add_note(f"from {octets!r} after {command and command.text}")
        raise
    return whole


def _check(said: Said, command: Command | None) -> None:
    match said:
        case Response():
            assert command is not None
            assert said.data is None or len(said.data) <= MAX_DATA
            assert said.data is None or command.counts
            assert len(said.lines) <= MAX_LINES
            assert said.why
            lines = said.lines
        case Urc():
            assert 0 < len(said.line) <= MAX_LINE
            lines = (said.line,)
        case _:
            return
    choose(lines)
    for line in lines:
        for read in (cellular.cell, cellular.signal, cellular.operator, cellular.sim, cellular.attempts, cellular.imei):
            read(line)
        for dialect in DIALECTS:
            event = dialect.event(line)
            assert event is None or event.socket is None or 0 <= event.socket < 100
    assert READ_OCTETS <= MAX_DATA


def check_message(octets: bytes) -> Sms | Other | None:
    """For any octets: a message, or what else a modem keeps, or a PduError and nothing else."""
    try:
        found = decode(octets.hex())
    except PduError:
        return None
    except Exception as error:
        error.add_note(f"from {octets.hex()}")
        raise
    if isinstance(found, Sms):
        assert len(found.octets) <= MAX_OCTETS
        assert len(found.sender) <= 21
        assert found.is_8_bit == (found.text is None and found.alphabet.value == "8-bit data")
        assert found.text is None or len(found.text) <= 160
        assert sum(2 + len(data) for _, data in found.header) < MAX_OCTETS
    return found
