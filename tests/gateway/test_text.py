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
    "cancelled_how": None,
    "duress": False,
    "escalations": [],
    "exercise": False,
    "acknowledged": [],
    "closed": None,
    "check_in": None,
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
    "state": "enrolled",
    "enrolled_at": "2026-11-20T09:00:00.000Z",
    "last_seen_at": None,
    "sessions": [],
    "revoked": False,
    "revoked_at": None,
    "wiped_at": None,
    "groups": [],
    "mailbox": {"newest": 0, "fetched": 0},
    "forks": [],
    "branches": [],
    "attempts": [],
    "missing": [],
    "missing_count": 0,
    "missing_before_loss": [],
    "thinned": {"superseded": 7, "expired": 0},
    "lost_with_store": 0,
    "store_lost": [],
    "accepted": None,
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


def test_a_device_is_said_to_be_on_its_way_to_be_wiped_and_to_be_so() -> None:
    at = {"revoked": True, "revoked_at": "2026-11-20T10:00:00.000Z"}
    mailbox = {"mailbox": {"newest": 3, "fetched": 2}}
    wiping = text.devices([DEVICE | at | mailbox | {"state": "wiping"}]).splitlines()
    assert "REVOKED 2026-11-20 10:00:00 UTC  WIPING: it was told to, and did not say yet" in wiping[0]
    assert wiping[1:] == ["  mailbox   1 of 3 not fetched"]
    assert "active  WIPING:" in text.devices([DEVICE | {"state": "wiping"}])
    (wiped,) = text.devices(
        [DEVICE | at | mailbox | {"state": "wiped", "wiped_at": "2026-11-20T11:00:00.000Z"}]
    ).splitlines()
    assert wiped.startswith("BM-7f3a09c1  WIPED 2026-11-20 11:00:00 UTC  enrolled")


def test_the_acceptance_of_a_device_says_what_failed_and_why() -> None:
    checks = [{"check": "gnss", "ok": True, "text": "3 satellites"}, {"check": "battery", "ok": None, "text": None}]
    accepted = {"at": "2026-11-20T10:00:00.000Z", "software": "bondmate 1.2.0", "ok": True, "failed": []}
    accepted["checks"] = checks
    assert below(accepted=accepted) == ["  accepted  2026-11-20 10:00:00 UTC by its own test of bondmate 1.2.0"]
    bad = [{"check": "sim", "ok": False, "text": "absent\x1b[2J"}, {"check": "\x1b[2J", "ok": False, "text": None}]
    failed = accepted | {"ok": False, "failed": ["sim", "\x1b[2J"], "checks": checks + bad}
    assert below(accepted=failed) == [
        "  NOT ACCEPTED: sim, '\\x1b[2J' failed, 2026-11-20 10:00:00 UTC by its own test of bondmate 1.2.0",
        "    sim: 'absent\\x1b[2J'",
        "    '\\x1b[2J': no reason given",
    ]


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


# --- What people did, and what is worse than an alert --------------------------------------------

SEEN = [{"by": "Ann", "at": "2026-11-20T15:02:00.000Z"}]


def state(**changed: Any) -> str:
    (line,) = (line for line in text.alerts([ALERT | changed]).splitlines() if line.startswith("  state"))
    return line.removeprefix("  state     ")


def test_who_handled_an_alert_is_said() -> None:
    assert state(state="acknowledged", acknowledged=SEEN) == (
        "acknowledged by Ann 2026-11-20 15:02:00 UTC; 1 position followed"
    )
    assert state(acknowledged=SEEN).startswith("delivered, acknowledged before by Ann")
    assert state(state="closed", closed=SEEN[0]) == "closed by Ann 2026-11-20 15:02:00 UTC; 1 position followed"


def test_how_an_alert_was_taken_back_is_said() -> None:
    words = {None: "", "tool": " at a tool of the technician", "pin": ", by PIN", "gesture": ", by a gesture"}
    for how, said in words.items():
        line = state(state="cancelled", cancelled_at="2026-11-20T15:01:00.000Z", cancelled_how=how)
        assert line.startswith(f"CANCELLED by the officer{said}, received 2026-11-20 15:01:00 UTC")


def test_duress_stands_first_and_red_until_it_is_closed() -> None:
    forced = ALERT | {"alert_id": "forced", "duress": True, "cancelled_how": "duress"}
    shown = text.alerts([ALERT, forced], colour=True)
    assert shown.startswith("\x1b[1;31mDURESS PANIC  forced\n")
    assert shown.count("\x1b[") == 2
    assert shown.index("\x1b[0m") < shown.index("PANIC  BM-")
    assert "WARNING   DURESS: somebody forced the officer" in shown
    assert "\x1b" not in text.alerts([ALERT, forced])
    closed = forced | {"state": "closed", "closed": SEEN[0]}
    assert text.alerts([ALERT, closed], colour=True).startswith("PANIC  BM-")


