"""The receiver's driver on real pseudo-terminals, opposite the simulated receivers."""

import asyncio
import contextlib
import datetime as dt
import gc
import random
from collections.abc import AsyncIterator, Callable, Iterator
from functools import reduce
from operator import xor
from pathlib import Path
from time import monotonic

import pytest

from bondmate.core import reception
from bondmate.core.epoch import QUIET_S
from bondmate.core.receivers import RECEIVERS, Wanted
from bondmate.drivers import gnss, serial_link
from bondmate.drivers.gnss import GnssReceiver, GnssSettings
from bondmate.records import Fix, Suspicion
from bondmate_sim.commands import command_line
from bondmate_sim.process import Process
from bondmate_sim.serial_end import SerialEnd
from tests.eventually import eventually, running

GGA = "GPGGA,120000.00,3843.3351,N,00908.3602,W,1,08,0.9,12.3,M,50.1,M,,"
RMC = "GPRMC,120000.00,A,3843.3351,N,00908.3602,W,0.8,181.2,201126,,,A"
GSA = "GPGSA,A,3,01,02,03,04,,,,,,,,,1.6,0.9,1.3"
LON = -(9 + 8.3602 / 60)
ROUTE = ("38.72225,-9.13934", "38.72401,-9.14021")


def nmea(body: str) -> str:
    """A sentence with its checksum: the exclusive or of all between `$` and `*` (NMEA 0183)."""
    return f"${body}*{reduce(xor, body.encode(), 0):02X}"


def epoch(number: int) -> bytes:
    """One second of a receiver: RMC, GSA and GGA, whose latitude tells which second it is."""
    rmc, gga = (
        body.replace("120000.00", f"12{number // 60:02d}{number % 60:02d}.00").replace(
            "3843.3351", f"3843.{number:03d}0"
        )
        for body in (RMC, GGA)
    )
    return "".join(nmea(body) + "\r\n" for body in (rmc, GSA, gga)).encode()


