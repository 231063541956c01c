"""The sky as GSV and GSA tell it: whole groups alone, each satellite under its system, and nothing that is old."""

import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.fields import SentenceError
from bondmate.core.lines import SentenceSplitter
from bondmate.core.nmea import parse
from bondmate.core.sky import MAX_GROUPS, STALE_S, Number, Satellite, Sky, View, number_of

MEGABYTE = 1 << 20


def satellite(number: int, cn0_dbhz: int | None = 40, *, system: str = "gps", signal: str = "") -> Satellite:
    return Satellite(Number(system, number), signal, 45, 180, cn0_dbhz)


def group(talker: str, *satellites: Satellite, signal: str = "") -> list[tuple[str, View]]:
    """As a receiver says them: four a sentence."""
    parts = [satellites[at : at + 4] for at in range(0, len(satellites), 4)] or [()]
    return [(talker, View(part, len(parts), signal, each)) for part, each in enumerate(parts, start=1)]


def numbers(sky: Sky, now: float = 0.0) -> list[int]:
    return [each.id.number for each, _ in sky.satellites(now)]


def seen(*views: tuple[str, View], sky: Sky | None = None, now: float = 0.0) -> Sky:
    sky = Sky() if sky is None else sky
    for talker, view in views:
        sky.see(talker, view, now)
    return sky


# --- which satellite a number means ----------------------------------------------------------------------------------

# NMEA 0183: 1-32 GPS, 33-64 SBAS, 65-96 GLONASS, and since 4.11 the system's identifier in GSA. Beyond: the numbers of
# u-blox's interface descriptions ("Satellite numbering") and of MediaTek's NMEA ("GALILEO 301 ff., BEIDOU 201 ff.")
MEANT = {
    "GPS by its talker": ("GP", 5, "", "gps"),
    "GPS under GN": ("GN", 32, "", "gps"),
    "SBAS under GPS's talker": ("GP", 36, "", "sbas"),
    "SBAS by its own number": ("GN", 120, "", "sbas"),
    "GLONASS by its talker": ("GL", 65, "", "glonass"),
    "GLONASS by its number in the system": ("GL", 1, "", "glonass"),
    "GLONASS under GN": ("GN", 96, "", "glonass"),
    "Galileo by its talker": ("GA", 5, "", "galileo"),
    "Galileo under GN, by the system": ("GN", 5, "3", "galileo"),
    "Galileo under GN, by its number": ("GN", 301, "", "galileo"),
    "BeiDou by its talker": ("GB", 5, "", "beidou"),
    "BeiDou by MediaTek's talker": ("BD", 205, "", "beidou"),
    "BeiDou under GN, by the system": ("GN", 5, "4", "beidou"),
    "BeiDou under GN, by its number": ("GN", 405, "", "beidou"),
    "BeiDou under GN, by MediaTek's number": ("GN", 210, "", "beidou"),
    "QZSS by its talker": ("GQ", 2, "", "qzss"),
    "QZSS under GN, by its number": ("GN", 194, "", "qzss"),
    "NavIC by its talker": ("GI", 4, "", "navic"),
    "NavIC under GN, by the system": ("GN", 4, "6", "navic"),
    "GPS by the system": ("GN", 5, "1", "gps"),
    "SBAS by the system of GPS": ("GN", 44, "1", "sbas"),
    "a number of nobody": ("GN", 999, "", "gps"),
    # the ends of u-blox's ranges, under GN
    "the first GPS": ("GN", 1, "", "gps"),
    "the last GPS": ("GN", 32, "", "gps"),
    "the first SBAS": ("GN", 33, "", "sbas"),
    "the last SBAS": ("GN", 64, "", "sbas"),
    "the first GLONASS": ("GN", 65, "", "glonass"),
    "the last SBAS by its own number": ("GN", 158, "", "sbas"),
    "the first QZSS": ("GN", 193, "", "qzss"),
    "the last QZSS": ("GN", 197, "", "qzss"),
    "the last Galileo": ("GN", 336, "", "galileo"),
    "the first BeiDou": ("GN", 401, "", "beidou"),
    "the last BeiDou": ("GN", 437, "", "beidou"),
}


@pytest.mark.parametrize(("talker", "number", "system_id", "system"), MEANT.values(), ids=MEANT.keys())
def test_a_number_means_a_satellite_of_a_system(talker: str, number: int, system_id: str, system: str) -> None:
    assert number_of(talker, number, system_id) == Number(system, number)


# --- groups ----------------------------------------------------------------------------------------------------------

NINE = [satellite(number) for number in range(1, 10)]


