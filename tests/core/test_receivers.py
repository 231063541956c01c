"""What makers' receivers are told: read by other implementations, and heard by the simulator's receivers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynmeagps import SET as NMEA_SET
from pynmeagps import NMEAReader
from pyubx2 import GET, POLL, SET, UBXMessage, UBXReader

from bondmate.core.lines import SentenceSplitter
from bondmate.core.receivers import CONSTELLATIONS, RECEIVERS, SENTENCES, Receiver, Wanted, sentence
from bondmate.core.talk import Answer, Outcome, Script, Talk
from bondmate.core.ubx import FrameSplitter
from bondmate_sim.programme import Programme
from bondmate_sim.receiver import Receiver as Twin
from bondmate_sim.receiver_pmtk import Pmtk
from bondmate_sim.receiver_pqtm import Pqtm
from bondmate_sim.receiver_ublox import Ublox
from bondmate_sim.receiver_ublox_m8 import M8Configuration
from bondmate_sim.receiver_ublox_m10 import M10Configuration
from bondmate_sim.sky import System

Replies = Callable[[bytes], bytes | None]
"""What a receiver says to what it is told."""
FIVE_HERTZ = Wanted(5.0, ("gps", "glonass", "galileo"))
AS_IT_IS = Wanted(1.0, ())


def told(script: Script, replies: Replies) -> list[bytes]:
    """What a script sends to a receiver that answers at once."""
    sent: list[bytes] = []
    try:
        ask = next(script)
        while True:
            sent.append(ask.octets)
            message = replies(ask.octets) if ask.understand is not None else None
            ask = script.send(None if ask.understand is None or message is None else ask.understand(message))
    except StopIteration:
        return sent


def set_up(name: str, wanted: Wanted, replies: Replies) -> tuple[list[bytes], Outcome]:
    outcome = Outcome()
    return told(RECEIVERS[name].set_up(wanted, outcome), replies), outcome


def asleep(name: str, replies: Replies = lambda _: None) -> tuple[list[bytes], Outcome]:
    outcome = Outcome()
    return told(RECEIVERS[name].sleep(outcome), replies), outcome


def silent(_: bytes) -> None:
    """A receiver that never answers."""


# --- u-blox ----------------------------------------------------------------------------------------------------------


def mon_ver(protocol: str) -> bytes:
    """u-blox's interface description, MON-VER: 30 octets, 10, and 30 for each extension."""
    extensions = ("FWVER=SPG 5.10", protocol, "GPS;GLO;GAL;BDS")
    payload = b"ROM SPG 5.10 (7b202e)".ljust(30, b"\0") + b"000A0000".ljust(10, b"\0")
    payload += b"".join(each.encode().ljust(30, b"\0") for each in extensions)
    made: bytes = UBXMessage("MON", "MON-VER", GET, payload=payload).serialize()
    return made


def acknowledged(verdict: str, message_class: int, message_id: int) -> bytes:
    made: bytes = UBXMessage("ACK", verdict, GET, clsID=message_class, msgID=message_id).serialize()
    return made


def ublox(protocol: str, refuses: Sequence[str] = ()) -> Replies:
    """Acknowledges everything but what has one of these words in it, as pyubx2 reads it."""

    def replies(octets: bytes) -> bytes:
        if octets[2:4] == b"\x0a\x04":
            return mon_ver(protocol)
        verdict = "ACK-NAK" if any(word in str(UBXReader.parse(octets, msgmode=SET)) for word in refuses) else "ACK-ACK"
        return acknowledged(verdict, octets[2], octets[3])

    return replies


M10, M8 = "PROTVER=34.10", "PROTVER=18.00"


def settings(message: bytes) -> dict[str, Any]:
    """A message to u-blox by pyubx2's names."""
    parsed = UBXReader.parse(message, msgmode=SET)
    return {name: value for name, value in vars(parsed).items() if not name.startswith("_")}


