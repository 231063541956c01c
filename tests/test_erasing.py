"""What a wipe leaves on the disk, wherever the power goes: a device that goes on with it, or one to be enrolled."""

import asyncio
import itertools
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bondmate import config, credentials, erasing, identity
from bondmate.config import Configuration
from bondmate.enrolment_file import parse
from bondmate.faults import Faults
from bondmate.network import NETWORK_FILE
from bondmate.records import Kind
from bondmate.running import LAST_GOOD_FILE
from bondmate.store.database import set_aside
from bondmate.store.outbox import SqliteOutbox
from bondmate.unarmed_run import UnarmedRun, _look
from tests.enrolment_desk import Force
from tests.store.samples import DEVICE, START, record
from tests.test_config import NEEDED
from tests.test_identity import FRESH

FORCE = Force()
FILE = parse(FORCE.file(network={1: [["Posto-1", "correct horse"]], 3: "1234"}), FORCE.key.public_key())
OURS = ("technicians-notes", "device.toml")
"""What somebody else put there."""


class Card:
    """A device's two directories, with all that one has after years."""

    def __init__(self, folder: Path) -> None:
        self.credentials, self.state = folder / "credentials", folder / "state"
        self.credentials.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(exist_ok=True)

    def fill(self) -> list[bytes]:
        """Secrets that are in the files now."""
        keys = identity.prepare(self.credentials, FILE)
        identity.commit(self.credentials, FILE, keys, FRESH)
        (self.credentials / "pin.json").write_text('{"pin": "the officers"}')
        (self.credentials / "credentials.json.part").write_text("half written: " + "k" * 9000)
        asyncio.run(self._store())
        set_aside(self.state)
        asyncio.run(self._store())
        (self.state / "start-counter").write_text("77\n")
        (self.state / "sim-pin").write_text("tried: 1234")
        (self.state / LAST_GOOD_FILE).write_text("[device]\n")
        for directory in (self.credentials, self.state):
            for name in OURS:
                (directory / name).write_text("not the daemon's")
        document = json.loads((self.credentials / "credentials.json").read_text())
        return [document["channel_secret"].encode(), document["signing_key"].encode()[:60], b"1234", b"correct horse"]

    async def _store(self) -> None:
        outbox = SqliteOutbox(self.state, DEVICE)
        await outbox.open()
        for sequence in range(1, 30):
            await outbox.add(record(Kind.PANIC, sequence), START)
        await outbox.upkeep(START, 100.0)
        # as a power cut leaves it: with its log
        connection = outbox._connection
        assert connection is not None
        await outbox.add(record(Kind.PANIC, 99), START)
        os.link(self.state / "outbox.db-wal", self.state / "kept")
        await outbox.close()
        (self.state / "kept").rename(self.state / "outbox.db-wal")

    def names(self) -> list[str]:
        """All that is there but for what somebody else put there."""
        return sorted(
            path.name for folder in (self.credentials, self.state) for path in folder.iterdir() if path.name not in OURS
        )

    def finish(self, *, last_good: bool = True) -> None:
        erasing.finish(self.credentials, self.state, last_good=last_good)


def test_without_the_mark_nothing_is_erased(tmp_path: Path) -> None:
    card = Card(tmp_path)
    card.fill()
    before = card.names()
    card.finish()
    assert card.names() == before
    assert not erasing.is_marked(card.credentials)
    credentials.load(card.credentials)


def test_all_that_the_device_stored_is_overwritten_and_gone(tmp_path: Path) -> None:
    card = Card(tmp_path)
    secrets = card.fill()
    held = {path: path.open("rb") for folder in (card.credentials, card.state) for path in folder.iterdir()}
    erasing.mark(card.credentials)
    card.finish()
    assert card.names() == [NETWORK_FILE]
    for directory in (card.credentials, card.state):
        assert {name: (directory / name).read_text() for name in OURS} == dict.fromkeys(OURS, "not the daemon's")
    for path, file in held.items():
        octets = file.read()
        file.close()
        if path.name not in OURS and path.name != "reserve":
            assert set(octets) <= {0}, f"who still had {path.name} open reads of it"
    assert not any(secret in (card.credentials / NETWORK_FILE).read_bytes() for secret in secrets)
    assert json.loads((card.credentials / NETWORK_FILE).read_text())["wifi"] == [], "Wi-Fi profiles follow this file"


