"""How a SIMCom has UDP sockets: by AT+NETOPEN, AT+CIPOPEN and their kin. Pure.

Source: SIMCom's AT command manual for the SIM7500 and SIM7600 series, V2.00: NETOPEN, the CIP commands, what they say
unasked, and their error codes.
"""

from bondmate_sim.modem_at import Command, whole
from bondmate_sim.modem_body import LATER, OK, Answer, Body, Outcome, Prompt
from bondmate_sim.modem_effects import CloseSocket, OpenSocket, SendDatagram
from bondmate_sim.modem_errors import FailureError
from bondmate_sim.modem_links import Link, Received
from bondmate_sim.modem_network import ADDRESS, CONTEXTS, Network

LINKS = range(10)
MAX_OCTETS = 1_500
OPEN_S = 0.05
"""Up to 120 s by the manual."""
NETWORK_FAILURE, NOT_OPENED, NOT_SUPPORTED, NO_SOCKET = 1, 2, 4, 5
ACCEPTED = ("+CIPMODE", "+CIPTIMEOUT", "+CIPCCFG", "+CSOCKSETPN")
"""Their first settings are as good as any other here."""


class SimcomSockets:
    """The sockets of one modem, and the network that they need."""

    def __init__(self, body: Body, network: Network) -> None:
        self._body = body
        self._network = network
        self.restart()

    def restart(self) -> None:
        self._links: dict[int, Link] = {}
        self._net = False
        self._manual = False
        self._headers = {"+CIPHEAD": 1, "+CIPSRIP": 1}
        self.data_echo = False

    def links(self) -> list[int]:
        return list(self._links)

    # --- from the network ------------------------------------------------------------------------------------------

    def lose_contexts(self) -> None:
        """The network is gone, and all sockets with it."""
        if not self._net:
            return
        self._net = False
        for number in self.links():
            self._drop(number)
        self._body.report("+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY")

    def lose_link(self, number: int) -> bool:
        """The socket's end; false when there is none."""
        if number not in self._links:
            return False
        self._drop(number)
        self._body.report(f"+IPCLOSE: {number},1")
        return True

    def opened(self, number: int, local_port: int | None, found: bool) -> None:  # noqa: ARG002 - no peer has a name
        """The socket is there, or could not be made."""
        link = self._links.get(number)
        if link is None or link.state != "opening":
            return
        if local_port is None:
            del self._links[number]
            self._body.finish(FailureError(f"+CIPOPEN: {number},{NO_SOCKET}"))
            return
        link.state, link.local_port = "open", local_port
        self._body.finish(Answer([f"+CIPOPEN: {number},0"]))

    def received(self, number: int, received: Received) -> None:
        """A datagram came."""
        link = self._links.get(number)
        if link is None or link.state != "open":
            return
        if self._manual:
            if link.keep(received):
                self._body.report(f"+CIPRXGET: 1,{number}")
            return
        host, port = received.peer
        head = f"RECV FROM:{host}:{port}\r\n" if self._headers["+CIPSRIP"] else ""
        head += f"+IPD{len(received.octets)}\r\n" if self._headers["+CIPHEAD"] else ""
        self._body.report(head.encode() + received.octets)

    # --- from the host ---------------------------------------------------------------------------------------------

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        return self._obey_network(command) or self._obey_sockets(command)

    def _obey_network(self, command: Command) -> Outcome | None:
        match command.name, command.kind:
            case "+NETOPEN", "run":
                return self._open_network()
            case "+NETOPEN", "read":
                return Answer([f"+NETOPEN: {int(self._net)}"])
            case "+NETCLOSE", "run":
                return self._close_network()
            case "+IPADDR", "run":
                if not self._net:
                    raise FailureError("+IP ERROR: Network not opened")
                return Answer([f"+IPADDR: {ADDRESS}"])
            case (name, "set") if name in ACCEPTED:
                return OK
            case (("+NETOPEN" | "+NETCLOSE" | "+CIPOPEN" | "+CIPSEND" | "+CIPRXGET" | "+CIPCLOSE"), "test"):
                return OK
            case _:
                return None

    def _open_network(self) -> Outcome:
        if self._net:
            raise FailureError("+IP ERROR: Network is already opened")

        def end() -> None:
            self._net = self._network.activate(CONTEXTS[0])
            self._body.report(f"+NETOPEN: {0 if self._net else NETWORK_FAILURE}")

        self._body.after(OPEN_S, end)
        return OK

    def _close_network(self) -> Outcome:
        if not self._net:
            raise FailureError(f"+NETCLOSE: {NOT_OPENED}")
        self._net = False
        for number in self.links():
            self._drop(number)
        return Answer(then=["+NETCLOSE: 0"])

    def _obey_sockets(self, command: Command) -> Outcome | None:
        match command.name, command.kind, command.parameters:
            case "+CIPOPEN", "set", [number, "UDP", _, _, local_port]:
                return self._open(_link(number), whole(local_port, 0, 65_535))
            case "+CIPOPEN", "read", _:
                return Answer([self._describe(number) for number in LINKS])
            case "+CIPSEND", "set", [number, length, host, port]:
                return self._prompt(_link(number), length, (host, whole(port, 1, 65_535)))
            case "+CIPRXGET", _, how:
                return self._obey_reading(command.kind, how)
            case "+CIPCLOSE", "set", [number]:
                return self._close(_link(number))
            case "+CIPCLOSE", "read", _:
                return Answer([f"+CIPCLOSE: {','.join(str(int(number in self._links)) for number in LINKS)}"])
            case "+CIPHEAD" | "+CIPSRIP", "set", [wanted]:
                self._headers[command.name] = whole(wanted, 0, 1)
                return OK
            case _:
                return None

    def _open(self, number: int, local_port: int) -> Outcome:
        if not self._net:
            raise FailureError(f"+CIPOPEN: {number},{NOT_OPENED}")
        if number in self._links:
            raise FailureError(f"+CIPOPEN: {number},{NOT_SUPPORTED}")
        self._links[number] = Link(CONTEXTS[0], None)
        self._body.do(OpenSocket(number, None, local_port))
        return LATER

    def _describe(self, number: int) -> str:
        if number not in self._links:
            return f"+CIPOPEN: {number}"
        return f'+CIPOPEN: {number},"UDP","0.0.0.0",0,-1'

    def _close(self, number: int) -> Outcome:
        if number not in self._links:
            raise FailureError(f"+CIPCLOSE: {number},{NOT_SUPPORTED}")
        self._drop(number)
        return Answer([f"+CIPCLOSE: {number},0"])

    def _drop(self, number: int) -> None:
        link = self._links.pop(number)
        self._body.do(CloseSocket(number))
        if link.state == "opening":
            self._body.finish(FailureError(f"+CIPOPEN: {number},{NETWORK_FAILURE}"))

    def _prompt(self, number: int, length: str, peer: tuple[str, int]) -> Outcome:
        if number not in self._links:
            raise FailureError(f"+CIPERROR: {NOT_SUPPORTED}")
        count = whole(length, 1, MAX_OCTETS) if length else None
        return Prompt(count, lambda octets: self._send(number, octets, peer), b"\r\n>")

    def _send(self, number: int, octets: bytes | None, peer: tuple[str, int]) -> Outcome:
        if octets is None:
            return OK
        link, faults, octets = self._links.get(number), self._body.faults, octets[:MAX_OCTETS]
        if link is None:
            return Answer(then=[f"+CIPSEND: {number},{len(octets)},-1"])
        if faults.sends_failing:
            faults.sends_failing -= 1
            return Answer(then=[f"+CIPSEND: {number},{len(octets)},0"])
        link.sent += len(octets)
        self._body.do(SendDatagram(number, octets, peer))
        return Answer(then=[f"+CIPSEND: {number},{len(octets)},{len(octets)}"])

    def _obey_reading(self, kind: str, how: list[str]) -> Outcome | None:
        match kind, how:
            case "read", _:
                return Answer([f"+CIPRXGET: {int(self._manual)}"])
            case "set", ["0" | "1" as mode]:
                self._manual = mode == "1"
                return OK
            case "set", ["4", number]:
                return Answer([f"+CIPRXGET: 4,{_link(number)},{self._reachable(number).unread}"])
            case "set", ["2" | "3" as mode, number, *most] if len(most) <= 1:
                link = self._reachable(number)
                received = link.take(whole(most[0], 1, MAX_OCTETS) if most else MAX_OCTETS)
                if received is None:
                    raise FailureError("+IP ERROR: No data")
                octets = received.octets if mode == "2" else received.octets.hex().upper().encode()
                head = f"+CIPRXGET: {mode},{_link(number)},{len(received.octets)},{link.unread}"
                return Answer([head, octets])
            case _:
                return None

    def _reachable(self, number: str) -> Link:
        link = self._links.get(_link(number))
        if link is None or not self._manual:
            raise FailureError("+IP ERROR: Operation not supported")
        return link


def _link(text: str) -> int:
    return whole(text, LINKS[0], LINKS[-1])
