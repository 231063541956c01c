"""The factory over libgpiod: on a machine without a chip here, and on real lines of a real kernel in a guest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate.drivers.pins import open_factory
from bondmate.errors import LocalError
from tests.drivers import guest as machine
from tests.drivers.guest import Guest
from tests.drivers.in_guest import BUTTON, BUZZER, CONTACT, LED, MOTOR


@pytest.mark.skipif(any(Path("/dev").glob("gpiochip*")), reason="this machine has a GPIO chip")
@pytest.mark.parametrize("chip", ["auto", "pinctrl-bcm2711"])
def test_a_machine_without_a_chip_is_an_error_that_says_so(chip: str) -> None:
    with pytest.raises(
        LocalError, match=r"gpio.factory 'gpiod' does not work here: no GPIO chip .*has none .*Set gpio"
    ):
        open_factory("gpiod", chip)


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    if reason := machine.why_not():
        pytest.skip(reason)
    made = Guest(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_lines_of_a_real_kernel(guest: Guest) -> None:
    """One test, for one boot; each step begins with the lines at rest."""
    for step in (
        a_press_has_the_kernel_s_times_and_comes_in_the_loop_s_own_thread,
        a_button_that_is_down_already_is_found_by_reading,
        edges_that_were_lost_are_counted_and_the_level_is_read_again,
        outputs_are_driven_and_float_when_they_are_given_back,
        a_contact_is_looked_at,
        what_cannot_be_had_is_told_with_what_to_do,
        a_pin_that_was_given_back_can_be_had_again,
    ):
        for line in range(8):
            guest.drive(line, 1)
        step(guest)


def drive(guest: Guest, level: int) -> tuple[bool, float, bool]:
    """Drive the button's line, and wait for the edge: the kernel reads a level when it comes to it."""
    guest.drive(BUTTON, level)
    down, at, from_start = guest.hear()
    return down, at, from_start


def a_press_has_the_kernel_s_times_and_comes_in_the_loop_s_own_thread(guest: Guest) -> None:
    guest.begin("press")
    before = guest.hear()
    down, pressed, early = drive(guest, 0)
    up, released, late = drive(guest, 1)
    after, threads = guest.hear()
    assert (down, up, early, late) == (True, False, False, False)
    assert before < pressed < released < after
    assert threads == 1


def a_button_that_is_down_already_is_found_by_reading(guest: Guest) -> None:
    guest.drive(BUTTON, 0)
    guest.begin("down_already")
    down, _, from_start = guest.hear()
    assert (down, from_start) == (True, True)
    down, _, from_start = drive(guest, 1)
    assert (down, from_start) == (False, False)
    assert guest.hear() is False


def edges_that_were_lost_are_counted_and_the_level_is_read_again(guest: Guest) -> None:
    guest.begin("deaf")
    assert guest.hear() == "wired"
    for number in range(300):
        guest.drive(BUTTON, number % 2)
        guest.settle()
    guest.drive(BUTTON, 0)
    guest.begin("")
    edges, pressed, warnings = guest.hear()
    assert pressed
    assert edges[-1][0], "the last that is told is how the contact is"
    assert any("edges came faster than they could be read" in text for text in warnings)
    times = [at for _, at, _ in edges]
    assert times == sorted(times)


def outputs_are_driven_and_float_when_they_are_given_back(guest: Guest) -> None:
    guest.begin("outputs")
    for expected in ((0, 0, 0), (1, 0, 1), (1, 1, 1), (None, None, None)):
        assert guest.hear() == "done"
        assert tuple(guest.driven(line) for line in (MOTOR, LED, BUZZER)) == expected
        guest.begin("")


def a_contact_is_looked_at(guest: Guest) -> None:
    guest.begin("contact")
    for closed in (False, True, False):
        assert guest.hear() is closed
        guest.drive(CONTACT, int(closed))


def what_cannot_be_had_is_told_with_what_to_do(guest: Guest) -> None:
    guest.begin("refusals")
    told = guest.hear()
    assert told["auto"] == (
        "gpio.factory 'gpiod' does not work here: no GPIO chip of a known board (pinctrl-bcm2835, pinctrl-bcm2711,"
        f" pinctrl-rp1); there are {machine.CHIP}. Set gpio.chip to the label of the one with the button"
    )
    assert f"no GPIO chip labelled 'pinctrl-nobody'; there are {machine.CHIP}." in told["chip"]
    assert told["line"].startswith(
        f"the button at pin 8 does not work: {machine.CHIP} (/dev/gpiochip0) has the lines 0 to 7"
    )
    assert f"line 1 of {machine.CHIP} is in use by 'somebody'; stop that, or take another pin" in told["busy"]
    assert "already in use" in told["twice"]
    assert told["consumer"] == "bondmate"
    assert not told["closed"]
    assert not told["all closed"]


def a_pin_that_was_given_back_can_be_had_again(guest: Guest) -> None:
    guest.begin("again")
    assert guest.hear() == "closed"
    guest.drive(BUTTON, 0)
    guest.drive(BUTTON, 1)
    guest.begin("")
    assert guest.hear() == "wired"
    assert drive(guest, 0)[0::2] == (True, False), "and nothing of what was before"
    assert drive(guest, 1)[0::2] == (False, False)
