"""Bundles and rollouts in words."""

from bondmate_sim.gateway import text_updates

BUNDLE = {
    "version": "1.3.0",
    "name": "1.3.0.raucb",
    "octets": 9,
    "sha256": "ab",
    "added_at": "2026-11-20T10:00:00.000Z",
}
ROLLOUT = {
    "rollout": 2,
    "version": "1.3.0",
    "state": "stopped",
    "why": "by \x1b[2J",
    "devices": [
        {"device": "BM-00000001", "state": "done", "text": "1.3.0"},
        {"device": "BM-00000002", "state": "failed", "text": "no\x07space"},
        {"device": "BM-00000003", "state": "overdue", "text": None},
        {"device": "BM-00000004", "state": "waiting", "text": None},
    ],
}


def test_bundles_are_lines() -> None:
    assert text_updates.bundles([BUNDLE]) == "1.3.0  9 octets  added 2026-11-20 10:00:00 UTC  sha256 ab"
    assert text_updates.bundles([]).startswith("no bundles")


def test_a_rollout_says_how_many_are_how_far_and_names_whom_to_look_at() -> None:
    assert text_updates.rollouts([ROLLOUT]).splitlines() == [
        "rollout 2 of 1.3.0  STOPPED: 'by \\x1b[2J'",
        "  1 waiting, 1 done, 1 failed, 1 overdue",
        "  BM-00000002  FAILED  'no\\x07space'",
        "  BM-00000003  OVERDUE",
    ]
    running = ROLLOUT | {"state": "running", "why": None, "devices": []}
    assert text_updates.rollout(running).splitlines() == ["rollout 2 of 1.3.0  running", "  no devices"]
    assert text_updates.rollouts([]).startswith("no rollouts")
