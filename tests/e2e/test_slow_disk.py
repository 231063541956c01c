"""A disk that does not answer: the store's file is opened in a process that runs, and the kernel keeps it waiting.

How a device goes on then is tests/test_keeping.py's, on virtual time.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate import credentials
from bondmate.store.database import DATABASE_FILE
from bondmate_sim.process import wait_until
from tests.e2e.conftest import ctl, make_world, press, wait_for_state
from tests.e2e.not_armed import SAID_S, wait_until_felt
from tests.e2e.test_enrolment import Bench, bench

__all__ = ["bench", "make_world"]

pytestmark = pytest.mark.timeout(240)

LEASE_S = 45
"""So long the kernel makes whoever opens the file wait at most (/proc/sys/fs/lease-break-time)."""


@contextlib.contextmanager
def nobody_can_open(path: Path) -> Iterator[None]:
    """The new, empty file is there, and whoever opens it hangs in that call, for LEASE_S at most (fcntl(2), Leases)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # sent to us when somebody opens it
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            pytest.skip(f"the file system of {path} has no leases: {error.strerror}")
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


def faults(bench: Bench) -> dict[str, str]:
    return {fault["code"]: fault["text"] for fault in ctl(bench.world, "status")["faults"]}


def test_a_first_start_whose_store_cannot_be_opened_goes_on_from_memory_and_stores_it_all_by_itself(
    bench: Bench,
) -> None:
    world, server = bench.world, bench.server
    with nobody_can_open(world.directory / "state" / DATABASE_FILE):
        world.start_daemon()
        wait_until(lambda: "store" in faults(bench), SAID_S, "the device to be armed, and to miss its store")
        assert "the outbox cannot be read: opening it hangs" in world.daemon.log.read_text()
        assert ctl(world, "status")["state"] == "degraded"
        assert (bench.credentials / credentials.CREDENTIALS_FILE).exists(), "enrolled all the same"

        server.on_request = lambda _number, path: path != "r"
        since_ns = time.monotonic_ns()
        press(world)
        wait_until_felt(world, "not stored", since_ns=since_ns)
        alert = ctl(world, "alert", "show")
        assert (alert["state"], alert["stored_at"]) == ("raised", None)
        assert server.records == []
        since_ns = time.monotonic_ns()

    wait_until_felt(world, "stored", since_ns=since_ns)
    wait_for_state(world, "stored")
    wait_until(lambda: ctl(world, "status")["state"] == "alert", SAID_S, "the device to be whole again")
    assert faults(bench) == {}
    bench.wait_until_erased()

    # what is felt is true: it outlives a power cut
    world.daemon.kill()
    server.on_request = lambda _number, _path: True
    since_ns = time.monotonic_ns()
    world.start_daemon()
    assert ctl(world, "alert", "show")["alert_id"] == alert["alert_id"]
    wait_for_state(world, "delivered")
    wait_until_felt(world, "delivered", since_ns=since_ns)
    assert {session.hex() for session, _ in server.records} >= {alert["alert_id"].split("/")[1].replace("-", "")}
