"""What comes over a line, counted; the line's speed, found whatever it is; and what is wrong, told in words."""

import itertools
import random
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import pairwise
from operator import xor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyubx2 import GET, UBXMessage

from bondmate.core.reception import GARBAGE_OCTETS, LISTEN_S, MAX_KINDS, OTHER, SILENT_S, SPEEDS_BAUD, Reception
from bondmate_sim.uart import resample


def framed(body: str) -> bytes:
    return b"$%s*%02X\r\n" % (body.encode(), reduce(xor, body.encode(), 0))


GGA = framed("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,")
RMC = framed("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W")
GSV = framed("GPGSV,1,1,04,01,40,083,46,02,17,308,41,12,07,344,39,14,22,228,45")
BURST = RMC + GGA + GSV
"""What a receiver says once a second; 205 octets, 0.43 s at 4800 baud."""
UBX: bytes = UBXMessage("NAV", "NAV-PVT", GET, lat=48.1173, lon=11.5167).serialize()
AIS = b"!AIVDM,1,1,,A,15MgK45P3@G?fl0E`JbR0OwT0@MS,0*4E\r\n"


def receives(chunks: Iterable[bytes], reception: Reception | None = None) -> Reception:
    reception = Reception(9600) if reception is None else reception
    reception.opened(0.0)
    for chunk in chunks:
        reception.feed(chunk, 0.0)
    return reception


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds)]


# --- what came -------------------------------------------------------------------------------------------------------


def test_each_sentence_is_given_with_its_octets() -> None:
    found = Reception(9600).feed(GGA + RMC[:20], 0.0)
    assert [(heard.line, heard.sentence.type) for heard in found] == [(GGA.rstrip(), "GGA")]
    assert found[0].sentence.lat == pytest.approx(48.1173)


def test_sentences_are_counted_by_kind_and_all_else_by_what_is_wrong_with_it() -> None:
    reception = receives([
        RMC + GGA + GGA.replace(b"GP", b"GN").replace(b"*47", b"*59") + framed("PUBX,00") + framed("GPHDT,,T"),
        GGA.replace(b"*47", b"*48") + b"$GPGLL,4916.45,N,12311.12,W,225444,A,\r\n" + framed("GPGGA,123519"),
        framed("GPGLL,4916.45,,12311.12,W,225444,A,") + framed("GPGLL,9916.45,N,12311.12,W,225444,A,"),
        b"noise\r\n" + UBX,
    ])  # fmt: skip
    assert reception.counts == {"RMC": 1, "GGA": 2, "PUBX": 1, "HDT": 1}
    assert reception.rejected == {
        "wrong checksum": 1, "no checksum": 1, "too short": 1, "malformed": 1, "out of range": 1,
    }  # fmt: skip
    assert reception.noise == len(b"noise" + UBX.translate(None, b"\r\n"))


_STREAMS = st.lists(
    st.sampled_from(
        [GGA, RMC, GSV, GGA[:40], GGA[:-2], UBX, AIS, b"$GPGGA,1\r\n", framed("GPGGA,1"), framed("PUBX,00")]
    )
    | st.binary(max_size=12),
    max_size=12,
).map(b"".join)


@given(_STREAMS, st.lists(st.integers(0, 2000), max_size=20))
def test_pieces_make_no_difference(stream: bytes, places: list[int]) -> None:
    whole, pieces = receives([stream]), receives(cut(stream, places))
    octets = receives(stream[at : at + 1] for at in range(len(stream)))
    told = [(each.counts, each.rejected, each.octets, each.noise) for each in (whole, pieces, octets)]
    assert told[0] == told[1] == told[2]
    assert whole.octets == len(stream)


def test_kinds_that_noise_makes_up_are_counted_together() -> None:
    reception = receives([framed(f"XX{number}") for number in range(1000)] + [GGA])
    assert len(reception.counts) == MAX_KINDS + 1
    assert sum(reception.counts.values()) == 1001
    assert reception.counts[OTHER] == 1001 - MAX_KINDS


