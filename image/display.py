"""Where the progress of several cards is shown: on a terminal, in a log, or to a machine."""

import json
from collections.abc import Sequence
from typing import Protocol, TextIO

from bondmate_image.console import complain, say
from bondmate_image.meter import Progress

_LOG_EVERY_PERCENT = 10


class Display(Protocol):
    """Is shown all cards about twice a second, and once more at the end."""

    def show(self, cards: Sequence[Progress]) -> None: ...

    def end(self, cards: Sequence[Progress]) -> None: ...


class Terminal:
    """A line for each card, always the same one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = 0

    def show(self, cards: Sequence[Progress]) -> None:
        # ECMA-48: CUU goes up so many lines, EL clears to the end of the line, DECAWM off keeps a long line one line.
        up = f"\x1b[{self._lines}A" if self._lines else ""
        self._stream.write("\x1b[?7l" + up + "".join(f"\r{card.line()}\x1b[K\n" for card in cards) + "\x1b[?7h")
        self._stream.flush()
        self._lines = len(cards)

    def end(self, cards: Sequence[Progress]) -> None:
        self.show(cards)


class PlainLines:
    """A line on standard error for each tenth of a card's way, and for its end."""

    def __init__(self) -> None:
        self._said: dict[str, object] = {}

    def show(self, cards: Sequence[Progress]) -> None:
        for card in cards:
            step = card.end or (card.phase, card.percent // _LOG_EVERY_PERCENT)
            if self._said.get(card.card) != step:
                self._said[card.card] = step
                complain(card.line())

    def end(self, cards: Sequence[Progress]) -> None:
        self.show(cards)


class JsonLines:
    """A line of JSON on standard output for each card that is on its way, and one for what became of all."""

    def show(self, cards: Sequence[Progress]) -> None:
        for card in cards:
            if card.end is None and card.phase is not None:
                say(json.dumps(card.as_json()))

    def end(self, cards: Sequence[Progress]) -> None:
        result = [{"card": card.card, "ok": card.ok, "text": card.end} for card in cards]
        say(json.dumps({"event": "result", "ok": all(card.ok for card in cards), "cards": result}))
