import datetime

import pytest

from bondmate_sim.message_centre import MAX_KEPT, OVERTAKEN_S, FullError, Manners, MessageCentre
from bondmate_sim.short_message import UserData

UTC = datetime.datetime(2026, 11, 26, 10, 0, 0, tzinfo=datetime.UTC)
DEVICE, GATEWAY = "+4915550001", "+4915550002"


def text(number: int) -> UserData:
    octets = b"%d" % number
    return UserData(4, False, len(octets), octets)


def submit(centre: MessageCentre, number: int, now_s: float = 0.0) -> str:
    return centre.submit(DEVICE, GATEWAY, text(number), UTC, now_s)


def taken(centre: MessageCentre, now_s: float) -> list[int]:
    """What is delivered then, acknowledged at once."""
    attempts = centre.attempts(now_s)
    for attempt in attempts:
        assert centre.acknowledge(attempt.client, attempt.delivery.id)
    return [int(attempt.delivery.data.octets) for attempt in attempts]


def test_a_message_goes_to_whom_it_is_for_as_it_was() -> None:
    centre = MessageCentre(Manners())
    centre.attach(GATEWAY, 1)
    centre.attach("+4900", 2)
    assert submit(centre, 7) == "sent"
    [attempt] = centre.attempts(0.0)
    assert attempt.client == 1
    delivery = attempt.delivery
    assert (delivery.sender, delivery.time, delivery.data) == (DEVICE, UTC, text(7))
    assert centre.acknowledge(1, delivery.id)
    assert not centre.acknowledge(1, delivery.id), "once"
    assert centre.attempts(0.0) == []


def test_it_waits_for_its_number_and_for_its_delay() -> None:
    centre = MessageCentre(Manners(delay_s=(2.0, 3.0), seed=1))
    submit(centre, 1, 10.0)
    assert centre.attempts(99.0) == [], "nobody is attached"
    centre.attach(GATEWAY, 1)
    assert 12.0 <= (centre.due_s or 0.0) <= 13.0
    assert taken(centre, 11.99) == []
    assert taken(centre, 13.0) == [1]


def test_what_is_not_acknowledged_comes_again_at_the_next_attach() -> None:
    centre = MessageCentre(Manners())
    centre.attach(GATEWAY, 1)
    submit(centre, 1)
    assert len(centre.attempts(0.0)) == 1
    assert centre.attempts(1.0) == [], "once for each attach"
    assert centre.due_s is None
    centre.attach(GATEWAY, 1)
    assert taken(centre, 2.0) == [1]


def test_a_later_client_takes_a_number_over() -> None:
    centre = MessageCentre(Manners())
    centre.attach(GATEWAY, 1)
    submit(centre, 1)
    [old] = centre.attempts(0.0)
    centre.attach(GATEWAY, 2)
    assert centre.number(1) is None
    assert not centre.acknowledge(1, old.delivery.id), "it is the other's now"
    assert [attempt.client for attempt in centre.attempts(0.0)] == [2]


@pytest.mark.parametrize(("manners", "fates"), [(Manners(loss=1), {"lost"}), (Manners(duplicate=1), {"duplicated"})])
def test_loss_and_duplication(manners: Manners, fates: set[str]) -> None:
    centre = MessageCentre(manners)
    centre.attach(GATEWAY, 1)
    assert {submit(centre, number) for number in range(5)} == fates
    expected = [] if manners.loss else [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert taken(centre, 0.0) == expected


def test_a_seed_repeats_its_luck_and_delay_changes_none_of_it() -> None:
    def fates(seed: int, most_s: float) -> list[str]:
        centre = MessageCentre(Manners((0.0, most_s), loss=0.3, duplicate=0.3, seed=seed))
        return [submit(centre, number) for number in range(100)]

    assert fates(5, 0.0) == fates(5, 9.0)
    assert fates(5, 0.0) != fates(6, 0.0)
    assert 10 < fates(5, 0.0).count("lost") < 50


def test_one_is_overtaken_by_the_next_or_comes_late() -> None:
    centre = MessageCentre(Manners(reorder=1.0))
    centre.attach(GATEWAY, 1)
    submit(centre, 1, 0.0)
    assert taken(centre, 0.5) == []
    submit(centre, 2, 0.5)
    assert taken(centre, 0.502) == [1], "the second waits to be overtaken itself"
    assert taken(centre, 0.5 + OVERTAKEN_S) == [2]


def test_half_reordered_come_all_and_not_in_order() -> None:
    centre = MessageCentre(Manners(reorder=0.5, seed=2))
    centre.attach(GATEWAY, 1)
    came: list[int] = []
    for number in range(20):
        submit(centre, number, float(number) / 10)
        came += taken(centre, number / 10)
    came += taken(centre, 100.0)
    assert sorted(came) == list(range(20))
    assert came != sorted(came)


def test_in_order_without_reordering() -> None:
    centre = MessageCentre(Manners())
    centre.attach(GATEWAY, 1)
    for number in range(20):
        submit(centre, number)
    assert taken(centre, 0.0) == list(range(20))


def test_a_full_centre_refuses_and_forgets_nothing() -> None:
    centre = MessageCentre(Manners())
    for number in range(MAX_KEPT - 1):
        submit(centre, number)
    with pytest.raises(FullError):
        submit(centre, 1)
    centre.attach(GATEWAY, 1)
    assert taken(centre, 0.0) == list(range(MAX_KEPT - 1))
    assert submit(centre, 1) == "sent"
