"""bondmatectl with an officer's things: PINs, check-ins, the inbox, live pictures; and its own files."""

import asyncio
import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bondmate import cli, doing, officer_pin
from bondmate.records import How, Kind
from tests.api.served import UTC_MS, set_pin
from tests.desk import fix_at
from tests.eventually import eventually
from tests.sim.conftest import run
from tests.terminal import rest
from tests.test_app import Prepare, prepare
from tests.test_cli import COMMAND, Console, Play, play

__all__ = ["play", "prepare", "run"]


def test_what_is_done_with_a_pin_takes_it_from_a_file_or_asks_for_it(
    run: Path, play: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_pin(run, "271828", "314159")
    file = tmp_path / "pin"
    file.write_text("271828\n")
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return "314159"

    monkeypatch.setattr("getpass.getpass", typed)

    async def at(console: Console) -> None:
        console.there.socket = console.there.console
        await console.says("alert", "raise")
        monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
        said = await console.says("alert", "cancel", code=4)
        assert said == (
            "bondmatectl: the officer's PIN is needed: give a file with it, or - for standard input: --pin-file FILE\n"
        )
        true = await console.says("alert", "cancel", "--pin-file", str(file))
        assert "cancelled" in true
        file.write_text("000000")
        said = await console.says("duty", "off", "--pin-file", str(file), code=4)
        assert said == "bondmatectl: the PIN is wrong; tries left: 4\n"
        assert asked == []
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        await console.says("alert", "raise")
        await console.says("alert", "cancel")
        assert asked == ["The officer's PIN: "]
        assert (await console.says("duty")).startswith("On duty."), "to look at it nobody needs a PIN"
        assert console.there.hows == [How.PIN, How.DURESS]
        said = await console.says("alert", "cancel", "--pin-file", str(tmp_path / "none"), code=1)
        assert "it has the PIN in its first line" in said

    play(at)


def test_check_ins_are_minded(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        assert await console.says("checkin") == "No check-in is under way.\n"
        said = await console.says("checkin", "begin", "20m", "--note", "the cellar of No. 7\x1b[2J")
        assert said.startswith("A check-in is under way: due in 20 min 0 s (at 2026-11-20T15:20:0")
        assert said.endswith("), the cellar of No. 7\ufffd[2J.\n")
        assert "checkin  due in 20 min 0 s" in await console.says("status")
        assert 1280 < (await console.json("checkin", "extend", "90"))["checkin"]["due_s"] <= 1290
        assert 1280 < (await console.json("checkin", "show"))["checkin"]["due_s"] <= 1290
        assert await console.json("checkin", "end") == {"checkin": None, "stored": True}
        said = await console.says("checkin", "end", code=1)
        assert said == "bondmatectl: no check-in is under way: there is nothing to end\n"

    play(at)


def test_the_inbox_is_read_and_answered(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        assert await console.says("inbox") == "The inbox is empty.\n"
        there = console.there
        there.device.on_fix(fix_at(asyncio.get_running_loop().time(), lat=38.7))
        await there.send(1, ["Call in,\nplease\x07.", ["Yes", "No"]], urgency=1)
        await there.send(3, ["Wanted", [], [387037770, -91000000, 10], int(Kind.PANIC)])
        await eventually(lambda: there.device.mailbox.unread == 2, "both to be counted")
        assert await console.says("inbox") == (
            "    2  2030-03-17T17:46:40.000Z  assistance, Ada  not read yet\n"
            "       Wanted\n"
            "       panic: 420 m from here towards 0°\n"
            "    1  2030-03-17T17:46:40.000Z  message, Ada  urgent  not read yet\n"
            "       Call in,\n"
            "       please\ufffd.\n"
            "       quick replies: Yes | No\n"
        )
        assert "inbox    2 not read yet" in await console.says("status")
        assert (await console.json("inbox", "read", "2"))["state"] == "read"
        assert "       answered: Yes\n" in await console.says("inbox", "answer", "1", "Yes")
        assert [each["state"] for each in await console.json("inbox")] == ["read", "answered"]
        assert await console.says("inbox", "read", "7", code=1) == "bondmatectl: there is no message 7\n"

    play(at)


def test_what_is_only_sometimes_there_is_in_the_status_then(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        device = console.there.device
        await console.there.send(6, [1, 3600], expires_s=2_000_000_000, time_s=UTC_MS // 1000)
        device.senses.on_battery(12, True)
        await device.change_settings(covert=False)
        now = asyncio.get_running_loop().time()
        device.check_in._core.resume(now, now - 61.0, "")
        device.check_in.step(now)
        assert device.countdown_json(now) is not None
        said = await console.says("status")
        for words in (
            "EXERCISE", "battery  12 %, charging", "covert   no", "overdue since 1 min 1 s",
            "check-in-missed is raised in ",
        ):  # fmt: skip
            assert words in said

    play(at)


def test_the_configuration_in_use_is_shown(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        assert await console.says("config", "show") == "The daemon was started without a configuration file.\n"
        assert await console.json("config", "show") is None

    play(at)


def test_the_state_is_watched_live_until_the_daemon_is_gone(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        await console.there.post()

        def watch(*arguments: str) -> subprocess.Popen[str]:
            command = [COMMAND, "--socket", str(console.there.socket), "watch", *arguments]
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        with watch("--json") as machine, watch() as person:
            assert machine.stdout is not None
            assert person.stdout is not None
            lines = [json.loads(await asyncio.to_thread(machine.stdout.readline)) for _ in range(2)]
            assert [line["event"] for line in lines] == ["status", "inbox"]
            assert lines[1]["data"][0]["number"] == 1
            while "message 1" not in (await asyncio.to_thread(person.stdout.readline)):
                pass
            console.there.device.raise_alert(Kind.PANIC)
            while json.loads(await asyncio.to_thread(machine.stdout.readline))["data"]["alert"] is None:
                pass
            while "panic" not in (await asyncio.to_thread(person.stdout.readline)):
                pass
            machine.kill()
            person.kill()

    play(at)


def test_no_daemon_to_watch_is_3(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--socket", str(run / "api.sock"), "watch"]) == 3
    said = capsys.readouterr().err
    for check in ("systemctl status bondmated", "journalctl -u bondmated", "--socket"):
        assert check in said


def test_a_terminal_shows_the_state_in_place_and_is_given_back(play: Callable[[Play], None]) -> None:
    async def at(console: Console) -> None:
        def watch() -> tuple[bytes, int]:
            terminal, end = pty.openpty()
            command = [COMMAND, "--socket", str(console.there.socket), "watch"]
            with subprocess.Popen(command, stdin=end, stdout=end, stderr=subprocess.DEVNULL) as process:
                os.close(end)
                out = b""
                while b"store" not in out:
                    out += os.read(terminal, 4096)
                process.terminate()
                out += rest(terminal)
                os.close(terminal)
                return out, process.wait(20)

        out, code = await console.there.as_client(watch)
        assert (out[:8], out[-8:], code) == (b"\x1b[?1049h", b"\x1b[?1049l", 0)

    play(at)


# --- the self-test -----------------------------------------------------------------------------------


def script(console: Console, monkeypatch: pytest.MonkeyPatch, *told: dict[str, Any] | None) -> None:
    """What the device tells of its self-test, one after the other, and the last from then on."""
    selftest, left = console.there.device.selftest, list(told)
    monkeypatch.setattr(selftest, "begin", lambda: None)
    monkeypatch.setattr(selftest, "to_json", lambda: left.pop(0) if len(left) > 1 else left[0])


def a_test(state: str, ok: bool | None, *checks: tuple[str, str, bool | None, str, str | None], **more: Any) -> Any:
    rows = [dict(zip(("check", "state", "ok", "text", "next"), each, strict=True)) for each in checks]
    return {"number": 1, "state": state, "why": None, "ok": ok, "checks": rows} | more


ASKING = ("button", "running", None, "waiting for a press", None)
PRESSED = ("button", "done", True, "pressed for 0.10 s", None)
DARK = ("led", "done", False, "the LED stays low\x1b[2J", "check the wiring")
NOTHING = ("battery", "done", None, "none is configured", None)


def test_a_self_test_asks_for_what_a_person_has_to_do_and_tells_what_to_do_next(
    play: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = a_test("running", None, ASKING)
    done = a_test("done", False, PRESSED, DARK, NOTHING)

    async def at(console: Console) -> None:
        socket = ["--socket", str(console.there.socket), "selftest"]
        script(console, monkeypatch, running, running, running, done)
        assert await console.there.as_client(lambda: cli.main(socket)) == 1
        written = capsys.readouterr()
        assert written.err == "button: waiting for a press\n", "once"
        assert written.out.splitlines() == [
            "BUTTON        ok      pressed for 0.10 s",
            "LED           FAILED  the LED stays low\N{REPLACEMENT CHARACTER}[2J",
            "                      next: check the wiring",
            "BATTERY       none    none is configured",
        ]
        script(console, monkeypatch, running, a_test("done", True, PRESSED, NOTHING))
        assert await console.there.as_client(lambda: cli.main([*socket, "--json"])) == 0
        assert json.loads(capsys.readouterr().out) == [
            {"check": "button", "ok": True, "text": "pressed for 0.10 s", "next": None},
            {"check": "battery", "ok": None, "text": "none is configured", "next": None},
        ]

    play(at)


def test_a_self_test_that_was_ended_is_1_and_says_why(
    play: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def at(console: Console) -> None:
        for last, said in (
            (a_test("cancelled", False, PRESSED, why="an alert was raised"), "was ended: an alert was raised"),
            (a_test("running", None, ASKING, number=2), "another one was begun"),
            (None, "the daemon began anew"),
        ):
            script(console, monkeypatch, a_test("running", None, ASKING), last)
            arguments = ["--socket", str(console.there.socket), "selftest"]
            assert await console.there.as_client(partial(cli.main, arguments)) == 1
            assert said in capsys.readouterr().err

    play(at)


def test_a_terminal_shows_a_self_test_in_place_and_then_what_came_of_it_in_colour(
    play: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = a_test("running", None, ASKING)

    async def at(console: Console) -> None:
        script(console, monkeypatch, running, running, a_test("done", False, PRESSED, DARK))

        def read() -> tuple[bytes, int]:
            terminal, end = pty.openpty()
            command = [COMMAND, "--socket", str(console.there.socket), "selftest"]
            with subprocess.Popen(command, stdin=end, stdout=end, stderr=end) as process:
                os.close(end)
                out = rest(terminal)
                os.close(terminal)
                return out, process.wait(20)

        out, code = await console.there.as_client(read)
        picture, behind = out.split(b"\x1b[?1049l")
        assert code == 1
        assert b"\x1b[1mBUTTON        ...     waiting for a press" in picture
        assert b"BUTTON        \x1b[32mok\x1b[0m      pressed" in behind
        assert b"LED           \x1b[31mFAILED\x1b[0m  the LED" in behind

    play(at)


# --- its own files -----------------------------------------------------------------------------------


def given_on_stdin(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], input=text, capture_output=True, text=True, check=False, timeout=20)


def kept(file: Path) -> list[How | None]:
    """What the PIN, the duress PIN and another one are, by this file."""
    pin = officer_pin.OfficerPin(file, None, None, 1.0)  # type: ignore[arg-type]
    return [pin._look(each) for each in ("271828", "3141", "000000")]


def test_pins_are_set_from_two_lines(tmp_path: Path) -> None:
    file = tmp_path / "pin.json"
    done = given_on_stdin("271828\n3141\n", "config", "pin", "--out", str(file), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"file": str(file), "duress": True}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept(file) == [How.PIN, How.DURESS, None]
    assert "271828" not in file.read_text() + done.stdout
    done = given_on_stdin("271828\n", "config", "pin", "--out", str(file))
    assert done.stdout == f"{file} is written, without a duress PIN; it is valid at once.\n"
    assert kept(file) == [How.PIN, None, None]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "two lines are read"),
        ("123\n\n", "4 to 12 digits"),
        ("1234\n1234\n", "the duress PIN must differ"),
        ("1234\nabcd\n", "4 to 12 digits"),
    ],
)
def test_what_cannot_be_a_pin_is_refused_and_what_was_there_stays(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "pin.json"
    set_pin(tmp_path, "271828", "3141")
    before = file.read_bytes()
    done = given_on_stdin(text, "config", "pin", "--out", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(f"bondmatectl: no PIN was set: {why}") or why in done.stderr
    assert file.read_bytes() == before
    assert given_on_stdin("1234\n", "config", "pin", "--out", str(tmp_path / "no" / "pin.json")).returncode == 1


def test_on_a_terminal_both_are_asked_for_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pin.json"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter(["271828", "271828", "3141", "3141", "271828", "271829", "271828", "271828", ""])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))
    assert cli.main(["config", "pin", "--out", str(file)]) == 0
    assert kept(file) == [How.PIN, How.DURESS, None]
    assert cli.main(["config", "pin", "--out", str(file)]) == 1
    assert capsys.readouterr().err == "bondmatectl: no PIN was set: they differ\n"
    assert cli.main(["config", "pin", "--out", str(file)]) == 0
    assert kept(file) == [How.PIN, None, None]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for somebody else")
def test_root_writes_it_for_whoever_has_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 990, 991)
    assert given_on_stdin("1234\n", "config", "pin", "--out", str(tmp_path / "pin.json")).returncode == 0
    found = (tmp_path / "pin.json").stat()
    assert (found.st_uid, found.st_gid) == (990, 991)


def test_a_configuration_is_checked(prepare: Prepare, capsys: pytest.CaptureFixture[str]) -> None:
    path = prepare()
    capsys.readouterr()
    assert cli.main(["config", "check", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: good; this device is BM-")
    assert cli.main(["config", "check", str(path), "--json"]) == 0
    checked: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (checked["ok"], checked["problems"]) == (True, [])
    (path.parent / "credentials" / "credentials.json").chmod(0o644)
    assert cli.main(["config", "check", str(path)]) == doing.EXIT_CONFIGURATION == 78
    assert "can be read by others" in capsys.readouterr().err
    path.write_text("[gpio")
    assert cli.main(["config", "check", str(path), "--json"]) == 78
    checked = json.loads(capsys.readouterr().out)
    assert checked["device"] is None
    assert "not TOML" in checked["problems"][0]


def test_a_pin_is_nowhere_on_a_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bondmate.cli", "alert", "cancel", "--pin", "1234"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 2, "--pin is no short form of --pin-file"
