import asyncio
import datetime as dt
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import reduce
from operator import xor
from pathlib import Path
from time import monotonic

import pynmea2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.epoch import QUIET_S, EpochAssembler, Sentence
from bondmate.drivers import gnss
from bondmate.drivers.gnss import GnssReceiver, parse
from bondmate.records import Fix
from bondmate_sim.serial_end import SerialEnd
from tests.eventually import eventually, running

GGA = "GPGGA,120000.00,3843.3351,N,00908.3602,W,1,08,0.9,12.3,M,50.1,M,,"
RMC = "GPRMC,120000.00,A,3843.3351,N,00908.3602,W,0.8,181.2,201126,,,A"
GLL = "GPGLL,3843.3351,N,00908.3602,W,120000.00,A,A"
GNS = "GNGNS,120000.00,3843.3351,N,00908.3602,W,AAN,11,0.9,12.3,50.1,,"
GSA = "GPGSA,A,3,01,02,03,04,,,,,,,,,1.6,0.9,1.3"
VTG = "GPVTG,181.2,T,,M,0.8,N,1.44,K,A"
GST = "GPGST,120000.00,,,,,3.0,4.0,5.0"
ZDA = "GPZDA,120000.00,20,11,2026,00,00"
# by hand: 38 degrees and 43.3351 minutes; 9 degrees and 8.3602 minutes
LAT, LON = 38 + 43.3351 / 60, -(9 + 8.3602 / 60)
NOON_MS = 12 * 3_600_000


def nmea(body: str) -> str:
    """A sentence with its checksum: the exclusive or of all between `$` and `*` (NMEA 0183)."""
    return f"${body}*{reduce(xor, body.encode(), 0):02X}"


def read(body: str) -> Sentence:
    rejected: Counter[str] = Counter()
    sentence = parse(nmea(body), rejected)
    assert sentence is not None, (body, rejected)
    assert not rejected
    return sentence


@pytest.mark.parametrize("body", [GGA, RMC, GLL, GNS])
def test_a_position_has_its_sign_by_the_hemisphere(body: str) -> None:
    for lat, lon in (("N", "E"), ("N", "W"), ("S", "E"), ("S", "W")):
        sentence = read(body.replace(",N,", f",{lat},", 1).replace(",W,", f",{lon},"))
        assert sentence.lat == pytest.approx(LAT if lat == "N" else -LAT, abs=1e-12)
        assert sentence.lon == pytest.approx(LON if lon == "W" else -LON, abs=1e-12)
        assert sentence.time_ms == NOON_MS
        assert sentence.valid is True


def test_gga_says_altitude_quality_and_satellites() -> None:
    sentence = read(GGA)
    assert (sentence.type, sentence.alt_m, sentence.hdop, sentence.satellites) == ("GGA", 12.3, 0.9, 8)
    assert sentence.date is None


def test_gns_says_altitude_quality_and_satellites() -> None:
    sentence = read(GNS)
    assert (sentence.type, sentence.alt_m, sentence.hdop, sentence.satellites) == ("GNS", 12.3, 0.9, 11)


def test_rmc_says_speed_in_metres_a_second_track_and_date() -> None:
    sentence = read(RMC)
    assert sentence.speed_mps == pytest.approx(0.8 * 1852 / 3600)
    assert sentence.track_deg == 181.2
    assert sentence.date == dt.date(2026, 11, 20)


def test_vtg_says_speed_by_its_kilometres_an_hour() -> None:
    sentence = read(VTG)
    assert sentence.speed_mps == pytest.approx(0.4)
    assert sentence.track_deg == 181.2
    assert (sentence.time_ms, sentence.valid) == (None, None)


def test_gst_says_the_accuracy_as_the_hypotenuse_of_both_deviations() -> None:
    assert read(GST).accuracy_m == 5.0
    assert read("GPGST,120000.00,,,,,3.0,,5.0").accuracy_m is None


@pytest.mark.parametrize(("mode", "valid"), [("1", False), ("2", True), ("3", True), ("", False)])
def test_gsa_says_two_or_three_dimensions(mode: str, valid: bool) -> None:
    sentence = read(GSA.replace(",3,", f",{mode},", 1))
    assert sentence.mode == (int(mode) if mode else None)
    assert sentence.valid is valid
    assert sentence.hdop == 0.9


def test_zda_says_the_date_and_an_empty_one_says_nothing() -> None:
    assert read(ZDA).date == dt.date(2026, 11, 20)
    assert read(ZDA).time_ms == NOON_MS
    assert read("GPZDA,,,,,,") == Sentence(type="ZDA")


def test_milliseconds_are_kept() -> None:
    assert read(GGA.replace("120000.00", "235959.999")).time_ms == 86_399_999
    assert read(GGA.replace("120000.00", "000000")).time_ms == 0