def test_escalations_and_check_ins_stand_below() -> None:
    escalation = {"alert_id": "e", "kind": "escalation", "received_at": "2026-11-20T15:01:00.000Z", "bearer": "sms"}
    check_in = {"note": "cellar", "due_at": "2026-11-20T15:20:00.000Z", "began_at": None}
    shown = text.alerts([ALERT | {"escalations": [escalation], "check_in": check_in}])
    assert "\n  escalated e, received 2026-11-20 15:01:00 UTC over sms\n" in shown
    assert "\n  check-in  begun unknown, due 2026-11-20 15:20:00 UTC: cellar\n" in shown


def test_an_exercise_that_is_none_is_said_to_be_real() -> None:
    exercise = ALERT | {"kind": "exercise"}
    assert "WARNING" not in text.alerts([exercise | {"exercise": True}])
    assert "REAL: none was ordered." in text.alerts([exercise | {"why": "none was ordered"}])
    assert "REAL: it was an exercise, and something real came of it." in text.alerts([exercise])


def test_messages_are_lines_with_what_became_of_them() -> None:
    message: dict[str, Any] = {
        "device": "BM-7f3a09c1",
        "number": 3,
        "type": "message",
        "at": "2026-11-20T15:00:00.120Z",
        "by": "Ann",
        "urgent": True,
        "state": "answered",
        "text": "come in\x1b[2J",
        "answer": "yes",
        "result": None,
        "update": None,
        "exercise_s": None,
    }
    assert text.messages([message]).splitlines() == [
        "BM-7f3a09c1/3  message  answered  URGENT  2026-11-20 15:00:00 UTC by Ann",
        "  'come in\\x1b[2J'",
        "  answered  yes",
    ]
    exercise = message | {"type": "exercise", "text": None, "answer": None, "urgent": False}
    assert text.messages([exercise | {"exercise_s": 600}]).splitlines()[1] == "  for 10 minutes"
    assert text.messages([exercise | {"exercise_s": 0}]).splitlines()[1] == "  the exercise is over"
    assert text.messages([]) == "no messages"


def test_acts_are_lines() -> None:
    act: dict[str, Any] = {
        "device": "BM-7f3a09c1",
        "number": 3,
        "type": "acknowledge",
        "at": "2026-11-20T15:00:00.120Z",
        "by": "Ann",
        "alert_id": "BM-7f3a09c1/0012-5be2aa10/alert/1",
        "already": False,
        "later": 0,
        "duress": False,
    }
    line = "BM-7f3a09c1/0012-5be2aa10/alert/1  acknowledged by Ann 2026-11-20 15:00:00 UTC, message 3 to BM-7f3a09c1"
    assert text.act(act) == line
    assert text.act(act | {"later": 2, "duress": True}).splitlines() == [
        line,
        "  WARNING   DURESS: somebody forced the officer to take it back: see alerts",
        "  WARNING   2 calls came after the one you named: see alerts",
    ]
    assert text.act(act | {"later": 1}).endswith("  1 call came after the one you named: see alerts")
    assert "  already closed by Ann" in text.act(act | {"type": "close", "already": True})
    other = act | {"alert_id": None}
    assert text.act(other | {"type": "message"}) == "BM-7f3a09c1  message 3 waits to be fetched"
    until = {"type": "exercise", "until": "2026-11-20T15:10:00.000Z"}
    assert text.act(other | until) == "BM-7f3a09c1  exercise until 2026-11-20 15:10:00 UTC, message 3"
    assert text.groups({"device": "BM-7f3a09c1", "groups": []}) == "BM-7f3a09c1  groups  none"


def test_a_device_shows_its_groups_and_what_it_did_not_fetch() -> None:
    assert below(groups=["night", "north"], mailbox={"newest": 3, "fetched": 1}) == [
        "  groups    night, north",
        "  mailbox   2 of 3 not fetched",
    ]
    assert below(mailbox={"newest": 3, "fetched": 3}) == []


def test_what_came_of_an_order_stands_below_it() -> None:
    message = {
        "device": "BM-7f3a09c1",
        "number": 4,
        "type": "update",
        "state": "failed",
        "urgent": False,
        "at": "2026-11-20T15:00:00.000Z",
        "by": "Ann",
        "text": None,
        "exercise_s": None,
        "answer": None,
        "result": "no space\x07",
        "update": {"software": "1.3.0", "url": "http://192.0.2.7/1.3.0.raucb", "at_once": True},
    }
    assert text.messages([message]).splitlines() == [
        "BM-7f3a09c1/4  update  failed  2026-11-20 15:00:00 UTC by Ann",
        "  1.3.0 from http://192.0.2.7/1.3.0.raucb, at once",
        "  failed  'no space\\x07'",
    ]
