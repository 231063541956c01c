import asyncio
import contextlib
import errno
import logging
import os
import random
import termios
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import serial

from bondmate.drivers import serial_link
from bondmate.drivers.serial_link import BACKOFF_S, SerialLink
from bondmate_sim.serial_end import SerialEnd
from tests.eventually import eventually, running

SPEED_BAUD = 9600


@dataclass
class Reads:
    """Each read of a serial line by the code under test, as it went."""

    sizes: list[int] = field(default_factory=list)
    failures: int = 0

    @property
    def empty(self) -> int:
        return self.failures + self.sizes.count(0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Counts os.read, which goes on to do its work."""
    seen, read = Reads(), os.read

    def counted(descriptor: int, size: int) -> bytes:
        try:
            data = read(descriptor, size)
        except OSError:
            seen.failures += 1
            raise
        seen.sizes.append(len(data))
        return data

    monkeypatch.setattr(os, "read", counted)
    return seen


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for, none of which takes its time."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def quick(delay_s: float) -> None:
        asked.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", quick)
    return asked


@contextlib.asynccontextmanager
async def opened(port: Path, received: bytearray) -> AsyncIterator[SerialLink]:
    link = SerialLink(str(port), SPEED_BAUD, received.extend)
    async with running(link.run()):
        await eventually(lambda: link.opened_s, "the line to open")
        yield link


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for octet in data:
        yield bytes([octet])


def lossy(data: bytes) -> Iterator[bytes]:
    rng = random.Random(7)
    for octet in data:
        if rng.random() > 0.1:
            yield bytes([octet])


@pytest.mark.parametrize("quality", [whole, byte_by_byte, lossy])
def test_what_comes_down_the_line_is_handed_on_unchanged(quality: object, tmp_path: Path) -> None:
    assert callable(quality)
    pieces = list(quality(random.Random(1).randbytes(3000)))

    async def main() -> bytes:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, received):
                for piece in pieces:
                    assert end.send(piece) == len(piece)
                await eventually(lambda: len(received) == sum(map(len, pieces)), "every octet")
        return bytes(received)

    assert asyncio.run(main()) == b"".join(pieces)


def test_a_slow_line_hands_on_each_octet_when_it_comes(tmp_path: Path) -> None:
    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, received):
                for octet in b"slow":
                    end.send(bytes([octet]))
                    await eventually(lambda octet=octet: received[-1:] == bytes([octet]), "the octet")  # type: ignore[misc]
        assert received == b"slow"

    asyncio.run(main())


def test_there_is_no_fault_before_the_first_attempt_ended(tmp_path: Path) -> None:
    async def main() -> None:
        link = SerialLink(str(tmp_path / "nothing"), SPEED_BAUD, bytearray().extend)
        assert link.fault is None
        async with running(link.run()):
            fault = await eventually(lambda: link.fault, "the first attempt to fail")
            assert fault.startswith(f"{tmp_path / 'nothing'} cannot be opened: ")
            assert "No such file" in fault

    asyncio.run(main())


@pytest.mark.parametrize(
    ("port", "speed_baud", "reason"),
    [("/dev/null", SPEED_BAUD, "Could not configure port"), ("/dev/ptmx", -1, "Not a valid baudrate")],
)
def test_what_is_no_serial_line_is_a_fault_and_ends_nothing(port: str, speed_baud: int, reason: str) -> None:
    async def main() -> None:
        link = SerialLink(port, speed_baud, bytearray().extend)
        async with running(link.run()) as task:
            assert reason in await eventually(lambda: link.fault, "the fault")
            assert not task.done()

    asyncio.run(main())


def test_a_line_that_goes_while_it_is_set_up_is_a_fault_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pyserial flushes last, and hands on what the kernel says of a device that has just been pulled
    def gone(descriptor: int, queue: int) -> None:
        raise termios.error(5, "Input/output error")

    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            link = SerialLink(str(end.path), SPEED_BAUD, received.extend)
            with monkeypatch.context() as patched:
                patched.setattr(termios, "tcflush", gone)
                task = asyncio.ensure_future(link.run())
                assert "Input/output error" in await eventually(lambda: link.fault, "the fault")
            await eventually(lambda: link.opened_s, "the next attempt")
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()

    asyncio.run(main())


def test_a_line_that_was_pulled_comes_back_under_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        received = bytearray()
        link = SerialLink(str(tmp_path / "line"), SPEED_BAUD, received.extend)
        async with running(link.run()):
            for word in (b"first", b"second"):
                with SerialEnd(tmp_path / "line") as end:
                    await eventually(lambda: link.opened_s is not None and link.fault is None, "the line to open")
                    end.send(word)
                    await eventually(lambda word=word: received.endswith(word), "what was sent")  # type: ignore[misc]
                assert "line is gone: " in await eventually(lambda: link.fault, "the loss to be noticed")
        assert received == b"firstsecond"

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    assert sum("is gone" in record.message for record in caplog.records) == 2
    assert sum(f"open at {SPEED_BAUD} baud" in record.message for record in caplog.records) == 2


async def let_the_loop_turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def test_a_line_that_is_gone_is_read_once_and_left_alone(tmp_path: Path, reads: Reads) -> None:
    async def main() -> int:
        received = bytearray()
        end = SerialEnd(tmp_path / "line")
        async with opened(end.path, received) as link:
            with end:
                pass
            await eventually(lambda: link.fault, "the loss to be noticed")
            await let_the_loop_turn(1000)
        return reads.empty

    assert asyncio.run(main()) == 1


def test_a_reader_that_is_not_removed_would_spin(reads: Reads) -> None:
    """The control of the test above: it sees the busy loop that it is there to see."""

    async def main() -> int:
        end = SerialEnd(None)
        descriptor = os.open(end.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)

        def naive() -> None:
            with contextlib.suppress(OSError):
                os.read(descriptor, 4096)

        asyncio.get_running_loop().add_reader(descriptor, naive)
        with end:
            pass
        await let_the_loop_turn(1000)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        return reads.empty

    assert asyncio.run(main()) > 500


@pytest.mark.parametrize(("least", "stays"), [(1, True), (0, False)])
def test_an_empty_line_is_not_taken_for_one_that_is_gone(
    least: int, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Reads
) -> None:
    """Somebody else empties the line between the wake-up and our read. With VMIN 0, pyserial's own, it seems gone."""
    counted = os.read
    emptied: list[int] = []

    def late(descriptor: int, size: int) -> bytes:
        if os.isatty(descriptor) and not emptied:
            emptied.append(descriptor)
            attributes = termios.tcgetattr(descriptor)
            if least == 0:
                attributes[6][termios.VMIN] = least
                termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
            assert attributes[6][termios.VMIN] in {least, bytes([least])}
            termios.tcflush(descriptor, termios.TCIFLUSH)
        return counted(descriptor, size)

    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, received) as link:
                since = link.opened_s
                monkeypatch.setattr(os, "read", late)
                end.send(b"taken by somebody else")
                await eventually(lambda: reads.empty, "a read that finds nothing")
                if stays:
                    assert link.fault is None
                    end.send(b"ours")
                    await eventually(lambda: received == b"ours", "what comes next")
                    assert link.opened_s == since
                else:
                    assert "end of file" in await eventually(lambda: link.fault, "the line to be taken for gone")
                    await eventually(lambda: link.opened_s != since, "it to be opened again")

    asyncio.run(main())