def valsets(sent: Sequence[bytes]) -> dict[str, int]:
    """All keys that were set."""
    found: dict[str, int] = {}
    for message in sent[1:]:
        said = settings(message)
        assert UBXReader.parse(message, msgmode=SET).identity == "CFG-VALSET"
        # "never to its flash": RAM alone, and no transaction
        assert (said["version"], said["ram"], said["bbr"], said["flash"], said["action"]) == (0, 1, 0, 0, 0)
        found |= {name: value for name, value in said.items() if name.startswith("CFG_")}
    return found


def test_an_m10_is_set_by_keys() -> None:
    sent, outcome = set_up("ublox", FIVE_HERTZ, ublox(M10))
    assert UBXReader.parse(sent[0], msgmode=POLL).identity == "MON-VER"
    # at five fixes a second, the sky once a second
    wanted = {"GGA": 1, "RMC": 1, "GSA": 1, "GSV": 5, "GST": 1, "GLL": 0, "VTG": 0, "ZDA": 0}
    assert valsets(sent) == {
        **{f"CFG_MSGOUT_NMEA_ID_{name}_UART1": rate for name, rate in wanted.items()},
        **{f"CFG_MSGOUT_NMEA_ID_{name}_USB": rate for name, rate in wanted.items()},
        "CFG_RATE_MEAS": 200,
        "CFG_SIGNAL_GPS_ENA": 1,
        "CFG_SIGNAL_GLO_ENA": 1,
        "CFG_SIGNAL_GAL_ENA": 1,
        "CFG_SIGNAL_BDS_ENA": 0,
        "CFG_SIGNAL_QZSS_ENA": 0,
        "CFG_SIGNAL_SBAS_ENA": 0,
    }
    assert outcome == Outcome("ROM SPG 5.10 (7b202e) 000A0000 FWVER=SPG 5.10 PROTVER=34.10 GPS;GLO;GAL;BDS", [])


def test_an_m8_is_set_by_messages() -> None:
    sent, outcome = set_up("ublox", FIVE_HERTZ, ublox(M8))
    *choices, rate, gnss = sent[1:]
    # three octets: class, id, and the rate on the port that it comes by, which pyubx2 has as the first of six
    assert {settings(each)["msgID"]: settings(each)["rateDDC"] for each in choices} == {
        0: 1, 1: 0, 2: 1, 3: 5, 4: 1, 5: 0, 7: 1, 8: 0,
    }  # fmt: skip
    assert {(len(each) - 8, settings(each)["msgClass"]) for each in choices} == {(3, 0xF0)}
    assert settings(rate) == {"measRate": 200, "navRate": 1, "timeRef": 1}
    blocks = settings(gnss)
    assert (blocks["msgVer"], blocks["numTrkChUse"], blocks["numConfigBlocks"]) == (0, 255, 6)
    # by gnssId: GPS 0, SBAS 1, Galileo 2, BeiDou 3, QZSS 5, GLONASS 6
    enabled = {blocks[f"gnssId_{place:02}"]: blocks[f"enable_{place:02}"] for place in range(1, 7)}
    assert enabled == {0: 1, 1: 0, 2: 1, 3: 0, 5: 0, 6: 1}
    for place in range(1, 7):
        assert blocks[f"resTrkCh_{place:02}"] <= blocks[f"maxTrkCh_{place:02}"]
        assert blocks[f"sigCfMask_{place:02}"] == 1, "L1 C/A, E1, B1I, G1: the first bit of each"
    # "the sum of all reserved tracking channels": 32 on an M8
    assert sum(blocks[f"resTrkCh_{place:02}"] for place in range(1, 7)) <= 32
    assert outcome.problems == []


@pytest.mark.parametrize(
    ("protocol", "by_keys"),
    [
        ("PROTVER=14.00", False),
        ("PROTVER 18.00", False),
        ("PROTVER=23.01", False),
        ("PROTVER=27.00", True),
        ("PROTVER=27.11", True),
        ("PROTVER=32.00", True),
        ("PROTVER=34.10", True),
        ("nothing of it", False),
    ],
    ids=["7", "8, early", "8", "F9, early", "F9", "M9", "M10", "unknown"],
)
def test_the_generation_is_told_by_the_protocol(protocol: str, by_keys: bool) -> None:
    sent, _ = set_up("ublox", AS_IT_IS, ublox(protocol))
    kinds = {UBXReader.parse(message, msgmode=SET).identity for message in sent[1:]}
    assert kinds == ({"CFG-VALSET"} if by_keys else {"CFG-MSG", "CFG-RATE"})


