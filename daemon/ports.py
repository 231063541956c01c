"""The interfaces between the device and what it is plugged into, as typing.Protocols.

Adapters implement them; the device knows nothing else of its adapters.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bondmate.core.pdu import Sms
from bondmate.core.sky import Satellite
from bondmate.mail import KeptMessage, MessageState
from bondmate.records import (
    Duty,
    EarlierAlert,
    Felt,
    History,
    Moment,
    Opened,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
)


class Outbox(Protocol):
    """The durable queue. Every method raises StoreError, and returns only when its effect is on the disk.

    While it is not open, every other call raises StoreError. A write that is given a moment keeps it as the clock's.
    """

    async def open(self) -> Opened:
        """Open what is not open. A damaged file is set aside, never deleted."""

    async def salvage(self) -> int:
        """Take up what can still be read of a damaged file's undelivered records; how many.

        Nothing to do nearly always. What an error cuts short goes on with the next call; where some were taken up
        before it, their number is returned, and the next call meets the error.
        """

    async def history(self) -> History:
        """Where the chains ended."""

    async def clock(self) -> Moment | None:
        """The moment of the last write: how old the device was, and the last known UTC. None in a fresh file."""

    async def add(self, record: SignedRecord, moment: Moment) -> None:
        """Commit a record; one that is there already is left as it is. Alerts may use the reserve of a full disk."""

    async def restore(self, records: Sequence[SignedRecord], history: History, moment: Moment) -> None:
        """Commit what a fresh file has to know, at once: records that are not there, and where the chains stand.

        A head that is given as lost never hides one that is there.
        """

    async def shift(self, session: SessionId, since_s: float, until_s: float, by_s: float) -> None:
        """Records of a session, its shift, and receipts are so much later than they say.

        Where they are later than `since_s` and not later than `until_s`, both before the move: the device learnt only
        then how long the pause before the session had been.
        """

    async def mark_delivered(self, digest: bytes, receipt: bytes, moment: Moment) -> None:
        """Keep the verified receipt of a record; a second one changes nothing."""

    async def mark_felt(self, digest: bytes, felt: Felt) -> None:
        """Keep what the palm felt of an alert."""

    async def thin(self, gap: SignedRecord, digests: Sequence[bytes], moment: Moment) -> None:
        """Commit a gap record and, with it, forget the records without a receipt that it names."""

    async def waiting(self) -> Mapping[Stream, int]:
        """How many records of each stream have no receipt."""

    async def pending(self, stream: Stream, limit: int, before: int | None = None) -> list[StoredRecord]:
        """Records of a stream without a receipt, the newest first; `before` is the last place of the page before."""

    async def latest_alert(self) -> EarlierAlert | None:
        """The newest alert; None without one."""

    async def duty(self) -> Duty | None:
        """The shift that was kept; None without one."""

    async def keep_duty(self, duty: Duty | None, moment: Moment) -> None:
        """Keep a shift in place of any other, or that there is none."""

    async def upkeep(self, moment: Moment, keep_delivered_s: float) -> None:
        """Erase what was delivered longer ago than that, and positions and presences at once; fill the reserve again.

        The newest alert stays while it is open, and so does the last position behind it. Of messages, those that nobody
        has to read any more go that long after they were taken, others after a month, or when they expire; what has to
        be carried out yet stays until it expires.
        """

    # --- the mailbox -----------------------------------------------------------------------------

    async def cursor(self) -> int:
        """The number of the last message that was taken; 0 before any, and in a fresh file."""

    async def take_message(
        self,
        message: KeptMessage,
        *,
        acknowledges: Sequence[bytes] = (),
        closes: Sequence[bytes] = (),
        by: str = "",
        kept: Mapping[str, bytes | None] = {},
    ) -> bool:
        """Commit at once a message, the cursor, marks on the calls with these digests, and named octets (see keep).

        False: its number is not behind the cursor, and nothing was changed. A call may be marked before its record is
        committed.
        """

    async def messages(self, limit: int, utc_s: float | None) -> list[KeptMessage]:
        """What an officer may read, and what has not expired where UTC is known; the newest first."""

    async def message(self, number: int) -> KeptMessage | None:
        """One that an officer may read, also when it has expired; None where there is none."""

    async def unread(self, utc_s: float | None) -> int:
        """How many of these nobody has read."""

    async def unfelt(self, utc_s: float | None) -> list[KeptMessage]:
        """Those of these that the palm still has to be told of, the oldest first."""

    async def mark_message(self, number: int, state: MessageState, answer: str | None, moment: Moment) -> None:
        """Keep what the officer did with a message; only a higher state changes anything."""

    async def mark_message_felt(self, number: int) -> None:
        """Keep that the palm was told of a message."""

    async def orders(self, utc_s: float | None) -> list[KeptMessage]:
        """Those that a part of the device has to carry out yet (mail.ORDERS), the oldest first; none that expired."""

    async def mark_begun(self, number: int) -> None:
        """Keep that one of these is being carried out: it does not expire any more."""

    async def mark_order(self, number: int, state: MessageState, text: str | None, moment: Moment) -> None:
        """Keep what became of one of these; only a higher state changes anything, and nothing does behind the 4th."""

    async def untold(self) -> list[KeptMessage]:
        """Messages of whatever type whose state no record has told yet, the oldest first."""

    async def mark_told(self, told: Mapping[int, MessageState]) -> None:
        """Keep of messages, by number, which state a record has told."""

    # --- small states ----------------------------------------------------------------------------

    async def keep(self, name: str, octets: bytes | None, moment: Moment) -> None:
        """Keep octets under a name in place of any others; None: nothing."""

    async def kept(self, name: str) -> bytes | None:
        """What was kept under a name; None where there is nothing, and in a fresh file."""


NOTHING_SENT = "nothing sent yet"
"""Why a bearer that was not used yet is not known to work."""


class Bearer(Protocol):
    """Moves submissions to the gateway."""

    @property
    def name(self) -> str:
        """The bearer's name: ip, lte or sms."""

    @property
    def is_scarce(self) -> bool:
        """Whether octets are scarce on it: submissions go in the compact form."""

    @property
    def session(self) -> SessionId:
        """The session that its channel runs in; records of any other carry theirs beside them."""

    @property
    def why_not(self) -> str | None:
        """Why it does not work now, in words; None while it does, as far as it knows."""

    @property
    def last_success_s(self) -> float | None:
        """Monotonic time of the last authenticated answer."""

    async def send(self, submission: bytes) -> bytes | None:
        """Send one submission and return the authenticated response's payload. Raises LinkError.

        None: the network took it, which proves nothing; a receipt may come later, by itself.

        Several may be under way at once; none holds another up. The caller sets the deadline.
        """

    async def fetch(self, cursor: int) -> bytes:
        """What the mailbox has behind that number, as the gateway answered it. Raises LinkError.

        Where octets are scarce it always does. The caller sets the deadline.
        """


