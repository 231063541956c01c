"""`bondmate-image flash`: the image onto several cards at once."""

import argparse
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bondmate_image import plan, targets, writing
from bondmate_image.console import say
from bondmate_image.display import Display, JsonLines, PlainLines, Terminal
from bondmate_image.errors import ImageError
from bondmate_image.meter import Progress, minutes
from bondmate_image.plan import Plan
from bondmate_image.targets import Target
from bondmate_image.writing import Phase

_SHOW_EVERY_S = 0.5
_STOP_WITHIN_S = 60.0
"""A card that is slow to take what is under way; one that hangs is left behind."""

_Event = tuple[int, Phase, int] | tuple[int, Exception | None]
"""How far the card of that index is, or how it ended."""


class _StoppedError(Exception):
    pass


def add_parser(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `flash`."""
    summary = "Write an image to cards, several at once, and compare what they have with it."
    parser = parsers.add_parser("flash", help=summary, description=summary)
    parser.set_defaults(command=_flash)
    parser.add_argument(
        "image", type=Path, metavar="IMAGE", help="with IMAGE.bmap beside it, only what matters is written"
    )
    parser.add_argument("cards", type=Path, nargs="+", metavar="CARD", help="a whole card as /dev/sdb, or a file")
    parser.add_argument("--json", action="store_true", help="print each step as a line of JSON")


def _flash(arguments: argparse.Namespace) -> None:
    image: Path = arguments.image
    try:
        descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ImageError(f"{image} cannot be read: {error.strerror}. Name the file of an image") from error
    try:
        cards = targets.check(arguments.cards, os.fstat(descriptor).st_size, image)
        planned = plan.read(image, descriptor)
        if arguments.json:
            _Flashing(planned, cards, JsonLines()).run()
        else:
            say(_heading(planned, cards))
            _Flashing(planned, cards, Terminal(sys.stderr) if sys.stderr.isatty() else PlainLines()).run()
    finally:
        os.close(descriptor)


def _heading(planned: Plan, cards: Sequence[Target]) -> str:
    size, written = f"{planned.size / 1e6:.0f} MB", f"{planned.octets / 1e6:.0f} MB"
    if planned.bmap is None:
        lines = [f"{planned.image}: {size}, no bmap beside it: all of it is written"]
    else:
        lines = [f"{planned.image}: {size}, of which {written} are written; checked against {planned.bmap.name}"]
    return "\n".join(lines + [f"{card.path}  {card.model or 'a card'}, {card.size / 1e9:.1f} GB" for card in cards])


class _Flashing:
    def __init__(self, planned: Plan, cards: Sequence[Target], display: Display) -> None:
        self._plan = planned
        self._cards = cards
        self._display = display
        self._progress = [Progress(str(card.path), planned.octets) for card in cards]
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._failures: dict[int, str] = {}
        self._running = set(range(len(cards)))
        self._begun = time.monotonic()

    def run(self) -> None:
        """Flash them all. ImageError names those that are not usable."""
        # A handler, and no KeyboardInterrupt: that could come between an event and what is made of it.
        before = {number: signal.signal(number, self._on_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for index, card in enumerate(self._cards):
                # A daemon: a card that hangs in the kernel must not keep the tool from ending.
                threading.Thread(target=self._work, args=(index, card), daemon=True).start()
            self._follow()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        for index in self._running:
            self._ended(index, f"hangs: it took nothing for {_STOP_WITHIN_S:.0f} s. Take it out, and flash it again")
        self._display.end(self._progress)
        if self._failures and self._stop.is_set():
            names = ", ".join(str(self._cards[index].path) for index in sorted(self._failures))
            raise ImageError(f"stopped. NOT USABLE, flash them again: {names}")
        if self._failures:
            lines = [f"{self._cards[index].path} {text}" for index, text in sorted(self._failures.items())]
            count = f"{len(lines)} of {len(self._cards)} cards"
            raise ImageError(f"{count} NOT USABLE:\n  " + "\n  ".join(lines))

    def _work(self, index: int, card: Target) -> None:
        def tell(phase: Phase, done: int) -> None:
            if self._stop.is_set():
                raise _StoppedError
            self._events.put((index, phase, done))

        outcome: Exception | None = ImageError("failed by a fault of this tool, shown above. Flash it again")
        try:
            writing.flash(self._plan, card, tell)
            outcome = None
        except (_StoppedError, ImageError, OSError) as error:
            outcome = error
        finally:
            self._events.put((index, outcome))

    def _on_stop(self, number: int, _: FrameType | None) -> None:
        self._stop.set()
        signal.signal(number, signal.default_int_handler)  # who asks twice does not want to wait

    def _follow(self) -> None:
        shown = give_up = None
        while self._running and (give_up is None or time.monotonic() < give_up):
            if self._stop.is_set() and give_up is None:
                give_up = time.monotonic() + _STOP_WITHIN_S
            try:
                event = self._events.get(timeout=_SHOW_EVERY_S)
            except queue.Empty:
                event = None
            match event:
                case (index, phase, done):
                    self._progress[index].heard(phase, done, time.monotonic())
                case (index, error):
                    self._running.discard(index)
                    self._ended(index, None if error is None else _why(error))
                case None:
                    pass
            now = time.monotonic()
            if shown is None or now - shown >= _SHOW_EVERY_S:
                shown = now
                self._display.show(self._progress)

    def _ended(self, index: int, failure: str | None) -> None:
        progress = self._progress[index]
        if failure is None:
            took_s = time.monotonic() - self._begun
            progress.ok = True
            progress.end = f"done: {self._plan.octets / 1e6:.0f} MB written and compared in {minutes(took_s)}"
        else:
            self._failures[index] = failure
            progress.end = f"FAILED: {failure}"


def _why(error: Exception) -> str:
    match error:
        case _StoppedError():
            return "was stopped before it was done. Flash it again"
        case OSError():
            return f"failed: {error.strerror}. Take it out and in again, and flash it again"
        case _:
            return str(error)
