import pytest
from gpiozero.pins import Factory

from bondmate.drivers.indicator import PinIndicator
from bondmate.errors import LocalError
from bondmate_sim.board_client import BoardClient

MOTOR, LED = 18, 27


def levels(hand: BoardClient) -> tuple[int, int]:
    return hand.request("read", pin=MOTOR)["level"], hand.request("read", pin=LED)["level"]


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


def test_the_end_leaves_both_off_and_free(factory: Factory, hand: BoardClient) -> None:
    indicator = PinIndicator(factory, MOTOR, LED, covert=False)
    indicator.vibrate(True)
    indicator.light(True)
    indicator.close()
    assert levels(hand) == (0, 0)
    assert not hand.request("read", pin=MOTOR)["claimed"]
    assert not hand.request("read", pin=LED)["claimed"]


@pytest.mark.parametrize(
    ("motor", "led", "complaint"),
    [
        (99, LED, "the vibration motor at pin 99 does not work"),
        (MOTOR, 99, "the LED at pin 99 does not work"),
        (MOTOR, MOTOR, f"the LED at pin {MOTOR} does not work: .*in use"),
    ],
    ids=["no motor", "no LED", "one pin for both"],
)
def test_a_pin_that_cannot_be_had_is_an_error_that_names_it(
    motor: int, led: int, complaint: str, factory: Factory
) -> None:
    with pytest.raises(LocalError, match=complaint):
        PinIndicator(factory, motor, led, covert=False)
