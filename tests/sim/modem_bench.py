"""A simulated modem on a bench: its core with a clock that moves as it is told, and what it wants done, in lists."""

import datetime
from typing import Any, TypeVar

from bondmate_sim.modem_body import Setup
from bondmate_sim.modem_core import Modem
from bondmate_sim.modem_effects import Effect, OpenSocket, Say
from bondmate_sim.modem_links import Received
from bondmate_sim.short_message import Delivery, UserData

UTC = datetime.datetime(2026, 11, 26, 10, 0, 5, tzinfo=datetime.UTC)
SERVER = ("192.0.2.7", 5683)
E = TypeVar("E")


class Bench:
    """A modem that is registered, without echo; each call lets no time pass but what it says."""

    def __init__(self, *, echo: bool = False, registered_after_s: float = 1.0, **setup: Any) -> None:
        self.now_s = 0.0
        self.modem = Modem(Setup(echo=echo, **setup), 0.0)
        self.effects: list[Effect] = []
        self.wait(registered_after_s)
        self.take()
        self.effects.clear()

    def _note(self, effects: list[Effect]) -> None:
        self.effects += effects

    def take(self) -> bytes:
        """What it has said since the last time."""
        said = b"".join(effect.octets for effect in self.effects if isinstance(effect, Say))
        self.effects = [effect for effect in self.effects if not isinstance(effect, Say)]
        return said

    def taken(self, kind: type[E]) -> list[E]:
        """The effects of a kind since the last time."""
        found: list[E] = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, kind)]
        return found

    def wait(self, seconds: float) -> None:
        """Let time pass, each event at its moment."""
        until_s = self.now_s + seconds
        while (due_s := self.modem.due_s) is not None and due_s <= until_s:
            self._note(self.modem.hear(b"", due_s))
        self.now_s = until_s
        self._note(self.modem.hear(b"", until_s))

    def hear(self, octets: bytes) -> bytes:
        """Send octets; returns what it says to them at once."""
        self._note(self.modem.hear(octets, self.now_s))
        self.wait(0.0)
        return self.take()

    def ask(self, line: str) -> str:
        """Send a command line; returns all that it says within a second, without the outermost line ends."""
        said = self.hear(line.encode("latin-1") + b"\r")
        self.wait(1.0)
        said += self.take()
        assert said.startswith(b"\r\n"), said
        assert said.endswith(b"\r\n"), said
        return said[2:-2].decode("latin-1")

    def tell(self, line: str) -> None:
        """Send a command line that is done."""
        assert self.ask(line) == "OK"

    def suffer(self, op: str, **fields: Any) -> None:
        """Do something to it."""
        self._note(self.modem.suffer({"op": op, **fields}, self.now_s))

    def receive(self, link: int, octets: bytes) -> bytes:
        """A datagram comes from the server."""
        self._note(self.modem.received(link, Received(octets, SERVER), self.now_s))
        return self.take()

    def open_sockets(self) -> None:
        """Open what it wants opened."""
        for wanted in self.taken(OpenSocket):
            self._note(self.modem.opened(wanted.link, 40_000 + wanted.link, True, self.now_s))

    def submitted(self, name: str, why_not: str | None = None) -> bytes:
        """The message centre answers."""
        self._note(self.modem.submitted(name, why_not, self.now_s))
        return self.take()

    def deliver(self, name: str, data: UserData, sender: str = "+4915550002") -> bytes:
        """A message comes."""
        self._note(self.modem.deliver(Delivery(name, sender, UTC, data), self.now_s))
        return self.take()
