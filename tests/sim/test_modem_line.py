import asyncio
import contextlib
import os
import tty
from pathlib import Path

import pytest

from bondmate_sim import modem_line
from bondmate_sim.errors import SimulatorError
from bondmate_sim.modem_effects import Ears, PortBack, PortGone, Say
from bondmate_sim.modem_line import ModemLine
from tests.eventually import eventually


def opened(line: ModemLine) -> int:
    fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(fd)
    return fd


async def read(fd: int, count: int) -> bytes:
    data = bytearray()

    def look() -> bool:
        with contextlib.suppress(BlockingIOError):
            data.extend(os.read(fd, 65_536))
        return len(data) >= count

    await eventually(look, f"{count} octets")
    return bytes(data)


@pytest.mark.parametrize("octet_by_octet", [False, True])
def test_what_does_not_fit_waits_for_its_reader(octet_by_octet: bool) -> None:
    async def scene() -> None:
        line = ModemLine(None, octet_by_octet=octet_by_octet, heard=lambda _: None)
        fd = opened(line)
        said = bytes(at % 251 for at in range(200_000))
        line.do(Say(said[:150_000]))
        line.do(Say(said[150_000:]))
        assert await read(fd, len(said)) == said
        os.close(fd)
        line.close()

    asyncio.run(scene())


def test_what_nobody_reads_for_long_is_lost_and_what_comes_later_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modem_line, "STALE_S", 0.05)

    async def scene() -> None:
        line = ModemLine(None, octet_by_octet=False, heard=lambda _: None)
        line.do(Say(b"old" * 100_000))
        await eventually(lambda: not line._waiting, "the end of patience")
        fd = opened(line)
        line.do(Say(b"new"))
        assert await read(fd, 3) == b"new"
        os.close(fd)
        line.close()

    asyncio.run(scene())


def test_a_port_that_goes_takes_what_waits_with_it_and_the_next_hears(tmp_path: Path) -> None:
    async def scene() -> None:
        heard: list[bytes] = []
        line = ModemLine(tmp_path / "modem", octet_by_octet=False, heard=heard.append)
        fd = opened(line)
        line.do(Say(b"old" * 100_000))
        line.do(PortGone(abrupt=True))
        assert not line.path.is_symlink()
        line.do(Say(b"to nobody"))
        line.do(PortBack())
        again = opened(line)
        line.do(Say(b"new"))
        assert await read(again, 3) == b"new"
        line.do(Ears(open=False))
        os.write(again, b"AT")
        await asyncio.sleep(0.02)
        assert heard == []
        line.do(Ears(open=True))
        await eventually(lambda: heard == [b"AT"], "open ears")
        os.close(fd)
        os.close(again)
        line.close()
        assert not line.path.is_symlink()

    asyncio.run(scene())


def test_a_link_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    async def scene() -> None:
        with pytest.raises(SimulatorError):
            ModemLine(tmp_path / "file", octet_by_octet=False, heard=lambda _: None)

    asyncio.run(scene())
    assert (tmp_path / "file").read_text() == "mine"
