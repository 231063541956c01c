import datetime

from bondmate_sim.stamp import utc_now, utc_text


def test_the_contract_s_form_whatever_the_zone() -> None:
    berlin = datetime.timezone(datetime.timedelta(hours=1))
    when = datetime.datetime(2026, 11, 20, 16, 0, 0, 120_999, berlin)
    assert utc_text(when) == "2026-11-20T15:00:00.120Z"


def test_milliseconds_are_there_even_when_zero() -> None:
    assert utc_text(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)) == "2026-01-02T00:00:00.000Z"


def test_now_is_now() -> None:
    before = utc_text(datetime.datetime.now(datetime.UTC))
    assert before <= utc_now() <= utc_text(datetime.datetime.now(datetime.UTC))