def test_a_file_that_was_used_goes_before_the_mark_and_one_that_comes_behind_it_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = Card(tmp_path)
    card.fill()
    file, _ = FORCE.put(tmp_path / "boot")
    erasing.mark(card.credentials, file)
    assert not file.exists()
    FORCE.put(tmp_path / "boot", device=b"next")
    card.finish()
    assert file.exists()
    file.unlink()
    file.mkdir()
    erasing.mark(card.credentials, file)
    assert erasing.is_marked(card.credentials), "whatever becomes of the file"
    assert "cannot be erased" in caplog.text


def test_the_configuration_that_the_device_runs_with_for_want_of_a_better_one_stays(tmp_path: Path) -> None:
    card = Card(tmp_path)
    card.fill()
    erasing.mark(card.credentials)
    card.finish(last_good=False)
    assert card.names() == [LAST_GOOD_FILE, NETWORK_FILE]


def test_a_file_that_the_daemon_may_not_write_is_removed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(tmp_path)
    card.fill()
    erasing.mark(card.credentials)
    real = os.open

    def refusing(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if str(path).endswith("credentials.json") and flags & os.O_WRONLY:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    card.finish()
    assert card.names() == [NETWORK_FILE]


def test_a_state_that_is_not_mounted_leaves_the_mark(tmp_path: Path) -> None:
    card = Card(tmp_path)
    card.fill()
    erasing.mark(card.credentials)
    card.state.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="not mounted"):
        card.finish()
    assert erasing.is_marked(card.credentials)
    assert not (card.credentials / "credentials.json").exists(), "the keys went first"
    (tmp_path / "elsewhere").rename(card.state)
    card.finish()
    assert card.names() == [NETWORK_FILE]


class PowerCut(BaseException):
    """Nothing runs behind it: nothing of the product catches it."""


def cut_at(monkeypatch: pytest.MonkeyPatch, at: int, steps: list[str]) -> None:
    """Cut the power before or behind the nth step that the disk sees."""

    def step(name: str) -> None:
        steps.append(name)
        if len(steps) == at:
            raise PowerCut(name)

    def cutting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            step(f"before {name}")
            result = real(*arguments, **options)
            step(f"behind {name}")
            return result

        return call

    for where, name in ((os, "open"), (os, "fsync"), (Path, "replace"), (Path, "unlink")):
        monkeypatch.setattr(where, name, cutting(name, getattr(where, name)))


def test_wherever_the_power_goes_it_is_armed_or_goes_on_or_can_be_enrolled(tmp_path: Path) -> None:
    Card(tmp_path / "full").fill()
    cuts: list[str] = []
    armed = erased = 0
    for at in itertools.count(1):
        shutil.copytree(tmp_path / "full", tmp_path / str(at), copy_function=shutil.copyfile)
        card = Card(tmp_path / str(at))
        steps: list[str] = []
        with pytest.MonkeyPatch.context() as patches:
            cut_at(patches, at, steps)
            try:
                erasing.mark(card.credentials)
                card.finish()
            except PowerCut as cut:
                cuts.append(str(cut))
        if len(cuts) < at:
            break
        # the next start
        if erasing.is_marked(card.credentials):
            card.finish()
            assert card.names() == [NETWORK_FILE], cuts[-1]
            erased += 1
        elif (card.credentials / "credentials.json").exists():
            credentials.load(card.credentials)
            assert (card.state / "outbox.db").exists(), "nothing was erased without the mark"
            assert (card.credentials / "pin.json").exists()
            armed += 1
        else:
            assert card.names() == [NETWORK_FILE], "the mark was the last to go"
        shutil.rmtree(tmp_path / str(at))
    assert {
        "before replace",
        "behind replace",
        "before unlink",
        "behind unlink",
        "before fsync",
        "behind fsync",
    } <= set(cuts)
    assert armed > 3
    assert erased > 100