@dataclass(frozen=True, slots=True)
class PartFault:
    """What is wrong with a part: a code for machines, and in words what it is and what to do next."""

    code: str
    text: str
    next: str


class Part(Protocol):
    """Something that may not work."""

    def faults(self) -> tuple[PartFault, ...]:
        """What is wrong with it."""


class TimeKeeper(Protocol):
    """What keeps the system's clock."""

    def tell(self, utc_ms: int) -> None:
        """This is the time now, in milliseconds since 1970. Neither waits nor raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverState:
    """How a receiver is, for whoever looks at it. Counts are since the process began."""

    awake: bool
    port: str
    speed_baud: int | None
    """None while no sentence was heard at any."""
    identity: str | None
    """What it says that it is, where it was asked."""
    antenna: str | None
    """ok, open or short, where it says so."""
    why_not: tuple[str, ...]
    """Why its last epoch has no fix."""
    satellites: tuple[tuple[Satellite, bool], ...]
    """In view, each with whether it is used."""
    sentences: Mapping[str, int]
    rejected: Mapping[str, int]
    """Sentences that could not be used, by reason."""
    octets: int
    noise_octets: int


class Locator(Protocol):
    """A receiver that tells where the device is. It sleeps until it is woken; asleep it has forgotten where it was."""

    def wake(self, on: bool) -> None:
        """Wake it, or let it sleep."""

    def faults(self) -> tuple[PartFault, ...]:
        """What is wrong with it; nothing while it sleeps."""

    def state(self) -> ReceiverState:
        """How it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemState:
    """How a modem is, for whoever looks at it. What is not known is None; counts are since the process began."""

    port: str
    present: bool
    """Whether it answers, and was told all that it has to know."""
    why_not: str | None
    """Why nothing can be sent over it now, in words; None where it can."""
    model: str | None
    imei: str | None = field(repr=False)
    iccid: str | None = field(repr=False)
    sim: str | None
    registration: str | None
    roaming: bool
    operator: str | None
    rat: str | None
    """GSM, UMTS, LTE, LTE-M or NB-IoT."""
    rsrp_dbm: float | None
    rsrq_db: float | None
    sinr_db: float | None
    recovery: str | None
    """What was tried last, while it does not answer."""
    refused: tuple[str, ...]
    """Commands that this model did not take, and that are not essential."""
    sockets: int
    """How many are open."""
    troubles: Mapping[str, int]
    """How often what went wrong: send failed, buffer full, socket lost, …"""