def test_an_acknowledgement_of_another_message_is_none_of_this_one() -> None:
    script = RECEIVERS["ublox"].set_up(AS_IT_IS, Outcome())
    next(script)
    choice = script.send(None)
    assert choice.understand is not None
    for message in (mon_ver(M8), acknowledged("ACK-ACK", 0x06, 0x08), acknowledged("ACK-NAK", 0x0A, 0x01), b""):
        assert choice.understand(message) is None
    assert choice.understand(acknowledged("ACK-ACK", 0x06, 0x01)) == Answer(True)
    assert choice.understand(acknowledged("ACK-NAK", 0x06, 0x01)) == Answer(False)


def test_what_an_m10_refuses_is_told_in_words() -> None:
    _, outcome = set_up("ublox", FIVE_HERTZ, ublox(M10, refuses=["_UART1", "CFG_RATE", "CFG_SIGNAL"]))
    assert outcome.problems == [
        "the choice of sentences was refused",
        "5 fixes a second was refused",
        "the constellation gps was refused",
        "the constellation galileo was refused",
        "the constellation glonass was refused",
    ]


def test_a_constellation_that_a_model_does_not_have_costs_no_other() -> None:
    """It refuses a whole message for one key that it does not know."""
    sent, outcome = set_up("ublox", Wanted(1.0, ("gps", "glonass")), ublox(M10, refuses=["SIGNAL_GLO", "SIGNAL_QZSS"]))
    assert outcome.problems == ["the constellation glonass was refused"]
    singly = [settings(each) for each in sent[-6:]]
    assert [(name, value) for each in singly for name, value in each.items() if name.startswith("CFG_SIGNAL")] == [
        ("CFG_SIGNAL_GPS_ENA", 1), ("CFG_SIGNAL_GLO_ENA", 1), ("CFG_SIGNAL_SBAS_ENA", 0), ("CFG_SIGNAL_GAL_ENA", 0),
        ("CFG_SIGNAL_BDS_ENA", 0), ("CFG_SIGNAL_QZSS_ENA", 0),
    ]  # fmt: skip


def test_a_receiver_without_usb_is_well() -> None:
    _, outcome = set_up("ublox", FIVE_HERTZ, ublox(M10, refuses=["_USB"]))
    assert outcome.problems == []


def test_ublox_sleeps_for_ever_and_wakes_by_its_line() -> None:
    [message], outcome = asleep("ublox")
    assert UBXReader.parse(message, msgmode=SET).identity == "RXM-PMREQ"
    said = settings(message)
    # MIA-M10Q integration manual, 3.6.3.2: without `force` an M10 stays awake
    assert (said["version"], said["duration"], said["backup"], said["force"], said["uartrx"]) == (0, 0, 1, 1, 1)
    assert (said["extint0"], said["extint1"], said["spics"]) == (0, 0, 0)
    assert outcome.problems == []


@given(st.sampled_from([M10, M8]), st.floats(1, 10), st.lists(st.sampled_from(CONSTELLATIONS), unique=True))
def test_whatever_is_wanted_pyubx2_can_read(protocol: str, rate_hz: float, constellations: list[str]) -> None:
    sent, outcome = set_up("ublox", Wanted(rate_hz, tuple(constellations)), ublox(protocol))
    rates = [
        said.get("CFG_RATE_MEAS", said.get("measRate"))
        for said in map(settings, sent[1:])
        if {"CFG_RATE_MEAS", "measRate"} & said.keys()
    ]
    assert rates == [pytest.approx(1000 / rate_hz, abs=0.5)]
    kinds = [UBXReader.parse(message, msgmode=SET) for message in sent]
    chosen = any(each.identity == "CFG-GNSS" or "CFG_SIGNAL" in str(each) for each in kinds)
    assert chosen == bool(constellations), "without constellations they stay as they are"
    assert outcome.problems == []


# --- Quectel, PMTK ---------------------------------------------------------------------------------------------------


