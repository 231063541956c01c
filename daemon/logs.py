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


def _handler() -> logging.Handler:
    # systemd sets JOURNAL_STREAM when standard error is the journal; then lines would lose their fields
    if os.environ.get("JOURNAL_STREAM"):
        try:
            handler: logging.Handler = journal.JournalHandler(SYSLOG_IDENTIFIER="bondmated")
        except OSError:
            pass  # no journald after all: standard error is read by somebody
        else:
            return handler
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LINE))
    return handler
