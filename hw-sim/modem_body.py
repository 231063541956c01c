"""What all parts of a simulated modem share: its settings, its clock, and its ways out. Pure.

Parts put effects into it (modem_effects.py). What the modem says by itself comes as it happens, also between a command
and its result; while data are entered, it waits.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bondmate_sim.modem_card import MODEM_PLACES, SIM_PLACES, Card, Store
from bondmate_sim.modem_effects import Effect, Say
from bondmate_sim.modem_radio import Radio, Registration

Dialect = Literal["quectel", "simcom"]
MAX_DEFERRED = 1_000
"""Unasked results that wait for the end of data entry; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's end that is no failure: its information text, and its result code."""

    lines: Sequence[str | bytes] = ()
    final: str = "OK"
    then: Sequence[str] = ()
    """What the modem says by itself right after the result code."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The command wants data: so many octets, or up to Ctrl-Z. `take` gets them; None when they were cancelled."""

    length: int | None
    take: Callable[[bytes | None], "Outcome"]
    text: bytes = b"\r\n> "


class Later:
    """The command ends by Body.finish."""


Outcome = Answer | Prompt | Later
OK, LATER = Answer(), Later()


@dataclass(frozen=True, slots=True)
class Setup:
    """How a modem comes into the world."""

    dialect: Dialect = "quectel"
    number: str = "+4915550001"
    pin: str | None = field(default=None, repr=False)
    blocked: bool = False
    """The SIM wants its PUK."""
    has_sim: bool = True
    rsrp_dbm: int | None = -85
    registration: Registration = "home"
    echo: bool = True
    apn: str | None = None
    """The only one that the network takes; None: any."""


@dataclass(slots=True)
class Faults:
    """What was done to the modem at its control socket."""

    prompts_lost: int = 0
    sends_failing: int = 0


class Body:
    """The settings that survive nothing, those that survive a reset, and the ways out."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.card = Card(pin=setup.pin, blocked=setup.blocked, inserted=setup.has_sim)
        self.radio = Radio(setup.registration, setup.rsrp_dbm)
        self.stores = {"SM": Store.of(SIM_PLACES), "ME": Store.of(MODEM_PLACES)}
        self.faults = Faults()
        self.apns: dict[int, tuple[str, str]] = {1: ("IP", "")}
        """Of each context: type and access point name. They survive a reset."""
        self.saved: dict[str, str] = {}
        """What other settings were last, of commands whose settings survive a reset."""
        self.now_s = 0.0
        self.effects: list[Effect] = []
        self.entering_data = False
        self.mute = False
        self._numbers = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._deferred: deque[bytes] = deque(maxlen=MAX_DEFERRED)
        self.on_finish: Callable[[Answer | Exception], None] = lambda _: None
        self.restart()

    def restart(self) -> None:
        """Power is new: what is not kept is as the factory made it, and nothing is planned any more."""
        self.detail = 0
        self.function = 1
        self.charset = "IRA"
        self.echo = self.setup.echo
        self.active: set[int] = set()
        """Contexts that are active."""
        self.entering_data = self.mute = False
        self._agenda.clear()
        self._deferred.clear()
        self.card.restart()

    def do(self, effect: Effect) -> None:
        """One more effect, after those before."""
        self.effects.append(effect)

    def say(self, octets: bytes) -> None:
        """To the host, unless the modem hangs."""
        if not self.mute:
            self.effects.append(Say(octets))

    def report(self, text: str | bytes) -> None:
        """An unasked result."""
        octets = text.encode("latin-1", "replace") if isinstance(text, str) else text
        framed = b"\r\n" + octets + b"\r\n"
        if self.entering_data:
            self._deferred.append(framed)
        else:
            self.say(framed)

    def release(self) -> None:
        """Say what waited for the end of data entry."""
        while self._deferred:
            self.say(self._deferred.popleft())

    def finish(self, outcome: Answer | Exception) -> None:
        """End the command that said LATER."""
        self.on_finish(outcome)

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do this then; a reset forgets it."""
        heapq.heappush(self._agenda, (self.now_s + delay_s, next(self._numbers), act))

    @property
    def due_s(self) -> float | None:
        """When something happens by itself."""
        return self._agenda[0][0] if self._agenda else None

    def pass_time(self, now_s: float) -> None:
        """Do what was planned for until then."""
        while self._agenda and self._agenda[0][0] <= now_s:
            due_s, _, act = heapq.heappop(self._agenda)
            self.now_s = max(self.now_s, due_s)
            act()
        self.now_s = max(self.now_s, now_s)

    def text(self, words: str) -> str:
        """Words in the character set that AT+CSCS chose."""
        return words.encode("utf-16-be").hex().upper() if self.charset == "UCS2" else words

    def words(self, text: str) -> str:
        """The other way round; what is no UCS2 stays."""
        if self.charset != "UCS2":
            return text
        try:
            return bytes.fromhex(text).decode("utf-16-be")
        except ValueError:
            return text