def pmtk(octets: bytes) -> bytes:
    """Quectel L80 GPS protocol specification: PMTK705 to PMTK605, else PMTK001 with the flag 3."""
    name = octets.decode().removeprefix("$PMTK")[:3]
    if name == "605":
        return sentence("PMTK705,AXN_3.60_3333_14080500,0000,QUECTEL-L80,1.0").rstrip()
    return sentence(f"PMTK001,{name},3").rstrip()


def test_a_mediatek_receiver_is_set_by_pmtk() -> None:
    sent, outcome = set_up("quectel-pmtk", FIVE_HERTZ, pmtk)
    # checksums by hand, and by the manual for PMTK605; PMTK314: GLL, RMC, VTG, GGA, GSA, GSV, GRS, GST and eleven more
    assert set(sent) == {
        b"$PMTK605*31\r\n",
        b"$PMTK353,1,1,1,0,0*2A\r\n",
        b"$PMTK314,0,1,0,1,1,5,0,1,0,0,0,0,0,0,0,0,0,0,0*2D\r\n",
        b"$PMTK220,200*2C\r\n",
    }
    for message in sent:
        parsed = NMEAReader.parse(message, validate=1)  # the checksum; it has no names for what PMTK sets
        assert (parsed.talker, parsed.identity) == ("P", message[1:8].decode())
    assert outcome == Outcome("AXN_3.60_3333_14080500 QUECTEL-L80", [])


@pytest.mark.parametrize(
    ("name", "replies", "unknown"), [("quectel-pmtk", pmtk, "qzss, sbas"), ("quectel-pqtm", None, "sbas")]
)
def test_what_a_maker_s_command_has_no_place_for_is_a_problem(name: str, replies: Replies | None, unknown: str) -> None:
    _, outcome = set_up(name, Wanted(1.0, ("gps", "qzss", "sbas")), replies or Lg290p())
    assert outcome.problems == [f"it cannot be told to search {unknown}"]


def test_what_the_sky_costs_does_not_grow_with_the_rate() -> None:
    every = {rate_hz: Wanted(rate_hz, ()).every("GSV") for rate_hz in (1.0, 2.0, 5.0, 10.0)}
    assert every == {1.0: 1, 2.0: 2, 5.0: 5, 10.0: 10}
    sent, _ = set_up("quectel-pmtk", Wanted(10.0, ()), pmtk)
    assert b"$PMTK314,0,1,0,1,1,5," in b"".join(sent), "it takes no more than five"


def test_pmtk_without_constellations_leaves_them_as_they_are() -> None:
    sent, _ = set_up("quectel-pmtk", AS_IT_IS, pmtk)
    assert not [each for each in sent if b"PMTK353" in each]
    assert b"$PMTK220,1000*1F\r\n" in sent


@pytest.mark.parametrize(
    ("flag", "words"), [("0", "invalid"), ("1", "not supported"), ("2", "failed")], ids=["invalid", "unknown", "failed"]
)
def test_what_pmtk_refuses_is_told_in_words(flag: str, words: str) -> None:
    def refuses(octets: bytes) -> bytes:
        return pmtk(octets) if b"220" not in octets else sentence(f"PMTK001,220,{flag}").rstrip()

    _, outcome = set_up("quectel-pmtk", FIVE_HERTZ, refuses)
    assert outcome.problems == [f"5 fixes a second was refused ({words})"]


def test_pmtk_sleeps_in_standby() -> None:
    sent, outcome = asleep("quectel-pmtk", pmtk)
    assert sent == [b"$PMTK161,0*28\r\n"]  # with its checksum in the L80's manual, 3.8
    assert outcome.problems == []


# --- Quectel, PQTM ---------------------------------------------------------------------------------------------------


