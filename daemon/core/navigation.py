"""From a receiver's sentences to fixes that were judged: epochs, the sky, the antenna, and whether they can be true.

Pure: `now` is the monotonic clock in seconds. Where nobody knows when octets came (a recorded log), it stays as it is.
"""

import datetime as dt
from dataclasses import replace

from bondmate.core.epoch import Epoch, EpochAssembler
from bondmate.core.nmea import Sentence
from bondmate.core.sky import Sky
from bondmate.core.trust import LEAD_S, Told, Trust


class Navigation:
    """Feed it sentences, get an epoch for each UTC time of day."""

    def __init__(self, not_before: dt.date | None, lead_s: float = LEAD_S) -> None:
        """`not_before` as EpochAssembler has it, `lead_s` as Trust."""
        self._assembler = EpochAssembler(not_before)
        self._trust = Trust(lead_s)
        self.sky = Sky()
        self.antenna: str | None = None
        """What the receiver said of it last: ok, open or short."""

    def feed(self, sentence: Sentence, now: float) -> Epoch | None:
        """Take a sentence; the epoch that it ends."""
        if sentence.view is not None:
            self.sky.see(sentence.talker, sentence.view, now)
            return None
        if sentence.antenna is not None:
            self.antenna = sentence.antenna if sentence.antenna in ("ok", "open", "short") else None
        if sentence.used:
            self.sky.use(sentence.used, now)
        return self._judged(self._assembler.feed(sentence, now), now) if sentence.talker else None

    def replugged(self) -> None:
        """The receiver may be another one: its antenna is not known."""
        self.antenna = None

    def heard(self, now: float) -> None:
        """Octets came, of whatever they are a part."""
        self._assembler.heard(now)

    def poll(self, now: float) -> Epoch | None:
        """The epoch that ended by silence."""
        return self._judged(self._assembler.poll(now), now)

    def finish(self, now: float) -> Epoch | None:
        """The epoch under way, where nothing follows."""
        return self._judged(self._assembler.finish(), now)

    def next_due(self) -> float | None:
        """When `poll` has something to say, if nothing comes before."""
        return self._assembler.next_due()

    def _judged(self, epoch: Epoch | None, now: float) -> Epoch | None:
        if epoch is None or epoch.fix is None:
            return epoch
        told = Told(self.sky.strengths(now), self.antenna, epoch.time_ms, epoch.made_up)
        return replace(epoch, fix=self._trust.judge(epoch.fix, told))
