"""The far end of a modem's line: what an EC25 or a SIM7600 says, by their manuals, with faults on demand.

Written from the manuals and neither from the driver nor from the simulator, and knows as little as the tests need.
"""

import asyncio
import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bondmate_sim.serial_end import SerialEnd

ICCID = "8935101234567890123"
IMEI = "861234567890123"
Reply = str | Callable[[], str | None]
"""Information; a text that begins with `!` is the final result itself; None: it does not answer."""
COMMON: dict[str, Reply] = {
    "AT": "", "ATE0": "", "ATV1": "", "AT+CMEE=2": "", "AT+CPSMS=0": "", "AT+CEDRXS=0": "", "AT+CEREG=2": "",
    "AT+CREG=2": "", "AT+COPS=3,0": "", "AT+CMGF=0": "", "AT+CNMI=2,1,0,1,0": "",
    'AT+CPMS="SM","SM","SM"': "+CPMS: 0,20,0,20,0,20", "AT+CGSN": IMEI, "AT+CPIN?": "+CPIN: READY",
    'AT+CGDCONT=1,"IP","internet"': "", "AT+CEREG?": '+CEREG: 2,1,"1A2B","0102A3F1",7', "AT+CREG?": "+CREG: 2,0",
    "AT+COPS?": '+COPS: 0,0,"MEO",7',
}  # fmt: skip
QUECTEL: dict[str, Reply] = COMMON | {
    "ATI": "Quectel\r\nEC25\r\nRevision: EC25EFAR06A01M4G\r\n", "AT+CGMM": "EC25", "AT+QCCID": f"+QCCID: {ICCID}F",
    "AT+QSIMSTAT=1": "", 'AT+QURCCFG="urcport","all"': "", "AT+QCSQ": '+QCSQ: "LTE",-69,-102,150,-12',
    'AT+QICSGP=1,1,"internet","","",0': "", "AT+QIACT=1": "", "AT+QIDEACT=1": "", "AT+QIACT?": "",
    'AT+QPINC="SC"': '+QPINC: "SC",3,10',
}  # fmt: skip
SIMCOM: dict[str, Reply] = COMMON | {
    "ATI": f"Manufacturer: SIMCOM INCORPORATED\r\nModel: SIMCOM_SIM7600E-H\r\nIMEI: {IMEI}\r\n+GCAP: +CGSM",
    "AT+CGMM": "SIMCOM_SIM7600E-H", "AT+CICCID": f"+ICCID: {ICCID}", "AT+CSOCKSETPN=1": "", "AT+CIPMODE=0": "",
    "AT+CIPRXGET=1": "", "AT+CPSI?": "+CPSI: LTE,Online,268-06,0x7496,25194,203,EUTRAN-BAND8,3740,3,3,-92,-672,-418,14",
    "AT+NETOPEN?": "+NETOPEN: 0", "AT+SPIC": "+SPIC: 3,10,0,10",
    'AT+CDNSGIP="gateway.example"': '+CDNSGIP: 1,"gateway.example","192.0.2.1"',
}  # fmt: skip
_QIOPEN = re.compile(r'AT\+QIOPEN=1,(\d+),"UDP","([^"]+)",(\d+),0,0')
_CIPOPEN = re.compile(r'AT\+CIPOPEN=(\d+),"UDP",,,(\d+)')
_SEND = re.compile(r'AT\+(?:QI|CIP)SEND=(\d+),(\d+)(?:,"([^"]+)",(\d+))?')
_READ = re.compile(r"AT\+(QIRD=|CIPRXGET=2,)(\d+),1500")
_CLOSE = re.compile(r"AT\+(?:QICLOSE|CIPCLOSE)=(\d+)")
_CMGS = re.compile(r"AT\+CMGS=(\d+)")
_CMGR = re.compile(r"AT\+CMGR=(\d+)")
_CMGD = re.compile(r"AT\+CMGD=(\d+)")

Quality = Callable[[bytes], Iterator[tuple[float, bytes]]]
"""Pieces of what is said, each with a pause before it."""


def clean(data: bytes) -> Iterator[tuple[float, bytes]]:
    yield 0, data


