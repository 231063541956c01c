"""Every view as it can look, for the tests of looks: what the device is then, and where."""

from typing import Any

from tests.console.contract import ACKNOWLEDGED, ALERT, FAULTS, INBOX

DUE = "2026-11-20T15:20:00.000Z"
NOTE = "Rua da Palma 12, third floor: a quarrel between neighbours"
UNSURE = {
    "faults": FAULTS, "exercise": True, "state": "degraded", "battery": {"percent": 12, "charging": False}, "fix": None,
    "bearers": [{"name": "ip", "up": False, "last_success_s": 30, "why_not": "no network"}],
}  # fmt: skip
ESCALATED = ACKNOWLEDGED | {"kind": "escalation", "escalates": "x", "resumed": True, "exercise": True}

SCENES: dict[str, tuple[str, dict[str, Any]]] = {
    "home": ("", {}),
    "home, much is wrong": ("", {"status": UNSURE, "inbox": INBOX}),
    "home, alert": ("", {"status": {"alert": ALERT, "state": "alert"}}),
    "home, acknowledged": ("", {"status": {"alert": ESCALATED, "state": "alert"}}),
    "home, covert": ("", {"status": {"alert": ALERT, "state": "alert", "covert": True}}),
    "inbox": ("inbox", {"inbox": INBOX}),
    "message": ("inbox/3", {"inbox": INBOX}),
    "answered": ("inbox/1", {"inbox": INBOX}),
    "check-in": ("checkin", {}),
    "check-in, running": (
        "checkin",
        {"status": {"checkin": {"due_at": DUE, "due_s": 1187.0, "note": NOTE, "state": "running"}}},
    ),
    "check-in, over": (
        "checkin",
        {
            "status": {
                "checkin": {"due_at": DUE, "due_s": 0.0, "note": NOTE, "state": "countdown"},
                "countdown": {"kind": "check-in-missed", "in_s": 29.0},
            }
        },
    ),
    "privacy": ("privacy", {}),
    "settings": ("settings", {}),
}