@pytest.mark.parametrize("number", [errno.EIO, errno.ENXIO])
def test_what_a_pulled_usb_device_answers_is_a_loss(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pty only ever ends; so the kernel's word for a device that went is put in its place, once."""
    read = os.read
    answered: list[int] = []

    def pulled(descriptor: int, size: int) -> bytes:
        if os.isatty(descriptor) and not answered:
            answered.append(descriptor)
            raise OSError(number, os.strerror(number))
        return read(descriptor, size)

    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, received) as link:
                monkeypatch.setattr(os, "read", pulled)
                end.send(b"lost")
                fault = await eventually(lambda: link.fault, "the loss to be noticed")
                assert fault == f"{end.path} is gone: {os.strerror(number)}"
                await eventually(lambda: link.fault is None, "it to be opened again")
                end.send(b"alive")
                await eventually(lambda: received.endswith(b"alive"), "what comes next")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("port", "expected"), [("nothing", [0.5] * 8), ("file", [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])]
)
def test_the_waits_double_up_to_five_seconds_but_for_a_port_that_is_not_there(
    port: str, expected: list[float], tmp_path: Path, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    async def main() -> None:
        link = SerialLink(str(tmp_path / port), SPEED_BAUD, bytearray().extend)
        async with running(link.run()):
            await eventually(lambda: len(waits) >= 8, "eight attempts")

    asyncio.run(main())
    assert waits[:8] == pytest.approx(expected)
    assert sum("cannot be opened" in record.message for record in caplog.records) == 1, "said once, not each time"


def test_only_octets_end_the_backing_off(tmp_path: Path, waits: list[float]) -> None:
    async def main() -> None:
        received = bytearray()
        link = SerialLink(str(tmp_path / "line"), SPEED_BAUD, received.extend)
        async with running(link.run()):
            for words, expected_s in ((b"", BACKOFF_S), (b"", 2 * BACKOFF_S), (b"alive", BACKOFF_S)):
                before = link.opened_s
                with SerialEnd(tmp_path / "line") as end:
                    await eventually(lambda before=before: link.opened_s != before, "the line to open")  # type: ignore[misc]
                    end.send(words)
                    await eventually(lambda words=words: received == words, "what was sent")  # type: ignore[misc]
                    asked = len(waits)
                await eventually(lambda asked=asked: len(waits) > asked, "the wait after the loss")  # type: ignore[misc]
                assert waits[asked] == expected_s

    asyncio.run(main())


def test_nobody_else_opens_the_line_and_it_is_free_afterwards(tmp_path: Path) -> None:
    async def main() -> None:
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, bytearray()):
                with pytest.raises(serial.SerialException, match="exclusively lock"):
                    serial.Serial(str(end.path), exclusive=True)
            serial.Serial(str(end.path), exclusive=True).close()

    asyncio.run(main())


