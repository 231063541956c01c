"""The lines on which the promise hangs: each is changed in a copy of the daemon, and a test has to notice."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import TOP

FAILED = 1
"""The exit code of pytest."""


@dataclass(frozen=True)
class Mutation:
    """In `module`, `line` becomes `instead`; `notices` is the test that fails then."""

    module: str
    line: str
    instead: str
    notices: str


MUTATIONS = {
    "vibration before COMMIT": Mutation(
        "keeping.py",
        "        write = self._write(self._add(record, moment))\n",
        "        self._listener.stored(record, moment)\n        write = self._write(self._add(record, moment))\n",
        "tests/test_keeping.py::test_stored_is_felt_only_after_the_commit_returned",
    ),
    "vibration though COMMIT failed": Mutation(
        "keeping.py",
        "        if error is not None or losses != self._losses:\n",
        "        if False:\n",
        "tests/test_keeping.py::test_what_could_not_be_stored_is_stored_as_soon_as_that_is_possible",
    ),
    "no COMMIT": Mutation(
        "store/file.py",
        'connection.execute("COMMIT")',
        'connection.execute("ROLLBACK")',
        "tests/store/test_outbox.py::test_a_record_comes_back_as_it_was_after_a_restart",
    ),
    "synchronous = NORMAL": Mutation(
        "store/database.py",
        '"synchronous": 2',
        '"synchronous": 1',
        "tests/store/test_database.py::test_a_new_database_is_durable_ours_and_of_the_newest_schema",
    ),
    "no fsync of the directory": Mutation(
        "durable.py",
        "        os.fsync(descriptor)\n    finally:",
        "        pass\n    finally:",
        "tests/store/test_database.py::test_its_name_is_durable_before_it_is_used",
    ),
    "no fsync of a small file": Mutation(
        "durable.py",
        "        file.flush()\n        os.fsync(descriptor)\n",
        "        file.flush()\n",
        "tests/test_durable.py::test_content_then_name_then_directory",
    ),
    "delivered without verifying": Mutation(
        "receipts.py",
        "payload = verify1(message, wire.receipt_aad(device), keys)",
        "payload = __import__('cbor2').loads(message).value[2]",
        "tests/test_answers.py::test_only_a_receipt_that_verifies_and_matches_makes_it_delivered",
    ),
    "delivered without comparing": Mutation(
        "answers.py",
        "            if record is None or not _names(entry, record.id):",
        "            if record is None:",
        "tests/test_answers.py::test_only_a_receipt_that_verifies_and_matches_makes_it_delivered",
    ),
    "off the queue when an attempt fails": Mutation(
        "sending.py",
        "        self._delivery.failed(order, why, now)\n",
        "        self._delivery.failed(order, why, now)\n        self._delivery.remove(record.digest)\n",
        "tests/test_sending.py::test_after_an_hour_without_network_it_is_delivered_soon_after_the_network_is_back",
    ),
    "a session drawn without chance": Mutation(
        "session.py",
        "secrets.token_bytes(4)",
        "bytes(4)",
        "tests/test_session.py::test_two_sessions_of_one_counter_are_two",
    ),
    "thinned before the gap is stored": Mutation(
        "aging.py",
        "        await self._outbox.thin(gap, digests, self.moment())\n",
        "        await self._outbox.add(gap, self.moment())\n",
        "tests/test_keeping.py::test_positions_beyond_their_bound_go_and_a_gap_names_them_in_the_same_commit",
    ),
    "a full disk ends it all": Mutation(
        "keeping.py",
        "            self._from_memory(record, made_s)\n        else:",
        "            pass\n        else:",
        "tests/test_keeping.py::test_an_alert_that_cannot_be_stored_is_sent_from_memory_at_once_and_the_officer_is_told",
    ),
    "wiped with a call that is not delivered": Mutation(
        "wiping.py",
        "        if self._owes():\n",
        "        if False:\n",
        "tests/test_wiping.py::test_a_press_while_it_is_to_be_wiped_is_an_alert_and_is_delivered_first",
    ),
    "wiped without the gateway's word": Mutation(
        "wiping.py",
        "        if not self._told:\n",
        "        if False:\n",
        "tests/test_wiping.py::test_a_false_receipt_of_the_telling_begins_nothing",
    ),
}


def run_with(daemon: Path, notices: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a test of ours with that copy of the daemon, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    environment["PYTHONPATH"] = str(daemon.parent)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", notices]
    return subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, check=False, timeout=120)


def copied(to: Path) -> Path:
    return Path(shutil.copytree(TOP / "daemon", to / "bondmate", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.timeout(150)
@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_test_notices(mutation: Mutation, tmp_path: Path) -> None:
    daemon = copied(tmp_path)
    module = daemon / mutation.module
    text = module.read_text(encoding="utf-8")
    assert text.count(mutation.line) == 1, f"{mutation.module} has changed: find the line again"
    module.write_text(text.replace(mutation.line, mutation.instead), encoding="utf-8")
    outcome = run_with(daemon, mutation.notices)
    assert outcome.returncode == FAILED, outcome.stdout[-3000:] + outcome.stderr[-1000:]
    assert re.search(r"^1 failed\b(?!.*error)", outcome.stdout, re.MULTILINE), outcome.stdout[-3000:]


@pytest.mark.timeout(150)
def test_the_copy_alone_changes_nothing(tmp_path: Path) -> None:
    """Else every mutation would be noticed, whatever it was."""
    daemon = copied(tmp_path)
    (daemon / "lean.py").write_text(f"{(daemon / 'lean.py').read_text()}\nprint('this is the copy')\n")
    outcome = run_with(daemon, "tests/test_keeping.py::test_stored_is_felt_only_after_the_commit_returned")
    assert outcome.returncode == 0, outcome.stdout[-3000:]
