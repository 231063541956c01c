"""How modules of two makers are told to open a socket, to send and to read: dialects, as data. Pure.

Quectel: EC25, EG25 and BG96, by the manuals "TCP/IP AT Commands" and "AT Commands" of each. SIMCom: SIM7600, by
"SIM7500_SIM7600_SIM7800 Series TCPIP AT Command Manual" V1.00 and "SIM7500_SIM7600 Series AT Command Manual" V2.00.
What 3GPP TS 27.007 and 27.005 give is the same for all, and not here. In texts, {braces} are filled in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from bondmate.core.at import Command

MAX_DATAGRAM = 1460
"""Octets that both makers send at once (AT+QISEND, AT+CIPSEND: 1460 and 1500)."""
READ_OCTETS = 1500
"""As many are read at once."""
CONTEXT = 1
"""The PDP context in use: that which LTE attaches with."""
ATTACH = Command(f'AT+CGDCONT={CONTEXT},"IP","{{apn}}"')
"""Names the APN for the attachment (27.007, 10.1.1)."""


class Kind(Enum):
    """What an unsolicited result tells."""

    RECEIVED = auto()
    """Something waits to be read."""
    OPENED = auto()
    """What came of opening a socket."""
    CLOSED = auto()
    """A socket is lost."""
    ACTIVATED = auto()
    """What came of activating the context."""
    DEACTIVATED = auto()
    """The context is gone, and every socket with it."""
    SENT = auto()
    """What came of sending, where the final result does not say."""
    SIM = auto()
    """The SIM is not as it was."""
    RESTARTED = auto()
    """The module began anew: it has forgotten all that it was told."""


@dataclass(frozen=True, slots=True)
class Event:
    """An unsolicited result, understood. `error` 0 is success; for SENT it is how many octets were taken, or -1."""

    kind: Kind
    socket: int | None = None
    error: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a maker's modules want to hear."""

    maker: str
    models: re.Pattern[str]
    """Finds the model in what ATI and AT+CGMM say."""
    iccid: Command
    attempts: Command
    """How many attempts at the PIN are left."""
    signal: tuple[Command, ...]
    """The first that is not refused is asked."""
    set_up: tuple[Command, ...]
    """Told once the SIM is ready. None is essential alone: what is refused is noted."""
    context: Command
    """Names the APN {apn}; only where one is configured."""
    is_active: Command
    """Asks for the context; `active` matches the line that says that it is."""
    active: re.Pattern[str]
    activate: Command
    waits_for_activation: bool
    """Whether the result of `activate` is an event that follows its OK."""
    deactivate: Command
    resolve: Command | None
    """Asks for the address of {host}, where a socket cannot be opened to a name; `resolved` has it as its group."""
    resolved: re.Pattern[str]
    open: Command
    """A UDP socket {socket} to {host} {port}, from {local_port}."""
    send: Command
    """{length} octets over {socket} to {host} {port}; the octets follow the prompt."""
    read: Command
    """What waits at {socket}: one datagram, or nothing."""
    close: Command
    errors: Mapping[int, str]
    """What opening and activating say, by number."""
    events: tuple[tuple[re.Pattern[str], Kind], ...]

    def event(self, line: str) -> Event | None:
        """What an unsolicited result means; None: nothing that a driver needs."""
        for pattern, kind in self.events:
            if (found := pattern.fullmatch(line)) is not None:
                said = found.groupdict()
                socket, error = said.get("socket"), said.get("error")
                return Event(kind, None if socket is None else int(socket), 0 if error is None else int(error))
        return None

    def why(self, error: int) -> str:
        """The reason by its number."""
        return self.errors.get(error, f"error {error}")


def is_sayable(text: str) -> bool:
    """Whether it ends neither its quotes nor its line."""
    return re.fullmatch(r'[^"\\\x00-\x1f\x7f]*', text) is not None


def fill(command: Command, **values: object) -> Command:
    """A command with its {braces} filled in. Raises ValueError for what is not sayable."""
    if not all(is_sayable(str(value)) for value in values.values()):
        raise ValueError("a quotation mark, a backslash or a control character cannot be said to a modem")
    return replace(command, text=command.text.format_map(values))


_SOCKET = r"(?P<socket>[0-9]{1,2})"
_ERROR = r"(?P<error>-?[0-9]{1,5})"
_COMMON = (
    # RDY: both; the others by SIMCom's older and Quectel's Cat-M firmware
    (re.compile(r"RDY|START|APP RDY|\*ATREADY: 1"), Kind.RESTARTED),
    (re.compile(r'\+CPIN: ?.*|\+QSIMSTAT: ?[0-9],[0-9]|\+SIMCARD: ?NOT AVAILABLE|\+QUSIM: ?[0-9]'), Kind.SIM),
)  # fmt: skip