class Lg290p:
    """Keeps what it is told; by the LG290P protocol specification, 2.3."""

    def __init__(self, rate: str = "100", constellations: str = "1,1,1,1,1,1") -> None:
        self.values = {"PQTMCFGFIXRATE": rate, "PQTMCFGCNST": constellations}

    def __call__(self, octets: bytes) -> bytes:
        name, *fields = octets.decode()[1:].partition("*")[0].split(",")
        match fields:
            case [] if name == "PQTMVERNO":
                return sentence("PQTMVERNO,LG290P03AANR01A03S,2024/04/30,10:51:19").rstrip()
            case ["R"]:
                return sentence(f"{name},OK,{self.values[name]}").rstrip()
            case ["W", *values] if name in self.values:
                self.values[name] = ",".join(values)
        return sentence(f"{name},OK").rstrip()


def pqtm_settings(sent: Sequence[bytes]) -> dict[str, dict[str, Any]]:
    """What is written, by pynmeagps's names."""
    found: dict[str, dict[str, Any]] = {}
    for message in sent:
        parsed = NMEAReader.parse(message, msgmode=NMEA_SET, validate=1)
        said = {name: value for name, value in vars(parsed).items() if not name.startswith("_")}
        if said.pop("status", None) == "W":
            found[parsed.identity + str(said.get("msgname", ""))] = said
    return found


def test_an_lg290p_is_set_by_pqtm() -> None:
    receiver = Lg290p()
    sent, outcome = set_up("quectel-pqtm", FIVE_HERTZ, receiver)
    wanted = {"GGA": 1, "RMC": 1, "GSA": 1, "GSV": 5, "GST": 1, "GLL": 0, "VTG": 0}
    assert pqtm_settings(sent) == {
        **{f"PQTMCFGMSGRATE{name}": {"msgname": name, "rate": rate} for name, rate in wanted.items()},
        "PQTMCFGFIXRATE": {"fixinterval": 200},
        "PQTMCFGCNST": {"gps": 1, "glonass": 1, "galileo": 1, "beidou": 0, "qzss": 0, "navic": 0},
    }
    # the checksums are the manual's own: 2.3.9, 2.3.15
    assert sent[0] == b"$PQTMVERNO*58\r\n"
    assert b"$PQTMCFGMSGRATE,W,GGA,1*0A\r\n" in sent
    assert [each.partition(b"*")[0] for each in sent[-2:]] == [b"$PQTMSAVEPAR", b"$PQTMSRR"], "saved, then begun anew"
    assert outcome == Outcome("LG290P03AANR01A03S", [])


def test_what_an_lg290p_has_already_is_not_saved_again() -> None:
    """Its flash is worn out by no start but the first."""
    receiver = Lg290p()
    set_up("quectel-pqtm", FIVE_HERTZ, receiver)
    sent, outcome = set_up("quectel-pqtm", FIVE_HERTZ, receiver)
    assert not [each for each in sent if b"SAVEPAR" in each or b"SRR" in each or b"HOT" in each]
    assert all(name.startswith("PQTMCFGMSGRATE") for name in pqtm_settings(sent))
    assert outcome.problems == []


def test_what_pqtm_refuses_is_told_in_words_and_nothing_of_it_is_saved() -> None:
    def refuses(octets: bytes) -> bytes:
        if b",W," in octets and b"MSGRATE" not in octets:
            return sentence(octets.decode()[1:].partition(",")[0] + ",ERROR,1").rstrip()
        return Lg290p()(octets)

    sent, outcome = set_up("quectel-pqtm", FIVE_HERTZ, refuses)
    assert outcome.problems == [
        "5 fixes a second was refused (error 1)",
        "the constellations gps, glonass, galileo was refused (error 1)",
    ]
    assert not [each for each in sent if b"SAVEPAR" in each]


def test_a_refusal_is_no_identity() -> None:
    def refuses(octets: bytes) -> bytes:
        return sentence("PQTMVERNO,ERROR,3").rstrip() if b"VERNO" in octets else Lg290p()(octets)

    _, outcome = set_up("quectel-pqtm", AS_IT_IS, refuses)
    assert outcome.identity is None


def test_pqtm_sleeps_by_stopping_its_engine() -> None:
    sent, outcome = asleep("quectel-pqtm", Lg290p())
    assert [NMEAReader.parse(each, msgmode=NMEA_SET).identity for each in sent] == ["PQTMGNSSSTOP"]
    assert outcome.problems == []
    assert NMEAReader.parse(RECEIVERS["quectel-pqtm"].wake, msgmode=NMEA_SET).identity == "PQTMGNSSSTART"


