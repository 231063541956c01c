"""The parts of a board as the configuration has them."""

from dataclasses import replace

from bondmate import config
from bondmate.board import gestures, gnss_settings
from bondmate.core.gesture import Gesture
from bondmate.records import Kind
from tests.conftest import TOP


def example(**gpio: object) -> config.Configuration:
    found = config.parse((TOP / "docs" / "bondmate.example.toml").read_text(), "example")
    return replace(found, gpio=replace(found.gpio, **gpio))  # type: ignore[arg-type]


def test_a_hold_calls_for_help_and_what_is_none_is_not_listened_for() -> None:
    assert gestures(example()) == ({Gesture.HOLD: Kind.PANIC},)


def test_the_second_button_has_gestures_of_its_own() -> None:
    found = example(second_button_pin=22)
    section = replace(found.gestures, double=Kind.ASSISTANCE, second_hold=Kind.MEDICAL)
    assert gestures(replace(found, gestures=section)) == (
        {Gesture.HOLD: Kind.PANIC, Gesture.DOUBLE: Kind.ASSISTANCE},
        {Gesture.HOLD: Kind.MEDICAL},
    )


def test_the_receiver_is_set_as_it_is_configured() -> None:
    found = gnss_settings(replace(example().gnss, port="/dev/ttyACM0", rate_hz=5.0))
    assert (found.port, found.wanted.rate_hz, found.receiver) == ("/dev/ttyACM0", 5.0, None)
