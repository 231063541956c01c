"""The simulated modem: octets, time and what the network does go in, effects come out. Pure.

It hears command lines, hands each command to the part that knows it, and says its result. What can be done to it from
outside is in `Modem.suffer`. Ports, sockets and the message centre are in modem.py.
"""

from typing import Any

from bondmate_sim import modem_quectel, modem_simcom
from bondmate_sim.modem_at import Command
from bondmate_sim.modem_body import Body, Outcome, Setup
from bondmate_sim.modem_effects import CloseSocket, Detach, Ears, Effect, News, PortBack, PortGone
from bondmate_sim.modem_general import General
from bondmate_sim.modem_links import Received
from bondmate_sim.modem_messages import Messages
from bondmate_sim.modem_network import Network
from bondmate_sim.modem_quectel import Quectel
from bondmate_sim.modem_quectel_sockets import QuectelSockets
from bondmate_sim.modem_radio import STATES
from bondmate_sim.modem_sending import Sending
from bondmate_sim.modem_simcom import Simcom
from bondmate_sim.modem_simcom_sockets import SimcomSockets
from bondmate_sim.modem_talk import Talk
from bondmate_sim.short_message import Delivery

FAREWELL_S = 0.1
"""Between the last words and the end of the port: they arrive."""
REENUMERATE_S = 0.3
"""A module's USB is gone for seconds; tests need not wait so long."""
MAX_STORM, MAX_GARBAGE, MAX_SECONDS = 100_000, 65_536, 86_400.0
STORM_RESULT = "+CREG: 5"


