"""Power cuts: a device lives on a disk that records, and is started anew from whatever a cut could have left of it.

One life a seed. At every operation of its recording several states of the disk are tried, and of some of the starts
after them every operation again, for the power may go a second time.
"""

import asyncio
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from bondmate.store.outbox import SqliteOutbox
from tests.faults.powercut_device import Life
from tests.faults.powercut_disk import Disk, Fate
from tests.faults.powercut_judge import Expectation, Verdict, start
from tests.faults.powercut_model import Begun, Event, Model, Returned
from tests.faults.powercut_recording import recording

MEMORY = Path("/dev/shm")
AGAIN_EVERY, AGAIN = 600, 60
"""After so many states the power goes again during one start, with so many states of that."""
IN_VAIN = 6
"""So many times in a row a state that was tried already, and the next operation is looked at."""
MAX_COMPLAINTS = 20

_FATES = [
    *product((Fate.KEPT, Fate.LOST), repeat=2),
    *product((Fate.LOST, Fate.KEPT, Fate.SOME), (Fate.CUT, Fate.SOME, Fate.TORN, Fate.TORN)),
]
"""Of the names, and of the files' contents."""


@dataclass(slots=True)
class Outcome:
    """What the power cuts of one life, or of several, came to."""

    states: int = 0
    distinct: int = 0
    """States whose files no other state of the same life had."""
    presses: int = 0
    """Presses that were confirmed in those lives."""
    lost: int = 0
    """How often one of them was missing in a state."""
    duplicated: int = 0
    complaints: list[str] = field(default_factory=list)

    def __iadd__(self, other: "Outcome") -> "Outcome":
        self.states += other.states
        self.distinct += other.distinct
        self.presses += other.presses
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.complaints = (self.complaints + other.complaints)[:MAX_COMPLAINTS]
        return self


def cut_power(
    seed: int,
    states: int,
    *,
    outbox_type: type[SqliteOutbox] = SqliteOutbox,
    without_directories: bool = False,
    enough: Callable[[Outcome], bool] = lambda _: False,
) -> Outcome:
    """Try `states` states of one life, fewer if that is enough. The other two break the device, or its disk."""

    async def run() -> Outcome:
        with memory_directory() as live, memory_directory() as place:
            with recording(live, without_directories=without_directories) as recorded:
                await Life(live, random.Random(seed), recorded.events, outbox_type).run()
            cuts = _Cuts(place, random.Random(seed), enough)
            await cuts.all_along(recorded.events, {}, Model(), states, again=True)
            return cuts.outcome

    return asyncio.run(run())


@contextmanager
def memory_directory() -> Iterator[Path]:
    """A directory for the time of the block; in memory where that can be had, for there a sync costs nothing."""
    with tempfile.TemporaryDirectory(prefix="bm-cut-", dir=MEMORY if MEMORY.is_dir() else None) as directory:
        yield Path(directory)


def lay_out(files: Mapping[str, bytes], place: Path) -> None:
    """Make them all that is in a directory."""
    for path in place.iterdir():
        path.unlink()
    for name, content in files.items():
        (place / name).write_bytes(content)


class _Cuts:
    def __init__(self, place: Path, rng: random.Random, enough: Callable[[Outcome], bool]) -> None:
        self._place = place
        self._rng = rng
        self._enough = enough
        self._contents: set[int] = set()
        self._tried: set[tuple[int, int]] = set()
        """Contents, and how much was expected of them."""
        self.outcome = Outcome()

    async def all_along(
        self, events: Sequence[Event], files: dict[str, bytes], before: Model, states: int, *, again: bool
    ) -> None:
        """Cut the power at each of the events, in about `states` states altogether."""
        disk, expected, done = Disk(files), Expectation(before), self.outcome.states
        for number, event in enumerate(events, start=1):
            if isinstance(event, Begun | Returned):
                expected.mark(event)
            else:
                disk.do(event)
            due = done + states * number // len(events)
            states_here = self._states(disk, expected)
            while self.outcome.states < due and (left := next(states_here, None)) is not None:
                if again and self.outcome.states % AGAIN_EVERY == AGAIN_EVERY - 1:
                    await self._cut_again(left, expected)
                else:
                    lay_out(left, self._place)
                    self._count(expected.judge(await start(self._place, [])))
                if self._enough(self.outcome):
                    return
        if again:
            self.outcome.presses += expected.confirmed

    def _states(self, disk: Disk, expected: Expectation) -> Iterator[dict[str, bytes]]:
        """What a cut may leave now, each once, until the disk seems to have no more to say."""
        in_vain = 0
        while in_vain < IN_VAIN:
            names, contents = self._rng.choice(_FATES)
            left = disk.after_cut(names, contents, self._rng)
            content = hash(frozenset(left.items()))
            if (content, expected.marks) in self._tried:
                in_vain += 1
                continue
            in_vain = 0
            self._tried.add((content, expected.marks))
            self.outcome.distinct += content not in self._contents
            self._contents.add(content)
            yield left

    async def _cut_again(self, left: dict[str, bytes], expected: Expectation) -> None:
        lay_out(left, self._place)
        with recording(self._place) as recorded:
            verdict = expected.judge(await start(self._place, recorded.events))
        self._count(verdict)
        if not verdict.complaints:
            await self.all_along(recorded.events, left, verdict.model, AGAIN, again=False)

    def _count(self, verdict: Verdict) -> None:
        self.outcome.states += 1
        self.outcome.lost += verdict.lost
        self.outcome.duplicated += verdict.duplicated
        self.outcome.complaints = [*self.outcome.complaints, *verdict.complaints][:MAX_COMPLAINTS]
