"""Logging: to the journal with fields when systemd runs us, else readable lines on standard error."""

import logging
import os
import sys

from systemd import journal

_LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def start(level: str) -> None:
    """Send this process's log where somebody reads it; `level` is debug, info or warning."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.handlers[:] = [_handler()]
    # aiocoap tells each datagram at info, and repeats what we say ourselves at warning
    logging.getLogger("coap").setLevel(logging.ERROR)
    logging.getLogger("coap-server").setLevel(logging.ERROR)
    # what it tells there at debug are keys
    logging.getLogger("aiocoap").setLevel(logging.ERROR)


def _handler() -> logging.Handler:
    if _to_journal():
        journal_handler: logging.Handler = journal.JournalHandler(SYSLOG_IDENTIFIER="bondmated")
        return journal_handler
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LINE))
    return handler


def _to_journal() -> bool:
    """Whether standard error is the journal's socket: JOURNAL_STREAM names it (systemd.exec(5)).

    The variable alone says nothing: a terminal inherits it, and what is sent to a journal that is not there is lost.
    """
    stream = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"
