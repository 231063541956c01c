"""Random parts against the self-test's order, deadlines and verdicts, and what it says of them."""

import math
import re

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.selftest import CHECKS, TEXT_OCTETS, Check, SelfTest, Verdict, shortened

NAMES = [check.name for check in CHECKS]
BY_NAME = {check.name: check for check in CHECKS}
MAX_SUBMISSION_OCTETS = 1024
"""docs/protocol.md, section 5."""
LONGEST_S = 190.0
"""Of a whole test in which every part is silent: docs/api.yaml and the manual say three minutes and a half."""

OK, BAD, NONE = Verdict(True, "fine"), Verdict(False, "broken", "mend it"), Verdict(None, "none is configured")


def played(answers: dict[str, tuple[float, Verdict]], cancel_s: float = math.inf) -> tuple[SelfTest, dict[str, float]]:
    """A test in which parts answer so long after they are asked, or never; and when each check began."""
    test, now, due, began = SelfTest(), 0.0, dict[str, float](), dict[str, float]()
    while True:
        if now >= cancel_s:
            test.cancel("an alert was raised")
            break
        for name in [name for name, at in due.items() if at <= now]:
            del due[name]
            test.found(name, answers[name][1])
        for name in test.late(now):
            due.pop(name, None)
            test.found(name, Verdict(False, "late", "look"))
        for name in test.begin(now):
            assert name not in began
            began[name] = now
            if name in answers:
                due[name] = now + answers[name][0]
        if test.is_over:
            break
        next_s = test.next_due()
        assert next_s is not None, "it waits for nothing, and is not over"
        now = max(now, min([next_s, cancel_s, *due.values()]))
    return test, began


answers = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.floats(0, 200), st.sampled_from([OK, BAD, NONE])), max_size=len(NAMES)
)


def verdicts(test: SelfTest) -> dict[str, Verdict]:
    return {row.check.name: row.verdict for row in test.rows() if row.verdict is not None}


@given(answers)
def test_every_check_has_a_verdict_in_time_whatever_parts_do(given_: dict[str, tuple[float, Verdict]]) -> None:
    test, began = played(given_)
    found = verdicts(test)
    assert list(found) == NAMES, "all of them, in their order"
    assert all((verdict.next is not None) == (verdict.ok is False) for verdict in found.values())
    for name, verdict in found.items():
        check = BY_NAME[name]
        if name not in began:
            before = found[str(check.after)]
            assert check.needs
            assert before.ok is not True
            assert verdict.ok is before.ok
            continue
        if check.after is not None:
            assert began[name] >= began.get(check.after, 0.0)
        answer_s, answer = given_.get(name, (math.inf, BAD))
        if answer_s < check.within_s:
            assert verdict == answer
        elif answer_s > check.within_s:
            assert verdict == Verdict(False, "late", "look")
    assert test.passed is all(verdict.ok is not False for verdict in found.values())
    assert test.is_acceptance is (found["button"].ok is True)


def test_a_device_that_says_nothing_at_all_is_done_with_in_three_minutes() -> None:
    test, began = played({})
    assert max(at + BY_NAME[name].within_s for name, at in began.items()) <= LONGEST_S
    assert not test.passed
    assert not test.is_acceptance


def test_nobody_waits_for_a_person_while_the_receiver_looks_for_the_sky() -> None:
    _, began = played({"button": (5.0, OK), "led": (5.0, OK)})
    assert (began["button"], began["led"], began["vibration"]) == (0.0, 5.0, 10.0)
    assert {began[name] for name in ("gnss", "modem", "battery", "storage", "keys", "gateway-ip")} == {0.0}


def test_what_needs_another_says_so_and_points_there() -> None:
    test, _ = played({"modem": (1.0, BAD)})
    found = verdicts(test)
    assert found["sim"] == Verdict(False, "not looked at, for modem failed", "see modem")
    assert found["registration"] == Verdict(False, "not looked at, for sim failed", "see sim")
    assert found["gateway-lte"] == Verdict(False, "not looked at, for registration failed", "see registration")
    assert found["clock"].text == "late", "it is looked at also where there was no fix"
    without, _ = played({"modem": (0.0, NONE)})
    assert {verdicts(without)[name].ok for name in ("modem", "sim", "registration", "gateway-lte")} == {None}


@given(answers, st.floats(0, 200))
def test_a_test_that_is_cut_short_is_no_acceptance_and_passes_nothing_more(
    given_: dict[str, tuple[float, Verdict]], cancel_s: float
) -> None:
    whole, cut = played(given_)[0], played(given_, cancel_s)[0]
    assert cut.is_over
    if cut.cancelled is None:
        return
    assert not cut.is_acceptance
    for name, verdict in verdicts(cut).items():
        if verdict.text.startswith("not done"):
            assert verdict.ok is False
        else:
            assert verdict == verdicts(whole)[name]


def test_the_first_word_counts() -> None:
    test = SelfTest()
    test.found("keys", OK)
    test.found("keys", BAD)
    assert verdicts(test) == {"keys": OK}


def test_names_and_order_are_those_of_the_contract() -> None:
    assert NAMES == [
        "gnss", "fix", "modem", "sim", "registration", "button", "led", "vibration", "battery", "storage", "clock",
        "keys", "gateway-ip", "gateway-lte", "gateway-sms",
    ]  # fmt: skip
    assert all(re.fullmatch("[a-z-]{1,24}", name) for name in NAMES)
    for number, check in enumerate(CHECKS):
        assert check.after is None or check.after in NAMES[:number], "what it waits for stands before it"


def test_a_check_in_front_of_what_it_waits_for_would_be_noticed() -> None:
    wrong = (Check("second", 1.0, "", after="first", needs=True), Check("first", 1.0, ""))
    test = SelfTest(wrong)
    assert test.begin(0.0) == ["first"]
    test.found("first", BAD)
    assert test.begin(0.0) == []
    assert test.is_over, "in one pass, and only because nothing stands behind it"


@given(st.text(max_size=200), st.integers(3, 64))
def test_a_text_is_cut_to_its_octets_and_stays_text(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short.encode()) <= most
    assert short == text if len(text.encode()) <= most else text.startswith(short.removesuffix("…"))


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_the_longest_acceptance_fits_one_submission(letter: str) -> None:
    test = SelfTest()
    for name in NAMES:
        test.found(name, Verdict(False, letter * 500, "…"))
    body = ["v" * 64, test.acceptance()]
    payload = [1, 80, 0xFFFFFFFF, b"\0" * 4, 0xFFFFFFFFFF, b"\0" * 6, None, body]
    around = len(cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7}), {}, b"", b"\0" * 64]))) + 3 + 7
    assert len(cbor2.dumps(payload)) + around <= MAX_SUBMISSION_OCTETS
    assert all(1 <= len(str(text).encode()) <= TEXT_OCTETS for _, _, text in test.acceptance())