@pytest.mark.parametrize(
    "body",
    [
        GGA.replace(",W,1,", ",W,0,"),
        GGA.replace(",W,1,", ",W,,"),
        RMC.replace(",A,", ",V,", 1),
        RMC.replace(",,,A", ",,,N"),
        GLL.replace(",A,A", ",V,N"),
        GNS.replace("AAN", "NNN"),
        GNS.replace("AAN", ""),
    ],
)
def test_a_receiver_that_says_it_has_no_fix_is_believed(body: str) -> None:
    assert read(body).valid is False


def test_the_navigation_status_does_not_count() -> None:
    """Receivers of NMEA 4.10 put V there for good fixes: they are not certified for safety of navigation."""
    assert read(RMC.replace(",,,A", ",,,A,V")).valid is True
    assert read("GPRMC,120000.00,A,3843.3351,N,00908.3602,W,0.8,181.2,201126,,").valid is True, "NMEA 2.0 has no mode"


def test_empty_fields_are_unknown() -> None:
    assert read("GPGGA,,,,,,0,,,,M,,M,,") == Sentence(type="GGA", valid=False)
    assert read("GPRMC,,V,,,,,,,,,,N") == Sentence(type="RMC", valid=False)
    assert read("GPVTG,,T,,M,,N,,K,N") == Sentence(type="VTG")
    assert read("GPGSV,1,1,00") == Sentence(type="GSV")


REFUSED = {
    "latitude beyond the pole": GGA.replace("3843.3351", "9000.0001"),
    "longitude beyond the date line": GGA.replace("00908.3602", "18000.0001"),
    "sixty minutes": GGA.replace("3843.3351", "3860.0000"),
    "no hemisphere": GGA.replace(",N,", ",,", 1),
    "a hemisphere without a latitude": GGA.replace("3843.3351", "", 1),
    "a hemisphere of the other axis": GGA.replace(",N,", ",E,", 1),
    "both hemispheres": GGA.replace(",N,", ",NS,", 1),
    "a sign": GGA.replace("3843.3351", "-043.3351"),
    "an underscore": GGA.replace("3843.3351", "3_43.3351"),
    "an exponent": GGA.replace("3843.3351", "38e1"),
    "one digit": GGA.replace("3843.3351", "3"),
    "a negative HDOP": GGA.replace(",0.9,", ",-3,"),
    "an HDOP that is no number": GSA.replace(",0.9,", ",nan,"),
    "an infinite HDOP": GNS.replace(",0.9,", ",1e400,"),
    "an HDOP that overflows in metres": GGA.replace(",0.9,", ",1e308,"),
    "a height above the sky": GGA.replace(",12.3,", ",1e6,"),
    "negative satellites": GGA.replace(",08,", ",-1,"),
    "more satellites than there are": GGA.replace(",08,", ",256,"),
    "words for satellites": GNS.replace(",11,", ",many,"),
    "a negative speed": RMC.replace(",0.8,", ",-0.8,"),
    "a speed above any": VTG.replace(",1.44,", ",36001,"),
    "a track beyond the circle": VTG.replace("181.2", "360.1"),
    "a negative deviation": GST.replace(",3.0,", ",-3.0,"),
    "a time that is none": RMC.replace("120000.00", "250000.00"),
    "a leap second": GLL.replace("120000.00", "235960.00"),
    "words for a time": GGA.replace("120000.00", "noon"),
    "a date that is none": RMC.replace("201126", "320126"),
    "a date of zeros": RMC.replace("201126", "000000"),
    "a year before GPS": ZDA.replace("2026", "1979"),
    "a year without a next one": ZDA.replace("20,11,2026", "31,12,9999"),
    "a month that is none": ZDA.replace(",11,", ",13,"),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_not_used(body: str) -> None:
    """Each differs from a sentence that is used in one field, and its checksum is right."""
    rejected: Counter[str] = Counter()
    assert parse(nmea(body), rejected) is None
    assert sum(rejected.values()) == 1


def test_the_extremes_are_used() -> None:
    assert read(GGA.replace("3843.3351", "9000.0000").replace("00908.3602", "18000.0000")).lat == 90
    assert read(VTG.replace("181.2", "360.0")).track_deg == 360
    assert read(GGA.replace(",12.3,", ",-430.5,")).alt_m == -430.5, "the shore of the Dead Sea"
    assert read(GGA.replace("3843.3351", "43.5")).lat == pytest.approx(43.5 / 60), "leading zeros left out"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$" + GGA, "checksum"),
        (f"${GGA}*00", "checksum"),
        (nmea("PMTK001,604,3"), "proprietary"),
        (nmea("CCGPQ,GGA"), "proprietary"),
        (nmea("GPXYZ,1"), "SentenceTypeError"),
        ("$", "ParseError"),
        (nmea("PUBX"), "IndexError"),
    ],
)
def test_what_is_not_used_is_counted_by_its_reason(text: str, reason: str) -> None:
    rejected: Counter[str] = Counter()
    assert parse(text, rejected) is None
    assert rejected == {reason: 1}


