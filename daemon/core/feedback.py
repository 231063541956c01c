"""What the officer feels, and hears where there is a buzzer: patterns as data, and which of them plays now. Pure.

A pattern always plays to its end, and none is played over another: in the palm a mixture means nothing. A motor that is
driven late makes a pulse or a rest longer, and never leaves one out: two short pulses that run into one would be felt
as another pattern. Only what was no news of a call, a self-test's, is broken off by one.
"""

from dataclasses import dataclass, replace
from enum import Enum

PAUSE_S = 0.4
"""Between two patterns, so that they are felt as two."""
MAX_WAITING = 8
"""More than this is noise: what can wait gives way, a receipt too, and without such the oldest."""


class Pattern(Enum):
    """The vibrations, as (on, off, on, …) in seconds; told apart by number and length of pulses, through a glove too.

    STORED: it cannot be lost any more; at the beginning of a shift: armed.
    DELIVERED: the gateway has signed that it has it.
    ACKNOWLEDGED: a human saw it.
    NO_WAY_OUT: the alert could not be stored (it is sent all the same), the gateway refused it, or nothing got through
    for a minute: do not rely on it. At the beginning of a shift: not armed. So too, at its start and at each press,
    of a device that cannot call at all.
    ATTENTION: look at the device when there is time: a message, a check-in, the battery, the end of the shift.
    EXERCISE: what was pressed is an exercise, and nobody will come.
    """

    STORED = (0.4,)
    DELIVERED = (0.12, 0.12, 0.12)
    ACKNOWLEDGED = (0.22, 0.16, 0.22, 0.16, 0.22)
    EXERCISE = (1.5,)
    ATTENTION = (0.8, 0.2, 0.8)
    NO_WAY_OUT = (0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08)


@dataclass(frozen=True, slots=True)
class Felt:
    """A pattern that was played to its end, and what it was about."""

    pattern: Pattern
    about: bytes


@dataclass(frozen=True, slots=True)
class _Playing:
    """The pattern that plays, which of its parts (on, off, on, …, pause), and until when."""

    what: Felt
    part: int
    until_s: float
    is_whole: bool = True
    """It is not broken off."""

    @property
    def pause(self) -> int:
        return len(self.what.pattern.value)

    @property
    def parts_s(self) -> tuple[float, ...]:
        return (*self.what.pattern.value, PAUSE_S)


class FeedbackPlayer:
    """Plays patterns one after the other; `level(now)` is what the motor does at that moment, and so the buzzer."""

    def __init__(self) -> None:
        self._waiting: list[Felt] = []
        self._playing: _Playing | None = None
        self._felt: list[Felt] = []

    def play(self, pattern: Pattern, about: bytes) -> None:
        """Play a pattern when `level` is asked next, or behind the one that plays.

        What tells of presses is felt before what came of them, and that before all else. `about` is the digest of the
        record that it tells of, or names a message; empty where it tells of neither.
        """
        if (pattern is Pattern.ATTENTION or not about) and Felt(pattern, about) in self._waiting:
            return  # it tells of no press: once is enough, and must not push out what does
        self._waiting.append(Felt(pattern, about))
        # a stable sort: of two presses the later one has the last word
        self._waiting.sort(key=_patience)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.pop(-1 if _patience(self._waiting[-1]) else 0)

    def drop_all_but(self, about: bytes) -> None:
        """A new alert was raised: what still waits to be felt about others would be taken for its own."""
        self._waiting = [
            waiting
            for waiting in self._waiting
            if waiting.about in (about, b"") or waiting.pattern is Pattern.ATTENTION
        ]

    def break_off(self, about: bytes, now: float) -> None:
        """What is about this is felt no more, and not to its end either: there is something else to be felt at once."""
        self._waiting = [waiting for waiting in self._waiting if waiting.about != about]
        playing = self._playing
        if playing is not None and playing.what.about == about and playing.part < playing.pause:
            # a pause, else what comes would be felt as one with what was
            self._playing = replace(playing, part=playing.pause, until_s=now + PAUSE_S, is_whole=False)

    def take_felt(self) -> list[Felt]:
        """What was felt to its end since the last call, in that order."""
        felt, self._felt = self._felt, []
        return felt

    def level(self, now: float) -> bool:
        """Whether the motor runs from `now` on; each part lasts its time from when it was asked for."""
        if self._playing is not None and now >= self._playing.until_s:
            self._playing = self._behind(self._playing, now)
        if self._playing is None and self._waiting:
            what = self._waiting.pop(0)
            self._playing = _Playing(what, 0, now + what.pattern.value[0])
        return self._playing is not None and self._playing.part % 2 == 0

    def next_due(self) -> float | None:
        """When `level` has to be asked again; None when nothing plays."""
        return None if self._playing is None else self._playing.until_s

    def _behind(self, playing: _Playing, now: float) -> _Playing | None:
        part = playing.part + 1
        if part < len(playing.parts_s):
            return replace(playing, part=part, until_s=now + playing.parts_s[part])
        if playing.is_whole:
            self._felt.append(playing.what)
        return None


_PATIENCE = {Pattern.DELIVERED: 1, Pattern.ACKNOWLEDGED: 1, Pattern.ATTENTION: 2}
"""How well they can wait; what tells of a press cannot."""


def _patience(waiting: Felt) -> int:
    return _PATIENCE.get(waiting.pattern, 0)