def test_what_is_wrong_is_a_handful_of_kinds() -> None:
    chance = random.Random(20261120)
    reception = Reception(9600)
    for _ in range(5000):
        body = bytearray(BURST)
        for _ in range(chance.randrange(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(0x20, 0x7F)
        reception.feed(bytes(body), 0.0)
        fields = GGA.decode().rstrip()[1:-3].split(",")
        fields[chance.randrange(1, len(fields))] = chance.choice(["", "x", "-1", "99999999", "0.0.0", "N", "1e9"])
        reception.feed(framed(",".join(fields)), 0.0)
    assert set(reception.rejected) <= {"no checksum", "wrong checksum", "too short", "malformed", "out of range"}
    assert min(reception.rejected.values()) > 0


def test_counts_go_on_when_the_line_is_opened_anew() -> None:
    reception = receives([GGA + b"noise\r\n"])
    receives([GGA + b"noise\r\n"], reception)
    assert (reception.counts, reception.noise, reception.octets) == ({"GGA": 2}, 10, 2 * len(GGA + b"noise\r\n"))


def test_what_was_begun_on_one_line_does_not_end_on_the_next() -> None:
    reception = receives([GGA[:30]])
    receives([GGA[30:]], reception)
    assert reception.counts == {}


# --- the line's speed ------------------------------------------------------------------------------------------------

PIECES = 16
"""As a driver reads a burst: some octets at a time."""


def listen(reception: Reception, sent_baud: int, seconds: int, *, since: float = 0.0, burst: bytes = BURST) -> float:
    """A receiver that speaks once a second at that speed; when the first sentence was heard, or infinity."""
    first_s = float("inf")
    for second in range(seconds):
        unread, read_baud = b"", 0
        for piece in range(PIECES):
            sent = len(burst) * piece // PIECES
            now = since + second + 0.2 + (sent + 1) * 10 / sent_baud
            for due in dues(reception, now):
                reception.poll(due)
            if read_baud != reception.speed_baud:
                read_baud = reception.speed_baud
                unread = resample(burst[sent:], sent_baud, read_baud)
            size = -(-len(unread) // (PIECES - piece))
            if reception.feed(unread[:size], now):
                first_s = min(first_s, now)
            unread = unread[size:]
            reception.poll(now)
    return first_s


def dues(reception: Reception, until: float) -> Iterator[float]:
    """The times at which it wants to be polled, up to that."""
    for _ in range(20):
        due = reception.next_due()
        if due is None or due > until:
            return
        yield due
    pytest.fail("it asks again and again for a time that has come")


@pytest.mark.parametrize("sent_baud", SPEEDS_BAUD)
def test_any_usual_speed_is_found_and_kept(sent_baud: int) -> None:
    reception = Reception(None)
    reception.opened(0.0)
    found_s = listen(reception, sent_baud, 30)
    # each speed before it, each time as long as two epochs
    assert found_s <= (SPEEDS_BAUD.index(sent_baud) + 1) * (LISTEN_S + 0.1)
    assert (reception.speed_baud, reception.speaks) == (sent_baud, True)
    kept = reception.counts["GGA"]
    assert listen(reception, sent_baud, 60, since=30.0) < float("inf")
    assert (reception.speed_baud, reception.counts["GGA"]) == (sent_baud, kept + 60)


def test_speeds_that_receivers_are_sold_with_come_first() -> None:
    # u-blox 8 receiver description: 9600; u-blox M10 interface description: 38400; LG290P hardware design: 460800; L76K
    # and SIM7600's GNSS port: 9600 and 115200
    assert SPEEDS_BAUD[:3] == (9600, 38400, 115200)
    assert len(set(SPEEDS_BAUD)) == len(SPEEDS_BAUD)
    assert set(SPEEDS_BAUD) >= {4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}


def test_a_speed_that_is_told_is_not_left() -> None:
    reception = Reception(9600)
    reception.opened(0.0)
    assert listen(reception, 38400, 30) == float("inf")
    assert reception.next_due() is None
    assert (reception.speed_baud, reception.speaks) == (9600, False)


# At 9600 baud a burst of 230,400 and more is a few octets
@pytest.mark.parametrize("new_baud", [4800, 38400, 115200, 460800, 921600])
def test_a_receiver_that_was_given_another_speed_is_found_again(new_baud: int) -> None:
    reception = Reception(None)
    reception.opened(0.0)
    listen(reception, 9600, 10)
    assert reception.speed_baud == 9600
    # silence, then at most each speed once
    round_s = int(SILENT_S + len(SPEEDS_BAUD) * LISTEN_S) + 2
    assert listen(reception, new_baud, round_s, since=10.0) < float("inf")
    assert (reception.speed_baud, reception.speaks) == (new_baud, True)


def test_a_receiver_that_is_silent_for_a_while_keeps_its_speed() -> None:
    """Off duty, or in a tunnel that it does not report: nothing came, so nothing says that the speed is wrong."""
    reception = Reception(None)
    reception.opened(0.0)
    listen(reception, 9600, 10)
    assert reception.next_due() is None
    assert reception.poll(1000.0) is False
    assert reception.speed_baud == 9600


def test_binary_frames_between_sentences_are_no_reason_to_leave() -> None:
    """u-blox with both protocols on: more octets of frames than of sentences, and an epoch may begin with them."""
    reception = Reception(None)
    reception.opened(0.0)
    assert len(UBX) * 10 > GARBAGE_OCTETS
    assert listen(reception, 9600, 20, burst=UBX * 10 + RMC + UBX * 2) < LISTEN_S
    assert reception.speed_baud == 9600


def test_garbage_is_left_after_an_epoch_and_silence_after_two() -> None:
    reception = Reception(None)
    reception.opened(10.0)
    assert reception.next_due() == 10.0 + LISTEN_S
    reception.feed(b"\x00\xf8" * (GARBAGE_OCTETS // 2 - 1), 10.1)
    assert reception.poll(10.0 + LISTEN_S / 2) is False, "a little of it may be the end of something"
    reception.feed(b"\x00\xf8", 10.5)
    assert reception.poll(10.5) is False, "a sentence may follow what is no sentence"
    assert reception.poll(10.0 + LISTEN_S / 2) is True
    assert reception.speed_baud == SPEEDS_BAUD[1]
    left_s = 10.0 + LISTEN_S / 2
    assert reception.next_due() == left_s + LISTEN_S
    assert reception.poll(left_s + LISTEN_S - 0.1) is False
    assert reception.poll(left_s + LISTEN_S) is True
    assert reception.speed_baud == SPEEDS_BAUD[2]


def test_where_nothing_comes_every_speed_has_its_turn() -> None:
    reception = Reception(None)
    reception.opened(0.0)
    tried = [reception.speed_baud]
    for _ in range(2 * len(SPEEDS_BAUD)):
        due = reception.next_due()
        assert due is not None
        assert reception.poll(due)
        tried.append(reception.speed_baud)
    assert tried == [*SPEEDS_BAUD, *SPEEDS_BAUD, SPEEDS_BAUD[0]]


def test_a_line_that_is_closed_keeps_nothing_of_what_it_said() -> None:
    reception = Reception(9600)
    reception.opened(0.0)
    reception.feed(b"\x01\x02 noise" + GGA[:40], 0.0)
    octets, noise = reception.octets, reception.noise
    reception.closed()
    assert (reception._splitter._begun, reception._splitter.sample) == (b"", b"")
    assert (reception.octets, reception.noise) == (octets, noise), "but for how much it was"


def test_a_line_that_is_closed_has_nothing_to_try() -> None:
    reception = Reception(None)
    assert (reception.next_due(), reception.speaks) == (None, False)
    reception.opened(0.0)
    reception.feed(GGA, 0.0)
    assert reception.speaks
    reception.closed()
    assert (reception.next_due(), reception.speaks, reception.poll(1000.0)) == (None, False, False)


def test_a_search_that_leaves_at_the_first_strange_octet_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.core.reception.GARBAGE_OCTETS", 1)
    monkeypatch.setattr("bondmate.core.reception.LISTEN_S", 0.1)
    reception = Reception(None)
    reception.opened(0.0)
    assert listen(reception, 9600, 30) > LISTEN_S, "it had left the right speed before the first sentence was whole"


# --- what is wrong ---------------------------------------------------------------------------------------------------


def fault_code(reception: Reception, now: float) -> str | None:
    fault = reception.fault(now)
    return None if fault is None else fault[0]


def test_silence_is_told_in_words() -> None:
    reception = Reception(9600)
    assert reception.fault(1000.0) is None, "the line was never opened"
    reception.opened(10.0)
    assert reception.fault(10.0 + SILENT_S) is None
    assert reception.fault(10.1 + SILENT_S) == ("gnss-silent", "the receiver has sent nothing for more than 5 s")
    reception.feed(GGA, 20.0)
    assert reception.fault(20.0 + SILENT_S) is None
    assert fault_code(reception, 20.1 + SILENT_S) == "gnss-silent"
    reception.closed()
    assert reception.fault(1000.0) is None


def test_garbage_is_told_in_words() -> None:
    reception = Reception(9600)
    reception.opened(0.0)
    for second in range(10):
        reception.feed(b"\x00\xf8\x3f" * 20, float(second))
    assert reception.fault(9.0) == ("gnss-garbage", "octets come, but no NMEA sentence at 9600 baud")


def test_garbage_is_told_when_every_speed_was_tried() -> None:
    reception = Reception(None)
    reception.opened(0.0)
    for tenth in range(300):
        reception.feed(b"\x00\xf8\x3f" * 2, tenth / 10)
        reception.poll(tenth / 10)
    assert reception.fault(30.0) == ("gnss-garbage", "octets come, but no NMEA sentence at any usual speed")


@pytest.mark.parametrize("sent_baud", SPEEDS_BAUD)
def test_nothing_is_wrong_while_the_speed_is_being_found(sent_baud: int) -> None:
    reception = Reception(None)
    reception.opened(0.0)
    told = set()
    second = 0
    while not reception.speaks and second < 30:
        listen(reception, sent_baud, 1, since=float(second))
        told.add(fault_code(reception, second + 0.99))
        second += 1
    assert reception.speed_baud == sent_baud
    assert told == {None}


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (UBX, "u-blox's binary protocol (UBX)"),
        (AIS, "a ship's radio (AIS)"),
        (b"+CSQ: 20,99\r\n", "a modem (AT commands)"),
        (b"\r\nlogin: ", "a computer's console"),
    ],
    ids=["UBX", "AIS", "modem", "console"],
)
@pytest.mark.parametrize("speed_baud", [9600, None], ids=["speed told", "speed sought"])
def test_another_protocol_is_told_by_its_name(octets: bytes, name: str, speed_baud: int | None) -> None:
    reception = Reception(speed_baud)
    reception.opened(0.0)
    for second in range(8):
        reception.feed(octets * 3, float(second))
    assert reception.fault(7.5) == ("gnss-foreign", f"what speaks on the line is {name}, not NMEA 0183")


def test_another_protocol_stays_told_while_other_speeds_are_tried() -> None:
    """At these it is garbage; what was understood at one speed is what it is."""
    reception = Reception(None)
    reception.opened(0.0)
    for tenth in range(400):
        now = tenth / 10
        reception.poll(now)
        reception.feed(resample(UBX, 9600, reception.speed_baud), now)
    assert fault_code(reception, 40.0) == "gnss-foreign"


def test_the_first_sentence_ends_what_was_wrong() -> None:
    reception = Reception(9600)
    reception.opened(0.0)
    for second in range(8):
        reception.feed(UBX * 3, float(second))
    assert fault_code(reception, 7.5) == "gnss-foreign"
    reception.feed(GGA, 8.0)
    assert reception.fault(8.0) is None
    reception.feed(b"\x00\xf8\x3f" * 20, 13.5)
    assert fault_code(reception, 13.6) == "gnss-garbage", "what it was before is not remembered"


def test_sentences_of_a_kind_that_is_not_used_are_sentences_all_the_same() -> None:
    reception = Reception(9600)
    reception.opened(0.0)
    reception.feed(framed("GPHDT,,T"), 4.0)
    assert reception.fault(6.0) is None
    assert reception.speaks


@pytest.mark.parametrize("line", [b"$GPGLL,4916.45,N,12311.12,W,225444,A,\r\n", GGA.replace(b"*47", b"*48")])
def test_sentences_that_are_refused_are_told_as_such(line: bytes) -> None:
    reception = Reception(9600)
    reception.opened(0.0)
    for second in range(10):
        reception.feed(line * 3, float(second))
    fault = reception.fault(9.0)
    assert fault is not None
    assert "no NMEA sentence" not in fault[1]


def changes_of_speed(log: Path) -> int:
    """How often the search leaves the speed at which a log was recorded; each GGA is another second."""
    reception, now, changes = Reception(None), 0.0, 0
    reception.opened(now)
    lines = itertools.dropwhile(lambda line: line.startswith(b"#"), log.read_bytes().splitlines(keepends=True))
    for line in lines:  # without the header in words, which is no receiver's
        now += 1.0 if b"GGA," in line else 0.0
        reception.feed(line, now)
        changes += reception.poll(now)
    return changes


# ublox-zed-f9r.log begins within frames of raw measurements, a kilobyte each: 256 octets of them hold no two signs of
# UBX
def test_no_real_log_makes_the_search_leave_the_right_speed(corpus: Path) -> None:
    """Also of those that are mixed with binary frames, or broken."""
    changes = {log.name: changes_of_speed(log) for log in sorted((corpus / "gnss").glob("*.log"))}
    assert {name: count for name, count in changes.items() if count} == {}
