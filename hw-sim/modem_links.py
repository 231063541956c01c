"""The UDP sockets inside a modem, whatever the maker calls them: what came for each and was not read yet. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

MAX_BUFFER_OCTETS = 10_240
"""What comes beyond that and is not read is lost."""
Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Received:
    """A datagram, or what is left of one."""

    octets: bytes
    peer: Peer


@dataclass(slots=True)
class Link:
    """One socket."""

    context: int
    peer: Peer | None
    push: bool = False
    """What comes is said at once."""
    local_port: int = 0
    state: Literal["opening", "open", "lost"] = "opening"
    sent: int = 0
    read: int = 0
    announced: bool = False
    """The host knows that there is something to read."""
    buffer: deque[Received] = field(default_factory=deque)

    @property
    def unread(self) -> int:
        return sum(len(one.octets) for one in self.buffer)

    def keep(self, received: Received) -> bool:
        """Put a datagram into the buffer; returns whether the host is to be told that there is something."""
        if self.unread + len(received.octets) > MAX_BUFFER_OCTETS:
            return False
        self.buffer.append(received)
        tell, self.announced = not self.announced, True
        return tell

    def take(self, most: int) -> Received | None:
        """The oldest datagram, or as much of it as that; the rest comes next. None: nothing is there."""
        if not self.buffer:
            return None
        first = self.buffer.popleft()
        taken, rest = first.octets[:most], first.octets[most:]
        if rest:
            self.buffer.appendleft(Received(rest, first.peer))
        self.read += len(taken)
        self.announced = bool(self.buffer)
        return Received(taken, first.peer)