# --- any maker's -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_that_does_not_answer_is_told_in_words(name: str) -> None:
    sent, outcome = set_up(name, FIVE_HERTZ, silent)
    assert outcome.identity is None
    assert len(outcome.problems) >= 3
    assert all(problem.startswith("no answer to ") for problem in outcome.problems)
    assert len(sent) > 3, "it is told everything all the same"


_MESSAGES = (
    st.binary(max_size=80)
    | st.text("PMTKQ01235,AOKERR$*", max_size=40).map(str.encode)
    | st.sampled_from([
        mon_ver(M10), mon_ver("")[:20], b"", b"$", b"$PMTK001", b"$PMTK001,314", b"$PMTK001,314,9*00", b"$PMTK705*00",
        b"$PQTMVERNO*00", b"$PQTMVERNO,ERROR*00", b"$PQTMCFGFIXRATE,ERROR*00", b"$PQTMCFGFIXRATE,OK*00",
    ])
)  # fmt: skip


@given(st.sampled_from([*RECEIVERS]), st.lists(_MESSAGES, min_size=30, max_size=30))
def test_whatever_a_receiver_says_the_script_comes_to_its_end(name: str, messages: list[bytes]) -> None:
    said = iter(messages)
    sent, outcome = set_up(name, FIVE_HERTZ, lambda _: next(said, None))
    assert 4 <= len(sent) <= 20
    assert all(outcome.problems)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.", min_size=4, max_size=70))
def test_a_sentence_is_framed_as_pynmeagps_frames_it(body: str) -> None:
    total = 0
    for octet in body.encode():
        total ^= octet
    assert sentence(body) == f"${body}*{total:02X}\r\n".encode()


# --- with the simulator's receivers ----------------------------------------------------------------------------------


@dataclass
class Bench:
    """A receiver of the simulator and its maker's way to be talked to, on a line without delay."""

    receiver: Receiver
    twin: Twin
    now: float = 1000.0
    outcome: Outcome = field(default_factory=Outcome)

    def _hears(self, octets: bytes, talk: Talk, frames: FrameSplitter, lines: SentenceSplitter) -> None:
        said = self.twin.hear(octets, self.now).octets
        for message in frames.feed(said) if self.receiver.speaks_ubx else lines.feed(said):
            talk.heard(message, self.now)

    def runs(self, script: Script) -> None:
        """To its end, with whatever time it takes."""
        talk, frames, lines = Talk(script, self.now), FrameSplitter(), SentenceSplitter()
        for _ in range(500):
            if octets := talk.take():
                self._hears(octets, talk, frames, lines)
                continue
            due = talk.next_due()
            if due is None:
                return
            self.now = min(due, self.twin.due_s or due)
            self._hears(b"", talk, frames, lines)
            talk.poll(self.now)
        pytest.fail("it never ends")

    def waits(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.twin.due_s) is not None and due <= until:
            self.now = due
            self.twin.hear(b"", self.now)
        self.now = until

    def is_set_up(self, wanted: Wanted) -> None:
        self.outcome = Outcome()
        self.runs(self.receiver.set_up(wanted, self.outcome))
        self.waits(2.0)


TWINS: dict[str, tuple[str, Callable[[], Twin], set[System]]] = {
    "u-blox M10": ("ublox", lambda: Ublox(M10Configuration()), set()),
    "u-blox M8": ("ublox", lambda: Ublox(M8Configuration()), set()),
    # of these SBAS is not switched
    "Quectel L76": ("quectel-pmtk", Pmtk, {System.SBAS}),
    "Quectel LG290P": ("quectel-pqtm", Pqtm, {System.SBAS}),
}


@pytest.fixture(params=[*TWINS])
def bench(request: pytest.FixtureRequest) -> Bench:
    name, twin, _ = TWINS[request.param]
    return Bench(RECEIVERS[name], twin())


def programme(bench: Bench) -> Programme:
    assert bench.twin.programme is not None, "it is silent"
    return bench.twin.programme


def spoken(bench: Bench) -> set[str]:
    return {name for name, rate in programme(bench).rates.items() if rate}


