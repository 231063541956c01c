"""What a receiver's sentences cost: beside other decoders, and as CPU time of the driver on a serial line."""

import datetime as dt
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pynmeagps import NMEAReader
from pyubx2 import UBXReader

from bondmate.core.navigation import Navigation
from bondmate.core.reception import Reception
from bondmate_sim.commands import command_line
from bondmate_sim.process import Process
from bondmate_sim.programme import MAJOR, NMEA_411, Programme
from bondmate_sim.sky import System
from bondmate_sim.walk import Point, speak, walk
from tests.perf.table import Row

EVERYTHING = dict.fromkeys(("GGA", "RMC", "GNS", "GSA", "GSV", "GST", "VTG", "GLL", "ZDA"), 1)
RATES_HZ = (1, 10)
LOG_S = 60
CHUNK_OCTETS = 4096
SPEED_BAUD = 230400
"""Ten times a second all sentences are 14,000 octets a second, which 115,200 baud cannot carry."""
DECODINGS, WINDOWS, WINDOW_S, WARM_UP_S = 10, 3, 10.0, 3.0


def measure(rounds: int) -> list[Row]:
    """The same log through each decoder; and CPU time a second of line, driver over a bare reader, both at once."""
    return [*_decoders(min(rounds, DECODINGS)), *_drivers(min(rounds, WINDOWS))]


def _log(rate_hz: int) -> bytes:
    """A walk, with every sentence that a receiver has, for a minute."""
    interval_ms = 1000 // rate_hz
    programme = Programme(interval_ms, EVERYTHING, frozenset((*MAJOR, System.SBAS)), NMEA_411)  # type: ignore[arg-type]
    start = dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC)
    route = (Point(38.72225, -9.13934), Point(38.72401, -9.14021))
    return b"".join(
        speak(walk(route, epoch / rate_hz), start + dt.timedelta(milliseconds=epoch * interval_ms), programme, epoch)
        for epoch in range(LOG_S * rate_hz)
    )


def _decoders(rounds: int) -> list[Row]:
    log = _log(10)
    count = log.count(b"\n")
    decoders = _OURS | _PEERS
    samples: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(rounds):
        for name, decode in decoders.items():
            start = time.perf_counter()
            decoded = decode(log)
            samples[name].append((time.perf_counter() - start) * 1000)
            if decoded != count:
                raise SystemExit(f"{name} decoded {decoded} of {count} sentences: what it costs says nothing")

    def named(name: str) -> str:
        return f"{name}, {count / min(samples[name]) * 1000:,.0f} sentences/s"

    return [Row(named(peer), samples[peer], named(ours), samples[ours]) for ours in _OURS for peer in _PEERS]


def _sentences(log: bytes) -> int:
    """As far as the peers go: what each sentence says."""
    reception = Reception(SPEED_BAUD)
    for begin in range(0, len(log), CHUNK_OCTETS):
        reception.feed(log[begin : begin + CHUNK_OCTETS], 0.0)
    return sum(reception.counts.values())


def _fixes(log: bytes) -> int:
    """As the driver does, down to the fix, and whether it can be believed."""
    reception, navigation, fixes = Reception(SPEED_BAUD), Navigation(None), 0
    reception.opened(0.0)
    for begin in range(0, len(log), CHUNK_OCTETS):
        for heard in reception.feed(log[begin : begin + CHUNK_OCTETS], 0.0):
            epoch = navigation.feed(heard.sentence, 0.0)
            fixes += epoch is not None and epoch.fix is not None
    if fixes < LOG_S:
        raise SystemExit(f"only {fixes} fixes: what it costs says nothing")
    return sum(reception.counts.values())


def _pynmeagps(log: bytes) -> int:
    return sum(parsed is not None for _, parsed in NMEAReader(io.BytesIO(log)))


def _pyubx2(log: bytes) -> int:
    return sum(parsed is not None for _, parsed in UBXReader(io.BytesIO(log), protfilter=1))


Decoder = Callable[[bytes], int]
_OURS: dict[str, Decoder] = {"bondmate": _sentences, "bondmate with fixes": _fixes}
_PEERS: dict[str, Decoder] = {"pynmeagps": _pynmeagps, "pyubx2": _pyubx2}


def _drivers(windows: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bondmate-perf-") as directory:
        lines = {
            (rate, reader): Path(directory) / f"{reader}-{rate}" for rate in RATES_HZ for reader in ("gnss", "bare")
        }
        receivers: list[Process] = []
        readers: dict[tuple[int, str], subprocess.Popen[str]] = {}
        try:
            for (rate, reader), line in lines.items():
                log = line.with_suffix(".log")
                log.write_bytes(_log(rate))
                receivers.append(_receiver(line, log))
                command = [sys.executable, "-m", "tests.perf.gnss_line", reader, line, SPEED_BAUD, windows]
                readers[rate, reader] = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
            samples = {each: list(_samples(process)) for each, process in readers.items()}
        finally:
            for process in readers.values():
                process.kill()
                process.wait()
            for receiver in receivers:
                receiver.stop()
    return [
        Row(f"CPU, {rate} Hz, each s", samples[rate, "gnss"], "reading it alone", samples[rate, "bare"])
        for rate in RATES_HZ
    ]


def _receiver(line: Path, log: Path) -> Process:
    """Octet by octet, as a UART has it."""
    options = ("--nmea", log, "--loop", "--chunk", "byte", "--baud", str(SPEED_BAUD))
    command = command_line("bondmate-sim", "gnss", "--link", line, *options)
    receiver = Process("receiver", command, line.with_suffix(".out"))
    receiver.start()
    receiver.wait_for_line("receiver on ", 15)
    return receiver


def _samples(process: subprocess.Popen[str]) -> Iterator[float]:
    assert process.stdout is not None
    yield from map(float, process.stdout)
