"""The SIM in a modem: its numbers, its PIN and PUK with their attempts, and the messages that it keeps. Pure.

Sources: 3GPP TS 31.101, clause 9.5, for the attempts; TS 27.005, clause 3.1, for the states of messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bondmate_sim.modem_errors import CmeError
from bondmate_sim.short_message import Delivery

PIN_ATTEMPTS, PUK_ATTEMPTS = 3, 10
PUK = "12345678"
ICCID = "89882110000000000010"
IMSI = "001010123456789"
"""Of the test network 001-01 (ITU-T E.212)."""
SIM_PLACES, MODEM_PLACES = 20, 23
State = Literal["READY", "SIM PIN", "SIM PUK"]


@dataclass(slots=True)
class Stored:
    """A received message in its place."""

    delivery: Delivery
    read: bool = False


class Card:
    """A SIM that is in its slot or not. Taking it out and a reset make it ask for its PIN again."""

    def __init__(self, *, pin: str | None, blocked: bool, inserted: bool) -> None:
        """`pin` None: it asks for none. `blocked`: it wants its PUK, which is always the same."""
        self.inserted = inserted
        self._pin = pin if not blocked else pin or "0000"
        self._verified = False
        self.pin_attempts = 0 if blocked else PIN_ATTEMPTS
        self.puk_attempts = PUK_ATTEMPTS

    def restart(self) -> None:
        """Power is new."""
        self._verified = False

    @property
    def state(self) -> State:
        """What it waits for. Raises CmeError when there is none."""
        if not self.inserted:
            raise CmeError(10)
        if self._pin is None or self._verified:
            return "READY"
        return "SIM PUK" if self.pin_attempts == 0 else "SIM PIN"

    @property
    def ready(self) -> bool:
        return self.inserted and self.state == "READY"

    def require(self) -> None:
        """Raise CmeError unless it is ready."""
        match self.state:
            case "SIM PIN":
                raise CmeError(11)
            case "SIM PUK":
                raise CmeError(12)
            case "READY":
                pass

    def verify(self, pin: str) -> None:
        """Enter the PIN. Raises CmeError: it is wrong, or not what is waited for."""
        match self.state:
            case "READY":
                raise CmeError(3)
            case "SIM PUK":
                raise CmeError(12)
            case "SIM PIN":
                pass
        if pin != self._pin:
            self.pin_attempts -= 1
            raise CmeError(16 if self.pin_attempts else 12)
        self.pin_attempts, self._verified = PIN_ATTEMPTS, True

    def unblock(self, puk: str, new_pin: str) -> None:
        """Enter the PUK and a new PIN. Raises CmeError: it is wrong, or used up."""
        if self.state != "SIM PUK":
            raise CmeError(3)
        if self.puk_attempts == 0:
            raise CmeError(13)
        if puk != PUK:
            self.puk_attempts -= 1
            raise CmeError(16)
        self._pin, self._verified = new_pin, True
        self.pin_attempts, self.puk_attempts = PIN_ATTEMPTS, PUK_ATTEMPTS


@dataclass(slots=True)
class Store:
    """Places for received messages, the first is 0; in the SIM (`SM`) or in the modem (`ME`)."""

    places: list[Stored | None] = field(default_factory=list)

    @classmethod
    def of(cls, count: int) -> "Store":
        """An empty one with so many places."""
        return cls([None] * count)

    @property
    def used(self) -> int:
        return sum(place is not None for place in self.places)

    def put(self, delivery: Delivery) -> int | None:
        """Keep a message; returns its place, or None when all are taken."""
        if None not in self.places:
            return None
        place = self.places.index(None)
        self.places[place] = Stored(delivery)
        return place

    def get(self, place: int) -> Stored | None:
        """What is there. None: nothing, or there is no such place."""
        return self.places[place] if 0 <= place < len(self.places) else None

    def delete(self, places: Sequence[int]) -> None:
        """Empty these places."""
        for place in places:
            self.places[place] = None

    def all(self) -> list[tuple[int, Stored]]:
        """Return what is kept, by places."""
        return [(place, stored) for place, stored in enumerate(self.places) if stored is not None]
