import pytest

from bondmate_sim.modem_card import PUK, Card
from bondmate_sim.modem_errors import CmeError


def code_of(card: Card, *secrets: str) -> int | None:
    try:
        if len(secrets) == 1:
            card.verify(secrets[0])
        else:
            card.unblock(*secrets)
    except CmeError as error:
        return error.code
    return None


def test_three_wrong_pins_block_and_the_puk_unblocks() -> None:
    card = Card(pin="1234", blocked=False, inserted=True)
    assert card.state == "SIM PIN"
    assert [code_of(card, "0000") for _ in range(3)] == [16, 16, 12]
    assert (card.state, card.pin_attempts) == ("SIM PUK", 0)
    assert code_of(card, "1234") == 12, "the right one is too late"
    assert code_of(card, "00000000", "4321") == 16
    assert card.puk_attempts == 9
    assert code_of(card, PUK, "4321") is None
    assert card.ready
    card.restart()
    assert code_of(card, "1234") == 16
    assert code_of(card, "4321") is None


def test_a_right_pin_gives_all_attempts_back() -> None:
    card = Card(pin="1234", blocked=False, inserted=True)
    code_of(card, "1")
    code_of(card, "1234")
    assert (card.pin_attempts, card.ready) == (3, True)
    assert code_of(card, "1234") == 3, "nobody asked"


def test_ten_wrong_puks_are_the_end() -> None:
    card = Card(pin=None, blocked=True, inserted=True)
    assert [code_of(card, "87654321", "1") for _ in range(10)] == [16] * 10
    assert code_of(card, PUK, "1234") == 13


def test_no_card_no_state() -> None:
    card = Card(pin=None, blocked=False, inserted=False)
    with pytest.raises(CmeError) as caught:
        card.require()
    assert caught.value.code == 10
    assert not card.ready
