import asyncio
import datetime as dt
import gc
import json
import os
import socket
import stat
import weakref
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate import __version__
from bondmate.api.requests import MAX_BODY_OCTETS
from bondmate.api.server import serve
from bondmate.backlog import WINDOW
from bondmate.cose import KeySigner
from bondmate.device import Device
from bondmate.recorder import Recorder
from bondmate.records import Fix, History, Kind, SessionId, Stream, Suspicion
from tests.api.served import DEVICE, SESSION, UTC_MS, UTC_TEXT, Served, asked, exchange, served
from tests.eventually import eventually

EARLIER = SessionId(bytes.fromhex("0011cafe0011"))
# What others build on: a member more is free, one less is not
STATUS_KEYS = {
    "device", "version", "uptime_s", "state", "duty", "exercise", "alert", "fix", "queue", "bearers", "battery",
    "session", "store", "clock", "faults", "checkin", "countdown", "inbox", "covert",
}  # fmt: skip
QUEUE_KEYS = {"record", "kind", "priority", "state", "stored_at", "attempts", "next_try_s", "bearer", "why"}
ALERT_KEYS = {
    "alert_id", "kind", "state", "raised_at", "stored_at", "delivered_at", "acknowledged_at", "closed_at", "exercise",
    "escalates", "cancellable_in_s", "resumed", "acknowledged_by",
}  # fmt: skip
FIX_KEYS = {
    "time", "lat", "lon", "alt_m", "speed_mps", "track_deg", "mode", "hdop", "accuracy_m", "satellites", "age_s",
    "source", "suspect", "geoid_m",
}  # fmt: skip


async def status(there: Served) -> dict[str, Any]:
    code, answer = await asked(there, "GET", "/status")
    assert code == 200
    assert isinstance(answer, dict)
    return answer


def test_the_status_of_a_device_that_knows_nothing_yet(run: Path) -> None:
    """Unknown is null, never a made-up value."""

    async def main() -> None:
        async with served(run, utc_ms=None) as there:
            await there.settled(1)
            answer = await status(there)
            assert set(answer) == STATUS_KEYS
            uptime_s = answer.pop("uptime_s")
            assert 0 <= uptime_s < 60
            assert answer == {
                "device": "BM-7f3a09c1",
                "version": __version__,
                "state": "armed",
                "duty": "on",
                "exercise": False,
                "alert": None,
                "checkin": None,
                "countdown": None,
                "inbox": {"unread": 0},
                "covert": True,
                "fix": None,
                "queue": {"alert": 0, "state": 1, "position": 0, "presence": 0, "health": 0, "report": 0},
                "bearers": [{"name": "ip", "up": False, "last_success_s": None, "why_not": "nothing sent yet"}],
                "battery": None,
                "session": "0012-5be2aa10",
                "store": {"ok": True},
                "clock": {"source": None, "uncertainty_ms": None},
                "faults": [],
            }

    asyncio.run(main())


