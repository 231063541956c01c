import pytest

from bondmate_sim.lines import Edge
from bondmate_sim.palm import Felt, Pulse, felt, pulses

MS = 1_000_000


def motor(*levels_at_ms: tuple[int, int]) -> list[Edge]:
    return [Edge(18, 1 if level else 0, at_ms * MS, "") for at_ms, level in levels_at_ms]


def test_pulses_are_whole_rises_and_falls() -> None:
    seen = pulses(motor((10, 0), (20, 1), (420, 0), (600, 1)))
    assert seen == (Pulse(20 * MS, 400.0),), "a fall before any rise, and a pulse that is still on, do not count"


def train(start_ms: int, lengths_ms: list[float], pause_ms: float = 100) -> list[Pulse]:
    at_ms, made = float(start_ms), []
    for length in lengths_ms:
        made.append(Pulse(int(at_ms * MS), length))
        at_ms += length + pause_ms
    return made


def at_once(seen: list[Pulse]) -> tuple[Felt, ...]:
    """What was felt as soon as the last pulse is over."""
    return felt(seen, int(seen[-1].start_ns + seen[-1].length_ms * MS))


@pytest.mark.parametrize("stretch", [0.9, 1.0, 1.15])
def test_each_promised_pattern_is_recognised(stretch: float) -> None:
    def lengths(*nominal: int) -> list[float]:
        return [length * stretch for length in nominal]

    assert at_once(train(0, lengths(1500))) == (Felt("exercise", 0),)
    assert at_once(train(0, lengths(220, 220, 220))) == (Felt("acknowledged", 0),)
    assert at_once(train(0, lengths(800, 800))) == (Felt("attention", 0),)
    assert at_once(train(0, lengths(400))) == (Felt("stored", 0),)
    assert at_once(train(5, lengths(120, 120))) == (Felt("delivered", 5 * MS),)
    assert at_once(train(0, lengths(80, 80, 80, 80, 80))) == (Felt("not stored", 0),)


def test_patterns_follow_each_other() -> None:
    both = at_once([*train(0, [400]), *train(800, [120, 120]), *train(1540, [400])])
    assert [one.pattern for one in both] == ["stored", "delivered", "stored"]
    after_it = [*train(0, [1500]), *train(1900, [400]), *train(2700, [120, 120]), *train(3450, [220, 220, 220])]
    assert [one.pattern for one in at_once(after_it)] == ["exercise", "stored", "delivered", "acknowledged"]


def test_a_machine_that_stretches_pulses_does_not_change_what_is_felt() -> None:
    busy = [*train(0, [560]), *train(960, [200, 140]), *train(1800, [300, 230, 250], 200), *train(3400, [400])]
    assert [one.pattern for one in at_once(busy)] == ["stored", "delivered", "acknowledged", "stored"]


@pytest.mark.parametrize("lengths", [[240, 125], [125, 330], [500, 120]])
@pytest.mark.parametrize("pause_ms", [120, 280])
def test_one_pulse_of_two_that_is_far_too_long_does_not_change_what_is_felt(
    lengths: list[float], pause_ms: float
) -> None:
    assert at_once(train(0, lengths, pause_ms)) == (Felt("delivered", 0),), "as long as nothing comes behind it"
    both = at_once([*train(0, lengths, pause_ms), *train(2000, [400])])
    assert [one.pattern for one in both] == ["delivered", "stored"]


def test_half_a_pattern_is_none() -> None:
    assert at_once(train(0, [120])) == ()
    assert at_once(train(0, [80, 80, 80, 80])) == ()
    assert at_once(train(0, [220, 220])) == ()
    halves = at_once([*train(0, [120]), *train(520, [400]), *train(1320, [120])])
    assert [one.pattern for one in halves] == ["stored"], "two halves around another pattern are not a whole"


def test_a_pulse_without_length_is_the_shortest_there_is() -> None:
    assert at_once(train(0, [0, 0, 0, 0, 0])) == (Felt("not stored", 0),)


def test_when_nothing_followed_the_number_of_pulses_tells() -> None:
    """A pulse that began late is too short, and looked like one of five."""
    short = train(0, [80, 120])
    assert at_once(short) == ()
    assert felt(short, 4000 * MS) == (Felt("delivered", 0),)
    assert felt(train(0, [120]), 4000 * MS) == ()
    assert felt(train(0, [80] * 4), 4000 * MS) == ()
