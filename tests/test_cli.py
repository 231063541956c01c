import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bondmate import __version__, cli
from bondmate.records import Fix, Kind, Stream, Suspicion
from tests.api.served import DEVICE, SESSION, UTC_TEXT, Served, served
from tests.eventually import eventually
from tests.rights import as_nobody
from tests.sim.conftest import run
from tests.terminal import rest

__all__ = ["run"]

COMMAND = str(Path(sys.executable).with_name("bondmatectl"))
# What others build on: a member more is free, one less is not
STATUS_KEYS = {
    "device", "version", "uptime_s", "state", "duty", "exercise", "alert", "fix", "queue", "bearers", "battery",
    "session", "store", "clock", "faults",
}  # fmt: skip
QUEUE_KEYS = {"record", "kind", "priority", "state", "stored_at", "attempts", "next_try_s", "bearer", "why"}
ALERT_KEYS = {
    "alert_id", "kind", "state", "raised_at", "stored_at", "delivered_at", "acknowledged_at", "closed_at", "exercise",
}  # fmt: skip


class Console:
    """A technician's console beside one device."""

    def __init__(self, there: Served, capsys: pytest.CaptureFixture[str]) -> None:
        self.there = there
        self._capsys = capsys

    async def says(self, *arguments: str, code: int = 0) -> str:
        """What bondmatectl writes: to standard output alone if it did its work, else to standard error alone."""
        ended = await self.there.as_client(lambda: cli.main(["--socket", str(self.there.socket), *arguments]))
        written = self._capsys.readouterr()
        assert ended == code, written
        said, other = (written.out, written.err) if code == 0 else (written.err, written.out)
        assert other == ""
        return said

    async def json(self, *arguments: str) -> Any:
        said = await self.says(*arguments, "--json")
        assert said.count("\n") == 1, "one document on one line"
        return json.loads(said)


Play = Callable[[Console], Any]


@pytest.fixture
def play(run: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Play], None]:
    """Do that at the console of a device that is armed."""

    def begin(play: Play) -> None:
        async def main() -> None:
            async with served(run) as there:
                await there.settled(1)
                await play(Console(there, capsys))

        asyncio.run(main())

    return begin


def test_json_has_the_promised_members(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        assert set(await console.json("status")) >= STATUS_KEYS
        [opening] = await console.json("queue")
        assert set(opening) >= QUEUE_KEYS
        assert await console.json("alert", "show") is None
        raised = await console.json("alert", "raise", "--kind", "panic")
        assert set(raised) >= ALERT_KEYS
        assert (raised["alert_id"], raised["state"]) == (f"{DEVICE}/{SESSION}/alert/1", "raised")
        await console.there.settled(2)
        shown = await console.json("alert", "show")
        assert (shown["alert_id"], shown["state"], shown["stored_at"]) == (raised["alert_id"], "stored", UTC_TEXT)
        cancelled = await console.json("alert", "cancel")
        assert (cancelled["alert_id"], cancelled["state"]) == (raised["alert_id"], "cancelled")

    play(at)


def test_what_the_daemon_refuses_is_1_and_says_why(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        said = await console.says("alert", "cancel", code=1)
        assert said == "bondmatectl: no alert is open: there is nothing to cancel\n"
        said = await console.says("alert", "raise", "--kind", "picnic", code=1)
        assert said == "bondmatectl: kind is one of panic, assistance, medical, not 'picnic'\n"
        assert console.there.device.alert is None

    play(at)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["alert"],
        ["alert", "sing"],
        ["status", "--loud"],
        ["duty", "maybe"],
        ["gnss"],
        ["checkin", "begin", "soon"],
        ["inbox", "answer", "x", "y"],
        ["verify", "file"],
    ],
)
def test_a_wrong_command_line_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: bondmatectl")


def test_no_daemon_is_3_and_says_what_to_do(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--socket", str(run / "api.sock"), "status"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert str(run / "api.sock") in said.err
    assert "systemctl status bondmated" in said.err


def test_another_s_socket_is_4_and_says_what_to_do(
    run: Path, capsys: pytest.CaptureFixture[str], play: Callable[[Play], None]
) -> None:
    run.chmod(0o755)

    async def at(console: Console) -> None:
        console.there.socket.chmod(0o000)
        with as_nobody():
            said = await console.says("status", code=4)
        assert "use sudo, or join the group bondmate" in said

    play(at)


def test_help_names_every_exit_code_and_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "0 done; 1 it failed, and standard error says why; 2 usage; 3 the daemon is not reachable; 4 not allowed"
        in shown
    )
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"bondmatectl {__version__}\n"