class DatagramSocket(Protocol):
    """A UDP socket inside a modem, to one peer."""

    @property
    def closed(self) -> asyncio.Future[str]:
        """Done when the socket is no more, with the reason in words; await it shielded."""

    @property
    def dropped(self) -> int:
        """How many datagrams were not sent, because too many waited, they were too long, or the modem took them not."""

    def send(self, datagram: bytes) -> None:
        """Send one without waiting; it is dropped and counted when it cannot be. `SEND OK` would mean nothing more."""

    def close(self) -> None:
        """Close it; a second time does nothing."""


class CellularModem(Protocol):
    """A modem that is spoken to in AT commands."""

    def state(self) -> ModemState:
        """How it is."""

    def faults(self) -> tuple[PartFault, ...]:
        """What is wrong with it."""

    async def open_udp(self, host: str, port: int, received: Callable[[bytes], None]) -> DatagramSocket:
        """Open a socket to a peer; `received` is called with each datagram, in the event loop.

        Raises LinkError. At most ten are open at a time. The caller sets the deadline.
        """

    async def send_sms(self, number: str, octets: bytes) -> None:
        """Send one message of octets; returns when the network has taken it. Raises LinkError with its reason.

        One is sent at a time, in the order of the calls.
        """

    def on_ready(self, call: Callable[[], None]) -> None:
        """Call that, in the event loop, each time that something can be sent and could not before."""

    def on_sms(self, take: Callable[[Sms], None]) -> None:
        """Hand each message that comes to `take`, in the event loop; perhaps more than once."""


class ModemPower(Protocol):
    """The modem's power key and supply, where the board can work them."""

    @property
    def has_key(self) -> bool:
        """Whether it can press the power key."""

    @property
    def has_rail(self) -> bool:
        """Whether it can take the power away."""

    async def pulse_key(self) -> None:
        """Press the power key as long as it takes to switch it on or off."""

    async def cycle_rail(self) -> None:
        """Take the power away, and give it again."""


class Indicator(Part, Protocol):
    """The vibration motor, the LED and, where there is one, the buzzer. One that does not work harms nothing else."""

    covert: bool
    """Whether LED and buzzer do nothing, whatever is asked. It may be set at any time, and is obeyed at once."""

    def vibrate(self, on: bool) -> None:
        """Drive the motor, and the buzzer."""

    def light(self, on: bool, *, tested: bool = False) -> None:
        """Drive the LED. `tested`: covert or not, for somebody wants to see whether it works."""
