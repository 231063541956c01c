"""What both generations do: tell their version, acknowledge, sleep and wake. The judge of the octets is pyubx2."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyubx2 import GET, POLL, SET, SET_LAYER_RAM, TXN_NONE, UBXMessage, UBXReader

from bondmate_sim.receiver import Reaction, together
from bondmate_sim.receiver_ublox import Asleep, Ublox
from bondmate_sim.receiver_ublox_m8 import M8Configuration
from bondmate_sim.receiver_ublox_m10 import M10Configuration
from bondmate_sim.ubx import MAX_PAYLOAD_OCTETS

VERSION = UBXMessage("MON", "MON-VER", POLL).serialize()
SLEEP = UBXMessage("RXM", "RXM-PMREQ", SET, version=0, duration=0, backup=1, force=1, uartrx=1).serialize()
SLEEP_5_S = UBXMessage("RXM", "RXM-PMREQ", SET, version=0, duration=5000, backup=1, force=1, uartrx=1).serialize()
SLEEP_DEAF = UBXMessage("RXM", "RXM-PMREQ", SET, version=0, duration=0, backup=1, force=1, extint0=1).serialize()
M10_RATE = UBXMessage.config_set(SET_LAYER_RAM, TXN_NONE, [("CFG_RATE_MEAS", 200)]).serialize()
M8_RATE = UBXMessage("CFG", "CFG-RATE", SET, measRate=200, navRate=1, timeRef=1).serialize()

Make = Callable[[], Ublox]
GENERATIONS = {"m10": lambda: Ublox(M10Configuration()), "m8": lambda: Ublox(M8Configuration())}
RATES = {"m10": M10_RATE, "m8": M8_RATE}


@pytest.fixture(params=["m10", "m8"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def receiver(generation: str) -> Ublox:
    return GENERATIONS[generation]()


def parsed(octets: bytes) -> UBXMessage:
    return UBXReader.parse(octets, msgmode=GET)


def interval_ms(receiver: Ublox) -> int | None:
    return None if receiver.programme is None else receiver.programme.interval_ms


# As modules of these generations were seen to answer.
VERSIONS = {
    "m10": "ROM SPG 5.10 (7b202e)|000A0000|FWVER=SPG 5.10|PROTVER=34.10|GPS;GLO;GAL;BDS|SBAS;QZSS",
    "m8": "ROM CORE 3.01 (107888)|00080000|FWVER=SPG 3.01|PROTVER=18.00|GPS;GLO;GAL;BDS|SBAS;IMES;QZSS",
}


def test_the_version_is_told(receiver: Ublox, generation: str) -> None:
    answer = parsed(receiver.hear(VERSION, 0.0).octets)
    assert answer.identity == "MON-VER"
    fields = ("swVersion", "hwVersion", "extension_01", "extension_02", "extension_03", "extension_04")
    strings = [getattr(answer, field).rstrip(b"\0").decode() for field in fields]
    assert "|".join(strings) == VERSIONS[generation]


def test_a_setting_is_acknowledged_and_takes_effect(receiver: Ublox, generation: str) -> None:
    assert interval_ms(receiver) == 1000
    reaction = receiver.hear(RATES[generation], 0.0)
    assert parsed(reaction.octets).identity == "ACK-ACK"
    assert parsed(reaction.octets).clsID == 0x06
    assert parsed(reaction.octets).msgID == RATES[generation][3]
    assert reaction.news == ("obeyed rate 200 ms",)
    assert interval_ms(receiver) == 200


def test_octet_by_octet_is_the_same_as_at_once(generation: str) -> None:
    script = VERSION + b"$GPGGA\r\n" + RATES[generation] + VERSION + SLEEP + b"\xff" + VERSION
    whole = GENERATIONS[generation]().hear(script, 7.0)
    receiver = GENERATIONS[generation]()
    assert together(receiver.hear(bytes([octet]), 7.0) for octet in script) == whole
    assert whole.news == ("obeyed rate 200 ms", "asleep")


def test_a_wrong_checksum_and_other_classes_have_no_answer(receiver: Ublox, generation: str) -> None:
    wrong = bytearray(RATES[generation])
    wrong[-1] ^= 1
    other = UBXMessage("NAV", "NAV-PVT", POLL).serialize()
    assert receiver.hear(bytes(wrong) + other + b"$PMTK605*31\r\n", 0.0) == Reaction()
    assert interval_ms(receiver) == 1000


def test_it_sleeps_at_once_and_silently(receiver: Ublox) -> None:
    assert receiver.hear(SLEEP, 10.0) == Reaction(news=("asleep",))
    assert receiver.programme is None
    assert receiver.due_s is None, "for ever, if nobody wakes it"
    assert receiver.hear(b"", 1e6) == Reaction()


def test_what_wakes_it_is_not_understood_and_half_a_second_later_it_is_as_from_the_factory(
    receiver: Ublox, generation: str
) -> None:
    receiver.hear(RATES[generation] + SLEEP, 10.0)
    assert receiver.hear(VERSION, 20.0) == Reaction()
    assert (receiver.due_s, interval_ms(receiver)) == (20.5, None)
    assert receiver.hear(VERSION, 20.4) == Reaction(), "the UART is not yet there"
    assert receiver.hear(b"", 20.5) == Reaction(news=("awake",))
    assert interval_ms(receiver) == 1000, "what was in RAM is lost"
    assert parsed(receiver.hear(VERSION, 20.6).octets).identity == "MON-VER"


def test_a_duration_wakes_it_too(receiver: Ublox) -> None:
    receiver.hear(SLEEP_5_S, 10.0)
    assert receiver.due_s == 15.0
    assert receiver.hear(b"", 15.0) == Reaction()
    assert receiver.due_s == 15.5
    assert receiver.hear(b"", 15.5) == Reaction(news=("awake",))


def test_a_clock_that_comes_late_finds_it_awake(receiver: Ublox) -> None:
    receiver.hear(SLEEP_5_S, 10.0)
    reaction = receiver.hear(VERSION, 99.0)
    assert reaction.news == ("awake",)
    assert parsed(reaction.octets).identity == "MON-VER"


def test_the_line_does_not_wake_it_when_it_was_not_told_so(receiver: Ublox) -> None:
    receiver.hear(SLEEP_DEAF, 10.0)
    assert receiver.hear(b"\xff" * 100, 11.0) == Reaction()
    assert receiver.state == Asleep(until_s=None, wakes_by_uart=False)


@given(st.sampled_from(["m10", "m8"]), st.lists(st.binary(max_size=400), max_size=8))
def test_garbage_never_raises_and_is_overcome(generation: str, chunks: list[bytes]) -> None:
    receiver, now = GENERATIONS[generation](), 0.0
    for chunk in chunks:
        now += 1.0
        receiver.hear(chunk, now)
    receiver.hear(bytes(MAX_PAYLOAD_OCTETS + 8), now + 10.0)
    assert parsed(receiver.hear(VERSION, now + 20.0).octets).identity == "MON-VER"
