"""What is being done, on standard error: a line for each stage, with the time it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def stage(name: str, what: str) -> Iterator[None]:
    """Say what begins, and when it ended well how long it took."""
    say(f"{name}: {what} ...")
    begun = time.monotonic()
    yield
    say(f"{name}: done in {time.monotonic() - begun:.0f} s")
