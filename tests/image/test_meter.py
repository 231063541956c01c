from bondmate_image.meter import Progress, minutes


def test_rate_and_time_left_are_of_the_phase() -> None:
    card = Progress("/dev/sdb", 100_000_000)
    assert card.line() == "/dev/sdb  waiting"
    card.heard("writing", 0, now=50.0)
    assert card.line() == "/dev/sdb  writing      0 %"
    card.heard("writing", 25_000_000, now=52.5)
    assert card.line() == "/dev/sdb  writing     25 %   10.0 MB/s  0:08 left"
    card.heard("comparing", 0, now=60.0)
    assert card.line() == "/dev/sdb  comparing    0 %"
    card.heard("comparing", 50_000_000, now=61.0)
    assert card.line() == "/dev/sdb  comparing   50 %   50.0 MB/s  0:01 left"


def test_the_end_takes_the_place_of_the_way() -> None:
    card = Progress("/dev/sdb", 100)
    card.heard("writing", 50, now=1.0)
    card.end = "done"
    assert card.line() == "/dev/sdb  done"


def test_for_machines_what_is_unknown_is_null() -> None:
    card = Progress("/dev/sdb", 1000)
    card.heard("writing", 0, now=1.0)
    assert (card.as_json()["rate"], card.as_json()["left_s"]) == (None, None)
    card.heard("writing", 250, now=2.0)
    assert card.as_json() == {
        "event": "progress",
        "card": "/dev/sdb",
        "phase": "writing",
        "percent": 25,
        "octets": 250,
        "of": 1000,
        "rate": 250,
        "left_s": 3.0,
    }


def test_a_time_is_minutes_and_seconds() -> None:
    assert [minutes(seconds) for seconds in (0, 59.4, 59.6, 3600)] == ["0:00", "0:59", "1:00", "60:00"]