def byte_by_byte(data: bytes) -> Iterator[tuple[float, bytes]]:
    for octet in data:
        yield 0, bytes([octet])


def slow(data: bytes) -> Iterator[tuple[float, bytes]]:
    """9600 baud, as a UART's queue hands them on."""
    for at in range(0, len(data), 16):
        yield 16 / 960, data[at : at + 16]


def lossy(seed: int, part: float = 0.002) -> Quality:
    rng = random.Random(seed)

    def quality(data: bytes) -> Iterator[tuple[float, bytes]]:
        yield 0, bytes(octet for octet in data if rng.random() > part)

    return quality


@dataclass
class Peer:
    """A module. Use it in an event loop, as a context manager."""

    end: SerialEnd
    replies: dict[str, Reply] = field(default_factory=lambda: dict(QUECTEL))
    """By command."""
    quality: Quality = clean
    echo: bool = True
    heard: list[str] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    store: dict[int, str] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    hung: bool = False
    silent_at: Callable[[str], bool] = lambda _: False
    """Commands that are never answered."""
    before_prompt: str = ""
    """What is said unasked before each prompt."""
    send_results: deque[str] = field(default_factory=deque)
    """What comes of the next datagrams, in place of success."""
    sms_result: str | None = "\r\n+CMGS: 7\r\n\r\nOK\r\n"

    def __post_init__(self) -> None:
        self._line = b""
        self._wants: tuple[str, int] | None = None
        self._data = b""
        self._out: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self.waiting: dict[int, deque[bytes]] = {0: deque(), 1: deque()}

    async def __aenter__(self) -> "Peer":
        self._speaking = asyncio.ensure_future(self._speak())
        asyncio.get_running_loop().add_reader(self.end.fileno(), self._readable)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        asyncio.get_running_loop().remove_reader(self.end.fileno())
        self._speaking.cancel()
        await asyncio.wait({self._speaking})

    # --- what a test does -------------------------------------------------------------------------------

    def say(self, text: str | bytes) -> None:
        for piece in self.quality(text.encode("latin-1") if isinstance(text, str) else text):
            self._out.put_nowait(piece)

    def unasked(self, *lines: str) -> None:
        self.say("".join(f"\r\n{line}\r\n" for line in lines))

    def arrive(self, number: int, datagram: bytes) -> None:
        """A datagram from the network."""
        self.waiting[number].append(datagram)
        self.unasked(f"+CIPRXGET: 1,{number}" if self._is_simcom else f'+QIURC: "recv",{number}')

    def arrive_sms(self, place: int, pdu: str) -> None:
        self.store[place] = pdu
        self.unasked(f'+CMTI: "SM",{place}')

    @property
    def wants_data(self) -> bool:
        """Whether it has asked for data that it does not have yet."""
        return self._wants is not None

    # --- how it is a module -----------------------------------------------------------------------------

    @property
    def _is_simcom(self) -> bool:
        return "AT+NETOPEN?" in self.replies

    async def _speak(self) -> None:
        while True:
            pause_s, data = await self._out.get()
            await asyncio.sleep(pause_s)
            while (sent := self.end.send(data)) < len(data):
                data = data[sent:]
                await asyncio.sleep(0.001)

    def _readable(self) -> None:
        for octet in self.end.receive():
            self._take(bytes([octet]))

    def _take(self, octet: bytes) -> None:
        if self._wants is not None:
            what, count = self._wants
            if what == "sms":
                if octet in {b"\x1a", b"\x1b"}:
                    self._wants = None
                    self._sms(octet)
                else:
                    self._data += octet
                return
            self._data += octet
            if len(self._data) == count:
                self._wants = None
                self._datagram(what)
        elif octet == b"\r":
            line, self._line = self._line.decode("latin-1").replace("\x1b", ""), b""
            if self.echo and line:
                self.say(line + "\r")
            if line:
                self._command(line)
        else:
            self._line += octet

    def _command(self, text: str) -> None:
        self.heard.append(text)
        if self.hung or self.silent_at(text):
            return
        if text == "ATE0":
            self.echo = False
        reply = self.replies.get(text)
        if callable(reply):
            reply = reply()
            if reply is None:
                return
        if reply is not None:
            self._final(reply) if reply.startswith("!") else self._ok(reply)
        elif not (self._about_sockets(text) or self._about_messages(text)):
            self._final("!ERROR")

    def _about_sockets(self, text: str) -> bool:
        if (found := _QIOPEN.fullmatch(text)) is not None:
            self._opened(int(found[1]), f"\r\nOK\r\n\r\n+QIOPEN: {found[1]},{{}}\r\n", 563)
        elif (found := _CIPOPEN.fullmatch(text)) is not None:
            self._opened(int(found[1]), f"\r\n+CIPOPEN: {found[1]},{{}}\r\n\r\nOK\r\n", 4)
        elif text == "AT+NETOPEN":
            self.replies["AT+NETOPEN?"] = "+NETOPEN: 1"
            self.say("\r\nOK\r\n\r\n+NETOPEN: 0\r\n")
        elif (found := _SEND.fullmatch(text)) is not None:
            self._prompt(found[1], int(found[2]))
        elif (found := _READ.fullmatch(text)) is not None:
            self._read(found[1], int(found[2]))
        elif (found := _CLOSE.fullmatch(text)) is not None:
            was = int(found[1]) in self.open
            self.open.discard(int(found[1]))
            self.say("\r\nOK\r\n" if was or not self._is_simcom else f"\r\n+CIPCLOSE: {found[1]},4\r\n\r\nERROR\r\n")
        else:
            return False
        return True

    def _about_messages(self, text: str) -> bool:
        if _CMGS.fullmatch(text) is not None:
            self._prompt("sms", 0)
        elif text == "AT+CMGL=4":
            lines = [f"+CMGL: {place},1,,24\r\n{pdu}" for place, pdu in self.store.items()]
            self._ok("\r\n".join(lines))
        elif (found := _CMGR.fullmatch(text)) is not None:
            pdu = self.store.get(int(found[1]))
            self._final("!+CMS ERROR: 321") if pdu is None else self._ok(f"+CMGR: 0,,24\r\n{pdu}")
        elif (found := _CMGD.fullmatch(text)) is not None:
            self.store.pop(int(found[1]), None)
            self._ok("")
        else:
            return False
        return True

    def _ok(self, information: str) -> None:
        self.say((f"\r\n{information}\r\n" if information else "") + "\r\nOK\r\n")

    def _final(self, text: str) -> None:
        self.say(f"\r\n{text[1:]}\r\n")

    def _opened(self, number: int, said: str, taken: int) -> None:
        self.say(said.format(taken if number in self.open else 0))
        self.open.add(number)

    def _prompt(self, what: str, count: int) -> None:
        if what != "sms" and int(what) not in self.open:
            self._final("!ERROR")
            return
        self._wants, self._data = (what, count), b""
        self.say(self.before_prompt + "\r\n> ")

    def _datagram(self, what: str) -> None:
        if self.hung:
            return
        result = self.send_results.popleft() if self.send_results else None
        if result is not None:
            self.say(result)
            return
        self.datagrams.append(self._data)
        length = len(self._data)
        self.say(f"\r\nOK\r\n\r\n+CIPSEND: {what},{length},{length}\r\n" if self._is_simcom else "\r\nSEND OK\r\n")

    def _read(self, kind: str, number: int) -> None:
        data = self.waiting[number].popleft() if self.waiting[number] else b""
        if kind == "QIRD=":
            self.say(b"\r\n+QIRD: %d\r\n%b%b\r\nOK\r\n" % (len(data), data, b"\r\n" if data else b""))
        elif data:
            self.say(b"\r\n+CIPRXGET: 2,%d,%d,0\r\n%b\r\nOK\r\n" % (number, len(data), data))
        else:
            self.say("\r\n+IP ERROR: No data\r\n\r\nERROR\r\n")

    def _sms(self, how: bytes) -> None:
        if how == b"\x1b":
            self.heard.append("ESC")
            self.say("\r\nOK\r\n")
            return
        self.messages.append(self._data.decode("latin-1"))
        if self.sms_result is not None and not self.hung:
            self.say(self.sms_result)
