"""How a Quectel has UDP sockets: by AT+QIOPEN and its kin. Pure.

Source: Quectel's TCP/IP AT commands manual for the EC2x and EG9x series, V1.0: QI commands, QIURC and error codes.
"""

import re

from bondmate_sim.modem_at import Command, NumberError, whole
from bondmate_sim.modem_body import LATER, OK, Answer, Body, Outcome, Prompt
from bondmate_sim.modem_effects import CloseSocket, OpenSocket, SendDatagram
from bondmate_sim.modem_errors import FailureError
from bondmate_sim.modem_links import Link, Received
from bondmate_sim.modem_network import ADDRESS, CONTEXTS, Network

LINKS = range(12)
MAX_SEND, MAX_READ = 1_460, 1_500
ACTIVATE_S = 0.05
"""Up to 150 s by the manual."""
ERRORS = {
    0: "operate successfully",
    550: "unknown error",
    552: "invalid parameters",
    555: "operation not supported",
    558: "socket write failed",
    561: "open PDP context failed",
    563: "socket identity has been used",
    565: "dns parse failed",
    566: "socket connect failed",
    572: "operation not allowed",
}
COMMANDS = (
    "+QICSGP",
    "+QIACT",
    "+QIDEACT",
    "+QIOPEN",
    "+QICLOSE",
    "+QISTATE",
    "+QISEND",
    "+QISENDEX",
    "+QIRD",
    "+QISDE",
)
ADDRESS_KINDS = {"1": "IP", "2": "IPV6", "3": "IPV4V6"}
CONNECTED, CLOSING, OPENING = 2, 4, 1
STATES = {"opening": OPENING, "open": CONNECTED, "lost": CLOSING}
PORT_NAME = "usbmodem"


