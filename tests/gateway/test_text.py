from typing import Any

from bondmate_sim.gateway import text

FIX: dict[str, Any] = {
    "time": "2026-11-20T15:00:00.120Z",
    "lat": 38.722252,
    "lon": -9.139337,
    "accuracy_m": 3.1,
    "age_s": 0.4,
    "coarse": False,
    "suspect": [],
}
ALERT: dict[str, Any] = {
    "alert_id": "BM-7f3a09c1/0012-5be2aa10/alert/1",
    "device": "BM-7f3a09c1",
    "kind": "panic",
    "state": "delivered",
    "raised_at": "2026-11-20T15:00:00.120Z",
    "received_at": "2026-11-20T15:00:01.000Z",
    "cancelled_at": None,
    "bearer": "ip",
    "fix": FIX,
    "positions": 1,
    "before": [],
    "verdict": "held",
    "why": None,
    "chain": "whole",
    "store_lost": False,
    "forks": [],
}
DEVICE: dict[str, Any] = {
    "device": "BM-7f3a09c1",
    "enrolled_at": "2026-11-20T09:00:00.000Z",
    "last_seen_at": None,
    "sessions": [],
    "revoked": False,
    "revoked_at": None,
    "forks": [],
    "branches": [],
    "attempts": [],
    "missing": [],
    "missing_count": 0,
    "missing_before_loss": [],
    "thinned": {"superseded": 7, "expired": 0},
    "lost_with_store": 0,
    "store_lost": [],
    "health": None,
    "presence": None,
}


def test_an_alert_reads_from_what_to_where() -> None:
    where = "geo:38.7222520,-9.1393370;u=3.1 (within 3.1 m, taken 2026-11-20 15:00:00 UTC, 0.4 s before it was sent)"
    assert text.alerts([ALERT]).splitlines() == [
        "PANIC  BM-7f3a09c1/0012-5be2aa10/alert/1",
        "  raised    2026-11-20 15:00:00 UTC by the device's clock",
        "  received  2026-11-20 15:00:01 UTC over ip",
        f"  where     {where}",
        "  state     delivered; 1 position followed",
    ]


def test_what_is_unknown_is_said_so() -> None:
    shown = text.alerts([ALERT | {"raised_at": None, "fix": None}])
    assert "raised    unknown\n" in shown
    assert "where     unknown" in shown
    assert "geo:" not in shown
    assert ";u=" not in text.alerts([ALERT | {"fix": FIX | {"accuracy_m": None}}])


def test_warnings_are_words() -> None:
    shown = text.alerts(
        [
            ALERT
            | {
                "kind": None,
                "verdict": "unreadable",
                "why": "version 2 is not known here",
                "chain": "broken",
                "store_lost": True,
                "forks": [{}],
                "fix": FIX | {"suspect": ["jump", "frozen"]},
            }
        ]
    )
    warnings = [line.split("WARNING   ")[1] for line in shown.splitlines() if "WARNING" in line]
    assert len(warnings) == 5
    for words in (
        "version 2 is not known here",
        "BROKEN CHAIN",
        "lost its store",
        "FORK: 1 other record",
        "jump, frozen",
    ):
        assert sum(words in warning for warning in warnings) == 1
    assert "WARNING" not in text.alerts([ALERT])


def test_a_cancelled_alert_says_so_and_an_unreadable_one_has_no_kind() -> None:
    cancelled = text.alerts([ALERT | {"state": "cancelled", "cancelled_at": "2026-11-20T15:01:00.000Z"}])
    assert "CANCELLED by the officer, received 2026-11-20 15:01:00 UTC" in cancelled
    assert text.alerts([ALERT | {"kind": None, "alert_id": None}]).startswith("UNREADABLE  a record of BM-7f3a09c1")


def test_two_alerts_are_two_blocks_and_none_is_said() -> None:
    assert text.alerts([ALERT, ALERT]).count("\n\n") == 1
    assert text.alerts([]) == "no alerts"