@given(st.one_of(st.text(max_size=120), st.from_regex(r"\$?[A-Z]{5}(,[-+0-9A-Z.,]*)*", fullmatch=True).map(nmea)))
def test_no_text_stops_the_reading(text: str) -> None:
    rejected: Counter[str] = Counter()
    sentence = parse(text, rejected)
    assert (sentence is None) == (sum(rejected.values()) == 1)
    for number in () if sentence is None else (sentence.lat, sentence.lon, sentence.alt_m, sentence.hdop):
        assert number is None or math.isfinite(number)


BODIES = st.sampled_from([GGA, RMC, GLL, GNS, GSA, VTG, GST, ZDA])
PRINTED = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


@given(BODIES, st.data())
def test_a_sentence_with_one_wrong_character_is_never_used(body: str, data: st.DataObject) -> None:
    text = nmea(body)
    place = data.draw(st.integers(1, len(body)))
    wrong = data.draw(PRINTED.filter(lambda character: character != text[place]))
    # a `*` ends what the checksum covers, and a `$` or `*` begins and ends other sentences than this one
    assert parse(text[:place] + wrong + text[place + 1 :], Counter()) is None


def test_without_the_check_of_the_checksum_a_wrong_digit_would_be_believed() -> None:
    """The control of the property above."""
    wrong = GGA.replace("3843", "3943")
    assert pynmea2.parse(f"${wrong}").lat == "3943.3351"
    assert parse(f"${wrong}", Counter()) is None


@given(st.binary(max_size=400))
def test_no_octets_stop_the_receiver(noise: bytes) -> None:
    async def main() -> None:
        receiver = GnssReceiver("/dev/nothing", 9600)
        receiver._received(noise + b"\r\n" + nmea(GGA).encode() + b"\r\n")
        assert receiver._assembler.next_due() is not None, "the sentence behind the noise was read"
        receiver._cancel_timer()

    asyncio.run(main())


# --- the whole way, over a pty -----------------------------------------------------------------------


def epoch(number: int) -> bytes:
    """One second of a receiver: RMC, GSA and GGA, whose latitude tells which second it is."""
    rmc, gga = (
        body.replace("120000.00", f"1200{number:02d}.00")
        .replace("3843.3351", f"3843.{number:02d}000")
        .replace("00908.3602", "00908.36020")
        for body in (RMC, GGA)
    )
    return "".join(nmea(body) + "\r\n" for body in (rmc, GSA, gga)).encode()


def expected(number: int) -> tuple[dt.datetime, float, float, int]:
    return dt.datetime(2026, 11, 20, 12, 0, number, tzinfo=dt.UTC), 38 + (43 + number / 100) / 60, LON, 3


def told(fix: Fix) -> tuple[dt.datetime | None, object, object, int]:
    return fix.time, pytest.approx(fix.lat, abs=1e-9), pytest.approx(fix.lon, abs=1e-9), fix.mode