class QuectelSockets:
    """The sockets of one modem, and the contexts that they need."""

    def __init__(self, body: Body, network: Network) -> None:
        self._body = body
        self._network = network
        self.restart()

    def restart(self) -> None:
        self._links: dict[int, Link] = {}
        self._activated: set[int] = set()
        self._stale: set[int] = set()
        """Contexts that the network took away: the host must deactivate them before it activates them again."""
        self._error = 0
        self.data_echo = True

    def links(self) -> list[int]:
        return list(self._links)

    # --- from the network ------------------------------------------------------------------------------------------

    def lose_contexts(self) -> None:
        """The network deactivated every context; sockets stay, useless, until the host deactivates too."""
        for context in sorted(self._activated):
            self._body.report(f'+QIURC: "pdpdeact",{context}')
        self._stale |= self._activated
        self._activated.clear()
        for link in self._links.values():
            link.state = "lost"

    def lose_link(self, number: int) -> bool:
        """The socket's end; false when there is none."""
        link = self._links.get(number)
        if link is None or link.state != "open":
            return False
        link.state = "lost"
        self._body.do(CloseSocket(number))
        self._body.report(f'+QIURC: "closed",{number}')
        return True

    def opened(self, number: int, local_port: int | None, found: bool) -> None:
        """The socket is there, or could not be made; `found`: its peer's name has an address."""
        link = self._links.get(number)
        if link is None or link.state != "opening":
            return
        if local_port is None:
            del self._links[number]
            self._body.report(f"+QIOPEN: {number},{566 if found else 565}")
            return
        link.state, link.local_port = "open", local_port
        self._body.report(f"+QIOPEN: {number},0")

    def received(self, number: int, received: Received) -> None:
        """A datagram came."""
        link = self._links.get(number)
        if link is None or link.state != "open":
            return
        if link.push:
            link.read += len(received.octets)
            self._body.report(b'+QIURC: "recv",%d,%d\r\n%b' % (number, len(received.octets), received.octets))
        elif link.keep(received):
            self._body.report(f'+QIURC: "recv",{number}')

    # --- from the host ---------------------------------------------------------------------------------------------

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        if not command.name.startswith("+QI"):
            return None
        try:
            return self._obey_sockets(command)
        except NumberError:
            raise self._failed(552) from None

    def _obey_sockets(self, command: Command) -> Outcome | None:
        match command.name, command.kind, command.parameters:
            case "+QICSGP", "set", [context, *how]:
                return self._configure(_context(context), how)
            case "+QIACT", "set", [context]:
                return self._activate(_context(context))
            case "+QIACT", "read", _:
                return Answer([f'+QIACT: {context},1,1,"{ADDRESS}"' for context in sorted(self._activated)])
            case "+QIDEACT", "set", [context, *_]:
                return self._deactivate(_context(context))
            case "+QIOPEN", "set", [_, _, kind, _, _, *more] if len(more) <= 2:
                if kind != "UDP":
                    raise self._failed(555)
                return self._open(command)
            case "+QICLOSE", "set", [number, *_]:
                return self._close(_link(number))
            case (("+QISEND" | "+QISENDEX" | "+QIRD"), "set", _):
                return self._obey_data(command)
            case _:
                return self._obey_about_sockets(command)

    def _obey_about_sockets(self, command: Command) -> Outcome | None:
        match command.name, command.kind, command.parameters:
            case "+QISTATE", _, how:
                return self._tell_states(command.kind, how)
            case "+QISDE", "set", [wanted]:
                self.data_echo = whole(wanted, 0, 1) == 1
                return OK
            case "+QISDE", "read", _:
                return Answer([f"+QISDE: {int(self.data_echo)}"])
            case "+QIGETERROR", "run", _:
                return Answer([f"+QIGETERROR: {self._error},{ERRORS[self._error]}"])
            case name, "test", _ if name in COMMANDS:
                return OK
            case _:
                return None

    def _failed(self, error: int) -> FailureError:
        self._error = error
        return FailureError()

    def _configure(self, context: int, how: list[str]) -> Outcome:
        apns = self._body.apns
        if not how:
            kind, name = apns.get(context, ("IP", ""))
            number = next(number for number, one in ADDRESS_KINDS.items() if one == kind)
            return Answer([f'+QICSGP: {number},"{name}","","",0'])
        if how[0] not in ADDRESS_KINDS or len(how) > 5:
            raise self._failed(552)
        apns[context] = (ADDRESS_KINDS[how[0]], how[1] if len(how) > 1 else "")
        return OK

    def _activate(self, context: int) -> Outcome:
        if context in self._activated | self._stale:
            raise self._failed(572)

        def end() -> None:
            if self._network.activate(context):
                self._activated.add(context)
                self._body.finish(OK)
            else:
                self._body.finish(self._failed(561))

        self._body.after(ACTIVATE_S, end)
        return LATER

    def _deactivate(self, context: int) -> Outcome:
        self._activated.discard(context)
        self._stale.discard(context)
        for number in [number for number, link in self._links.items() if link.context == context]:
            self._close(number)
        return OK

    def _open(self, command: Command) -> Outcome:
        context, number, _, host, port, *more = command.parameters
        peer = (host, whole(port, 1, 65_535))
        local_port = whole(more[0], 0, 65_535) if more and more[0] else 0
        push = len(more) == 2 and whole(more[1], 0, 1) == 1
        link, one = Link(_context(context), peer, push), _link(number)
        error = 563 if one in self._links else 561 if link.context not in self._activated else 0
        if error:
            self._error = error
            self._body.after(0.0, lambda: self._body.report(f"+QIOPEN: {one},{error}"))
        else:
            self._links[one] = link
            self._body.after(0.0, lambda: self._body.do(OpenSocket(one, peer, local_port)))
        return OK

    def _close(self, number: int) -> Outcome:
        if self._links.pop(number, None) is not None:
            self._body.do(CloseSocket(number))
        return OK

    def _tell_states(self, kind: str, how: list[str]) -> Outcome:
        match kind, how:
            case "read" | "run", _:
                chosen = sorted(self._links)
            case "set", ["0", context]:
                chosen = [number for number, link in sorted(self._links.items()) if link.context == _context(context)]
            case "set", ["1", number]:
                chosen = [one for one in self._links if one == _link(number)]
            case _:
                raise self._failed(552)
        return Answer([self._state(number, self._links[number]) for number in chosen])

    @staticmethod
    def _state(number: int, link: Link) -> str:
        host, port = link.peer or ("", 0)
        return (
            f'+QISTATE: {number},"UDP","{host}",{port},{link.local_port},{STATES[link.state]},{link.context},0,'
            f'{int(link.push)},"{PORT_NAME}"'
        )

    def _obey_data(self, command: Command) -> Outcome:
        name, (number, *more) = command.name, command.parameters
        link = self._links.get(_link(number))
        if link is None or (link.state != "open" and name != "+QIRD"):
            raise self._failed(550)
        one = _link(number)
        match name, more:
            case "+QIRD", []:
                return self._read(link, MAX_READ)
            case "+QIRD", ["0"]:
                return Answer([f"+QIRD: {link.read + link.unread},{link.read},{link.unread}"])
            case "+QIRD", [most]:
                return self._read(link, whole(most, 1, MAX_READ))
            case "+QISEND", ["0"]:
                return Answer([f"+QISEND: {link.sent},{link.sent},0"])
            case "+QISEND", []:
                return Prompt(None, lambda octets: self._send(one, octets))
            case "+QISEND", [length]:
                return Prompt(whole(length, 1, MAX_SEND), lambda octets: self._send(one, octets))
            case "+QISENDEX", [octets] if re.fullmatch(r"(?:[0-9A-Fa-f]{2}){1,256}", octets):
                return self._send(one, bytes.fromhex(octets))
            case _:
                raise self._failed(552)

    def _send(self, number: int, octets: bytes | None) -> Outcome:
        if octets is None:
            return OK
        link, faults = self._links.get(number), self._body.faults
        if link is None or link.state != "open":
            raise self._failed(558)
        if faults.sends_failing:
            faults.sends_failing -= 1
            return Answer(final="SEND FAIL")
        link.sent += len(octets)
        self._body.do(SendDatagram(number, octets[:MAX_SEND]))
        return Answer(final="SEND OK")

    @staticmethod
    def _read(link: Link, most: int) -> Outcome:
        received = link.take(most)
        if received is None:
            return Answer(["+QIRD: 0"])
        return Answer([f"+QIRD: {len(received.octets)}", received.octets])


def _context(text: str) -> int:
    return whole(text, CONTEXTS[0], CONTEXTS[-1])


def _link(text: str) -> int:
    return whole(text, LINKS[0], LINKS[-1])