def test_the_command_itself_takes_the_socket_from_the_environment_and_returns_the_code(run: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"BONDMATE_SOCKET": str(run / "api.sock")}
        return subprocess.run(
            [COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=20, check=False
        )

    async def main() -> None:
        async with served(run) as there:
            done = await there.as_client(lambda: command("alert", "raise", "--json"))
            assert (done.returncode, done.stderr) == (0, "")
            assert there.device.alert is not None
            assert json.loads(done.stdout)["alert_id"] == str(there.device.alert.record.id)

    asyncio.run(main())
    gone = command("status")
    assert (gone.returncode, gone.stdout) == (3, "")
    assert str(run / "api.sock") in gone.stderr


# --- for people --------------------------------------------------------------------------------------


def has_line(said: str, ending: str) -> bool:
    """Whether a line ends so."""
    return re.search(f"{ending}$", said, re.MULTILINE) is not None


def test_a_status_that_knows_nothing_says_so_in_words(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        console.there.device.parts.system_utc_ms = None
        first, *rest = (await console.says("status")).splitlines()
        assert first == f"{DEVICE}  armed  session {SESSION}"
        assert rest == [
            "  duty     on",
            "  fix      none yet",
            "  queue    1 state",
            "  ip       down: nothing sent yet",
            "  clock    UTC is not known yet",
            "  store    ok",
        ]

    play(at)


def test_a_status_that_knows_much_says_it_on_one_screen(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        now = asyncio.get_running_loop().time()
        seen = Fix(taken_s=now, lat=38.7222525, lon=-9.139337, mode=3, accuracy_m=3.1, suspect=(Suspicion.JUMP,))
        console.there.air.why_not, console.there.air.last_success_s = None, now
        console.there.device.raise_alert(Kind.PANIC)
        await console.there.settled(2)
        console.there.device.on_fix(seen)
        await eventually(lambda: console.there.device.waiting()[Stream.POSITION], "the position to be stored")
        console.there.fail("store", "the disk is full", "replace the card", None)
        said = await console.says("status")
        assert f"{DEVICE}  degraded  session {SESSION}" in said
        assert has_line(said, r"fix +38\.72225\d, -9\.139337  accuracy 3\.1 m, \d+\.\d s old  suspect: jump")
        assert has_line(said, r"queue +1 alert, 1 state, 1 position")
        assert has_line(said, r"ip +up, last answer [0-9.e-]+ s ago")
        assert has_line(said, r"clock +UTC from system, uncertainty unknown")
        assert has_line(said, r"store +not working")
        assert has_line(said, rf"panic  stored  {DEVICE}/{SESSION}/alert/1  raised {UTC_TEXT} stored {UTC_TEXT}")
        assert has_line(said, r"store: the disk is full; replace the card")
        assert "None" not in said
        assert max(map(len, said.splitlines())) <= 120

    play(at)


def test_a_bearer_that_is_up_before_its_first_answer_is_shown_too(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        console.there.air.why_not = None
        assert "ip       up, not used yet" in await console.says("status")

    play(at)


def test_a_queue_says_what_waits_why_and_until_when(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        said = await console.says("queue")
        waits = r"opening, stored, attempts 1, next try in \d+\.\d s: ip: no network in this test"
        assert re.fullmatch(rf"{DEVICE}/{SESSION}/state/1  {waits}\n", said)
        [waiting] = console.there.device.parts.delivery.snapshot(asyncio.get_running_loop().time())
        console.there.receive(waiting.record)
        assert await console.says("queue") == "The queue is empty: every record has its receipt.\n"
        assert "queue    empty: everything is delivered" in await console.says("status")

    play(at)


def test_off_duty_a_queue_says_that_it_rests(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            said = await Console(there, capsys).says("queue")
            rests = "waits for the next shift: off duty only what a press needs is sent"
            assert said == f"{DEVICE}/{SESSION}/state/1  opening, stored, attempts 0: {rests}\n"

    asyncio.run(main())


def test_what_is_being_sent_is_under_way(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with served(run, stalls=True) as there:
            await eventually(lambda: there.air.tried, "the first attempt")
            said = await Console(there, capsys).says("queue")
            assert has_line(said, r"in_flight, attempts 1, under way: waiting for the gateway's answer over ip")

    asyncio.run(main())


def test_an_alert_is_shown_with_the_times_that_are_known(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        assert await console.says("alert", "show") == "No alert was ever raised on this device.\n"
        said = await console.says("alert", "raise")
        assert said == f"  panic  raised  {DEVICE}/{SESSION}/alert/1  raised {UTC_TEXT}\n"
        assert (await console.says("alert", "cancel")).startswith("  panic  cancelled  ")

    play(at)


def test_duty_is_begun_ended_and_shown_in_words(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        assert await console.says("duty", "off") == (
            "Off duty. The receiver sleeps, and no position is recorded; the button works.\n"
        )
        said = await console.says("status")
        assert has_line(said, "duty +off")
        assert has_line(said, "fix +none: off duty the receiver sleeps, until an alert")
        on_duty = r"On duty\. The shift ends at 2026-11-21T0[45]:\d\d:\d\d\.\d{3}Z\.\n"
        assert re.fullmatch(on_duty, await console.says("duty", "on"))
        assert re.fullmatch(on_duty, await console.says("duty"))
        assert console.there.device.duty.is_on
        assert set(await console.json("duty")) == {"duty", "ends_at", "alert_open"}

    play(at)


def test_a_shift_that_is_not_stored_is_said_to_be_forgotten_by_a_restart(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        await console.there.outbox.close()
        console.there.device.parts.system_utc_ms = None
        said = await console.says("duty", "on")
        assert said.startswith("On duty. The shift ends by itself; when, can be told when UTC is known.\n")
        assert "It could not be stored yet: a restart would forget it. `bondmatectl status` says what is wrong." in said

    play(at)


def test_off_duty_in_an_alert_the_receiver_does_not_sleep(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        await console.says("duty", "off")
        await console.says("alert", "raise")
        assert has_line(await console.says("status"), "fix +none yet")
        assert await console.says("duty") == (
            "Off duty; but an alert is open, and positions are recorded until it is closed.\n"
        )

    play(at)


def test_privacy_is_said_in_plain_words(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        said = await console.says("privacy")
        assert "  Roughly where you are, every 300 s\n    why        you are on duty" in said
        assert has_line(said, "precision  a cell of 729 m from north to south, and at most that from east to west")
        assert has_line(said, r"until      you go off duty, at 2026-11-21T0[45]:\d\d:\d\d\.\d{3}Z at the latest")
        assert has_line(said, "Not delivered yet: nothing.")
        await console.says("duty", "off")
        assert "  Nothing. You are off duty: the receiver sleeps, and the device does not know where you are." in (
            await console.says("privacy")
        )
        await console.says("alert", "raise")
        await console.there.settled(2)
        said = await console.says("privacy")
        assert "why        an alert is open: whoever comes to help has to find you" in said
        assert has_line(said, "Not delivered yet: 1 alert.")
        assert {"duty", "alert_open", "collected", "if_pressed", "waiting", "kept"} == set(
            await console.json("privacy")
        )

    play(at)


def test_the_sky_is_asked_for_until_the_daemon_is_gone(play: Callable[[Play], None]) -> None:
    """A terminal and Ctrl-C are in test_skyview."""

    async def at(console: Console) -> None:
        def watch() -> tuple[str, int]:
            command = [COMMAND, "--socket", str(console.there.socket), "gnss", "watch", "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                lines = [process.stdout.readline(), process.stdout.readline()]
                console.there.socket.unlink()
                process.stdout.read()
                return lines[1], process.wait(20)

        line, code = await console.there.as_client(watch)
        assert json.loads(line)["port"] == "/dev/gnss"
        assert code == 3

    play(at)


def test_whoever_stops_reading_ends_the_sky_without_a_complaint(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        def watch() -> tuple[int, str]:
            command = [COMMAND, "--socket", str(console.there.socket), "gnss", "watch", "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                process.stdout.readline()
                process.stdout.close()
                return process.wait(20), process.stderr.read()

        assert await console.there.as_client(watch) == (1, "")

    play(at)


def test_colour_is_for_terminals_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def at_terminal(socket: Path) -> str:
        terminal, end = pty.openpty()
        with subprocess.Popen([COMMAND, "--socket", str(socket), "status"], stdout=end) as process:
            assert process.wait(20) == 0
        os.close(end)
        shown = rest(terminal)
        os.close(terminal)
        return shown.decode()

    async def main() -> None:
        async with served(run) as there:
            plain = await Console(there, capsys).says("status")
            assert "\x1b" not in plain
            colored = await there.as_client(lambda: at_terminal(there.socket))
            assert "\x1b[32marmed\x1b[0m" in colored
            assert re.sub(r"\x1b\[\d+m", "", colored).splitlines()[0] == plain.splitlines()[0]

    asyncio.run(main())