def test_a_group_counts_when_it_is_whole() -> None:
    first, second, third = group("GP", *NINE)
    assert numbers(seen(first)) == []
    assert numbers(seen(first, second)) == []
    assert numbers(seen(first, second, third)) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "order",
    [(0, 2), (1, 2), (0, 2, 1), (1, 0, 2), (0, 1, 1, 2), (0, 1)],
    ids=["a hole", "no beginning", "turned round", "begun late", "twice", "no end"],
)
def test_a_group_that_is_not_whole_counts_for_nothing(order: Sequence[int]) -> None:
    views = group("GP", *NINE)
    assert numbers(seen(*(views[part] for part in order))) == []


def test_a_group_that_is_not_whole_takes_nothing_away() -> None:
    sky = seen(*group("GP", *NINE))
    first, _, third = group("GP", *[satellite(number) for number in range(11, 20)])
    assert numbers(seen(first, third, sky=sky)) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_the_newest_group_of_a_talker_and_signal_counts() -> None:
    sky = seen(*group("GP", satellite(1), satellite(2)), *group("GL", satellite(70, system="glonass")))
    assert numbers(seen(*group("GP", satellite(3)), sky=sky)) == [70, 3], "by system, then by number"
    assert numbers(seen(*group("GP"), sky=sky)) == [70], "also one without satellites"


def test_two_signals_of_a_satellite_are_both_seen() -> None:
    sky = seen(
        *group("GP", satellite(1, 40, signal="1"), signal="1"), *group("GP", satellite(1, 35, signal="6"), signal="6")
    )
    assert [(each.id.number, each.signal, each.cn0_dbhz) for each, _ in sky.satellites(0.0)] == [
        (1, "1", 40), (1, "6", 35),
    ]  # fmt: skip
    assert sorted(sky.strengths(0.0)) == [35, 40]