class Modem:
    """A modem that runs already. Times are of one monotonic clock and never go back."""

    def __init__(self, setup: Setup, now_s: float) -> None:
        """Effects of its start come with the first call."""
        self.body = body = Body(setup)
        body.now_s = now_s
        self._talk = Talk(body, self._obey)
        self._network = Network(body, self._lose_contexts)
        self._general = General(body, self._network.look, self._restart)
        self._sending = Sending(body, self._network)
        self._messages = Messages(body, self._network, self._sending)
        self._maker: Quectel | Simcom
        self._sockets: QuectelSockets | SimcomSockets
        if setup.dialect == "quectel":
            self._maker = Quectel(body, self._network, self._general, self._power_off)
            self._sockets = QuectelSockets(body, self._network)
            self._key_s = modem_quectel.ON_S, modem_quectel.OFF_S
            self._farewell = modem_quectel.FAREWELL
        else:
            self._maker = Simcom(body, self._network, self._general, self._power_off, self._restart)
            self._sockets = SimcomSockets(body, self._network)
            self._key_s = modem_simcom.ON_S, modem_simcom.OFF_S
            self._farewell = modem_simcom.FAREWELL
        self._talk.echoes_data = lambda: self._sockets.data_echo
        self._power, self._rail = True, True
        self._forget()
        self._network.look()

    def _forget(self) -> None:
        """Be as after power came."""
        self.body.restart()
        for part in (self._talk, self._network, self._general, self._sending, self._messages, self._sockets):
            part.restart()

    def _obey(self, command: Command) -> Outcome | None:
        for part in (self._general, self._network, self._sending, self._messages, self._maker, self._sockets):
            if (outcome := part.obey(command)) is not None:
                return outcome
        return None

    def _lose_contexts(self) -> None:
        self._sockets.lose_contexts()

    # --- what goes in ----------------------------------------------------------------------------------------------

    def hear(self, octets: bytes, now_s: float) -> list[Effect]:
        """The host sent these; none is fine, and only lets time pass."""
        self.body.pass_time(now_s)
        if self._power and not self.body.mute:
            self._talk.hear(octets)
        return self._effects()

    def opened(self, link: int, local_port: int | None, found: bool, now_s: float) -> list[Effect]:
        """The socket is there. `local_port` None: it could not be made; `found`: though its peer has an address."""
        self.body.pass_time(now_s)
        self._sockets.opened(link, local_port, found)
        return self._effects()

    def received(self, link: int, received: Received, now_s: float) -> list[Effect]:
        """A datagram came to this socket."""
        self.body.pass_time(now_s)
        self._sockets.received(link, received)
        return self._effects()

    def submitted(self, name: str, why_not: str | None, now_s: float) -> list[Effect]:
        """The message centre took the message, or says why not."""
        self.body.pass_time(now_s)
        self._sending.submitted(name, why_not)
        return self._effects()

    def deliver(self, delivery: Delivery, now_s: float) -> list[Effect]:
        """The message centre has a message."""
        self.body.pass_time(now_s)
        if not self.body.mute:
            self._messages.deliver(delivery)
        return self._effects()

    @property
    def due_s(self) -> float | None:
        """When something happens by itself: `hear` wants to be called then. None: nothing will."""
        return self.body.due_s

    def _effects(self) -> list[Effect]:
        self._talk.go_on()
        effects, self.body.effects = self.body.effects, []
        return effects

    # --- power -----------------------------------------------------------------------------------------------------

    def _restart(self, *, abrupt: bool = False) -> None:
        self._stop(abrupt=abrupt)
        self._start()

    def _power_off(self) -> None:
        self.body.report(self._farewell)
        self.body.after(FAREWELL_S, lambda: self._stop(abrupt=False))

    def _stop(self, *, abrupt: bool) -> None:
        if self._power:
            for link in self._sockets.links():
                self.body.do(CloseSocket(link))
            if self._network.registered:
                self.body.do(Detach())
            self.body.do(PortGone(abrupt))
            self.body.do(Ears(open=True))
            self.body.do(News("power off"))
        self._power = False
        self._forget()

    def _start(self) -> None:
        if self._rail:
            self.body.after(REENUMERATE_S, self._boot)

    def _boot(self) -> None:
        self._power = True
        self.body.do(PortBack())
        self.body.do(News("power on"))
        for delay_s, result in self._maker.boot_results():
            self.body.after(delay_s, lambda result=result: self.body.report(result))  # type: ignore[misc]
        self._network.look()

    # --- what is done to it ----------------------------------------------------------------------------------------

    def suffer(self, action: dict[str, Any], now_s: float) -> list[Effect]:
        """Do what a control request says. Raises ValueError: there is no such action, or it cannot be done now."""
        self.body.pass_time(now_s)
        match action:
            case {"op": "signal", "dbm": (int() | None) as dbm} if dbm is None or -160 <= dbm <= -30:
                self.body.radio.rsrp_dbm = dbm
                self._network.look()
            case {"op": "registration", "state": str(state)} if state in STATES:
                self.body.radio.registration = state
                self._network.look()
            case {"op": "sim", "inserted": bool(inserted)}:
                self._change_card(inserted)
            case {"op": "lose-socket", "link": int(link)}:
                if not self._sockets.lose_link(link):
                    raise ValueError(f"no socket {link} is open")
            case {"op": "lose-context"}:
                self._network.drop_contexts()
            case {"op": "fail-sends", "count": int(count)} if count >= 0:
                self.body.faults.sends_failing = count
            case {"op": "lose-prompts", "count": int(count)} if count >= 0:
                self.body.faults.prompts_lost = count
            case {"op": "storm", "count": int(count)} if 0 < count <= MAX_STORM:
                for _ in range(count):
                    self.body.report(STORM_RESULT)
            case {"op": "garbage", "octets": int(count)} if 0 < count <= MAX_GARBAGE:
                self.body.say(bytes(37 * at * at + 11 * at & 0xFF for at in range(count)))
            case _:
                self._suffer_power(action)
        return self._effects()

    def _suffer_power(self, action: dict[str, Any]) -> None:
        match action:
            case {"op": "hang", "seconds": (int() | float() | None) as seconds}:
                self._hang(seconds)
            case {"op": "deaf", "seconds": (int() | float() | None) as seconds}:
                self._hang(seconds)
                self.body.do(Ears(open=False))
            case {"op": "unplug", "seconds": (int() | float()) as seconds}:
                self._unplug(_bounded(seconds))
            case {"op": "reset"}:
                self._restart()
            case {"op": "brown-out"}:
                self._restart(abrupt=True)
            case {"op": "pwrkey", "seconds": (int() | float()) as seconds}:
                self._press_key(_bounded(seconds))
            case {"op": "rail-off"}:
                self._rail = False
                self._stop(abrupt=True)
            case {"op": "rail-on"}:
                if not self._rail:
                    self._rail = True
                    self._start()
            case _:
                raise ValueError("no such action, or not with these values")

    def _change_card(self, inserted: bool) -> None:
        card = self.body.card
        if card.inserted == inserted:
            return
        card.inserted = inserted
        card.restart()
        if self._power and self.body.function:
            self.body.report(f"+CPIN: {card.state if inserted else self._maker.no_card}")
        self._network.look()

    def _hang(self, seconds: float | None) -> None:
        if not self._power:
            raise ValueError("the modem is off")
        if seconds is not None:
            self.body.after(_bounded(seconds), self._come_to)
        self.body.mute = True

    def _come_to(self) -> None:
        self.body.mute = False
        self.body.do(Ears(open=True))

    def _unplug(self, seconds: float) -> None:
        if not self._power:
            raise ValueError("the modem is off")
        self.body.do(PortGone(abrupt=True))
        self._talk.break_off()
        self.body.after(seconds, lambda: self.body.do(PortBack()))

    def _press_key(self, seconds: float) -> None:
        on_s, off_s = self._key_s
        if not self._power and seconds >= on_s:
            self._stop(abrupt=True)
            self._start()
        elif self._power and seconds >= off_s:
            self.body.mute = False
            self._power_off()


def _bounded(seconds: float) -> float:
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"{seconds} s is not between 0 and {MAX_SECONDS:.0f} s")
    return float(seconds)
