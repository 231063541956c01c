"""What comes over a receiver's line: sentences, their kinds and faults, and the line's speed, found by trying.

Pure and bounded. `now` is the monotonic clock in seconds. What the sentences mean is navigation's business.
"""

from collections import Counter
from dataclasses import dataclass

from bondmate.core.fields import SentenceError
from bondmate.core.foreign import recognize
from bondmate.core.lines import SentenceSplitter
from bondmate.core.nmea import Sentence, parse

SPEEDS_BAUD = (9600, 38400, 115200, 4800, 57600, 230400, 460800, 19200, 921600)
"""As they are tried: first what modules are sold with (u-blox to M8 and MediaTek; u-blox from M9; Quectel of late)."""
LISTEN_S = 2.2
"""So long one speed is tried: two epochs of a receiver that speaks once a second."""
GARBAGE_OCTETS = 256
"""So many octets that tell nothing are enough to leave a speed after half the time."""
SWITCHED_OCTETS = 16
"""Of a receiver that spoke, so many octets without a sentence show that it does so at another speed now: at 9600 baud
little is heard of one at 921,600."""
SILENT_S = 5.0
"""A receiver that says nothing useful for so long is reported: the slowest speaks once in five seconds."""
MAX_KINDS = 64
"""Kinds of sentences that are counted apart; real receivers have about ten, and noise makes up new ones."""
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Heard:
    """One sentence: its octets, and what it says."""

    line: bytes
    sentence: Sentence


class Reception:
    """Feed it octets, get sentences; ask it for the speed that the line should have."""

    def __init__(self, speed_baud: int | None) -> None:
        """`speed_baud` is the line's speed; None: find it."""
        self._search = speed_baud is None
        self.speed_baud = SPEEDS_BAUD[0] if speed_baud is None else speed_baud
        self.counts: Counter[str] = Counter()
        """Sentences by kind (GGA, RMC, PUBX, …)."""
        self.rejected: Counter[str] = Counter()
        """Sentences that were not used, by reason."""
        self._octets = self._noise = 0
        """Of the splitters before this one: a new line begins with a new splitter."""
        self._splitter = SentenceSplitter()
        self._opened_s: float | None = None
        """Since when the line is open; None while it is not."""
        self._tried_s = 0.0
        """Since when this speed is tried."""
        self._speaks = False
        """Whether there was a sentence at this speed."""
        self._without = 0
        """How many octets came since the last sentence."""
        self._octets_s = self._heard_s = 0.0
        """When the last octets, and the last sentence, came."""
        self._foreign: tuple[str, int] | None = None
        """What else was recognised on the line since the last sentence, and at which speed."""
        self._refused: str | None = None
        """Why the last sentence could not be used, if all since the last good one could not."""
        self._left = 0
        """How many speeds were tried and left since the last sentence."""

    @property
    def octets(self) -> int:
        """How many octets came in all."""
        return self._octets + self._splitter.octets

    @property
    def noise(self) -> int:
        """How many of them were no part of a sentence."""
        return self._noise + self._splitter.noise

    @property
    def speaks(self) -> bool:
        """Whether there was a sentence since the line was opened, and at this speed."""
        return self._opened_s is not None and self._speaks

    def opened(self, now: float) -> None:
        """The line was opened, at `speed_baud`."""
        self._restart(now)
        self._opened_s = self._octets_s = self._heard_s = now
        self._foreign, self._refused, self._left = None, None, 0

    def closed(self) -> None:
        """The line is gone, or not needed: nothing of what it said is kept."""
        self._opened_s = None
        self._renew()

    def feed(self, data: bytes, now: float) -> list[Heard]:
        """The sentences that `data` completes."""
        self._octets_s = now
        found = []
        for line in self._splitter.feed(data):
            try:
                sentence = parse(line)
            except SentenceError as error:
                self.rejected[error.kind] += 1
                self._refused = error.kind
                continue
            kind = sentence.type
            self.counts[kind if kind in self.counts or len(self.counts) < MAX_KINDS else OTHER] += 1
            found.append(Heard(line, sentence))
        if found:
            self._heard_s, self._speaks, self._without, self._left = now, True, 0, 0
            self._foreign = self._refused = None
        else:
            self._without += len(data)
            if not self._speaks and (name := recognize(self._splitter.sample)) is not None:
                self._foreign = name, self.speed_baud
        return found

    def poll(self, now: float) -> bool:
        """Whether `speed_baud` is another one now, to be set."""
        due = self.next_due()
        if due is None or now < due:
            return False
        self._left += 1
        was_here = self._foreign is not None and self._foreign[1] == self.speed_baud
        if was_here and recognize(self._splitter.sample) is None:
            self._foreign = None  # what was taken for it a round ago was garbage, or has gone
        self.speed_baud = SPEEDS_BAUD[(SPEEDS_BAUD.index(self.speed_baud) + 1) % len(SPEEDS_BAUD)]
        self._restart(now)
        return True

    def next_due(self) -> float | None:
        """When the next speed is to be tried, if no sentence comes before."""
        if not self._search or self._opened_s is None:
            return None
        if self._speaks:
            # the receiver was reset, or somebody gave it another speed
            return self._heard_s + SILENT_S if self._without >= SWITCHED_OCTETS else None
        # binary frames may stand between sentences, at the right speed
        told = self._without >= GARBAGE_OCTETS and recognize(self._splitter.sample) is None
        return self._tried_s + (LISTEN_S / 2 if told else LISTEN_S)

    def fault(self, now: float) -> tuple[str, str] | None:
        """What is wrong with what comes, as a code and in words; not before every speed was tried."""
        if self._opened_s is None or now - self._heard_s <= SILENT_S:
            return None
        if now - self._octets_s > SILENT_S:
            return "gnss-silent", f"the receiver has sent nothing for more than {SILENT_S:.0f} s"
        if self._foreign is not None:
            return "gnss-foreign", f"what speaks on the line is {self._foreign[0]}, not NMEA 0183"
        if self._search and self._left < len(SPEEDS_BAUD):
            return None
        if self._refused is not None:
            return "gnss-garbage", f"sentences come, but none can be used; the last: {self._refused}"
        speed = "at any usual speed" if self._search else f"at {self.speed_baud} baud"
        return "gnss-garbage", f"octets come, but no NMEA sentence {speed}"

    def _restart(self, now: float) -> None:
        self._renew()
        self._tried_s, self._speaks, self._without = now, False, 0

    def _renew(self) -> None:
        self._octets, self._noise, self._splitter = self.octets, self.noise, SentenceSplitter()