def test_groups_of_two_talkers_do_not_mix() -> None:
    gps, glonass = group("GP", *NINE), group("GL", *(satellite(number, system="glonass") for number in range(65, 70)))
    assert numbers(seen(gps[0], glonass[0], gps[1], glonass[1], gps[2])) == []
    assert numbers(seen(*gps, *glonass)) == [65, 66, 67, 68, 69, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_sky_that_counts_parts_of_groups_would_be_noticed() -> None:
    class Hasty(Sky):
        """Takes each part for all there is."""

        def see(self, talker: str, view: View, now: float) -> None:
            super().see(talker, view._replace(part=1, parts=1), now)

    hasty = Hasty()
    for talker, view in group("GP", *NINE):
        hasty.see(talker, view, 0.0)
    assert numbers(hasty) != numbers(seen(*group("GP", *NINE)))


# --- used, strength, age ---------------------------------------------------------------------------------------------


def test_a_satellite_is_used_when_a_gsa_says_so() -> None:
    sky = seen(*group("GP", *NINE))
    sky.use((Number("gps", 2), Number("gps", 9), Number("galileo", 3)), 0.0)
    assert [each.id.number for each, used in sky.satellites(0.0) if used] == [2, 9], "another system's 3 is another"


def test_several_gsa_add_up() -> None:
    """One for each constellation, and two where more than twelve are used."""
    sky = seen(*group("GP", *NINE), *group("GA", satellite(3, system="galileo")))
    sky.use((Number("gps", 1), Number("gps", 2)), 0.0)
    sky.use((), 0.0)
    sky.use((Number("galileo", 3),), 0.1)
    assert [each.id for each, used in sky.satellites(0.2) if used] == [
        Number("galileo", 3), Number("gps", 1), Number("gps", 2),
    ]  # fmt: skip


def test_only_a_signal_that_is_tracked_has_a_strength() -> None:
    sky = seen(*group("GP", satellite(1, 44), satellite(2, None), satellite(3, 0), satellite(4, 21)))
    assert sky.strengths(0.0) == (44, 21), "receivers say 00 for one that they search"


def test_what_was_not_said_again_is_not_so_any_more() -> None:
    sky = seen(*group("GP", satellite(1)), now=10.0)
    sky.use((Number("gps", 1), Number("gps", 2)), 10.0)
    seen(*group("GP", satellite(2)), sky=sky, now=10.0)
    seen(*group("GL", satellite(70, system="glonass")), sky=sky, now=12.0)
    assert sky.satellites(10.0 + STALE_S) == (
        (satellite(70, system="glonass"), False), (satellite(2), True),
    )  # fmt: skip
    assert numbers(sky, 10.1 + STALE_S) == [70]
    assert sky.satellites(12.1 + STALE_S) == ()
    assert sky.strengths(12.1 + STALE_S) == ()


def test_a_satellite_is_not_used_any_more_after_a_while() -> None:
    sky = Sky()
    sky.use((Number("gps", 1),), 10.0)
    seen(*group("GP", satellite(1)), sky=sky, now=16.5)
    assert sky.satellites(16.5) == ((satellite(1), False),)


def test_a_group_each_five_seconds_is_enough() -> None:
    """The slowest usual setting: what was seen stays."""
    sky = Sky()
    for now in (0.0, 5.0, 10.0):
        seen(*group("GP", *NINE), sky=sky, now=now)
        assert all(numbers(sky, now + later) == numbers(sky, now) != [] for later in (1.0, 3.0, 4.9))


# --- whatever comes --------------------------------------------------------------------------------------------------

_IDS = st.builds(Number, st.sampled_from(["gps", "glonass"]), st.integers(1, 4))
_OPTIONAL = st.none() | st.integers(0, 90)
_SATELLITES = st.builds(Satellite, _IDS, st.sampled_from(["", "1"]), _OPTIONAL, _OPTIONAL, _OPTIONAL)
_VIEWS = st.builds(
    lambda parts, part, signal, satellites: View(min(part, parts), parts, signal, tuple(satellites)),
    st.integers(1, 3), st.integers(1, 3), st.sampled_from(["", "1"]), st.lists(_SATELLITES, max_size=4),
)  # fmt: skip
_SAID = st.lists(st.tuples(st.sampled_from(["GP", "GN", "GL"]), _VIEWS, st.floats(0, 3)), max_size=12)


# A satellite may be said twice, once without its angles: under GP and GN, or twice in one group
@given(_SAID)
def test_whatever_is_said_can_be_shown(said: list[tuple[str, View, float]]) -> None:
    sky, now = Sky(), 0.0
    for talker, view, later in said:
        now += later
        sky.see(talker, view, now)
        shown = [each for each, _ in sky.satellites(now)]
        assert [each.id for each in shown] == sorted(each.id for each in shown)
        assert len(sky.strengths(now)) == sum(1 for each in shown if each.cn0_dbhz)


@given(st.lists(st.integers(1, 12), max_size=9, unique=True), st.integers(1, 5))
def test_a_whole_group_is_seen_as_it_was_said(said: list[int], times: int) -> None:
    sky = Sky()
    for _ in range(times):
        seen(*group("GP", *(satellite(number) for number in said)), sky=sky)
    assert numbers(sky) == sorted(said)


def read(body: str) -> tuple[str, View]:
    checksum = 0
    for octet in body.encode():
        checksum ^= octet
    sentence = parse(b"$%s*%02X" % (body.encode(), checksum))
    assert sentence.view is not None
    return sentence.talker, sentence.view


def peak_octets(act: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_liar_that_makes_up_talkers_gets_no_more_memory() -> None:
    sky = Sky()

    def lie() -> None:
        for number in range(5000):
            talker = f"{number % 90 + 10}"
            seen(*group(talker, *NINE, signal=str(number)), sky=sky)

    assert peak_octets(lie) < MEGABYTE
    assert len(sky._groups) <= MAX_GROUPS


def test_a_liar_that_makes_up_satellites_gets_no_more_memory() -> None:
    sky = Sky()

    def lie() -> None:
        for signal in range(4):
            for part in range(1, 1000):
                try:
                    said = read(f"GPGSV,999,{part},1,{'1,,,,' * 20}{signal}")
                except SentenceError:
                    continue  # refused, and so it is well
                seen(said, sky=sky)

    assert peak_octets(lie) < 2 * MEGABYTE


def test_a_liar_that_uses_every_number_gets_no_more_memory() -> None:
    sky = Sky()

    def lie() -> None:
        for system in ("gps", "glonass", "galileo", "beidou", "qzss", "navic", "sbas"):
            for first in range(0, 1000, 12):
                sky.use(tuple(Number(system, number) for number in range(first, first + 12)), 0.0)

    assert peak_octets(lie) < 4 * MEGABYTE
    sky.use((Number("gps", 1),), 100.0)
    assert len(sky._used) == 1, "and it is forgotten with the next that is said"


def test_the_sky_of_real_logs(corpus: Path) -> None:
    """What the last lines of a log say, by eye: 16 satellites under GP, three of them SBAS, and 9 under GL."""
    path = corpus / "gnss" / "ublox-8.log"
    if not path.exists():
        pytest.skip("this corpus has no ublox-8.log")
    sky = Sky()
    for line in SentenceSplitter().feed(path.read_bytes()):
        try:
            sentence = parse(line)
        except SentenceError:
            continue
        if sentence.view is not None:
            sky.see(sentence.talker, sentence.view, 0.0)
    shown = [each.id for each, _ in sky.satellites(0.0)]
    assert [each.number for each in shown if each.system == "sbas"] == [46, 48, 51]
    assert Counter(each.system for each in shown) == {"gps": 13, "sbas": 3, "glonass": 9}
