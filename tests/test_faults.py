"""What does not work right now."""

import logging

import pytest

from bondmate.faults import Faults

NOON_MS = 1_795_176_000_000
"""2026-11-20T12:00:00Z"""


def test_a_fault_is_there_until_it_is_gone() -> None:
    faults = Faults()
    faults.report("gnss", "no sentence for 5 s", "check the cable", NOON_MS)
    assert "gnss" in faults
    assert faults.to_json() == [
        {"code": "gnss", "since": "2026-11-20T12:00:00.000Z", "text": "no sentence for 5 s", "next": "check the cable"}
    ]
    faults.report("gnss", None, "", NOON_MS + 1)
    assert "gnss" not in faults
    assert faults.to_json() == []


def test_since_when_stays_while_the_words_change() -> None:
    faults = Faults()
    faults.report("store", "disk full", "make room", NOON_MS)
    faults.report("store", "card gone", "replace it", NOON_MS + 60_000)
    [fault] = faults.to_json()
    assert (fault["since"], fault["text"], fault["next"]) == ("2026-11-20T12:00:00.000Z", "card gone", "replace it")


def test_the_same_report_again_changes_nothing() -> None:
    faults = Faults()
    faults.report("gnss", "unplugged", "plug it in", NOON_MS)
    before = faults.to_json()
    faults.report("gnss", "unplugged", "plug it in", NOON_MS + 60_000)
    assert faults.to_json() == before


def test_a_fault_that_came_back_is_a_new_one() -> None:
    faults = Faults()
    for now_ms in (NOON_MS, NOON_MS + 60_000):
        faults.report("gnss", "unplugged", "plug it in", now_ms)
        if now_ms == NOON_MS:
            faults.report("gnss", None, "", now_ms)
    [fault] = faults.to_json()
    assert fault["since"] == "2026-11-20T12:01:00.000Z"


def test_since_when_is_null_while_utc_is_unknown() -> None:
    faults = Faults()
    faults.report("gnss", "unplugged", "plug it in", None)
    assert faults.to_json()[0]["since"] is None


def test_the_oldest_comes_first() -> None:
    faults = Faults()
    for code in ("store", "gnss", "configuration"):
        faults.report(code, "broken", "mend it", NOON_MS)
    faults.report("store", "broken again", "mend it", NOON_MS)
    assert [fault["code"] for fault in faults.to_json()] == ["store", "gnss", "configuration"]


def test_the_codes_are_those_of_the_faults_that_are_present() -> None:
    faults = Faults()
    assert faults.codes() == []
    for code in ("store", "gnss", "configuration"):
        faults.report(code, "broken", "mend it", NOON_MS)
    faults.report("gnss", None, "", NOON_MS)
    assert faults.codes() == ["store", "configuration"]
    faults.codes().clear()
    assert faults.codes() == ["store", "configuration"], "what was handed out is not what is kept"


def test_coming_and_going_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    with caplog.at_level(logging.INFO, "bondmate.faults"):
        for seconds in range(5, 10):
            faults.report("gnss", f"no sentence for {seconds} s", "check the cable", NOON_MS)
        for _ in range(3):
            faults.report("gnss", None, "", NOON_MS)
    assert [record.getMessage() for record in caplog.records] == [
        "fault gnss: no sentence for 5 s; check the cable",
        "fault gnss is gone",
    ]


def test_the_journal_can_be_searched_for_the_code_of_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    Faults().report("gnss", "unplugged", "plug it in", NOON_MS)
    [entry] = caplog.records
    assert (entry.levelname, vars(entry)["FAULT"]) == ("WARNING", "gnss")
