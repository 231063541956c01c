import pytest
from gpiozero.pins import Factory

from bondmate.drivers.indicator import PinIndicator
from bondmate.errors import LocalError
from bondmate_sim.board_client import BoardClient

MOTOR, LED, BUZZER = 18, 27, 23


def levels(hand: BoardClient) -> tuple[int, int]:
    return hand.request("read", pin=MOTOR)["level"], hand.request("read", pin=LED)["level"]


def sounds(hand: BoardClient) -> int:
    level: int = hand.request("read", pin=BUZZER)["level"]
    return level


def test_motor_and_led_follow_each_for_itself(factory: Factory, hand: BoardClient) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, covert=False)
    assert levels(hand) == (0, 0), "a start is neither felt nor seen"
    indicator.vibrate(True)
    assert levels(hand) == (1, 0)
    indicator.light(True)
    assert levels(hand) == (1, 1)
    indicator.vibrate(False)
    assert levels(hand) == (0, 1)
    indicator.light(False)
    assert levels(hand) == (0, 0)


def test_covert_keeps_the_led_dark_and_lets_the_motor_run(factory: Factory, hand: BoardClient) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, covert=True)
    with BoardClient(hand._path) as watcher:
        watcher.request("watch", pin=LED)
        indicator.light(True)
        indicator.vibrate(True)
        assert levels(hand) == (1, 0)
        indicator.light(False)
        watcher.request("read", pin=LED)
        assert watcher._edges.empty(), "not even for a moment"


def test_the_buzzer_plays_what_the_motor_plays(factory: Factory, hand: BoardClient) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, BUZZER, covert=False)
    assert (levels(hand), sounds(hand)) == ((0, 0), 0), "a start is not heard"
    indicator.vibrate(True)
    assert (levels(hand), sounds(hand)) == ((1, 0), 1)
    indicator.light(True)
    indicator.vibrate(False)
    assert (levels(hand), sounds(hand)) == ((0, 1), 0)


def test_covert_the_buzzer_is_never_heard(factory: Factory, hand: BoardClient) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, BUZZER, covert=True)
    with BoardClient(hand._path) as watcher:
        watcher.request("watch", pin=BUZZER)
        indicator.vibrate(True)
        assert (levels(hand), sounds(hand)) == ((1, 0), 0)
        indicator.vibrate(False)
        watcher.request("read", pin=BUZZER)
        assert watcher._edges.empty(), "not even for a moment"


def test_led_and_buzzer_obey_covert_at_once_and_the_motor_goes_on(factory: Factory, hand: BoardClient) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, BUZZER, covert=False)
    indicator.vibrate(True)
    indicator.light(True)
    indicator.covert = True
    assert (levels(hand), sounds(hand), indicator.covert) == ((1, 0), 0, True)
    indicator.covert = False
    assert (levels(hand), sounds(hand), indicator.covert) == ((1, 1), 1, False)
    indicator.covert = True
    indicator.vibrate(False)
    indicator.light(False)
    indicator.covert = False
    assert (levels(hand), sounds(hand)) == ((0, 0), 0), "what was asked for last, while nobody saw it"


def test_a_led_that_is_tested_is_lit_covert_too_and_the_buzzer_stays_silent(
    factory: Factory, hand: BoardClient
) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, BUZZER, covert=True)
    indicator.light(True, tested=True)
    indicator.vibrate(True)
    assert (levels(hand), sounds(hand)) == ((1, 1), 0)
    indicator.light(True)
    assert levels(hand) == (1, 0), "as soon as the test is over it obeys again"


@pytest.mark.parametrize(
    ("pin", "code", "what"),
    [(MOTOR, "vibration", "the vibration motor"), (LED, "led", "the LED"), (BUZZER, "buzzer", "the buzzer")],
)
def test_a_short_circuit_is_a_fault_of_that_line_alone_and_goes_with_it(
    pin: int, code: str, what: str, factory: Factory, hand: BoardClient
) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, BUZZER, covert=False)
    hand.request("short", pin=pin, level=0)
    indicator.vibrate(True)
    indicator.light(True)
    [fault] = indicator.faults()
    assert (fault.code, fault.text) == (code, f"{what} at pin {pin} stays low when it is driven high")
    assert "short circuit" in fault.next
    working = {MOTOR, LED, BUZZER} - {pin}
    assert all(hand.request("read", pin=other)["level"] == 1 for other in working), "the others work"
    hand.request("short", pin=pin, level=None)
    indicator.vibrate(False)
    indicator.light(False)
    assert indicator.faults() == ()


def test_a_line_that_cannot_be_driven_is_a_fault_and_no_error(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, covert=False)

    def gone(self: object, value: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("bondmate_sim.pin_factory.SimulatedPin._set_state", gone)
    indicator.light(True)
    indicator.vibrate(True)
    assert [fault.code for fault in indicator.faults()] == ["vibration", "led"]
    assert "Input/output error" in indicator.faults()[1].text


def test_the_end_leaves_all_off_and_free(factory: Factory, hand: BoardClient) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, BUZZER, covert=False)
    indicator.vibrate(True)
    indicator.light(True)
    indicator.close()
    assert (levels(hand), sounds(hand)) == ((0, 0), 0)
    assert not any(hand.request("read", pin=pin)["claimed"] for pin in (MOTOR, LED, BUZZER))


@pytest.mark.parametrize(
    ("pins", "complaint"),
    [
        ((99, LED), "the vibration motor at pin 99 does not work"),
        ((MOTOR, 99), "the LED at pin 99 does not work"),
        ((MOTOR, MOTOR), f"the LED at pin {MOTOR} does not work: .*in use"),
        ((MOTOR, LED, 99), "the buzzer at pin 99 does not work"),
    ],
    ids=["no motor", "no LED", "one pin for both", "no buzzer"],
)
def test_a_pin_that_cannot_be_had_is_an_error_that_names_it(
    pins: tuple[int, int] | tuple[int, int, int], complaint: str, factory: Factory
) -> None:
    with pytest.raises(LocalError, match=complaint):
        PinIndicator(factory, *pins, covert=False)
