"""What a device is made of: adapters by their ports, and what the configuration says of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bondmate.core.delivery import Delivery
from bondmate.core.gesture import Gesture
from bondmate.core.tracking import TrackingPolicy
from bondmate.cose import PublicKey
from bondmate.credentials import Credentials
from bondmate.enrolling import Bearer as KeyBearer
from bondmate.enrolling import KeyExchange
from bondmate.faults import Faults
from bondmate.identity import FreshKeys
from bondmate.ports import Bearer, CellularModem, Indicator, Locator, Outbox, Part, TimeKeeper
from bondmate.recorder import Recorder
from bondmate.records import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """What a change of the channel's keys needs."""

    bearers: Sequence[KeyBearer]
    """In order of preference, under the keys that the device runs with."""
    exchanging: Callable[[], Awaitable[Callable[[], KeyExchange]]]
    """Brings up what exchanges keys; then each call begins an exchange."""
    keep: Callable[[FreshKeys, int], None]
    """Keeps the keys, durably, for the next run, and the number of the order that they answer. Blocks; OSError."""
    made_s: int | None
    """UTC when the present keys were made, in seconds since 1970, where that is known."""
    order: int
    """The number of the last order that the present keys answer; 0 for none."""


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a device is made of."""

    recorder: Recorder
    outbox: Outbox
    bearers: tuple[Bearer, ...]
    locator: Locator
    indicator: Indicator
    delivery: Delivery
    gateway_keys: dict[bytes, PublicKey]
    hold_s: float
    tracking: TrackingPolicy
    duty_max_s: float
    store_deadline_s: float
    keep_delivered_s: float
    gestures: tuple[Mapping[Gesture, Kind], ...] = ({Gesture.HOLD: Kind.PANIC},)
    """What is called by which gesture, for each button."""
    cancel_gesture: Gesture | None = None
    """What takes an alert back on the first button; None: the PIN alone does."""
    countdown_s: float = 30.0
    """How long it is felt before the device raises an alert by itself."""
    man_down_s: float = 15.0
    """So long it lies before that begins."""
    pin_file: Path | None = None
    modem: CellularModem | None = None
    """What carries the bearers lte and sms, where there is one."""
    battery: Part | None = None
    """What tells how full the battery is, where something does."""
    system_utc_ms: Callable[[], int] | None
    """Reads the system's clock, where that is the source of UTC; None: the GNSS clock is."""
    read_credentials: Callable[[], Awaitable[Credentials]] | None = None
    """Reads those on the disk again, for a self-test. Raises ConfigurationError."""
    time_keeper: TimeKeeper | None = None
    """What keeps the system's clock, where it is told the time of fixes."""
    mark_wiping: Callable[[], None]
    """Keeps durably that the device is being wiped, from now on; raises OSError."""
    key_change: KeyChange | None = None
    """None: the device has no key to agree on others with."""
    faults: Faults = field(default_factory=Faults)