def test_the_status_of_a_device_that_knows_all(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            now = asyncio.get_running_loop().time()
            seen = Fix(
                taken_s=now - 2,
                lat=38.7222524999,
                lon=-9.139337,
                mode=3,
                time=dt.datetime(2026, 11, 20, 15, 0, 0, 120_000, tzinfo=dt.UTC),
                alt_m=12.3,
                speed_mps=0.4,
                track_deg=181.2,
                hdop=0.9,
                accuracy_m=3.1,
                satellites=11,
                suspect=(Suspicion.FROZEN,),
                geoid_m=53.4,
            )
            there.device.on_fix(seen)
            there.air.why_not, there.air.last_success_s = None, now - 3.2
            there.fail("gnss-driver", "no NMEA sentence", "check the cable", 0)
            answer = await status(there)
            fix = answer["fix"]
            assert set(fix) == FIX_KEYS
            assert 2 <= fix.pop("age_s") < 60
            assert fix == {
                "time": "2026-11-20T15:00:00.120Z",
                "lat": pytest.approx(38.7222524999, abs=1e-8),
                "lon": -9.139337,
                "alt_m": 12.3,
                "geoid_m": 53.4,
                "speed_mps": 0.4,
                "track_deg": 181.2,
                "mode": 3,
                "hdop": 0.9,
                "accuracy_m": 3.1,
                "satellites": 11,
                "source": "gnss",
                "suspect": ["frozen"],
            }
            [bearer] = answer["bearers"]
            assert bearer["up"] is True
            assert 3.2 <= bearer["last_success_s"] < 60
            assert answer["clock"]["source"] == "system"
            [fault] = answer["faults"]
            since = "1970-01-01T00:00:00.000Z"
            assert fault == {
                "code": "gnss-driver", "since": since, "text": "no NMEA sentence", "next": "check the cable",
            }  # fmt: skip
            assert answer["state"] == "armed", "a receiver that is silent does not stop an alert"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "state", "store"),
    [
        ("store", "degraded", False),
        ("reserve", "degraded", True),
        ("configuration", "degraded", True),
        ("gnss-driver", "armed", True),
    ],
)
def test_a_fault_on_the_way_of_an_alert_is_degraded(code: str, state: str, store: bool, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.settled(1)
            there.fail(code, "it fails", "replace it", None)
            answer = await status(there)
            assert answer["state"] == state
            assert answer["store"] == {"ok": store}

    asyncio.run(main())


def test_degraded_is_told_although_an_alert_is_open(run: Path) -> None:
    """The alert is shown beside it; that it may be lost would be shown nowhere else."""

    async def main() -> None:
        async with served(run) as there:
            await asked(there, "POST", "/alert")
            await there.settled(2)
            assert (await status(there))["state"] == "alert"
            there.fail("configuration", "it fails", "replace it", None)
            answer = await status(there)
            assert (answer["state"], answer["alert"]["state"]) == ("degraded", "stored")

    asyncio.run(main())


def test_an_alert_from_raised_to_delivered(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.settled(1)
            assert await asked(there, "GET", "/alert") == (200, None)
            code, raised = await asked(there, "POST", "/alert", b'{"kind": "panic"}')
            assert code == 201
            assert set(raised) >= ALERT_KEYS
            assert {name: raised[name] for name in ALERT_KEYS} == {
                "alert_id": f"{DEVICE}/{SESSION}/alert/1",
                "kind": "panic",
                "state": "raised",
                "raised_at": UTC_TEXT,
                "stored_at": None,
                "delivered_at": None,
                "acknowledged_at": None,
                "closed_at": None,
                "exercise": False,
                "escalates": None,
                "cancellable_in_s": pytest.approx(10.0, abs=1.0),
                "resumed": False,
                "acknowledged_by": None,
            }
            await there.settled(2)
            code, stored = await asked(there, "GET", "/alert")
            assert (code, stored["state"], stored["stored_at"]) == (200, "stored", UTC_TEXT)
            during = await status(there)
            del stored["cancellable_in_s"], during["alert"]["cancellable_in_s"]  # time goes on
            assert (during["state"], during["alert"]) == ("alert", stored)
            assert during["queue"]["alert"] == 1

            assert there.device.alert is not None
            there.receive(there.device.alert.record)
            code, delivered = await asked(there, "GET", "/alert")
            assert (code, delivered["state"], delivered["delivered_at"]) == (200, "delivered", UTC_TEXT)
            assert (await status(there))["queue"]["alert"] == 0

    asyncio.run(main())


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"kind": "panic", "later": 1}'])
def test_no_kind_is_panic(body: bytes | None, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            code, raised = await asked(there, "POST", "/alert", body)
            assert (code, raised["kind"]) == (201, "panic")

    asyncio.run(main())


def test_an_alert_is_cancelled_once_and_only_after_it_was_raised(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            code, refused = await asked(there, "POST", "/alert/cancel")
            assert (code, refused) == (409, {"error": "no alert is open: there is nothing to cancel"})
            await asked(there, "POST", "/alert")
            code, cancelled = await asked(there, "POST", "/alert/cancel")
            assert (code, cancelled["state"]) == (200, "cancelled")
            assert (await asked(there, "POST", "/alert/cancel"))[0] == 409
            await there.settled(3)
            answer = await status(there)
            assert (answer["state"], answer["alert"]) == ("armed", None)
            assert answer["queue"]["alert"] == 2, "the dispatcher sees both"
            assert (await asked(there, "GET", "/alert"))[1]["state"] == "cancelled"

    asyncio.run(main())


def test_the_queue_says_of_each_record_why_it_waits(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.settled(1)
            await asked(there, "POST", "/alert")
            await there.settled(2)
            code, rows = await asked(there, "GET", "/queue")
            assert code == 200
            assert [set(row) for row in rows] == [QUEUE_KEYS] * 2
            alert, opening = rows
            assert 0 < alert.pop("next_try_s") <= 600 * 1.25
            assert alert == {
                "record": f"{DEVICE}/{SESSION}/alert/1",
                "kind": "panic",
                "priority": 0,
                "state": "stored",
                "stored_at": UTC_TEXT,
                "attempts": 1,
                "bearer": "ip",
                "why": "ip: no network in this test",
            }
            assert (opening["kind"], opening["priority"]) == ("opening", 2)

    asyncio.run(main())


def test_the_queue_says_when_a_record_was_committed_and_not_when_it_was_made(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.settled(1)
            # a clock that runs an hour a look
            hours = count()
            there.device.parts.system_utc_ms = lambda: UTC_MS + next(hours) * 3_600_000
            _, raised = await asked(there, "POST", "/alert")
            await there.settled(2)
            _, rows = await asked(there, "GET", "/queue")
            assert rows[0]["record"] == raised["alert_id"]
            assert rows[0]["stored_at"] > raised["raised_at"]
            assert (await asked(there, "GET", "/queue"))[1][0]["stored_at"] == rows[0]["stored_at"]

    asyncio.run(main())


def test_a_commit_at_an_unknown_time_is_stored_all_the_same(run: Path) -> None:
    async def main() -> None:
        async with served(run, utc_ms=None) as there:
            await there.settled(1)
            _, [row] = await asked(there, "GET", "/queue")
            assert (row["state"], row["stored_at"]) == ("stored", None)

    asyncio.run(main())


def test_the_queue_says_what_is_in_flight(run: Path) -> None:
    async def main() -> None:
        async with served(run, stalls=True) as there:
            await eventually(lambda: there.air.tried, "the first attempt")
            _, [row] = await asked(there, "GET", "/queue")
            assert (row["state"], row["next_try_s"]) == ("in_flight", None)

    asyncio.run(main())


def test_without_a_store_an_alert_is_in_memory_and_the_device_says_so(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.settled(1)
            await there.outbox.close()
            await asked(there, "POST", "/alert")
            await there.tried(2)
            _, [alert, opening] = await asked(there, "GET", "/queue")
            assert (alert["kind"], alert["state"], alert["stored_at"]) == ("panic", "in_memory", None)
            assert alert["attempts"] == 1, "it is sent all the same"
            assert (opening["state"], opening["stored_at"]) == ("stored", UTC_TEXT)
            answer = await status(there)
            assert (answer["state"], answer["store"], answer["alert"]["state"]) == ("degraded", {"ok": False}, "raised")
            assert answer["queue"]["alert"] == 1

    asyncio.run(main())


def test_the_status_counts_what_waits_in_the_store_alone_too(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WINDOW, Stream.ALERT, 4)
    before = Recorder(DEVICE, EARLIER, KeySigner(ec.generate_private_key(ec.SECP256R1())), History({}), 0.0)
    left = [before.make(Kind.PANIC, float(number), None) for number in range(20)]

    async def main() -> None:
        async with served(run, left=left) as there:
            assert (await status(there))["queue"]["alert"] == 20
            _, rows = await asked(there, "GET", "/queue")
            listed = {row["record"] for row in rows if row["kind"] == "panic"}
            assert listed == {str(record.id) for record in left[-4:]}, "the newest are in memory"
            assert rows[-1]["record"] is None, "one row for all others"
            assert (rows[-1]["stream"], rows[-1]["count"], rows[-1]["state"]) == ("alert", 16, "stored")
            there.receive(left[-1])
            assert (await status(there))["queue"]["alert"] == 19

    asyncio.run(main())


MALFORMED = {
    "cut short": b'{"kind": "pan',
    "no text": b"\xff\xfe\xfd",
    "an array": b'["panic"]',
    "a string": b'"panic"',
    "deep": b"[" * MAX_BODY_OCTETS,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_refused_in_words_and_raises_nothing(body: bytes, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            code, answer = await asked(there, "POST", "/alert", body)
            assert code == 400
            assert answer["error"].startswith("the body is not ")
            assert there.device.alert is None

    asyncio.run(main())


def test_a_charset_that_nobody_knows_is_refused(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            kind = "application/json; charset=klingon"
            code, answer = await asked(there, "POST", "/alert", b"{}", Content_Type=kind)
            assert (code, there.device.alert) == (400, None)
            assert "klingon" in answer["error"]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["cancellation", "position", "PANIC", "", 1, None, ["panic"]])
def test_a_kind_that_raises_no_alert_is_refused(kind: object, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            code, answer = await asked(there, "POST", "/alert", json.dumps({"kind": kind}).encode())
            assert (code, there.device.alert) == (400, None)
            assert answer["error"] == f"kind is one of panic, assistance, medical, not {kind!r}"

    asyncio.run(main())


def pieces(body: bytes) -> Iterator[bytes]:
    for begin in range(0, len(body), 1000):
        yield body[begin : begin + 1000]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_more_than_the_bound_is_refused(chunked: bool, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            frame = len(b'{"kind":"panic","x":""}')
            largest = json.dumps(
                {"kind": "panic", "x": "y" * (MAX_BODY_OCTETS - frame)}, separators=(",", ":")
            ).encode()
            larger = largest.replace(b"y", b"yy", 1)
            assert len(larger) == MAX_BODY_OCTETS + 1
            code, answer = await asked(there, "POST", "/alert", pieces(larger) if chunked else larger)
            assert (code, there.device.alert) == (413, None)
            assert answer["error"]
            code, _ = await asked(there, "POST", "/alert", pieces(largest) if chunked else largest)
            assert code == 201, "the control: one octet less is taken"

    asyncio.run(main())


@pytest.mark.parametrize(("method", "resource", "code"), [("GET", "/secrets", 404), ("DELETE", "/alert", 405)])
def test_what_is_not_there_is_refused_as_json_too(method: str, resource: str, code: int, run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            answer = await asked(there, method, resource)
            assert answer[0] == code
            assert set(answer[1]) == {"error"}

    asyncio.run(main())


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_socket_is_for_owner_and_group_whatever_the_umask(umask: int, run: Path) -> None:
    before = os.umask(umask)

    async def main() -> None:
        async with served(run) as there:
            assert stat.S_IMODE(there.socket.stat().st_mode) == 0o660
            assert (await asked(there, "GET", "/queue"))[0] == 200

    try:
        asyncio.run(main())
    finally:
        os.umask(before)


def test_the_socket_of_a_daemon_that_was_killed_is_replaced_and_goes_with_ours(run: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(run / "api.sock"))

    async def main() -> None:
        async with served(run) as there:
            assert (await asked(there, "GET", "/queue"))[0] == 200
        assert not there.socket.exists()

    asyncio.run(main())


def test_a_place_where_no_socket_can_be_is_an_error_for_the_supervisor(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            with pytest.raises(OSError, match="No such file"):
                await serve(there.device, run / "nowhere")

    asyncio.run(main())


def test_a_client_that_never_finishes_does_not_hold_up_the_end(run: Path) -> None:
    async def main() -> float:
        with socket.socket(socket.AF_UNIX) as client:
            async with served(run) as there:
                client.connect(str(there.socket))
                client.sendall(b"POST /alert HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
                # an answer to a later client shows that the first one is being served
                assert (await asked(there, "GET", "/queue"))[0] == 200
                begin = monotonic()
            return monotonic() - begin

    assert asyncio.run(main()) < 5, "aiohttp itself may wait for a minute"


def test_many_at_once_get_their_answers(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            answers = await asyncio.gather(
                *(asyncio.to_thread(exchange, there.socket, "GET", "/status") for _ in range(20))
            )
            assert [code for code, _ in answers] == [200] * 20
            assert {answer["queue"]["alert"] for _, answer in answers} == {0}
            assert set(answers[0][1]["queue"]) == {stream.label for stream in Stream}

    asyncio.run(main())


def test_an_api_that_ended_keeps_nothing_of_its_device(run: Path) -> None:
    """Else each change of keys would leave one in memory, for another run begins in the same process."""

    async def main() -> "weakref.ref[Device]":
        async with served(run) as there:
            await status(there)
            return weakref.ref(there.device)

    device = asyncio.run(main())
    gc.collect()
    assert device() is None
