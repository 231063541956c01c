"""What is on the board's two serial ports: a receiver under an open sky, and the simulator's modem."""

import contextlib
import datetime
import os
import select
import socket
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

from bondmate_sim import walk
from tests.booted.machine import Machine

_ROUTE = ("38.722252,-9.139337", "38.723252,-9.139337")


@contextlib.contextmanager
def outside(machine: Machine, modem: Path | None = None) -> Iterator[None]:
    """Both, for as long as the block lasts. `modem` is the port of a modem that runs; without one nobody answers."""
    stop = threading.Event()
    threads = [threading.Thread(target=_receive, args=(machine.serial(), stop))]
    if modem is not None:
        threads.append(threading.Thread(target=_carry, args=(machine.serial("modem"), modem, stop)))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _receive(line: socket.socket, stop: threading.Event) -> None:
    """Say where it is, once a second; in UTC."""
    route = tuple(map(walk.parse_point, _ROUTE))
    with line:
        # what the daemon says to its receiver is not listened to, and must not stop up the port
        line.setblocking(False)
        begun = time.monotonic()
        while not stop.wait(1.0):
            motion = walk.walk(route, time.monotonic() - begun)
            with contextlib.suppress(BlockingIOError):
                while line.recv(4096):
                    pass
            try:
                line.send(walk.speak(motion, datetime.datetime.now(datetime.UTC)))
            except BlockingIOError:
                continue
            except OSError:
                return


def _carry(line: socket.socket, modem: Path, stop: threading.Event) -> None:
    """Carry octets between the board's port and the modem's."""
    port = os.open(modem, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    try:
        with line:
            while not stop.is_set():
                ready, _, _ = select.select([line.fileno(), port], [], [], 1.0)
                if line.fileno() in ready:
                    said = line.recv(4096)
                    if not said:
                        return
                    os.write(port, said)
                if port in ready:
                    line.sendall(os.read(port, 4096))
    except OSError:  # the board is off
        return
    finally:
        os.close(port)
