"""Messages as the page of the officer has them."""

from typing import Any

import pytest

from bondmate import messages
from bondmate.letters import letter_of
from bondmate.mail import KeptMessage, MessageState, MessageType
from bondmate.records import Fix, Moment
from tests.letters import ALERT, ASSISTANCE, CLOSE, NOW_S, TEXT, message


def kept(type_: int, body: Any = None, state: MessageState = MessageState.TAKEN, **changed: Any) -> KeptMessage:
    data = message(3, type_, body, **changed)
    answer = "On my way" if state is MessageState.ANSWERED else None
    return KeptMessage(3, type_, data, messages.read(data).expires_s, Moment(1.0, None), state, answer)


def shown(of: KeptMessage, here: Fix | None = None) -> dict[str, Any]:
    letter = letter_of(of)
    assert letter is not None
    return letter.to_json(here)


def at(lat: float, lon: float) -> Fix:
    return Fix(taken_s=0.0, lat=lat, lon=lon, mode=3)


def test_a_text_has_everything_and_what_does_not_apply_is_null() -> None:
    assert shown(kept(TEXT, urgency=1, expires_s=NOW_S + 60)) == {
        "number": 3,
        "type": "message",
        "text": "Come to the station.",
        "by": "M. Costa",
        "sent_at": "2030-03-17T17:46:40.000Z",
        "urgent": True,
        "replies": ["On my way", "Cannot"],
        "state": "taken",
        "answer": None,
        "place": None,
        "kind": None,
        "distance_m": None,
        "bearing_deg": None,
        "expires_at": "2030-03-17T17:47:40.000Z",
    }


def test_an_answer_is_shown_with_its_message() -> None:
    found = shown(kept(TEXT, state=MessageState.ANSWERED))
    assert (found["state"], found["answer"]) == ("answered", "On my way")


def test_of_a_colleague_distance_and_direction_are_from_where_the_device_is() -> None:
    colleague = kept(ASSISTANCE)
    far = shown(colleague, at(38.722252, -9.150837))
    assert (far["type"], far["kind"]) == ("assistance", "panic")
    assert far["place"] == {"lat": 38.722252, "lon": -9.139337, "radius_m": 25}
    assert far["distance_m"] == pytest.approx(998, abs=3)
    assert far["bearing_deg"] == 90
    unknown = shown(colleague)
    assert (unknown["distance_m"], unknown["bearing_deg"]) == (None, None)


def test_north_is_0_also_where_rounding_makes_it_360() -> None:
    assert shown(kept(ASSISTANCE), at(38.622252, -9.1393))["bearing_deg"] == 0


def test_a_kind_of_a_later_version_has_no_name() -> None:
    assert shown(kept(ASSISTANCE, ["Help.", [], [0, 0, 1], 250]))["kind"] is None


def test_an_alert_has_its_area_or_none() -> None:
    assert shown(kept(ALERT))["place"]["radius_m"] == 400
    assert shown(kept(ALERT, ["Storm.", [], None]), at(1, 1))["place"] is None


def test_what_nobody_reads_or_this_daemon_cannot_read_is_no_letter(caplog: pytest.LogCaptureFixture) -> None:
    assert letter_of(kept(CLOSE)) is None
    assert caplog.text == ""
    for octets in (b"", b"\xd2\x80", message(1, TEXT)[:-1]):
        assert letter_of(KeptMessage(3, TEXT, octets, None, Moment(1.0, None), MessageState.TAKEN)) is None
    assert caplog.text.count("message 3 cannot be shown") == 3


def test_every_type_and_state_has_a_name() -> None:
    assert [each.label for each in MessageType] == [
        "message",
        "alert",
        "assistance",
        "acknowledge",
        "close",
        "exercise",
        "update",
        "wipe",
        "rekey",
    ]
    assert [each.label for each in MessageState] == [
        "taken",
        "read",
        "answered",
        "without-effect",
        "carried-out",
        "failed",
    ]
