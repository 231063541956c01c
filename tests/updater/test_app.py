"""The process bondmate-updater, at the API of a real device and at a real web server; RAUC's command is a stand-in."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bondmate.mail import MessageState
from bondmate.updater import app
from tests.api.served import Served, served
from tests.eventually import eventually
from tests.letters import UPDATE
from tests.updater import rauc as stand_in
from tests.updater.rauc import Rauc
from tests.updater.web import ORDER, Web, serving

PROGRAM = Path(sys.executable).with_name("bondmate-updater")


@pytest.fixture
def rauc(tmp_path: Path) -> Rauc:
    return stand_in.stand_in(tmp_path / "rauc")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    return made


@contextlib.asynccontextmanager
async def updater(there: Served, rauc: Rauc, state: Path, version: str) -> AsyncIterator[None]:
    """The process, where this version runs, until it is killed."""
    (state.parent / "version").write_text(f"{version}\n")
    log = (state.parent / "log").open("a")
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "--api", there.socket.with_name("updater.sock"), "--state", state, "--runtime", state.parent),
        *("--version-file", state.parent / "version"),
        env=os.environ | {"PATH": f"{rauc.top}:{os.environ['PATH']}"},
        stderr=log,
    )
    try:
        yield
        assert process.returncode is None, (state.parent / "log").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        log.close()


async def outcome(there: Served, number: int) -> tuple[MessageState, str | None]:
    """What came of an order, as the store has it, once there is something."""
    async with asyncio.timeout(60):
        while there.device.mailbox.orders.open:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.05)
    [kept] = [kept for kept in await there.outbox.untold() if kept.number == number]
    return kept.state, kept.answer


def test_from_the_order_to_the_new_software(run: Path, state: Path, rauc: Rauc) -> None:
    async def main(web: Web) -> None:
        async with served(run, on_duty=False) as there:
            await eventually(lambda: there.device.condition.unwell is None, "the earlier session to be known")
            body = [ORDER.software, web.url, ORDER.octets, bytes.fromhex(ORDER.sha256), 0]
            await there.send(UPDATE, body, expires_s=4_000_000_000)
            async with updater(there, rauc, state, "1.0.0"):
                await eventually((state.parent / "restart").exists, "the restart to be asked for", 60)
            assert rauc.asked == ["mark-good", "info", "install"]
            assert web.asked == ["bytes=0-"]
            [order] = there.device.mailbox.orders.open
            assert order.kept.expires_s is None, "what waits for a restart is told of later, however late"

            # as after a restart: another boot, in which the other version runs
            kept = json.loads((state / "installed.json").read_text())
            (state / "installed.json").write_text(json.dumps(kept | {"boot": "another"}))
            async with updater(there, rauc, state, ORDER.software):
                assert await outcome(there, 1) == (MessageState.CARRIED_OUT, ORDER.software)
            assert rauc.asked[3:] == ["mark-good"]

    with serving(Web()) as web:
        asyncio.run(main(web))
    assert list(state.iterdir()) == []


def test_what_cannot_be_had_is_told(run: Path, state: Path, rauc: Rauc) -> None:
    async def main(web: Web) -> None:
        async with served(run, on_duty=False) as there:
            await eventually(lambda: there.device.condition.unwell is None, "the earlier session to be known")
            await there.send(UPDATE, [ORDER.software, web.url, ORDER.octets, bytes(32), 0])
            async with updater(there, rauc, state, "1.0.0"):
                found, text = await outcome(there, 1)
            assert found is MessageState.FAILED
            assert text is not None
            assert "SHA-256" in text
            assert rauc.asked == ["mark-good"]

    with serving(Web()) as web:
        asyncio.run(main(web))


def test_what_the_daemon_does_not_want_is_not_begun(run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            daemon = app.Daemon(there.socket.with_name("updater.sock"))
            await there.send(UPDATE, [ORDER.software, "http://192.0.2.7/b", ORDER.octets, bytes(32), 0])
            assert [await there.as_client(lambda n=n: daemon.begin(n, "1.2.3")) for n in (1, 2)] == [True, False]  # type: ignore[misc]

    asyncio.run(main())


def test_without_its_place_on_the_card_it_calls_nothing_good(run: Path, tmp_path: Path, rauc: Rauc) -> None:
    """Nor does it end: the card may be mounted yet."""
    state = tmp_path / "state"

    def says(words: str) -> Callable[[], bool]:
        return lambda: words in (tmp_path / "log").read_text()

    async def main() -> None:
        async with served(run, on_duty=False) as there:
            await eventually(lambda: there.device.condition.unwell is None, "the earlier session to be known")
            async with updater(there, rauc, state, "1.0.0"):
                await eventually(says("is /data mounted?"), "it to say so")
                assert rauc.asked == []
                state.mkdir()
                await eventually(lambda: rauc.asked == ["mark-good"], "the slot to be marked", 60)

    asyncio.run(main())


def test_it_says_who_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        app.main(["--help"])
    assert stop.value.code == 0
    assert "/run/bondmate/updater.sock" in capsys.readouterr().out
