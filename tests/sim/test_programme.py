from dataclasses import replace

from bondmate_sim.programme import TALKER


def test_a_sentence_is_said_as_often_as_its_rate_says() -> None:
    programme = replace(TALKER, rates={"GGA": 1, "GSV": 3, "RMC": 0})
    assert [programme.says("GGA", epoch) for epoch in range(4)] == [True] * 4
    assert [programme.says("GSV", epoch) for epoch in range(7)] == [True, False, False, True, False, False, True]
    assert not any(programme.says("RMC", epoch) or programme.says("ZDA", epoch) for epoch in range(10))