def expected(number: int) -> tuple[dt.datetime, float, float, int]:
    when = dt.datetime(2026, 11, 20, 12, number // 60, number % 60, tzinfo=dt.UTC)
    return when, 38 + (43 + number / 1000) / 60, LON, 3


def told(fix: Fix) -> tuple[dt.datetime | None, object, object, int]:
    return fix.time, pytest.approx(fix.lat, abs=1e-9), pytest.approx(fix.lon, abs=1e-9), fix.mode


def settings(
    port: Path, *, speed_baud: int | None = 9600, receiver: str = "nmea", wanted: Wanted | None = None
) -> GnssSettings:
    return GnssSettings(
        port=str(port),
        speed_baud=speed_baud,
        receiver=RECEIVERS.get(receiver),
        wanted=wanted or Wanted(1.0, ()),
        not_before=None,
    )


def awake(configured: GnssSettings) -> GnssReceiver:
    made = GnssReceiver(configured)
    made.wake(True)
    return made


def codes(receiver: GnssReceiver) -> list[str]:
    return [fault.code for fault in receiver.faults()]


# --- the four links -----------------------------------------------------------------------------------


async def clean(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def byte_by_byte(data: bytes) -> AsyncIterator[bytes]:
    for octet in data:
        yield bytes([octet])
        await asyncio.sleep(0)


async def lossy(data: bytes) -> AsyncIterator[bytes]:
    rng = random.Random(4)
    yield bytes(octet for octet in data if rng.random() > 0.01)


class StalledError(Exception):
    """This computer had other things to do, and what it sent was no slow line but one with a pause."""


async def slow(data: bytes) -> AsyncIterator[bytes]:
    """4800 baud, the rate of NMEA 0183 itself: 480 octets a second, as a UART's queue hands them on. StalledError."""
    start = monotonic()
    for begin in range(0, len(data), 8):
        late_s = monotonic() - (start + begin / 480)
        if late_s > QUIET_S / 2:
            raise StalledError
        await asyncio.sleep(-late_s)
        yield data[begin : begin + 8]


async def played(
    tmp_path: Path, data: bytes, quality: Callable[[bytes], AsyncIterator[bytes]], done: Callable[[list[Fix]], bool]
) -> list[Fix]:
    fixes: list[Fix] = []
    receiver = awake(settings(tmp_path / "gnss"))
    with SerialEnd(tmp_path / "gnss") as end:
        async with running(receiver.run(fixes.append)):
            await eventually(lambda: receiver._link.opened_s, "the line to open")
            async for piece in quality(data):
                assert end.send(piece) == len(piece)
            await eventually(lambda: done(fixes), "the fixes")
            assert receiver.faults() == ()
    return fixes


@pytest.mark.parametrize(("quality", "count"), [(clean, 5), (byte_by_byte, 5), (slow, 2)])
def test_each_epoch_is_one_fix(quality: Callable[[bytes], AsyncIterator[bytes]], count: int, tmp_path: Path) -> None:
    data = b"".join(epoch(number) for number in range(count))
    fixes = asyncio.run(steadily(tmp_path, data, quality, count))
    assert [told(fix) for fix in fixes] == [expected(number) for number in range(count)]


async def steadily(
    tmp_path: Path, data: bytes, quality: Callable[[bytes], AsyncIterator[bytes]], count: int
) -> list[Fix]:
    """Play it until it was played as the line is: on a computer that does other things too, in a few attempts."""
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        with contextlib.suppress(StalledError):
            return await played(folder, data, quality, lambda fixes: len(fixes) >= count)
    pytest.fail("in 20 attempts this computer stalled each time")


def test_a_lossy_line_loses_fixes_and_invents_none(tmp_path: Path) -> None:
    count = 40
    data = b"".join(epoch(number) for number in range(count)) + epoch(count)[:20]
    truth = {expected(number)[0]: expected(number)[1] for number in range(count)}

    def done(fixes: list[Fix]) -> bool:
        return bool(fixes) and fixes[-1].time is not None and fixes[-1].time.second >= count - 3

    fixes = asyncio.run(played(tmp_path, data, lossy, done))
    assert count // 3 < len(fixes) < count
    for fix in fixes:
        # without an RMC before, the date is not known yet
        assert fix.time is None or fix.lat == pytest.approx(truth[fix.time], abs=1e-9)
        assert fix.lon == pytest.approx(LON, abs=1e-9)


def test_the_last_epoch_does_not_wait_for_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[tuple[float, Fix]] = []
        receiver = awake(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(lambda fix: fixes.append((monotonic(), fix)))):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                end.send(epoch(1))
                await eventually(lambda: fixes, "the fix")
                [(at_s, fix)] = fixes
                assert at_s - fix.taken_s >= QUIET_S * 0.99, "not before it is known to be complete"

    asyncio.run(main())


def test_the_reading_goes_on_behind_noise_binary_frames_and_crafted_sentences(tmp_path: Path) -> None:
    noise = bytes(range(256)) + b"\xb5\x62\x01\x07" + bytes(92)
    crafted = (nmea("PUBX") + "\r\n" + nmea(RMC.replace("201126", "320126")) + "\r\n").encode()
    data = noise + epoch(1) + crafted + noise + epoch(2) + epoch(3)
    fixes = asyncio.run(played(tmp_path, data, clean, lambda fixes: len(fixes) >= 3))
    assert [told(fix)[1:] for fix in fixes] == [expected(number)[1:] for number in (1, 2, 3)]


# --- awake and asleep ---------------------------------------------------------------------------------


def test_asleep_the_line_is_closed_and_nothing_is_known_of_the_sky(tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[Fix] = []
        receiver = GnssReceiver(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(fixes.append)):
                for number in (1, 2):
                    assert receiver.faults() == ()
                    assert not receiver.state().awake
                    receiver.wake(True)
                    await eventually(lambda: receiver._link._line, "the line to open")
                    end.send(epoch(number) + (nmea("GPGSV,1,1,01,05,42,120,37") + "\r\n").encode())
                    await eventually(lambda number=number: len(fixes) == number, "the fix")  # type: ignore[misc]
                    [(satellite, used)] = receiver.state().satellites
                    assert (satellite.id.number, used) == (5, False)
                    receiver.wake(False)
                    assert receiver.state().satellites == ()
                    await eventually(lambda: receiver._link._line is None, "the line to close")
                    end.send(epoch(50))
        assert [told(fix) for fix in fixes] == [expected(1), expected(2)]

    asyncio.run(main())


def test_whatever_comes_between_the_order_to_sleep_and_the_closing_is_not_a_fix(tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[Fix] = []
        receiver = awake(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(fixes.append)):
                await eventually(lambda: receiver._link._line, "the line to open")
                receiver.wake(False)
                receiver._received(epoch(1) + epoch(2))
                receiver._hear(epoch(1) + epoch(2), monotonic())
                await eventually(lambda: receiver._link._line is None, "the line to close")
                receiver.wake(True)
                await eventually(lambda: receiver._link._line, "the line to open")
                end.send(epoch(3) + epoch(4))
                await eventually(lambda: len(fixes) == 2, "the fixes")
        assert [told(fix) for fix in fixes] == [expected(3), expected(4)]

    asyncio.run(main())


def test_a_line_that_cannot_be_opened_holds_nobody_up_who_wants_it_to_sleep(tmp_path: Path) -> None:
    async def main() -> None:
        receiver = awake(settings(tmp_path / "nothing"))
        async with running(receiver.run(lambda _: None)):
            await eventually(lambda: codes(receiver) == ["gnss-gone"], "the fault")
            receiver.wake(False)
            assert receiver.faults() == (), "nobody needs it"
            receiver.wake(True)
            await eventually(lambda: codes(receiver) == ["gnss-gone"], "the fault again")

    asyncio.run(main())


def test_the_end_leaves_nothing_running(tmp_path: Path) -> None:
    async def main() -> None:
        receiver = awake(settings(tmp_path / "gnss", speed_baud=None))
        with SerialEnd(tmp_path / "gnss") as end:
            before = asyncio.all_tasks()
            async with running(receiver.run(lambda _: None)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                end.send(nmea(GGA).encode() + b"\r\n")
                await eventually(receiver._navigation.next_due, "an epoch to be under way")
                assert len(asyncio.all_tasks()) > len(before)
            assert asyncio.all_tasks() == before
        assert receiver._link._line is None

    asyncio.run(main())


def test_a_part_of_it_that_fails_is_an_error_and_not_a_receiver_that_is_silent(tmp_path: Path) -> None:
    def fail(_: Fix) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        receiver = awake(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            task = asyncio.ensure_future(receiver.run(fail))
            await eventually(lambda: receiver._link.opened_s, "the line to open")
            end.send(epoch(1) + epoch(2))
            with pytest.raises(ZeroDivisionError):
                await task
            assert receiver._link._line is None, "whoever starts it again opens it anew"

    asyncio.run(main())


# --- what is wrong, in words --------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is silence after a tenth of a second."""
    monkeypatch.setattr(reception, "SILENT_S", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_silent_receiver_is_a_fault_in_words_that_stay_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        receiver = awake(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(lambda _: None)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                assert receiver.faults() == (), "it is given its time to speak"
                [first] = await eventually(receiver.faults, "the silence to be noticed")
                assert first.code == "gnss-silent"
                assert first.text.startswith(f"{tmp_path / 'gnss'}: the receiver has sent nothing for more than")
                assert "power" in first.next
                later = monotonic() + 0.3
                await eventually(lambda: monotonic() > later, "time to pass")
                assert receiver.faults() == (first,)
                end.send(nmea(GSA).encode() + b"\r\n")
                await eventually(lambda: receiver.faults() == (), "a sentence to end the fault")
                await eventually(lambda: receiver.faults() == (first,), "the silence to be noticed again")

    asyncio.run(main())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("octets", "code", "words"),
    [
        (b"\xb5\x62\x01\x07\x5c\x00" + bytes(90), "gnss-foreign", "u-blox's binary protocol (UBX), not NMEA 0183"),
        (b"!AIVDM,1,1,,A,15M67FC000G?ufbE`FepT@3n00Sa,0*5C\r\n", "gnss-foreign", "a ship's radio (AIS)"),
        (b"\r\n+CREG: 1\r\n\r\nOK\r\n+CEREG: 1\r\n", "gnss-foreign", "a modem (AT commands)"),
        (bytes(range(1, 32)) * 4, "gnss-garbage", "octets come, but no NMEA sentence at 9600 baud"),
        (b"$GPGGA,wrong*00\r\n" * 5, "gnss-garbage", "sentences come, but none can be used; the last: wrong checksum"),
    ],
    ids=["u-blox", "AIS", "modem", "noise", "wrong checksums"],
)
def test_what_is_no_nmea_is_named(octets: bytes, code: str, words: str, tmp_path: Path) -> None:
    async def main() -> None:
        receiver = awake(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(lambda _: None)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")

                def heard() -> bool:
                    end.send(octets)
                    return codes(receiver) == [code]

                await eventually(heard, "the fault")
                assert words in receiver.faults()[0].text
                end.send(b"\r\n" + epoch(1))
                await eventually(lambda: receiver.faults() == (), "a sentence to end the fault")

    asyncio.run(main())


def test_an_antenna_that_is_reported_open_is_a_fault_and_its_fixes_are_suspect(tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[Fix] = []
        receiver = awake(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(fixes.append)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                end.send((nmea("GNTXT,01,01,02,ANTSTATUS=OPEN") + "\r\n").encode() + epoch(1) + epoch(2))
                await eventually(lambda: len(fixes) == 2, "the fixes")
                assert fixes[0].suspect == (Suspicion.ANTENNA_OPEN,)
                [fault] = receiver.faults()
                assert fault.code == "gnss-antenna"
                assert receiver.state().antenna == "open"
                end.send((nmea("GNTXT,01,01,02,ANTSTATUS=OK") + "\r\n").encode() + epoch(3))
                await eventually(lambda: len(fixes) == 3, "the fix")
                assert fixes[2].suspect == ()
                assert receiver.faults() == ()

    asyncio.run(main())


def test_why_there_is_no_fix_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        receiver = awake(settings(tmp_path / "gnss"))
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(lambda _: None)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                end.send((nmea(RMC.replace(",A,", ",V,", 1)) + "\r\n").encode())
                await eventually(lambda: receiver.state().why_not, "the reason")
                assert receiver.state().why_not == ("GPRMC says that there is none",)

    asyncio.run(main())


# --- the line's speed ---------------------------------------------------------------------------------


@contextlib.contextmanager
def speaking(end: SerialEnd, every_s: float = 0.05) -> Iterator[None]:
    """A receiver that says an epoch again and again."""
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()

    def speak(number: int) -> None:
        end.send(epoch(number))
        timers[:] = [loop.call_later(every_s, speak, number + 1)]

    speak(1)
    try:
        yield
    finally:
        timers[0].cancel()


@pytest.mark.parametrize("baud", [4800, 38400, 115200])
def test_the_speed_is_found(baud: int, tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[Fix] = []
        receiver = awake(settings(tmp_path / "gnss", speed_baud=None))
        with SerialEnd(tmp_path / "gnss", baud) as end:
            async with running(receiver.run(fixes.append)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                with speaking(end):
                    await eventually(lambda: len(fixes) >= 2, "fixes", 20.0)
                assert receiver.state().speed_baud == baud
                assert receiver.faults() == ()

    asyncio.run(main())


def test_a_speed_that_is_given_is_not_left(tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[Fix] = []
        receiver = awake(settings(tmp_path / "gnss", speed_baud=9600))
        with SerialEnd(tmp_path / "gnss", 38400) as end:
            async with running(receiver.run(fixes.append)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                with speaking(end):
                    await eventually(lambda: receiver._reception.noise > 2000, "much noise")
                assert receiver._reception.speed_baud == 9600
                assert fixes == []

    asyncio.run(main())


def test_the_speed_that_was_found_is_the_first_that_is_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[Fix] = []
        receiver = awake(settings(tmp_path / "gnss", speed_baud=None))
        noise = []
        async with running(receiver.run(fixes.append)):
            for _ in range(2):
                with SerialEnd(tmp_path / "gnss", 38400) as end:
                    await eventually(lambda: receiver._link.fault is None and receiver._link._line, "the line to open")
                    with speaking(end):
                        count = len(fixes)
                        await eventually(lambda count=count: len(fixes) >= count + 2, "fixes")  # type: ignore[misc]
                    noise.append(receiver._reception.noise)
                await eventually(lambda: receiver._link.fault, "the loss")
        assert 0 < noise[0] == noise[1], "nothing was heard at a wrong speed the second time"

    asyncio.run(main())


# --- unplugged and plugged in again -------------------------------------------------------------------


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def replugged(tmp_path: Path, times: int) -> None:
    fixes: list[Fix] = []
    receiver = awake(settings(tmp_path / "gnss", speed_baud=None))
    async with running(receiver.run(fixes.append)):
        with SerialEnd(tmp_path / "gnss") as end:
            await eventually(lambda: receiver._link._line, "the line to open")
            end.send(epoch(0) + epoch(1))
            await eventually(lambda: fixes, "a fix")
        await eventually(lambda: codes(receiver) == ["gnss-gone"], "the loss")
        gc.collect()  # what other tests left open is not closed meanwhile
        before, number = open_descriptors(), 1
        for turn in range(times):
            with SerialEnd(tmp_path / "gnss") as end:
                await eventually(lambda: receiver._link.fault is None, "the line to open again")
                reads, had = receiver._link.reads, len(fixes)
                # two epochs, of which the second is cut off in the middle of a sentence each tenth time
                for data in (epoch(number + 1), epoch(number + 2)[: -20 if turn % 10 == 5 else None]):
                    end.send(data)

                def found(had: int = had, number: int = number) -> bool:
                    return any(told(fix) == expected(number + 1) for fix in fixes[had:])

                await eventually(found, "a fix within two epochs")
                number += 2
            assert "is gone" in (await eventually(receiver.faults, "the loss"))[0].text
            assert receiver._link.reads - reads < 40, "no busy loop"
        await eventually(lambda: open_descriptors() <= before, "every descriptor to be closed")


def test_a_receiver_is_unplugged_and_plugged_in_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.drivers.serial_link.BACKOFF_S", 0.02)
    asyncio.run(replugged(tmp_path, 20))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_receiver_is_unplugged_and_plugged_in_again_and_again(tmp_path: Path) -> None:
    asyncio.run(replugged(tmp_path, 200))


def test_a_receiver_that_was_away_for_long_is_found_at_once(tmp_path: Path) -> None:
    """However long: the waits for a port that has no name do not grow."""

    async def main() -> None:
        fixes: list[Fix] = []
        receiver = awake(settings(tmp_path / "gnss"))
        with contextlib.ExitStack() as first:
            end = first.enter_context(SerialEnd(tmp_path / "gnss"))
            async with running(receiver.run(fixes.append)):
                await eventually(lambda: receiver._link._line, "the line to open")
                end.send(epoch(0) + epoch(1))
                await eventually(lambda: fixes, "a fix")
                first.close()
                gone_s = monotonic()
                await eventually(lambda: monotonic() > gone_s + 4 * serial_link.ABSENT_S, "a while")
                fixes.clear()
                with SerialEnd(tmp_path / "gnss") as again:
                    back_s = monotonic()
                    with speaking(again, 1.0):
                        await eventually(lambda: fixes, "a fix")
                    assert fixes[0].taken_s - back_s < 2.0, "within two epochs"

    asyncio.run(main())


def test_while_it_is_unplugged_no_speed_is_tried_and_the_antenna_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "LISTEN_S", 0.05)

    async def main() -> None:
        receiver = awake(settings(tmp_path / "gnss", speed_baud=None))
        async with running(receiver.run(lambda _: None)):
            with SerialEnd(tmp_path / "gnss") as end:
                await eventually(lambda: receiver._link._line, "the line to open")
                end.send((nmea("GNTXT,01,01,02,ANTSTATUS=OPEN") + "\r\n").encode())
                await eventually(lambda: receiver.state().antenna == "open", "the antenna")
            await eventually(lambda: codes(receiver)[:1] == ["gnss-gone"], "the loss")
            left = receiver._reception._left
            later = monotonic() + 0.3
            await eventually(lambda: monotonic() > later, "time to pass")
            assert receiver._reception._left == left
            with SerialEnd(tmp_path / "gnss"):
                await eventually(lambda: receiver._link._line, "the line to open again")
                assert receiver.state().antenna is None
                await eventually(lambda: receiver._reception._left > left, "the search to go on")

    asyncio.run(main())


# --- receivers that are spoken to ---------------------------------------------------------------------


@contextlib.contextmanager
def simulated(directory: Path, kind: str, baud: int = 38400) -> Iterator[Process]:
    """A receiver as a process of its own, as in `./dev up`."""
    log = directory / "receiver.log"
    words = ("gnss", "--route", *ROUTE, "--receiver", kind, "--baud", str(baud), "--link", str(directory / "gnss"))
    process = Process("receiver", command_line("bondmate-sim", *words), log)
    process.start()
    process.wait_for_line("receiver on ", 10)
    try:
        yield process
    finally:
        process.stop()


def said(process: Process) -> list[str]:
    return process.log.read_text().splitlines()


KINDS = [("ublox", "ublox"), ("ublox", "ublox-m8"), ("quectel-pmtk", "quectel-pmtk"), ("quectel-pqtm", "quectel-pqtm")]


@pytest.mark.parametrize(("receiver", "kind"), KINDS)
def test_a_makers_receiver_is_set_up_sleeps_and_wakes(
    receiver: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five fixes a second, of GPS alone, and no GLL or VTG: as it says itself that it obeyed."""
    monkeypatch.setattr("bondmate.core.sky.STALE_S", 1.5)

    async def main() -> None:
        fixes: list[Fix] = []
        wanted = Wanted(5.0, ("gps",))
        driver = awake(settings(tmp_path / "gnss", speed_baud=38400, receiver=receiver, wanted=wanted))
        with simulated(tmp_path, kind) as process:
            async with running(driver.run(fixes.append)):
                await eventually(lambda: "obeyed rate 200 ms" in said(process), "the rate", 30.0)
                count = len(fixes)
                await eventually(lambda: len(fixes) >= count + 10, "fixes at that rate", 20.0)
                apart = fixes[-1].taken_s - fixes[-6].taken_s
                assert 0.8 < apart < 1.4, "five fixes a second"
                assert driver.faults() == ()
                assert driver.state().identity
                seen = driver.state().sentences
                before = {name: seen.get(name, 0) for name in ("GLL", "VTG", "GGA")}
                count = len(fixes)
                await eventually(lambda: len(fixes) >= count + 5, "more fixes")
                now = driver.state().sentences
                assert (now.get("GLL", 0), now.get("VTG", 0)) == (before["GLL"], before["VTG"])
                assert now["GGA"] > before["GGA"]
                systems = {satellite.id.system for satellite, _ in driver.state().satellites}
                await eventually(
                    lambda: {s.id.system for s, _ in driver.state().satellites} <= {"gps", "sbas", "qzss"},
                    f"GPS alone, not {systems}",
                    15.0,
                )

                driver.wake(False)
                await eventually(lambda: "asleep" in said(process), "the receiver to sleep")
                await eventually(lambda: driver._link._line is None, "the line to close")
                count = len(fixes)
                driver.wake(True)
                await eventually(lambda: "awake" in said(process), "the receiver to wake", 15.0)
                await eventually(lambda: len(fixes) >= count + 3, "fixes", 20.0)

    asyncio.run(main())


def test_a_receiver_that_runs_off_duty_is_put_to_sleep(tmp_path: Path) -> None:
    """It runs since the board has power, and nobody has asked for it."""

    async def main() -> None:
        fixes: list[Fix] = []
        driver = GnssReceiver(settings(tmp_path / "gnss", speed_baud=None, receiver="quectel-pmtk"))
        with simulated(tmp_path, "quectel-pmtk", 9600) as process:
            async with running(driver.run(fixes.append)):
                await eventually(lambda: "asleep" in said(process), "the receiver to sleep")
                await eventually(lambda: driver._link._line is None, "the line to close")
                assert fixes == []
                assert driver.state().satellites == ()
                driver.wake(True)
                await eventually(lambda: fixes, "a fix", 20.0)

    asyncio.run(main())


@pytest.mark.parametrize(("receiver", "kind"), [("quectel-pmtk", "nmea"), ("ublox", "quectel-pmtk")])
def test_a_receiver_of_another_make_gives_its_fixes_and_a_fault_says_what_it_does_not_take(
    receiver: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bondmate.core.talk.ANSWER_S", 0.1)

    async def main() -> None:
        fixes: list[Fix] = []
        driver = awake(settings(tmp_path / "gnss", receiver=receiver))
        with simulated(tmp_path, kind, 9600):
            async with running(driver.run(fixes.append)):
                await eventually(lambda: fixes, "a fix")
                await eventually(lambda: codes(driver) == ["gnss-settings"], "the fault", 20.0)
                assert "no answer to" in driver.faults()[0].text
                count = len(fixes)
                await eventually(lambda: len(fixes) > count, "it to go on")

    asyncio.run(main())


def test_one_that_goes_on_after_it_was_told_to_sleep_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gnss, "RETIRE_S", 0.5)

    async def main() -> None:
        driver = GnssReceiver(settings(tmp_path / "gnss", receiver="ublox"))
        with SerialEnd(tmp_path / "gnss") as end, speaking(end):
            async with running(driver.run(lambda _: None)):
                await eventually(lambda: codes(driver) == ["gnss-awake"], "the fault")
                assert "could not be put to sleep" in driver.faults()[0].text
                driver.wake(True)
                assert "gnss-awake" not in codes(driver)

    asyncio.run(main())


def test_a_receiver_that_cannot_be_talked_to_is_left_alone_when_it_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gnss, "RETIRE_S", 0.2)

    async def main() -> None:
        driver = GnssReceiver(settings(tmp_path / "gnss", receiver="ublox"))
        with SerialEnd(tmp_path / "gnss"):
            async with running(driver.run(lambda _: None)):
                await eventually(lambda: driver._link.opened_s, "the line to open")
                await eventually(lambda: driver._link._line is None, "the line to close")

    asyncio.run(main())
