"""What a device's mailbox holds: the gateway's messages as values (docs/protocol.md, section 8).

Knows nothing of bytes (see messages) or storage.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from bondmate.records import Moment

MAX_ANSWER_OCTETS = 160
"""The longest answer of an officer, and the longest text of an outcome, in UTF-8."""


class MessageType(IntEnum):
    """The types of messages that this daemon knows."""

    MESSAGE = 1
    ALERT = 2
    ASSISTANCE = 3
    ACKNOWLEDGE = 4
    CLOSE = 5
    EXERCISE = 6
    UPDATE = 8
    WIPE = 9
    REKEY = 11

    @property
    def label(self) -> str:
        """The name used in JSON."""
        return self.name.lower()


SHOWN = (MessageType.MESSAGE, MessageType.ALERT, MessageType.ASSISTANCE)
"""Types that an officer reads; the others are for the device alone."""
ORDERS = (MessageType.UPDATE, MessageType.WIPE, MessageType.REKEY)
"""Types that a part of the device carries out, which may take long; see orders."""


class MessageState(IntEnum):
    """What became of a message. Of all but WITHOUT_EFFECT the highest counts."""

    TAKEN = 1
    READ = 2
    ANSWERED = 3
    WITHOUT_EFFECT = 4
    CARRIED_OUT = 5
    FAILED = 6

    @property
    def label(self) -> str:
        """The name used in JSON."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Area:
    """A circle on the ground: WGS 84 degrees, and metres around."""

    lat: float
    lon: float
    radius_m: int


@dataclass(frozen=True, slots=True)
class Text:
    """Something to read, with answers that a finger can choose."""

    text: str
    replies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AreaAlert(Text):
    """An alert to all whom it may concern; `area` is None where it has none."""

    area: Area | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistance(Text):
    """A colleague nearby called: where, within how many metres, and which kind of call (a number of records.Kind)."""

    place: Area
    kind: int


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A human saw the calls with these digests."""

    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """The calls with these digests are over."""

    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ExerciseOrder:
    """Calls are exercises for so many seconds from now on; 0: the exercise is over."""

    version: int
    seconds: int


@dataclass(frozen=True, slots=True)
class UpdateOrder:
    """Install the software of that version: where its bundle lies, its length and SHA-256 (protocol.md, section 10)."""

    software: str
    url: str
    octets: int
    sha256: bytes
    at_once: bool
    """Off duty or not, on battery and over any IP; else as the device's policy has it."""


@dataclass(frozen=True, slots=True)
class WipeOrder:
    """Deliver what is undelivered of calls, then forget everything."""


@dataclass(frozen=True, slots=True)
class RekeyOrder:
    """Change the channel's keys."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """What only a later daemon understands."""


Content = Text | Acknowledge | Close | ExerciseOrder | UpdateOrder | WipeOrder | RekeyOrder | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that a gateway key signed for this device; times are seconds since 1970, by the gateway's clock.

    `data` is the tagged COSE_Sign1. `by` names the operator who caused it.
    """

    number: int
    type: int
    time_s: int
    expires_s: int | None
    urgent: bool
    by: str
    content: Content
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message as the store has it. `felt` is False while the palm still has to be told of it.

    `answer` is the officer's, or of an order what was said of its outcome.
    """

    number: int
    type: int
    data: bytes = field(repr=False)
    expires_s: int | None
    taken: Moment
    state: MessageState
    answer: str | None = None
    felt: bool = True
