from typing import Any

import pytest

from bondmate.updater.order import MAX_OCTETS, Order, Situation, UnfitError, read

WANTED = {
    "number": 7,
    "software": "1.2.3",
    "url": "http://192.0.2.7/b.raucb",
    "octets": 5,
    "sha256": "0a" * 32,
    "at_once": True,
}
SAID: dict[str, Any] = {
    "wanted": WANTED,
    "may": {"fetch": True, "install": False, "restart": False},
    "why_not": "the device is not charging",
    "alert_open": False,
    "unwell": None,
    "reached": True,
    "of a later version": [],
}


def test_what_the_daemon_says() -> None:
    order = Order(7, "1.2.3", "http://192.0.2.7/b.raucb", 5, "0a" * 32)
    assert read(SAID) == Situation(order, True, False, False, "the device is not charging", False, None, True)
    assert read(SAID | {"wanted": None}).order is None
    assert read(SAID | {"alert_open": None}).alert_open is None


@pytest.mark.parametrize("name", ["wanted", "may", "why_not", "alert_open", "unwell", "reached"])
def test_half_of_it_is_nothing(name: str) -> None:
    said: Any
    for said in ({key: value for key, value in SAID.items() if key != name}, SAID | {name: 7}, [], None, "x"):
        with pytest.raises(UnfitError):
            read(said)


@pytest.mark.parametrize(
    "wrong",
    [
        {"octets": 0},
        {"octets": MAX_OCTETS + 1},
        {"url": "http://x/" + "y" * 200},
        {"sha256": "0A" * 32},
        {"sha256": "../" * 21 + "x"},
        {"software": None},
    ],
)
def test_what_is_out_of_bounds_is_not_carried_out(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnfitError):
        read(SAID | {"wanted": WANTED | wrong})