def test_more_than_one_chunk_is_read_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Reads) -> None:
    monkeypatch.setattr(serial_link, "CHUNK_OCTETS", 10)

    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, received):
                end.send(b"0123456789" * 3)
                await eventually(lambda: len(received) == 30, "all of it")
        assert max(reads.sizes) == 10

    asyncio.run(main())


def test_what_is_written_arrives_also_more_than_the_line_takes_at_once(tmp_path: Path) -> None:
    """The line discipline takes some kilobytes; the rest follows as the other end reads."""
    data = random.Random(2).randbytes(serial_link.UNSENT_OCTETS)

    async def main() -> None:
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, bytearray()) as link:
                arrived = bytearray()

                def heard() -> bytearray:
                    arrived.extend(end.receive())
                    return arrived

                for _ in range(5):
                    link.write(data)
                await eventually(lambda: len(heard()) >= 2 * len(data), "the octets")
                link.write(b"the end")
                await eventually(lambda: heard().endswith(b"the end"), "the end")
        assert arrived.startswith(data * 2)
        assert len(arrived) <= 5 * len(data) + 7

    asyncio.run(main())


def test_nothing_is_written_into_a_line_that_is_not_open_and_nothing_of_it_into_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        link = SerialLink(str(tmp_path / "line"), SPEED_BAUD, bytearray().extend)
        link.write(b"into the void")
        async with running(link.run()):
            with SerialEnd(tmp_path / "line") as end:
                await eventually(lambda: link.opened_s, "the line to open")
                link.write(b"heard")
                assert await eventually(end.receive, "what was written") == b"heard"
            link.write(b"too late")
            await eventually(lambda: link.fault, "the loss to be noticed")
            with SerialEnd(tmp_path / "line") as end:
                await eventually(lambda: link.fault is None, "the line to open again")
                link.write(b"heard again")
                assert await eventually(end.receive, "what was written") == b"heard again"

    asyncio.run(main())


def test_the_speed_is_changed_on_the_open_line_and_stays_for_the_next_opening(tmp_path: Path) -> None:
    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line", baud=38400) as end:
            async with opened(end.path, received) as link:
                end.send(b"garbage at the wrong speed")
                await eventually(lambda: received, "octets")
                assert b"garbage" not in received
                await link.change_speed(38400)
                received.clear()
                end.send(b"words at the right one")
                await eventually(lambda: b"words at the right one" in received, "the words")
        with SerialEnd(tmp_path / "line", baud=38400) as end:
            async with running(link.run()):
                await eventually(lambda: link.fault is None and link._line is not None, "the line to open again")
                end.send(b"and again")
                await eventually(lambda: b"and again" in received, "the words")

    asyncio.run(main())


def test_a_speed_that_the_line_does_not_take_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, bytearray()) as link:
                await link.change_speed(-1)
                assert link.fault is None

    asyncio.run(main())
    assert "does not take -1 baud" in caplog.text


