import logging
import os
import subprocess
import sys
from typing import Any

import pytest
from systemd.journal import JournalHandler

from bondmate import logs

SAYING = """
import logging
from bondmate import logs

logs.start("info")
logging.getLogger("bondmate.probe").warning("the button is stuck")
logging.getLogger("bondmate.probe").info("a second line")
logging.getLogger("bondmate.probe").debug("too much")
logging.getLogger("coap").warning("each datagram")
logging.getLogger("coap-server").info("each datagram")
"""


def said(**environment: str) -> str:
    """What a process that logs writes to a standard error that is a pipe."""
    given = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"} | environment
    return subprocess.run(
        [sys.executable, "-c", SAYING], stderr=subprocess.PIPE, env=given, text=True, check=True
    ).stderr


def test_without_a_journal_there_are_readable_lines_on_standard_error() -> None:
    warning, info = said().splitlines()
    assert warning.endswith(" WARNING bondmate.probe: the button is stuck")
    assert info.endswith(" INFO    bondmate.probe: a second line")


def test_a_journal_that_is_not_our_standard_error_is_not_taken_for_it() -> None:
    """A terminal inherits JOURNAL_STREAM; and a journal that is not there would swallow every line."""
    assert "the button is stuck" in said(JOURNAL_STREAM="8:1")


def started(monkeypatch: pytest.MonkeyPatch, level: str) -> logging.Handler:
    """The handler, where standard error is the journal's socket as systemd.exec(5) says it."""
    stream = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{stream.st_ino}")
    logs.start(level)
    [handler] = logging.getLogger().handlers
    return handler


def test_where_standard_error_is_the_journal_lines_go_there_with_their_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = started(monkeypatch, "warning")
    assert isinstance(handler, JournalHandler)
    sent: list[dict[str, Any]] = []

    def send(MESSAGE: str, **fields: Any) -> None:  # noqa: N803 - systemd's name
        sent.append({"MESSAGE": MESSAGE, **fields})

    handler.send = send
    logging.getLogger("bondmate.probe").warning("pin %d is stuck", 17)
    logging.getLogger("bondmate.probe").info("not asked for")
    [fields] = sent
    assert fields["MESSAGE"] == "pin 17 is stuck"
    assert fields["PRIORITY"] == "4", "warning (syslog(3))"
    assert fields["SYSLOG_IDENTIFIER"] == "bondmated"
    assert fields["LOGGER"] == "bondmate.probe"


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_the_level_is_the_configured_one(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, level)
    assert logging.getLogger().level == getattr(logging, level.upper())
    assert not logging.getLogger("coap").isEnabledFor(logging.WARNING)
    assert logging.getLogger("coap").isEnabledFor(logging.ERROR)