def test_devices_are_lines() -> None:
    assert text.devices([DEVICE]) == (
        "BM-7f3a09c1  active  enrolled 2026-11-20 09:00:00 UTC  last seen unknown  session none"
    )
    revoked = DEVICE | {
        "revoked": True,
        "revoked_at": "2026-11-20T10:00:00.000Z",
        "sessions": ["0011-00000000", "0012-5be2aa10"],
        "forks": ["BM-7f3a09c1/0012-5be2aa10/alert/1"],
        "attempts": [{"received_at": "2026-11-20T11:00:00.000Z"}],
    }
    lines = text.devices([revoked]).splitlines()
    assert "REVOKED 2026-11-20 10:00:00 UTC" in lines[0]
    assert lines[0].endswith("session 0012-5be2aa10")
    assert lines[1] == "  FORK: more than one record under BM-7f3a09c1/0012-5be2aa10/alert/1"
    assert lines[2] == "  ATTEMPTS since it was revoked: 1, the last 2026-11-20 11:00:00 UTC"
    assert text.devices([]).startswith("no devices are enrolled")


def below(**changed: Any) -> list[str]:
    """Return what stands below a device's own line."""
    return text.devices([DEVICE | changed]).splitlines()[1:]


def test_what_is_missing_is_named_and_what_is_not_named_is_counted() -> None:
    names = [f"BM-7f3a09c1/0012-5be2aa10/alert/{number}" for number in range(1, 8)]
    assert below(missing=names[:2], missing_count=2, missing_before_loss=names[1:2]) == [
        f"  MISSING: {names[0]}",
        f"  MISSING: {names[1]}, from before the device lost its store",
    ]
    lines = below(missing=names, missing_count=4_000_000_000)
    assert lines == [*(f"  MISSING: {name}" for name in names[:5]), "  MISSING: 3999999995 more"]


def test_a_branch_says_what_it_can_mean_and_what_to_do() -> None:
    record = "BM-7f3a09c1/0012-5be2aa10/state/1"
    (line,) = below(branches=[{"record": record, "sessions": ["0013-00000001", "0013-00000002"]}])
    assert line.startswith(f"  BRANCH: 2 sessions continue {record}, the last 0013-00000002. ")
    for words in ("cloned", "restored", "does not keep what it is told", "check the device"):
        assert words in line


def test_a_lost_store_is_said_with_what_it_took() -> None:
    told = {"record": "BM-7f3a09c1/0012-5be2aa10/state/2", "received_at": "2026-11-20T15:00:01.000Z"}
    assert below(store_lost=[told], lost_with_store=12) == [
        "  STORE LOST: BM-7f3a09c1/0012-5be2aa10/state/2 says so, received 2026-11-20 15:00:01 UTC",
        "  STORE LOST: routine records that may have gone with it: 12",
    ]


def test_faults_are_named_until_there_are_none() -> None:
    health = {"record": "BM-7f3a09c1/0012-5be2aa10/health/2", "received_at": "2026-11-20T15:00:01.000Z"}
    assert below(health=health | {"faults": ["gnss.silent", "store.full"]}) == [
        "  FAULTS: gnss.silent, store.full, received 2026-11-20 15:00:01 UTC"
    ]
    assert below(health=health | {"faults": []}) == []


def test_a_fault_cannot_write_on_the_terminal() -> None:
    health = {"faults": ["\x1b[2J\n"], "record": "r", "received_at": "2026-11-20T15:00:01.000Z"}
    (line,) = below(health=health)
    assert line.isprintable()
    assert "x1b" in line


def test_where_the_officer_came_from_stands_below_where_he_is() -> None:
    shown = ALERT | {"before": [FIX | {"lat": 38.7221, "age_s": 5.4}, FIX | {"lat": 38.7220, "age_s": 10.4}]}
    lines = [line for line in text.alerts([shown]).splitlines() if "geo:" in line]
    assert [line.split()[0] for line in lines] == ["where", "before", "before"]
    assert "geo:38.7220000" in lines[2]
    assert "10.4 s before it was sent" in lines[2]


def test_presence_says_that_it_is_coarse_on_purpose() -> None:
    presence = {"fix": FIX | {"coarse": True, "accuracy_m": 515.0}, "received_at": "2026-11-20T15:00:01.000Z"}
    (line,) = below(presence=presence)
    assert line.startswith("  presence  geo:38.7222520,-9.1393370;u=515 (within 515 m, coarse on purpose, taken")
    assert below(presence=presence | {"fix": None}) == []