async def clean(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def byte_by_byte(data: bytes) -> AsyncIterator[bytes]:
    for octet in data:
        yield bytes([octet])
        await asyncio.sleep(0)


async def lossy(data: bytes) -> AsyncIterator[bytes]:
    rng = random.Random(4)
    yield bytes(octet for octet in data if rng.random() > 0.01)


async def slow(data: bytes) -> AsyncIterator[bytes]:
    """4800 baud, the rate of NMEA 0183 itself: 480 octets a second, as a UART's queue hands them on."""
    start = monotonic()
    for begin in range(0, len(data), 8):
        await asyncio.sleep(start + begin / 480 - monotonic())
        yield data[begin : begin + 8]


async def played(
    tmp_path: Path, data: bytes, quality: Callable[[bytes], AsyncIterator[bytes]], done: Callable[[list[Fix]], bool]
) -> list[Fix]:
    fixes: list[Fix] = []
    receiver = GnssReceiver(str(tmp_path / "gnss"), 4800)
    with SerialEnd(tmp_path / "gnss") as end:
        async with running(receiver.run(fixes.append)):
            await eventually(lambda: receiver._link.opened_s, "the line to open")
            async for piece in quality(data):
                assert end.send(piece) == len(piece)
            await eventually(lambda: done(fixes), "the fixes")
            assert receiver.fix is fixes[-1]
            assert receiver.fault is None
    return fixes


@pytest.mark.parametrize(("quality", "count"), [(clean, 5), (byte_by_byte, 5), (slow, 2)])
def test_each_epoch_is_one_fix(quality: Callable[[bytes], AsyncIterator[bytes]], count: int, tmp_path: Path) -> None:
    data = b"".join(epoch(number) for number in range(count))
    fixes = asyncio.run(played(tmp_path, data, quality, lambda fixes: len(fixes) >= count))
    assert [told(fix) for fix in fixes] == [expected(number) for number in range(count)]


def test_at_4800_baud_the_pauses_between_whole_sentences_would_split_an_epoch() -> None:
    """The control of the slow line: timed by whole sentences alone, one second would be two fixes."""
    assembler, now, fixes = EpochAssembler(), 0.0, []
    for line in epoch(7).splitlines(keepends=True):
        now += len(line) / 480
        fixes.append(assembler.poll(now))
        sentence = parse(line.decode().strip(), Counter())
        assert sentence is not None
        fixes.append(assembler.feed(sentence, now))
    fixes.append(assembler.poll(now + QUIET_S))
    assert sum(fix is not None for fix in fixes) > 1


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


def test_the_reading_goes_on_behind_noise_binary_frames_and_crafted_sentences(tmp_path: Path) -> None:
    noise = bytes(range(256)) + b"\xb5\x62\x01\x07" + bytes(92)
    crafted = (nmea("PUBX") + "\r\n" + nmea(REFUSED["a date that is none"]) + "\r\n").encode()
    data = noise + epoch(1) + crafted + noise + epoch(2) + epoch(3)
    fixes = asyncio.run(played(tmp_path, data, clean, lambda fixes: len(fixes) >= 3))
    assert [told(fix)[1:] for fix in fixes] == [expected(number)[1:] for number in (1, 2, 3)]


def test_a_pulled_receiver_is_a_fault_and_gives_fixes_again_when_it_is_back(tmp_path: Path) -> None:
    async def main() -> None:
        fixes: list[Fix] = []
        receiver = GnssReceiver(str(tmp_path / "gnss"), 9600)
        assert receiver.fault is None, "nothing was tried yet"
        async with running(receiver.run(fixes.append)):
            assert "cannot be opened" in await eventually(lambda: receiver.fault, "the fault")
            for number in (1, 2):
                with SerialEnd(tmp_path / "gnss") as end:
                    await eventually(lambda: receiver.fault is None, "the line to open")
                    end.send(epoch(number) + b"$GPGGA,1200")
                    await eventually(lambda number=number: len(fixes) == number, "the fix")  # type: ignore[misc]
                assert "is gone" in await eventually(lambda: receiver.fault, "the fault")
                assert receiver.fix is fixes[-1], "the last position stays known"
        assert [told(fix) for fix in fixes] == [expected(1), expected(2)]

    asyncio.run(main())


def test_a_silent_receiver_is_a_fault_in_words_that_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gnss, "SILENT_S", 0.1)

    async def main() -> None:
        receiver = GnssReceiver(str(tmp_path / "gnss"), 9600)
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(lambda _: None)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                first = await eventually(lambda: receiver.fault, "the silence to be noticed")
                assert first.startswith(f"no NMEA sentence from {tmp_path / 'gnss'} for more than")
                later = monotonic() + 1.2
                while monotonic() < later:
                    assert receiver.fault == first
                    end.send(b"not NMEA\r\n$GPGGA,wrong*00\r\n")
                    await asyncio.sleep(0.01)
                end.send(nmea(GSA).encode() + b"\r\n")
                await eventually(lambda: receiver.fault is None, "a sentence to end the fault")
                await eventually(lambda: receiver.fault == first, "the silence to be noticed again")

    asyncio.run(main())


def test_a_receiver_that_is_back_is_given_its_time_to_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gnss, "SILENT_S", 0.15)

    async def main() -> None:
        receiver = GnssReceiver(str(tmp_path / "gnss"), 9600)
        async with running(receiver.run(lambda _: None)):
            since = monotonic()
            await eventually(lambda: receiver.fault is not None and monotonic() - since > 0.3, "a long absence")
            with SerialEnd(tmp_path / "gnss"):
                seen: list[str | None] = []

                def silent() -> bool:
                    seen.append(receiver.fault)
                    return (receiver.fault or "").startswith("no NMEA")

                await eventually(silent, "the silence")
                assert None in seen, "between its absence and its silence there is no fault"

    asyncio.run(main())


def test_the_end_leaves_no_timer_behind(tmp_path: Path) -> None:
    async def main() -> None:
        receiver = GnssReceiver(str(tmp_path / "gnss"), 9600)
        with SerialEnd(tmp_path / "gnss") as end:
            async with running(receiver.run(lambda _: None)):
                await eventually(lambda: receiver._link.opened_s, "the line to open")
                end.send(nmea(GGA).encode() + b"\r\n")
                timer = await eventually(lambda: receiver._timer, "an epoch to be under way")
        assert timer.cancelled() or receiver.fix is not None
        assert receiver._timer is None

    asyncio.run(main())
