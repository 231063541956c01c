"""Bundles and rollouts on the command line."""

import hashlib
from pathlib import Path

import pytest

from bondmate_sim.gateway import cli
from bondmate_sim.gateway.database import Database
from tests.gateway.conftest import command


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, Path]:
    """Return the option that names a data directory with three devices and a bundle."""
    option = "--data", tmp_path / "data"
    command("enrol", "--count", "3", "--out", tmp_path / "out", "--group", "north", *option)
    (tmp_path / "made").write_bytes(b"bundle")
    command("bundle", "add", tmp_path / "made", "--version", "1.3.0", *option)
    return option


def test_bundles_are_added_listed_and_removed(data: tuple[str, Path], tmp_path: Path) -> None:
    (shown,) = command("bundle", "list", *data)
    assert command("bundle", "add", tmp_path / "made", "--version", "1.3.0", *data) == shown
    assert shown.pop("added_at").endswith("Z")
    assert shown == {
        "version": "1.3.0",
        "name": "1.3.0.raucb",
        "octets": 6,
        "sha256": hashlib.sha256(b"bundle").hexdigest(),
    }
    assert command("bundle", "remove", "1.3.0", *data)["version"] == "1.3.0"
    assert command("bundle", "list", *data) == []
    assert list((data[1] / "bundles").iterdir()) == []


def test_a_rollout_begins_is_stopped_and_goes_on(data: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    begun = command("rollout", "start", "1.3.0", "--group", "north", "--by", "Ann", *data)
    assert (begun["rollout"], begun["version"], begun["state"], begun["why"]) == (1, "1.3.0", "running", None)
    assert [each["state"] for each in begun["devices"]] == ["waiting"] * 3
    assert command("rollout", "status", *data) == [begun]
    (stopped,) = command("rollout", "stop", "--by", "Bob", *data)
    assert (stopped["state"], stopped["why"]) == ("stopped", "by Bob")
    assert command("rollout", "resume", "1", *data) == [begun]
    assert command("rollout", "stop", "1", "--by", "Bob", *data) == [stopped]
    assert cli.main(["rollout", "status", *map(str, data)]) == 0
    assert capsys.readouterr().out == "rollout 1 of 1.3.0  STOPPED: by Bob\n  3 waiting\n"


@pytest.mark.parametrize(
    ("options", "batch"), [((), 1), (("--percent", "34"), 2), (("--batch", "3"), 3), (("--percent", "100"), 3)]
)
def test_batches_are_numbers_or_shares(data: tuple[str, Path], options: tuple[str, ...], batch: int) -> None:
    command("rollout", "start", "1.3.0", *options, *data)
    database = Database(data[1], create=False)
    assert database.rows("SELECT batch, tolerated_percent, overdue_ms, at_once FROM rollout") == [
        (batch, 5, 7 * 24 * 3600 * 1000, 0)
    ]
    database.close()


def test_what_cannot_be_done_says_why(data: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, why in (
        ("bundle remove 2.0", "no bundle of 2.0 is here"),
        ("rollout start 2.0", "no bundle of 2.0 is here"),
        ("rollout start 1.3.0 --group south", "no device in the groups south can be updated"),
        ("rollout stop 7", "there is no rollout 7"),
        ("rollout resume", "none of the rollouts are stopped"),
    ):
        assert cli.main([*arguments.split(), *map(str, data)]) == 1
        assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        *("bundle", "bundle add", "bundle add f", "bundle add f --version ../v", "bundle remove", "rollout"),
        *("rollout start", "rollout start v --batch 0", "rollout start v --batch 1 --percent 5"),
        *("rollout start v --tolerate 101", "rollout start v --overdue-days 0", "rollout stop x", "rollout resume 0"),
        *("run --bundles 127.0.0.1", "run --bundles-url gateway.example"),
        *("run --bundles 0.0.0.0:8080", "run --bundles [::]:8080", "run --bundles :8080"),
    ],
)
def test_what_is_not_understood_is_a_usage_error(arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments.split())
    assert ended.value.code == 2
