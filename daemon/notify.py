"""Tells systemd how the service is (sd_notify(3)): ready, in words, alive, stopping."""

import logging
import os

from systemd import daemon

log = logging.getLogger(__name__)


class ServiceManager:
    """Speaks to the service manager that started us; without one, says nothing."""

    def __init__(self) -> None:
        self._dead = False

    @property
    def watchdog_s(self) -> float | None:
        """How often we must say that we live, or None when nobody asked (WATCHDOG_USEC)."""
        usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
        if not usec.isdecimal() or int(usec) == 0 or pid != str(os.getpid()):
            return None
        return int(usec) / 1e6

    def ready(self, status: str) -> None:
        """Everything that a press needs works."""
        self._say(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._say(f"STATUS={text}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        try:
            daemon.notify(text)
        except OSError as error:
            # a manager that has gone must not take the button with it
            if not self._dead:
                log.warning("the service manager at NOTIFY_SOCKET does not answer: %s", error)
            self._dead = True
