from bondmate_sim.programme import TALKER
from bondmate_sim.receiver import Reaction, Talker, obeyed_rate, obeyed_sentence, obeyed_system, together
from bondmate_sim.sky import System


def test_a_talker_obeys_nobody() -> None:
    talker = Talker()
    for data in (b"", b"$PMTK161,0*28\r\n", b"\xb5b\x0a\x04\x00\x00\x0e\x34", bytes(range(256))):
        assert talker.hear(data, 1.0) == Reaction()
    assert (talker.programme, talker.due_s) == (TALKER, None)


def test_reactions_keep_their_order() -> None:
    assert together([]) == Reaction()
    assert together([Reaction(b"a", ("x",)), Reaction(), Reaction(b"b", ("y", "z"))]) == Reaction(
        b"ab", ("x", "y", "z")
    )


def test_news_are_words() -> None:
    assert obeyed_rate(200) == "obeyed rate 200 ms"
    assert (obeyed_sentence("GSV", 5), obeyed_sentence("GSV", 0)) == ("obeyed GSV every 5", "obeyed GSV off")
    assert (obeyed_system(System.GALILEO, True), obeyed_system(System.GPS, False)) == (
        "obeyed Galileo on",
        "obeyed GPS off",
    )
