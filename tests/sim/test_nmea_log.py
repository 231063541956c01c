from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.errors import SimulatorError
from bondmate_sim.nmea_log import MAX_EPOCH_OCTETS, Epoch, duration_s, epochs, read


def rhythm(log: bytes) -> list[tuple[float, bytes]]:
    return [(epoch.gap_s, epoch.data) for epoch in epochs(log)]


def test_sentences_of_one_time_are_one_epoch_and_their_times_are_the_pauses() -> None:
    one = b"$GPGGA,120000.00,1,N,1,E*00\r\n$GPRMC,120000,A*00\r\n$GPGSA,A,3*00\r\n$GPGLL,1,N,1,E,120000.000,A*00\r\n"
    two = b"$GPGGA,120000.20,1,N,1,E*00\r\n$GPGST,120000.20,1*00\r\n"
    three = b"$GNRMC,120001.00,A*00\r\n$GNZDA,120001.00,20,11,2026*00\r\n"
    assert rhythm(one + two + three) == [(1.0, one), (0.2, two), (0.8, three)]


def test_a_hole_and_a_step_back_and_midnight_take_a_second_at_most() -> None:
    lines = [b"$GPRMC,%s,A*00\r\n" % time for time in (b"235959.5", b"000000.0", b"000500.0", b"000100.0")]
    assert rhythm(b"".join(lines)) == [(1.0, lines[0]), (0.5, lines[1]), (1.0, lines[2]), (1.0, lines[3])]


def test_without_any_time_an_epoch_ends_where_the_receiver_repeats_itself() -> None:
    one = b"$GPGGA,,,,,,0*66\n$GPGLL,,,,,,V,N*64\n$GPGSV,1,1,00*79\n$GPRMC,,V,,*53\n$GPVTG,,T*2C\n"
    assert rhythm(one * 3) == [(1.0, one)] * 3


def test_a_sentence_that_comes_late_under_the_time_before_begins_nothing() -> None:
    first = b"$GPGGA,120000,1*00\n"
    second = b"$GPGGA,120001,1*00\n$GPZDA,120000,20,11,2026*00\n$GPRMC,120001,A*00\n"
    assert rhythm(first + second) == [(1.0, first), (1.0, second)]


def test_comments_go_and_binary_octets_stay() -> None:
    frame = b"\xb5b\x01#\r\x00\xff\n#\x01\x02\xfe\n"
    log = b"# Name: a receiver\n# \xc3\xa9t\xc3\xa9\n" + frame + b"$GPRMC,120000,A*00\n#\tend\n"
    assert [epoch.data for epoch in epochs(log)] == [frame + b"$GPRMC,120000,A*00\n"]


def test_a_sentence_behind_binary_octets_keeps_its_time() -> None:
    first, second = b"\xb5b\x01$GPRMC,120000,A*00\n", b"\x00\x01$GPGLL,1,N,1,E,120001,A*00\n"
    assert rhythm(first + second) == [(1.0, first), (1.0, second)]


def test_a_stream_without_sentences_is_cut_into_seconds() -> None:
    line = b"!AIVDM,1,1,,B,13aGhtw0R<OJf=6LgQ?Ad1FF05`L,0*24\n"
    cut = epochs(line * 200)
    assert len(cut) == 3
    assert all(MAX_EPOCH_OCTETS <= len(epoch.data) < MAX_EPOCH_OCTETS + len(line) for epoch in cut[:-1])


@given(st.lists(st.sampled_from([
    b"$GPGGA,120000,1*00\n", b"$GPGGA,120001,1*00\r\n", b"$GPRMC,,V*00\n", b"\x00\xff#\n", b"$GPGLL,,,,,,V\n", b"torn",
    b"\r", b"$GPRMC,999999.9999,A\n",
])))  # fmt: skip
def test_nothing_but_comments_is_lost_or_moved(pieces: list[bytes]) -> None:
    log = b"".join(pieces)
    cut = epochs(log)
    assert b"".join(epoch.data for epoch in cut) == log
    assert all(0 < epoch.gap_s <= 1 and epoch.data for epoch in cut)


def test_real_logs_arrive_whole_and_in_a_plausible_rhythm(corpus: Path) -> None:
    logs = sorted((corpus / "gnss").glob("*.log"))
    assert logs
    for log in logs:
        cut = read(log)
        kept = log.read_bytes().splitlines(keepends=True)
        # Some logs are mixed with binary frames; there only the heading is known to be comments.
        heading = next(index for index, line in enumerate(kept) if not line.startswith(b"#"))
        text = all(line.isascii() for line in kept[heading:])
        kept = [line for line in kept[heading:] if not (text and line.startswith(b"#"))]
        assert b"".join(epoch.data for epoch in cut) == b"".join(kept), log.name
        assert 5 <= duration_s(cut) <= 600, log.name


def test_duration_is_one_pass() -> None:
    assert duration_s((Epoch(1.0, b"a"), Epoch(0.2, b"b"))) == pytest.approx(1.2)


def test_a_log_with_nothing_in_it_is_an_error_with_its_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"# only a comment\n")
    with pytest.raises(SimulatorError, match=r"empty\.log has nothing to play"):
        read(empty)
    with pytest.raises(SimulatorError, match=r"cannot read the log .*missing\.log: No such file"):
        read(tmp_path / "missing.log")
