"""Where the gateway's addresses are: names looked up so that nothing that hangs can hold up an exchange for long.

It opens no socket itself.
"""

import asyncio
import contextlib
import itertools
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bondmate.credentials import Address
from bondmate.errors import LinkError

LOOKUP_S = 2.0
"""So long an exchange waits for a lookup: a slow mobile network has answered by then, and a dead resolver has not cost
the whole attempt."""

Place = tuple[int, tuple[str, int]]
"""An address family (socket.AF_*), and the numeric address and port in it."""


T = TypeVar("T")


class Turns:
    """The gateway's addresses, each time another one first."""

    def __init__(self, addresses: tuple[Address, ...]) -> None:
        self._addresses = addresses
        self._turns = itertools.count()

    async def reach(self, open_one: Callable[[Address], Awaitable[T]]) -> T:
        """What `open_one` opens to the next of them that there is a way to. Raises LinkError with all that failed."""
        first, problems = next(self._turns) % len(self._addresses), []
        for address in self._addresses[first:] + self._addresses[:first]:
            try:
                return await open_one(address)
            except (OSError, LinkError) as problem:
                problems.append(f"{address}: {getattr(problem, 'strerror', None) or problem}")
        raise LinkError("; ".join(problems))


class Names:
    """Finds addresses, in the event loop.

    A lookup may hang for as long as a resolver or a disk likes. Each has a thread of its own, one an address at most:
    the threads of the event loop's executor belong to whatever hangs in them first.
    """

    def __init__(self) -> None:
        self._known: dict[Address, Sequence[Place]] = {}
        self._under_way: dict[Address, _Lookup] = {}

    async def find(self, address: Address) -> Sequence[Place]:
        """A numeric address is its own place; a name's are looked up, or the last ones if that fails or is late.

        Raises OSError when a name was never found and is not within LOOKUP_S.
        """
        if (place := _numeric(address)) is not None:
            return [place]
        # each time anew: a gateway may move, and after a change of network the old answer may be wrong
        lookup = self._under_way.get(address) or self._begin(address)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(lookup.until_s):
                await lookup.done.wait()
        if address not in self._known:
            raise OSError(lookup.why_not)
        return self._known[address]

    def _begin(self, address: Address) -> "_Lookup":
        loop = asyncio.get_running_loop()
        lookup = _Lookup(loop.time() + LOOKUP_S)

        def look() -> None:
            found, why_not = _look_up(address)
            with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
                loop.call_soon_threadsafe(finish, found, why_not)

        def finish(found: Sequence[Place], why_not: str) -> None:
            del self._under_way[address]
            if found:
                self._known[address] = found
            lookup.why_not = why_not
            lookup.done.set()

        threading.Thread(target=look, name=f"lookup of {address}", daemon=True).start()
        self._under_way[address] = lookup
        return lookup


@dataclass(slots=True)
class _Lookup:
    """A lookup under way; until `until_s`, in the event loop's time, others wait for it."""

    until_s: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    why_not: str = "its lookup gets no answer"


def _numeric(address: Address) -> Place | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            # there and back: what comes from it bears it in its usual form
            return family, (socket.inet_ntop(family, socket.inet_pton(family, address.host)), address.port)
    return None


def _look_up(address: Address) -> tuple[Sequence[Place], str]:
    """The places, or why there are none. Blocks."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except (OSError, ValueError) as problem:  # what can be no name at all, such as a part of 64 octets, is a ValueError
        return (), getattr(problem, "strerror", None) or str(problem)
    return [(family, (str(peer[0]), int(peer[1]))) for family, _, _, _, peer in found], ""
