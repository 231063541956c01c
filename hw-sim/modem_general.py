"""The commands about the modem itself: who it is, how it answers, its power, and its SIM's PIN. Pure.

Sources: ITU-T V.250; 3GPP TS 27.007, clauses 5, 8.2, 8.3 and 9.1; the AT commands manuals of Quectel's EC2x, EG9x and
EG2x-G series (V1.4) and of SIMCom's SIM7500 and SIM7600 series (V2.00).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from bondmate_sim.modem_at import Command, whole
from bondmate_sim.modem_body import OK, Answer, Body, Dialect, Outcome
from bondmate_sim.modem_card import ICCID, IMSI
from bondmate_sim.modem_errors import CmeError

IMEI = "490154203237518"
CHARSETS = ("GSM", "IRA", "UCS2")
CONSTANT_REGISTERS = {"S3": "013", "S4": "010", "S5": "008"}
"""The end of a line, the line feed and the backspace."""
ACCEPTED = ("Z", "&F", "V1", "Q0", "X4", "X1", "X0", "&C1", "&D0", "&D1", "&D2", "&W", "E0", "E1")
RESET_S = 0.1
"""From the OK to a reset until the port goes: the OK arrives."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a maker's modem says of itself."""

    maker: str
    model: str
    revision: str
    information: tuple[str, ...]
    detail: int
    """What AT+CMEE is at first."""
    functions: tuple[int, ...]
    """What AT+CFUN takes."""


IDENTITIES: dict[Dialect, Identity] = {
    "quectel": Identity(
        "Quectel", "EC25", "EC25EFAR06A17M4G", ("Quectel", "EC25", "Revision: EC25EFAR06A17M4G"), 1, (0, 1, 4)
    ),
    "simcom": Identity(
        "SIMCOM INCORPORATED",
        "SIMCOM_SIM7600E-H",
        "LE20B04SIM7600M22",
        (
            "Manufacturer: SIMCOM INCORPORATED",
            "Model: SIMCOM_SIM7600E-H",
            "Revision: SIM7600M22_V2.0",
            f"IMEI: {IMEI}",
            "+GCAP: +CGSM,+FCLASS,+DS",
        ),
        2,
        (0, 1, 4, 5, 6, 7),
    ),
}


class General:
    """Identity, result codes, character set, function level and PIN."""

    def __init__(self, body: Body, changed: Callable[[], None], reset: Callable[[], None]) -> None:
        """`changed` is called when power or SIM changed, `reset` when the modem is to start again."""
        self._body = body
        self._changed = changed
        self._reset = reset
        self._me = IDENTITIES[body.setup.dialect]

    def restart(self) -> None:
        self._body.detail = self._me.detail

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        if not command.name.startswith("+"):
            return self._obey_basic(command)
        if answer := self._identify(command):
            return answer
        match command.name, command.kind:
            case "+CMEE", "test":
                return Answer(["+CMEE: (0-2)"])
            case "+CMEE", "read":
                return Answer([f"+CMEE: {self._body.detail}"])
            case "+CMEE", "set":
                self._body.detail = whole(command.text, 0, 2)
                return OK
            case "+CSCS", "test":
                return Answer(['+CSCS: ("GSM","IRA","UCS2")'])
            case "+CSCS", "read":
                return Answer([f'+CSCS: "{self._body.charset}"'])
            case "+CSCS", "set":
                return self._set_charset(command.parameters)
            case "+CFUN", _:
                return self._obey_function(command)
            case "+CPIN", _:
                return self._obey_pin(command)
            case _:
                return None

    def _obey_basic(self, command: Command) -> Outcome | None:
        match command.name, command.kind:
            case "I", _:
                return Answer(self._me.information)
            case name, "read" if name in CONSTANT_REGISTERS:
                return Answer([CONSTANT_REGISTERS[name]])
            case name, "set" if name in CONSTANT_REGISTERS:
                return OK if int(command.text) == int(CONSTANT_REGISTERS[name]) else None
        word = command.name + (command.text or {"E": "0", "V": "0", "Q": "0", "Z": "", "&F": ""}.get(command.name, ""))
        if re.fullmatch(r"(Z|&F|&W)0", word):
            word = word[:-1]
        if word not in ACCEPTED:
            return None
        if word in ("E0", "E1"):
            self._body.echo = word == "E1"
        elif word in ("Z", "&F"):
            self._body.echo, self._body.detail = self._body.setup.echo, self._me.detail
        return OK

    def _identify(self, command: Command) -> Outcome | None:
        if command.kind == "test":
            known = ("+CGMI", "+CGMM", "+CGMR", "+CGSN", "+GSN", "+CIMI", "+GMI", "+GMM", "+GMR")
            return OK if command.name in known else None
        if command.kind not in ("run", "set"):
            return None
        match command.name:
            case "+CGMI" | "+GMI":
                return Answer([self._me.maker])
            case "+CGMM" | "+GMM":
                return Answer([self._me.model])
            case "+CGMR" | "+GMR":
                prefix = "+CGMR: " if self._body.setup.dialect == "simcom" else ""
                return Answer([prefix + self._me.revision])
            case "+CGSN" | "+GSN":
                return Answer([IMEI])
            case "+CIMI":
                self._body.card.require()
                return Answer([IMSI])
            case "+GCAP":
                return Answer(["+GCAP: +CGSM,+FCLASS,+DS"])
            case "+CCID":
                return Answer([f"+CCID: {self.iccid()}"])
            case _:
                return None

    def iccid(self) -> str:
        """Raises CmeError when there is no SIM."""
        if not self._body.card.inserted:
            raise CmeError(10)
        return ICCID

    def _set_charset(self, parameters: list[str]) -> Outcome:
        charset = self._body.words(parameters[0])
        if charset not in CHARSETS:
            raise CmeError(50)
        self._body.charset = charset
        return OK

    def _obey_function(self, command: Command) -> Outcome | None:
        match command.kind, command.parameters:
            case "test", _:
                return Answer([f"+CFUN: ({','.join(map(str, self._me.functions))}),(0,1)"])
            case "read", _:
                return Answer([f"+CFUN: {self._body.function}"])
            case "set", [function, *more] if len(more) <= 1:
                level, restart = whole(function, 0, 7), whole(more[0], 0, 1) if more else 0
                if level not in self._me.functions or (restart and level != 1):
                    raise CmeError(50)
                if restart or level == 6:
                    self._body.after(RESET_S, self._reset)
                elif level != self._body.function:
                    self._switch(level)
                return OK
            case _:
                raise CmeError(50)

    def _switch(self, level: int) -> None:
        powered, self._body.function = self._body.function != 0, level
        if level == 0:
            self._body.card.restart()
        if powered != (level != 0):
            self._body.after(0.0, lambda: self._body.report(f"+CPIN: {self._pin_word()}"))
        self._body.after(0.0, self._changed)

    def _pin_word(self) -> str:
        if self._body.function == 0 or not self._body.card.inserted:
            return "NOT READY"
        return self._body.card.state

    def _obey_pin(self, command: Command) -> Outcome:
        card = self._body.card
        if command.kind == "test":
            return OK
        if self._body.function == 0:
            raise CmeError(13)
        match command.kind, command.parameters:
            case "read", _:
                return Answer([f"+CPIN: {card.state}"])
            case "set", [pin]:
                card.verify(pin)
            case "set", [puk, pin]:
                card.unblock(puk, pin)
            case _:
                raise CmeError(50)
        self._body.after(0.0, lambda: self._body.report("+CPIN: READY"))
        self._body.after(0.0, self._changed)
        return OK
