"""What a simulated modem wants done outside of it; the process around it, modem.py, does it. It holds no logic."""

from dataclasses import dataclass

from bondmate_sim.short_message import UserData


@dataclass(frozen=True, slots=True)
class Say:
    """These octets go to the host."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class PortGone:
    """The port disappears; `abrupt`: with all that was said and not read."""

    abrupt: bool


@dataclass(frozen=True, slots=True)
class PortBack:
    """A port is there, another one than before."""


@dataclass(frozen=True, slots=True)
class Ears:
    """Whether the modem reads what the host sends."""

    open: bool


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A UDP socket, asked for as this link. `peer` None: it talks to everybody. Answered by `Modem.opened`."""

    link: int
    peer: tuple[str, int] | None
    local_port: int


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """`peer` None: to whom the socket is connected."""

    link: int
    octets: bytes
    peer: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Also of one that is still being opened."""

    link: int


@dataclass(frozen=True, slots=True)
class Attach:
    """Be reachable at the message centre; anew, when it was already."""


@dataclass(frozen=True, slots=True)
class Detach:
    """Be no more."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Give a message to the centre; answered by `Modem.submitted` with the same name."""

    name: str
    to: str
    data: UserData


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The delivery of that id is safe."""

    id: str


@dataclass(frozen=True, slots=True)
class News:
    """For people and tests, a line."""

    text: str


Effect = (
    Say | PortGone | PortBack | Ears | OpenSocket | SendDatagram | CloseSocket
    | Attach | Detach | Submit | Acknowledge | News
)  # fmt: skip
