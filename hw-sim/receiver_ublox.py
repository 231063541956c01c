"""A u-blox receiver: it tells its version, has its configuration changed, and sleeps and wakes. Pure.

What can be configured, and how, depends on the generation: receiver_ublox_m10.py and receiver_ublox_m8.py. Answered are
the poll of UBX-MON-VER and everything of the class UBX-CFG; other messages have no effect and no answer.

Sources: u-blox M10 interface description UBX-21035062 R02, sections 3.5 (acknowledgement, poll), 3.14.9 (version) and
3.16.6 (power); MIA-M10Q integration manual UBX-21028173, section 3.6.3.2 (software standby).
"""

from dataclasses import dataclass
from typing import Protocol, assert_never

from bondmate_sim.programme import Programme
from bondmate_sim.receiver import ASLEEP, AWAKE, Reaction, together
from bondmate_sim.ubx import Frames, Message, frame

CLASS_CFG = 0x06
RXM_PMREQ, ACK_NAK, ACK_ACK, MON_VER = (0x02, 0x41), (0x05, 0x00), (0x05, 0x01), (0x0A, 0x04)
FLAG_BACKUP, FLAG_FORCE = 1 << 1, 1 << 2
WAKE_UARTRX = 1 << 3
WAKE_S = 0.5
""""Send the configuration message about half a second after the dummy sequence" that wakes (NEO-M9N integration manual,
section 3.11.2.3.1)."""
GNSS_RESET_S = 0.5
"""After a change of the systems, "wait first for the acknowledgement from the receiver and then 0.5 seconds before
sending the next command" (UBX-21035062, section 4.9.21). Here what comes earlier is lost."""


@dataclass(frozen=True, slots=True)
class Obeyed:
    """A configuration message that was accepted."""

    news: tuple[str, ...]
    resets_gnss: bool = False


@dataclass(frozen=True, slots=True)
class Sleep:
    """A power management request that was understood."""

    duration_s: float | None
    """None: until something wakes it."""
    wakes_by_uart: bool


class Configuration(Protocol):
    """One generation: what it is called, what it obeys, and what it says then."""

    version: tuple[str, ...]
    """The strings of UBX-MON-VER: software, hardware, extensions."""

    def obey(self, message: Message) -> Obeyed | None:
        """A message of the class UBX-CFG; None when it is refused, and then nothing has changed."""

    def sleep(self, payload: bytes) -> Sleep | None:
        """A UBX-RXM-PMREQ; None when it is none that puts this generation to sleep."""

    def forget(self) -> None:
        """What is in RAM is lost."""

    @property
    def programme(self) -> Programme:
        """What it says with this configuration."""


@dataclass(frozen=True, slots=True)
class Awake:
    """It speaks, and listens from that moment on."""

    listens_s: float


@dataclass(frozen=True, slots=True)
class Asleep:
    """Until then (None: for ever), or until the line wakes it."""

    until_s: float | None
    wakes_by_uart: bool


@dataclass(frozen=True, slots=True)
class Waking:
    """Deaf and dumb until then."""

    until_s: float


class Ublox:
    """The receiver; `state` says whether it is awake."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.state: Awake | Asleep | Waking = Awake(0.0)
        self._frames = Frames()

    @property
    def programme(self) -> Programme | None:
        return self.configuration.programme if isinstance(self.state, Awake) else None

    @property
    def due_s(self) -> float | None:
        return None if isinstance(self.state, Awake) else self.state.until_s

    def hear(self, data: bytes, now_s: float) -> Reaction:
        return together([self._pass_time(now_s), *(self._hear(octet, now_s) for octet in data)])

    def _pass_time(self, now_s: float) -> Reaction:
        until_s = self.due_s
        if until_s is None or now_s < until_s:
            return Reaction()
        if isinstance(self.state, Asleep):
            self.state = Waking(until_s + WAKE_S)
            return self._pass_time(now_s)
        self.state = Awake(until_s)
        return Reaction(news=(AWAKE,))

    def _hear(self, octet: int, now_s: float) -> Reaction:
        match self.state:
            case Asleep():
                if self.state.wakes_by_uart:
                    self.state = Waking(now_s + WAKE_S)
            case Waking():
                pass  # the UART is not yet there
            case Awake():
                if now_s >= self.state.listens_s:
                    message = self._frames.push(octet)
                    return Reaction() if message is None else self._obey(message, now_s)
            case _:
                assert_never(self.state)
        return Reaction()

    def _obey(self, message: Message, now_s: float) -> Reaction:
        if message == Message(MON_VER, b""):
            return Reaction(frame(Message(MON_VER, _version(self.configuration.version))))
        if message.name == RXM_PMREQ:
            return self._go_to_sleep(self.configuration.sleep(message.payload), now_s)
        if message.name[0] != CLASS_CFG:
            return Reaction()
        obeyed = self.configuration.obey(message)
        if obeyed is None:
            return Reaction(frame(Message(ACK_NAK, bytes(message.name))))
        if obeyed.resets_gnss:
            self.state = Awake(now_s + GNSS_RESET_S)
        return Reaction(frame(Message(ACK_ACK, bytes(message.name))), obeyed.news)

    def _go_to_sleep(self, sleep: Sleep | None, now_s: float) -> Reaction:
        if sleep is None:
            return Reaction()
        self.state = Asleep(None if sleep.duration_s is None else now_s + sleep.duration_s, sleep.wakes_by_uart)
        self.configuration.forget()
        return Reaction(news=(ASLEEP,))


def _version(strings: tuple[str, ...]) -> bytes:
    """Software in 30 octets, hardware in 10, extensions in 30 each, all ended by zeros."""
    software, hardware, *extensions = (string.encode("ascii") for string in strings)
    return software.ljust(30, b"\0") + hardware.ljust(10, b"\0") + b"".join(one.ljust(30, b"\0") for one in extensions)