def test_what_comes_while_the_speed_changes_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is garbage of two speeds, and would count against the new one."""
    going, slow = threading.Event(), serial_link._set_speed

    def held(line: serial.Serial, speed_baud: int) -> None:
        assert going.wait(10)
        slow(line, speed_baud)

    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, received) as link:
                monkeypatch.setattr(serial_link, "_set_speed", held)
                change = asyncio.ensure_future(link.change_speed(38400))
                await asyncio.sleep(0)
                reads = link.reads
                end.send(b"between")
                await eventually(lambda: link.reads > reads, "it to be read")
                going.set()
                await change
                end.send(b"behind")
                await eventually(lambda: received == b"behind", "what comes at the new speed")

    asyncio.run(main())


def test_the_owner_is_told_when_the_line_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        told: list[str] = []
        link = SerialLink(
            str(tmp_path / "line"), SPEED_BAUD, bytearray().extend,
            opened=lambda: told.append("opened"), lost=lambda: told.append("lost"),
        )  # fmt: skip
        async with running(link.run()):
            for _ in range(2):
                with SerialEnd(tmp_path / "line"):
                    await eventually(lambda: told[-1:] == ["opened"], "the line to open")
                await eventually(lambda: told[-1:] == ["lost"], "the loss")
        assert told == ["opened", "lost"] * 2

    asyncio.run(main())


def test_a_line_that_takes_nothing_closes_at_once(tmp_path: Path) -> None:
    """The kernel would wait for what was written to leave, and the whole device with it."""

    async def main() -> None:
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, bytearray()) as link:
                for _ in range(20):
                    link.write(bytes(4000))
                assert link._unsent
            assert link._line is None

    asyncio.run(main())


def test_a_flood_is_read_in_rests_and_none_of_it_is_lost(tmp_path: Path, reads: Reads) -> None:
    """Each octet for itself would wake the process 700 times a second at 115,200 baud."""
    data = random.Random(3).randbytes(2000)

    async def main() -> None:
        received = bytearray()
        with SerialEnd(tmp_path / "line") as end:
            async with opened(end.path, received) as link:
                for octet in data:
                    assert end.send(bytes([octet])) == 1
                    await asyncio.sleep(0)
                await eventually(lambda: received == data, "all of it")
                assert link.reads == len([size for size in reads.sizes if size])

    asyncio.run(main())
    assert len(reads.sizes) < len(data) / 20


# --- for whoever answers at once ----------------------------------------------------------------------


def test_the_end_of_each_line_is_told_also_when_nobody_wants_it_any_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_link, "BACKOFF_S", 0.02)

    async def main() -> None:
        told: list[str | None] = []
        link = SerialLink(
            str(tmp_path / "line"),
            SPEED_BAUD,
            bytearray().extend,
            opened=lambda: told.append("opened"),
            lost=lambda: told.append(link.fault),
        )
        async with running(link.run()):
            with SerialEnd(tmp_path / "line"):
                await eventually(lambda: told == ["opened"], "the line to open")
            await eventually(lambda: len(told) == 2, "the loss")
            assert told[1] is not None
            assert "is gone" in told[1], "why is known by then"
            with SerialEnd(tmp_path / "line"):
                await eventually(lambda: len(told) == 3, "the line to open again")
        assert told[2:] == ["opened", None]

    asyncio.run(main())


@pytest.mark.parametrize(("rest_s", "count"), [(0.0, 5), (60.0, 1)])
def test_a_line_that_is_not_to_rest_is_read_at_once(rest_s: float, count: int, tmp_path: Path) -> None:
    async def main() -> None:
        received = bytearray()
        link = SerialLink(str(tmp_path / "line"), SPEED_BAUD, received.extend, rest_s=rest_s)
        with SerialEnd(tmp_path / "line") as end:
            async with running(link.run()):
                await eventually(lambda: link.opened_s, "the line to open")
                for number in range(count):
                    end.send(b"x")
                    await eventually(lambda number=number: len(received) == number + 1, "the octet")  # type: ignore[misc]
                end.send(b"y")
                if rest_s == 0:
                    await eventually(lambda: received[-1:] == b"y", "the last octet")
                for _ in range(100):
                    await asyncio.sleep(0)
                assert (received[-1:] == b"y") is (rest_s == 0)

    asyncio.run(main())
