"""Pictures that change: over one another on a terminal, one after the other everywhere else."""

import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\033[H", "\033[K", "\033[J"
_ENTER, _LEAVE = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"
"""The terminal's other screen, without a cursor; and back."""

Draw = Callable[[Sequence[str]], None]


@contextlib.contextmanager
def live(paint: Callable[[str], str] = str, *, as_json: bool = False) -> Iterator[Draw]:
    """What draws a picture of these lines; ends quietly on Ctrl-C.

    `paint` adds colour to a line, on a terminal alone. `as_json`: nothing will be drawn, and the screen stays as it is.
    """
    screen = not as_json and sys.stdout.isatty()
    if screen:
        # whoever ends it otherwise than by Ctrl-C gets his terminal back too
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        print(_ENTER, end="")

    def over(lines: Sequence[str]) -> None:
        width, height = shutil.get_terminal_size()
        painted = [paint(line[:width]) + _CLEAR_LINE for line in lines][: height - 1]
        print(_HOME + "\n".join(painted) + "\n" + _CLEAR_BELOW, end="", flush=True)

    def below(lines: Sequence[str]) -> None:
        print("\n".join(lines) + "\n", flush=True)

    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield over if screen else below
    finally:
        if screen:
            print(_LEAVE, end="", flush=True)