QUECTEL = Dialect(
    maker="Quectel",
    models=re.compile(r"\b(EC25|EG25|BG96)(?:-?[A-Z]{0,3})\b"),
    iccid=Command("AT+QCCID", r"\+QCCID: .*"),
    attempts=Command('AT+QPINC="SC"', r"\+QPINC: .*"),
    signal=(Command("AT+QCSQ", r"\+QCSQ: .*"), Command("AT+CESQ", r"\+CESQ: .*")),
    set_up=(Command("AT+QSIMSTAT=1"), Command("AT+QURCCFG=\"urcport\",\"all\"")),
    context=Command(f'AT+QICSGP={CONTEXT},1,"{{apn}}","","",0'),
    is_active=Command("AT+QIACT?", r"\+QIACT: .*"),
    active=re.compile(rf"\+QIACT: ?{CONTEXT},1,.*"),
    activate=Command(f"AT+QIACT={CONTEXT}"),
    waits_for_activation=False,
    deactivate=Command(f"AT+QIDEACT={CONTEXT}"),
    resolve=None,
    resolved=re.compile(r"(?!)"),
    open=Command(f'AT+QIOPEN={CONTEXT},{{socket}},"UDP","{{host}}",{{port}},0,0'),
    send=Command("AT+QISEND={socket},{length}", finals={"SEND OK": True, "SEND FAIL": False}, prompts=True),
    read=Command(f"AT+QIRD={{socket}},{READ_OCTETS}", r"\+QIRD: ?[0-9]+.*", r"\+QIRD: ?([0-9]+)(?:,.*)?"),
    close=Command("AT+QICLOSE={socket}"),
    errors={
        550: "unknown error", 551: "operation blocked", 552: "invalid parameters", 553: "memory not enough",
        554: "create socket failed", 555: "operation not supported", 556: "socket bind failed",
        558: "socket write failed", 559: "socket read failed", 561: "open PDP context failed",
        562: "close PDP context failed", 563: "socket identity has been used", 564: "DNS busy",
        565: "DNS parse failed", 566: "socket connect failed", 567: "socket has been closed", 568: "operation busy",
        569: "operation timeout", 570: "PDP context broken down", 571: "cancel send", 572: "operation not allowed",
        573: "APN not configured", 574: "port busy",
    },
    events=(
        (re.compile(rf'\+QIURC: ?"recv",{_SOCKET}(?:,.*)?'), Kind.RECEIVED),
        (re.compile(rf'\+QIURC: ?"closed",{_SOCKET}'), Kind.CLOSED),
        (re.compile(rf'\+QIURC: ?"pdpdeact",{CONTEXT}'), Kind.DEACTIVATED),
        (re.compile(rf"\+QIOPEN: ?{_SOCKET},{_ERROR}"), Kind.OPENED),
        *_COMMON,
    ),
)  # fmt: skip

SIMCOM = Dialect(
    maker="SIMCom",
    models=re.compile(r"\b(?:SIMCOM_)?(SIM7600)[A-Z0-9-]*\b"),
    iccid=Command("AT+CICCID", r"\+ICCID: .*"),
    attempts=Command("AT+SPIC", r"\+SPIC: .*"),
    signal=(Command("AT+CPSI?", r"\+CPSI: .*"), Command("AT+CESQ", r"\+CESQ: .*")),
    # one profile for all sockets; octets as they are; read on request, so that URCs never stand between them
    set_up=(Command(f"AT+CSOCKSETPN={CONTEXT}"), Command("AT+CIPMODE=0"), Command("AT+CIPRXGET=1")),
    context=Command(f'AT+CGDCONT={CONTEXT},"IP","{{apn}}"'),
    is_active=Command("AT+NETOPEN?", r"\+NETOPEN: .*"),
    active=re.compile(r"\+NETOPEN: ?1(?:,.*)?"),
    activate=Command("AT+NETOPEN", r"\+IP ERROR: .*"),
    waits_for_activation=True,
    deactivate=Command("AT+NETCLOSE", r"\+IP ERROR: .*"),
    resolve=Command('AT+CDNSGIP="{host}"', r"\+CDNSGIP: .*"),
    resolved=re.compile(r'\+CDNSGIP: ?1,"[^"]*","([0-9.]{7,15})".*'),
    open=Command('AT+CIPOPEN={socket},"UDP",,,{local_port}', r"\+IP ERROR: .*"),
    send=Command('AT+CIPSEND={socket},{length},"{host}",{port}', r"\+(?:IP ERROR|CIPERROR): .*", prompts=True),
    read=Command(
        f"AT+CIPRXGET=2,{{socket}},{READ_OCTETS}",
        r"\+CIPRXGET: ?2,.*|\+IP ERROR: .*",
        r"\+CIPRXGET: ?2,[0-9]{1,2},([0-9]+)(?:,.*)?",
    ),
    close=Command("AT+CIPCLOSE={socket}", r"\+IP ERROR: .*"),
    errors={
        1: "network failure", 2: "network not opened", 3: "wrong parameter", 4: "operation not supported",
        5: "failed to create socket", 6: "failed to bind socket", 8: "busy", 9: "sockets opened", 10: "timeout",
        11: "DNS parse failed", 255: "unknown error",
    },
    events=(
        (re.compile(rf"\+CIPRXGET: ?1,{_SOCKET}"), Kind.RECEIVED),
        (re.compile(rf"\+IPCLOSE: ?{_SOCKET},[0-9]"), Kind.CLOSED),
        (re.compile(r"\+CIPEVENT: NETWORK CLOSED.*"), Kind.DEACTIVATED),
        (re.compile(rf"\+CIPOPEN: ?{_SOCKET},{_ERROR}"), Kind.OPENED),
        (re.compile(rf"\+NETOPEN: ?{_ERROR}"), Kind.ACTIVATED),
        (re.compile(rf"\+CIPSEND: ?{_SOCKET},[0-9]+,{_ERROR}"), Kind.SENT),
        *_COMMON,
    ),
)  # fmt: skip

DIALECTS = (QUECTEL, SIMCOM)


def choose(said: Sequence[str]) -> tuple[Dialect, str] | None:
    """The dialect of a modem by what ATI and AT+CGMM say, and its model; None: a modem that nobody knows here."""
    for line in said:
        for dialect in DIALECTS:
            if (found := dialect.models.search(line)) is not None:
                return dialect, f"{dialect.maker} {found[1]}"
    return None
