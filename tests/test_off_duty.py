"""A day off duty, on virtual time with a real store on disk: not one byte with a position in it, in the logs or sent.

The receiver sleeps off duty. Here it talks all day nevertheless, and the device must not listen.
"""

import asyncio
import logging
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bondmate.aging import UPKEEP_S
from bondmate.core.health import LASTS_S
from bondmate.records import Fix, How, Kind, Stream
from tests.desk import EARLIER, SESSION, Desk, fix_at, running, silence
from tests.virtual import run

HOUR = 3600
DAY_S = 24 * HOUR
AREA = re.compile(
    # 38.70 to 38.74 degrees north, 9.10 to 9.16 west: packed as on the wire, …
    rb"\x17[\x11-\x17]..\xfa[\x8a-\x93].."
    # … as numbers of CBOR or SQLite, in double and single precision, …
    rb"|\x40\x43[\x59-\x5e].{1,8}\xc0\x22[\x33-\x51]"
    rb"|\x42\x1a[\xcc-\xf6].{1,4}\xc1\x11[\x99-\xff]|\x42\x1a[\xcc-\xf6].{1,4}\xc1\x12[\x00-\x8f]"
    # … and as text: degrees, units of 1e-7 degrees, and degrees with minutes as NMEA has them
    rb"|38\.7[0-4]\d|-9\.1[0-6]\d|387[0-4]\d{5}|-91[0-6]\d{5}|384[2-4]\.\d|0090[6-9]\.\d",
    re.DOTALL,
)


def places(octets: bytes) -> list[bytes]:
    """What in these octets looks like a position in the area where the officer was."""
    return [match[0] for match in AREA.finditer(octets)]


def kept(desk: Desk) -> list[bytes]:
    """What looks like a position in any file of the store, whatever SQLite still has of it."""
    files = [file for file in sorted(desk.directory.rglob("*")) if file.is_file()]
    assert any(file.stat().st_size > 4096 for file in files), "there is no store to be searched"
    return [place for file in files for place in places(file.read_bytes())]


def sent(desk: Desk, since_s: float = 0.0) -> list[bytes]:
    """What looks like a position in what was given to the bearer to be sent."""
    return [place for at_s, submission in desk.bearer.sent if at_s >= since_s for place in places(submission)]


def logged(caplog: pytest.LogCaptureFixture) -> list[bytes]:
    return places(caplog.text.encode())


def walk(started_s: float) -> Iterator[Fix]:
    """An officer's way, there and back within the area: a fix a second, without an end."""
    second = 0
    while True:
        share = abs(second % 2400 - 1200) / 1200
        yield replace(fix_at(started_s + second, 38.701 + 0.038 * share), lon=-9.159 + 0.058 * share, alt_m=12.0)
        second += 1


async def lived(desk: Desk, seconds: int) -> None:
    """So long the receiver talks, once a second."""
    ways = walk(asyncio.get_running_loop().time())
    for _ in range(seconds):
        await asyncio.sleep(1)
        desk.device.on_fix(next(ways))


@pytest.fixture(autouse=True)
def all_that_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("bondmate.observer.OBSERVE_S", 20.0)  # of a day each second would take a while


def test_a_day_off_duty_leaves_no_position_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            # a shift, whose last presences nobody answers
            await lived(desk, HOUR // 2)
            desk.bearer.answer = silence
            await lived(desk, HOUR // 2)
            assert desk.device.waiting()[Stream.PRESENCE] > 0
            assert kept(desk)
            await desk.device.set_duty(False)
            wakes = len(desk.place.wakes)
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(30)
            off_s = asyncio.get_running_loop().time()
            await lived(desk, DAY_S // 2)
            assert kept(desk) == []
            assert desk.device.fix is None
            assert desk.place.wakes[wakes:] == []
            assert [at_s for at_s, _ in desk.bearer.sent if at_s >= off_s] == [], "nothing at all is sent"
        async with running(tmp_path, on_duty=None, session=EARLIER) as restarted:
            restarted.place.fault = "nothing was heard for 5 s"
            await lived(restarted, DAY_S // 2)
            assert restarted.records(Kind.HEALTH), "what a device records off duty was recorded"
            assert kept(restarted) == []
            assert restarted.device.fix is None
            assert restarted.place.wakes == []
            assert restarted.bearer.sent == []
        assert logged(caplog) == []

    run(story())


def test_an_alert_off_duty_leaves_no_position_once_it_is_closed_and_delivered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None) as desk:
            await desk.press()
            await lived(desk, 60)
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(30)
            off_s = asyncio.get_running_loop().time()
            assert desk.device.waiting()[Stream.POSITION] == 0
            await lived(desk, round(UPKEEP_S) + 60)
            assert kept(desk) == []
            assert sent(desk, off_s) == []
            assert sent(desk), "the alert's positions were sent"
        assert logged(caplog) == []

    run(story())


# --- the search finds what it looks for ----------------------------------------------------------------


def test_a_shift_and_an_alert_are_found(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, session=SESSION) as desk:
            await lived(desk, 60)
            assert sent(desk), "a presence, coarse as it is"
            seen = len(kept(desk))
            assert seen
            await desk.press()
            await lived(desk, round(LASTS_S))
            assert len(kept(desk)) > seen

    run(story())


@pytest.mark.parametrize(
    "leak",
    [
        struct.pack(">ii", 387_222_525, -91_393_375),
        struct.pack(">dd", 38.7222525, -9.1393375),
        b"\xfb" + struct.pack(">d", 38.7222525) + b"\xfb" + struct.pack(">d", -9.1393375),
        b"\xfa" + struct.pack(">f", 38.7222525) + b"\xfa" + struct.pack(">f", -9.1393375),
        b"at 38.722",
        b'{"lon": -9.139}',
        b"lat=387222525",
        b"$GPGGA,123519,3843.33515,N,00908.36025,W,1,08,0.9,12.0,M,53.0,M,,*47",
    ],
)
def test_a_position_in_whatever_form_is_found(leak: bytes) -> None:
    assert places(b"\0" * 100 + leak + b"\0" * 100)


def test_every_place_of_the_way_is_found() -> None:
    """Also as coarse as a presence is: a cell of 2 to the power of 16 units."""
    ways = walk(0.0)
    for _ in range(2400):
        fix = next(ways)
        lat, lon = round(fix.lat * 1e7), round(fix.lon * 1e7)
        assert places(struct.pack(">ii", lat, lon))
        assert places(struct.pack(">ii", lat & ~0xFFFF | 0x8000, lon & ~0xFFFF | 0x8000))
        assert places(struct.pack(">dd", fix.lat, fix.lon))
        assert places(f"{fix.lat:.4f}".encode())
        assert places(f"{fix.lon:.4f}".encode())
