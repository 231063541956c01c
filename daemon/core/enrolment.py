"""How a device comes to its keys: what is asked next, and when (docs/protocol.md, section 9). Pure.

`now` is the monotonic clock in seconds. Nothing here gives up: only a refusal that the gateway signed ends it.
"""

from enum import Enum, IntEnum
from random import Random

APPROVAL_S = 10.0
"""So often it is asked while a human at the gateway compares fingerprints (section 9)."""
FIRST_RETRY_S = 2.0
"""After a failure; doubled with each further one: a technician who plugs the network in need not wait long."""
RETRY_CAP_S = 60.0
_DOUBLINGS = 16
"""The exponent is bounded, for days without a network are many failures."""


class Verdict(IntEnum):
    """What the gateway says of a device's key (CDDL `enrol-answer-payload`)."""

    TAKEN = 0
    WAITING = 1
    OTHER_KEY = 2
    """Another key was taken under this secret."""
    VOID = 3
    """The file has expired, or was withdrawn."""


class Phase(Enum):
    """How far it is."""

    ASKING = "asking"
    WAITING = "waiting"
    """A human has to approve the key."""
    REFUSED = "refused"
    ENROLLED = "enrolled"
    """The keys that last are committed here."""


class Step(Enum):
    """What is done next."""

    ASK = "POST /e"
    REKEY = "POST /k"


_PHASE = {
    Verdict.TAKEN: Phase.ASKING,
    Verdict.WAITING: Phase.WAITING,
    Verdict.OTHER_KEY: Phase.REFUSED,
    Verdict.VOID: Phase.REFUSED,
}


class Enrolment:
    """Decides. A step begins with `begin`, and ends with `answered`, `rekeyed` or `failed`."""

    def __init__(self, random: Random, now: float) -> None:
        """`random` spreads the waits: forty devices on a table were switched on at once."""
        self.phase = Phase.ASKING
        self._random = random
        self._next = Step.ASK
        self._due_s: float | None = now
        """When the next step is due; None while one is under way, and at the end."""
        self._failures = 0
        """Since the gateway said last that a human has to wait for a human."""

    def next_due(self) -> float | None:
        """When `begin` has a step; None while one is under way, and at the end."""
        return self._due_s

    def begin(self, now: float) -> Step | None:
        """The step to be done now, if one is due."""
        if self._due_s is None or now < self._due_s:
            return None
        self._due_s = None
        return self._next

    def answered(self, verdict: Verdict, now: float) -> None:
        """`POST /e` was answered, and the answer verified."""
        self.phase = _PHASE[verdict]
        match verdict:
            case Verdict.TAKEN:
                # failures go on being counted: the exchange behind it may be what fails
                self._next, self._due_s = Step.REKEY, now
            case Verdict.WAITING:
                self._failures = 0
                self._next, self._due_s = Step.ASK, now + APPROVAL_S
            case Verdict.OTHER_KEY | Verdict.VOID:
                self._due_s = None

    def rekeyed(self) -> None:
        """`POST /k` was done, and what came of it is durable."""
        self.phase = Phase.ENROLLED

    def failed(self, now: float) -> None:
        """Nothing usable came of the step, whichever it was, or it could not be kept.

        What the gateway made of it cannot be known; so the whole begins anew, which it takes as often as it has to.
        """
        self._failures += 1
        self._next = Step.ASK
        longest_s = min(FIRST_RETRY_S * 2.0 ** min(self._failures - 1, _DOUBLINGS), RETRY_CAP_S)
        self._due_s = now + longest_s * self._random.uniform(0.5, 1.0)
