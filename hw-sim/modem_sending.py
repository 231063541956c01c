"""The commands about messages that go out: their format, the centre, and the sending itself. Pure.

Source: 3GPP TS 27.005, clauses 3.1, 3.2.3, 3.3.1, 3.5.1 (text mode) and 4.3 (PDU mode).
"""

import itertools
import re
from dataclasses import dataclass

from bondmate_sim import gsm_alphabet, tpdu
from bondmate_sim.modem_at import Command, whole
from bondmate_sim.modem_body import LATER, OK, Answer, Body, Outcome, Prompt
from bondmate_sim.modem_card import Card
from bondmate_sim.modem_effects import News, Submit
from bondmate_sim.modem_errors import CmeError, CmsError
from bondmate_sim.modem_network import Network
from bondmate_sim.short_message import NUMBER, MessageError, UserData, is_seven_bit

DEFAULT_CENTRE = "+4915550000"
ANSWER_S = 10.0
"""How long the network is waited for; a real one may take 40 s and more."""
MAX_TPDU_OCTETS = 164
"""An SMS-SUBMIT with everything."""
SIM_NEEDED = {10: 310, 11: 311, 12: 316}
"""What +CME ERROR says of a SIM, as +CMS ERROR."""


def require_card(card: Card) -> None:
    """Raise CmsError unless the SIM is ready."""
    try:
        card.require()
    except CmeError as error:
        raise CmsError(SIM_NEEDED[error.code]) from None


@dataclass(frozen=True, slots=True)
class _Awaited:
    name: str
    reference: int


class Sending:
    """The way out for messages of one modem."""

    def __init__(self, body: Body, network: Network) -> None:
        self._body = body
        self._network = network
        self._names = itertools.count(1)
        self._references = itertools.count(0)
        self.centre = DEFAULT_CENTRE
        self.restart()

    def restart(self) -> None:
        self._awaited: _Awaited | None = None
        self.text_mode = False
        self._text_coding = 0

    def submitted(self, name: str, why_not: str | None) -> None:
        """The centre took the message, or did not."""
        if self._awaited is None or self._awaited.name != name:
            return
        reference, self._awaited = self._awaited.reference, None
        if why_not is None:
            self._body.finish(Answer([f"+CMGS: {reference}"]))
        else:
            self._body.do(News(f"message refused: {why_not}"))
            self._body.finish(CmsError(21))

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        match command.name:
            case "+CMGF" | "+CSMP" | "+CSCA":
                return self._obey_setting(command)
            case "+CMGS":
                require_card(self._body.card)
                return self._obey_sending(command)
            case _:
                return None

    def _obey_setting(self, command: Command) -> Outcome:
        match command.name, command.kind, command.parameters:
            case "+CMGF", "test", _:
                return Answer(["+CMGF: (0,1)"])
            case "+CMGF", "read", _:
                return Answer([f"+CMGF: {int(self.text_mode)}"])
            case "+CMGF", "set", [mode]:
                self.text_mode = whole(mode, 0, 1) == 1
            case "+CSMP", "read", _:
                return Answer([f"+CSMP: 17,167,0,{self._text_coding}"])
            case "+CSMP", "set", [_, _, _, coding]:
                self._text_coding = whole(coding, 0, 255)
            case "+CSCA", "read", _:
                kind = 145 if self.centre.startswith("+") else 129
                return Answer([f'+CSCA: "{self._body.text(self.centre)}",{kind}'])
            case "+CSCA", "set", [number, *_]:
                self._set_centre(self._body.words(number))
            case "+CSCA" | "+CSMP", "test", _:
                return OK
            case _:
                raise CmsError(303)
        return OK

    def _set_centre(self, number: str) -> None:
        if number and not NUMBER.fullmatch(number):
            raise CmsError(305)
        self.centre = number

    def _obey_sending(self, command: Command) -> Outcome:
        match command.kind, command.parameters:
            case "test", _:
                return OK
            case "set", [to, *_] if self.text_mode:
                return Prompt(None, lambda octets: self._send_text(self._body.words(to), octets))
            case "set", [length]:
                count = whole(length, 1, MAX_TPDU_OCTETS)
                return Prompt(None, lambda octets: self._send_pdu(count, octets))
            case _:
                raise CmsError(305 if self.text_mode else 304)

    def _send_pdu(self, count: int, octets: bytes | None) -> Outcome:
        if octets is None:
            return OK
        text = octets.decode("latin-1").strip()
        try:
            centre, data = tpdu.split_centre(bytes.fromhex(text) if re.fullmatch(r"[0-9A-Fa-f]*", text) else b"")
            if len(data) != count:
                raise CmsError(304)
            submission = tpdu.submission(data)
        except (MessageError, ValueError):
            raise CmsError(304) from None
        return self._send(centre or self.centre, submission.to, submission.data)

    def _send_text(self, to: str, octets: bytes | None) -> Outcome:
        if octets is None:
            return OK
        if not NUMBER.fullmatch(to):
            raise CmsError(305)
        text = octets.decode("latin-1").replace("\r", "\n")
        try:
            if self._text_coding & 0b1100 == 0b1000:
                data = bytes.fromhex(text) if self._body.charset == "UCS2" else text.encode("utf-16-be")
                return self._send(self.centre, to, UserData(self._text_coding, False, len(data), data))
            if not is_seven_bit(self._text_coding):
                data = bytes.fromhex(text)
                return self._send(self.centre, to, UserData(self._text_coding, False, len(data), data))
            septets = gsm_alphabet.septets(self._body.words(text))
            data = gsm_alphabet.pack(septets)
            return self._send(self.centre, to, UserData(self._text_coding, False, len(septets), data))
        except (MessageError, ValueError):
            raise CmsError(305) from None

    def _send(self, centre: str, to: str, data: UserData) -> Outcome:
        if not centre:
            raise CmsError(330)
        if not self._network.registered:
            raise CmsError(331)
        if not NUMBER.fullmatch(to):
            raise CmsError(21)
        name = f"m{next(self._names)}"
        self._awaited = _Awaited(name, next(self._references) % 256)
        self._body.do(Submit(name, to, data))
        self._body.after(ANSWER_S, lambda: self._give_up(name))
        return LATER

    def _give_up(self, name: str) -> None:
        if self._awaited is not None and self._awaited.name == name:
            self._awaited = None
            self._body.finish(CmsError(332))
