"""Wall time as text, in the one form that all interfaces of this project use. It reads no other clock."""

import datetime


def utc_text(when: datetime.datetime) -> str:
    """RFC 3339 in UTC with milliseconds and a Z: `2026-11-20T15:00:00.120Z`."""
    return when.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """The wall time now, as `utc_text`."""
    return utc_text(datetime.datetime.now(datetime.UTC))