def sleeps(bench: Bench) -> bool:
    return bench.twin.programme is None


@pytest.mark.parametrize("rate_hz", [1.0, 2.0, 5.0, 10.0])
def test_a_receiver_says_what_is_wanted_as_often_as_wanted(bench: Bench, rate_hz: float) -> None:
    bench.is_set_up(Wanted(rate_hz, ()))
    assert bench.outcome.problems == []
    assert bench.outcome.identity
    assert spoken(bench) == set(SENTENCES)
    assert programme(bench).interval_ms == 1000 / rate_hz


@pytest.mark.parametrize(
    "constellations",
    [("gps",), ("gps", "galileo"), ("gps", "glonass"), ("gps", "beidou"), ("gps", "glonass", "galileo")],
)
@pytest.mark.parametrize(("name", "twin", "always"), TWINS.values(), ids=TWINS.keys())
def test_a_receiver_hears_the_constellations_that_are_wanted(
    name: str, twin: Callable[[], Twin], always: set[System], constellations: tuple[str, ...]
) -> None:
    bench = Bench(RECEIVERS[name], twin())
    bench.is_set_up(Wanted(5.0, constellations))
    assert bench.outcome.problems == []
    assert programme(bench).systems == {System[each.upper()] for each in constellations} | always
    assert spoken(bench) == set(SENTENCES), "the settings before are not lost by it"
    assert programme(bench).interval_ms == 200


def test_constellations_that_a_receiver_cannot_hear_at_once_are_told() -> None:
    for name in ("u-blox M8", "Quectel L76"):
        bench = Bench(RECEIVERS[TWINS[name][0]], TWINS[name][1]())
        bench.is_set_up(Wanted(1.0, ("gps", "glonass", "galileo", "beidou")))
        assert len(bench.outcome.problems) == 1
        assert bench.outcome.problems[0].startswith("the constellations gps, glonass, galileo, beidou was refused")
        assert spoken(bench) == set(SENTENCES)


def test_a_receiver_sleeps_and_wakes_and_is_set_up_again(bench: Bench) -> None:
    bench.is_set_up(FIVE_HERTZ)
    for _ in range(2):
        outcome = Outcome()
        bench.runs(bench.receiver.sleep(outcome))
        assert outcome.problems == []
        assert sleeps(bench)
        bench.waits(36_000.0)
        assert sleeps(bench), "for as long as nobody wakes it"
        bench.twin.hear(bench.receiver.wake, bench.now)
        bench.waits(2.0)
        bench.is_set_up(FIVE_HERTZ)
        assert bench.outcome.problems == []
        assert spoken(bench) == set(SENTENCES)
        assert programme(bench).interval_ms == 200


def test_a_receiver_that_is_awake_is_not_hurt_by_being_woken(bench: Bench) -> None:
    bench.twin.hear(bench.receiver.wake, bench.now)
    bench.is_set_up(FIVE_HERTZ)
    assert bench.outcome.problems == []
    assert spoken(bench) == set(SENTENCES)


def test_a_receiver_of_another_maker_is_told_in_words() -> None:
    for name in ("quectel-pmtk", "ublox"):
        bench = Bench(RECEIVERS[name], Pqtm())
        bench.is_set_up(FIVE_HERTZ)
        assert bench.outcome.identity is None
        assert bench.outcome.problems


def test_a_set_up_that_forgets_to_save_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of an LG290P counts after it was saved and the module begun anew: a hot start is not enough."""
    original = sentence

    def hot(body: str) -> bytes:
        return original("PQTMHOT" if body == "PQTMSRR" else body)

    monkeypatch.setattr("bondmate.core.receivers.sentence", hot)
    bench = Bench(RECEIVERS["quectel-pqtm"], Pqtm())
    bench.is_set_up(FIVE_HERTZ)
    assert programme(bench).interval_ms != 200


def test_a_sleep_without_force_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.core.receivers._FORCE", 0)
    bench = Bench(RECEIVERS["ublox"], Ublox(M10Configuration()))
    bench.runs(bench.receiver.sleep(Outcome()))
    assert not sleeps(bench)