# --- the next start ------------------------------------------------------------------------------------


class Said:
    """Stands where the palm does."""

    def __init__(self) -> None:
        self.why: list[str] = []
        self.device = None
        self.wiped = asyncio.Event()

    def report(self, text: str, _next_step: str) -> None:
        self.why.append(text)
        if text.startswith("wiped"):
            self.wiped.set()


def configured(tmp_path: Path, boot: Path) -> Configuration:
    return config.parse(
        f"""
{NEEDED}
[device]
credentials_dir = "{tmp_path}/credentials"
state_dir = "{tmp_path}/state"
[enrolment]
file = "{boot}/bondmate-enrol.cose"
force_key = "{boot}/force.pem"
""",
        "device.toml",
    )


def test_a_start_with_the_mark_says_so_erases_and_takes_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(tmp_path)
    card.fill()
    erasing.mark(card.credentials)
    FORCE.put(tmp_path / "boot")
    (tmp_path / "boot" / "bondmate-enrol.cose").unlink()
    configuration = configured(tmp_path, tmp_path / "boot")
    monkeypatch.setattr("bondmate.unarmed_run.LOOK_S", 0.001)
    said, run = Said(), UnarmedRun(configuration, Faults())
    enrolled: list[bytes] = []

    async def enrol(_unarmed: Any, ready: Any, _factory: Any) -> None:
        enrolled.append(ready.file.device.octets)
        identity.commit(card.credentials, ready.file, ready.keys, FRESH)

    monkeypatch.setattr(run, "_enrol", enrol)

    async def story() -> None:
        task = asyncio.ensure_future(run._until_armable(said, None))  # type: ignore[arg-type]
        await said.wiped.wait()
        assert card.names() == [NETWORK_FILE]
        FORCE.put(tmp_path / "boot", device=b"next")
        await task

    asyncio.run(asyncio.wait_for(story(), 60))
    assert said.why[0] == "being wiped: all that it stored is being erased"
    assert said.why[1].startswith("wiped: enrol it anew (not enrolled yet: no enrolment file on the boot partition")
    assert enrolled == [b"next"]
    assert _look(configuration) is None
    assert credentials.load(card.credentials).device.octets == b"next"


def test_a_disk_that_does_not_erase_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(tmp_path)
    card.fill()
    erasing.mark(card.credentials)
    failures = iter([OSError(5, "Input/output error", str(card.state / "outbox.db"))] * 2)
    real = identity.erase

    def failing(path: Path, **options: Any) -> None:
        if path.name == "outbox.db" and (failure := next(failures, None)) is not None:
            raise failure
        real(path, **options)

    monkeypatch.setattr(erasing, "erase", failing)
    monkeypatch.setattr("bondmate.unarmed_run.LOOK_S", 0.001)
    said, run = Said(), UnarmedRun(configured(tmp_path, tmp_path / "boot"), Faults(), keep_last_good=True)

    async def story() -> None:
        task = asyncio.ensure_future(run._until_armable(said, None))  # type: ignore[arg-type]
        await said.wiped.wait()
        task.cancel()

    asyncio.run(asyncio.wait_for(story(), 60))
    assert said.why[1] == f"being wiped: {card.state}/outbox.db cannot be erased: Input/output error"
    assert said.why.count(said.why[1]) == 2
    assert card.names() == [LAST_GOOD_FILE, NETWORK_FILE]


def test_a_large_file_is_overwritten_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(random.Random(1).randbytes(3_000_001))
    with path.open("rb") as held:
        identity.erase(path, most=None)
        assert held.read() == bytes(3_000_001)
