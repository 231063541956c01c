"""What a message centre does with messages: accepts, loses, doubles, delays and reorders them, and keeps them. Pure.

A number has one client at a time, the last that attached. What is not acknowledged, or comes while nobody is attached,
is kept and tried again when the number attaches next. The sockets are in smsc.py.
"""

import datetime
import itertools
import random
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from bondmate_sim.short_message import Delivery, UserData

Fate = Literal["sent", "lost", "duplicated"]
MAX_KEPT = 1_000
"""Messages for one number; a submission beyond that is refused, as a full centre does."""
MAX_NUMBERS = 1_000
OVERTAKEN_S = 2.0
"""A message that waits to be overtaken waits at most so long for another one."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How bad the centre is. Probabilities are 0 to 1; a message takes `delay_s[0]` to `delay_s[1]` seconds."""

    delay_s: tuple[float, float] = (0.0, 0.0)
    loss: float = 0.0
    """Of being forgotten after it was accepted."""
    duplicate: float = 0.0
    reorder: float = 0.0
    """Of being overtaken by the next message to the same number."""
    seed: int | None = None


@dataclass(slots=True)
class _Kept:
    """A message until it is acknowledged."""

    delivery: Delivery
    due_s: float
    overtaken: bool
    tried: bool = False
    """To the client that is attached now."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Give this to that client."""

    client: int
    delivery: Delivery


class FullError(Exception):
    """The centre takes no more; the text says why."""


class MessageCentre:
    """The messages, and who is attached. Clients are numbers that the caller chooses; times never go back."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._rng = random.Random(manners.seed)  # noqa: S311 - luck, not secrets
        # apart from the fates, so that a delay leaves each message's luck as it is
        self._delays = random.Random(manners.seed)  # noqa: S311 - luck, not secrets
        self._clients: dict[str, int] = {}
        self._kept: dict[str, OrderedDict[str, _Kept]] = {}
        self._numbers = itertools.count(1)

    def attach(self, number: str, client: int) -> None:
        """This client is the number now; all that is kept for it is tried anew."""
        self.detach(client)
        self._clients[number] = client
        for kept in self._kept.get(number, {}).values():
            kept.tried = False

    def detach(self, client: int) -> None:
        """The client went, or is another number now."""
        self._clients = {number: one for number, one in self._clients.items() if one != client}

    def number(self, client: int) -> str | None:
        """Whose number the client is; None when it is none, or another client took it over."""
        return next((number for number, one in self._clients.items() if one == client), None)

    def submit(self, sender: str, to: str, data: UserData, utc: datetime.datetime, now_s: float) -> Fate:
        """Accept a message; returns what will become of it. Raises FullError."""
        kept = self._kept.get(to, OrderedDict())
        if len(kept) >= MAX_KEPT - 1:
            raise FullError(f"{len(kept)} messages for {to} wait already")
        if to not in self._kept and len(self._kept) >= MAX_NUMBERS:
            raise FullError(f"messages for {MAX_NUMBERS} numbers wait already")
        # All are drawn every time, so that a seed gives each message the same luck whatever the probabilities are.
        loss, duplicate, reorder = self._rng.random(), self._rng.random(), self._rng.random()
        wait_s = self._delays.uniform(*self._manners.delay_s)
        if loss < self._manners.loss:
            return "lost"
        self._kept[to] = kept
        fate: Fate = "duplicated" if duplicate < self._manners.duplicate else "sent"
        self._let_overtake(kept, now_s + wait_s)
        for _ in range(2 if fate == "duplicated" else 1):
            name = f"c{next(self._numbers)}"
            overtaken = reorder < self._manners.reorder
            due_s = now_s + wait_s + (OVERTAKEN_S if overtaken else 0.0)
            kept[name] = _Kept(Delivery(name, sender, utc, data), due_s, overtaken)
        return fate

    def acknowledge(self, client: int, name: str) -> bool:
        """The client has the message safely; false when it had none of that name."""
        number = self.number(client)
        kept = self._kept.get(number, OrderedDict()) if number is not None else OrderedDict()
        if name not in kept:
            return False
        del kept[name]
        if number is not None and not kept:
            del self._kept[number]
        return True

    def attempts(self, now_s: float) -> list[Attempt]:
        """What is to be delivered now; each is tried once by the client that is attached."""
        ready = sorted(
            (kept.due_s, order, client, kept)
            for order, (client, kept) in enumerate(self._untried())
            if kept.due_s <= now_s
        )
        for _, _, _, kept in ready:
            kept.tried = True
        return [Attempt(client, kept.delivery) for _, _, client, kept in ready]

    @property
    def due_s(self) -> float | None:
        """When there will be something to deliver; None: nothing by itself."""
        return min((kept.due_s for _, kept in self._untried()), default=None)

    def _untried(self) -> list[tuple[int, _Kept]]:
        return [
            (client, kept)
            for number, client in self._clients.items()
            for kept in self._kept.get(number, {}).values()
            if not kept.tried
        ]

    @staticmethod
    def _let_overtake(kept: OrderedDict[str, _Kept], due_s: float) -> None:
        # Those that wait to be overtaken by this one are due with it; being older, they would still go first.
        for one in kept.values():
            if one.overtaken:
                one.overtaken = False
                one.due_s = min(one.due_s, due_s + 1e-3)
