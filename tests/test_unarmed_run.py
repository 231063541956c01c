"""What a device without credentials finds on its disk, and makes of it. Whole runs are tests/e2e's."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from bondmate import config, credentials, identity, network, unarmed_run
from bondmate.config import Configuration
from bondmate.errors import LocalError
from bondmate.faults import Faults
from bondmate.unarmed_run import UnarmedRun, _look, _NotYetError
from tests.enrolment_desk import KID, Force, new_key, pem
from tests.test_config import NEEDED

FORCE = Force()


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """With a card's boot partition that has a good file."""
    (tmp_path / "credentials").mkdir()
    file, key = FORCE.put(tmp_path / "boot")
    return config.parse(
        f"""
{NEEDED}
[device]
credentials_dir = "{tmp_path}/credentials"
[modem]
port = "/dev/modem"
[enrolment]
file = "{file}"
force_key = "{key}"
""",
        "device.toml",
    )


def why_not(configuration: Configuration) -> str:
    with pytest.raises(_NotYetError) as told:
        _look(configuration)
    assert told.value.next_step
    return str(told.value)


def test_with_a_good_file_it_has_keys_and_networks(configuration: Configuration, tmp_path: Path) -> None:
    FORCE.put(tmp_path / "boot", network={2: "iot.example"})
    ready = _look(configuration)
    assert ready is not None
    assert ready.file.kid == KID
    assert ready.configuration.modem.apn == "iot.example"
    assert identity.is_pending(tmp_path / "credentials")


def test_it_makes_no_keys_for_a_file_that_it_does_not_believe(configuration: Configuration, tmp_path: Path) -> None:
    FORCE.put(tmp_path / "boot", signer=new_key())
    assert "it is not signed by this force" in why_not(configuration)
    assert list((tmp_path / "credentials").iterdir()) == []


def test_what_is_missing_is_told(configuration: Configuration, tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    (boot / "bondmate-enrol.cose").unlink()
    assert "no enrolment file on the boot partition" in why_not(configuration)
    (boot / "force.pem").unlink()
    assert "the force's key" in why_not(configuration)
    (boot / "force.pem").write_bytes(pem(FORCE.key))
    (boot / "bondmate-enrol.cose").mkdir()
    assert "Is a directory" in why_not(configuration)


def test_without_the_directory_nothing_is_made_anywhere(configuration: Configuration, tmp_path: Path) -> None:
    (tmp_path / "credentials").rmdir()
    assert "is not mounted" in why_not(configuration)
    assert not (tmp_path / "credentials").exists(), "keys on a disk that is covered later would be lost"


def test_a_device_whose_credentials_are_damaged_is_not_enrolled_again(
    configuration: Configuration, tmp_path: Path
) -> None:
    (tmp_path / "credentials" / credentials.CREDENTIALS_FILE).write_text("{")
    assert "the credentials cannot be used" in why_not(configuration)
    assert not identity.is_pending(tmp_path / "credentials")


def test_keys_that_cannot_be_kept_are_told(configuration: Configuration, tmp_path: Path) -> None:
    (tmp_path / "credentials" / identity.PENDING_FILE).mkdir()
    said = why_not(configuration)
    assert "the keys cannot be kept" in said
    assert "Is a directory" in said


def test_networks_that_were_kept_and_cannot_be_read_are_written_anew(
    configuration: Configuration, tmp_path: Path
) -> None:
    (tmp_path / "credentials" / network.NETWORK_FILE).write_text("{")
    assert _look(configuration) is not None


def test_an_enrolment_that_fails_as_nobody_expected_is_said_and_tried_again(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def look(_configuration: Configuration) -> None:
        looks.append(1)
        if len(looks) < 3:
            raise RuntimeError("lakers is not there")

    monkeypatch.setattr(unarmed_run, "_look", look)
    monkeypatch.setattr(unarmed_run, "LOOK_S", 0.001)

    class Said:
        why: ClassVar[list[str]] = []

        def report(self, text: str, _next_step: str) -> None:
            self.why.append(text)

    run = UnarmedRun(configuration, Faults())
    asyncio.run(run._until_armable(Said(), None))  # type: ignore[arg-type]
    assert Said.why == ["not enrolled yet: enrolling failed: lakers is not there"] * 2


def test_its_button_is_on_the_chip_that_is_configured(configuration: Configuration) -> None:
    gpio = replace(configuration.gpio, factory="gpiod", chip="some-chip")
    run = UnarmedRun(replace(configuration, gpio=gpio), Faults())
    try:
        with pytest.raises(LocalError, match="no GPIO chip labelled 'some-chip'"):
            asyncio.run(run.serve())
    finally:
        assert run.end is not None
        run.end.cancel()  # else it ends this process, whatever test it has come to by then


def test_the_disk_is_looked_at_soon_again() -> None:
    assert unarmed_run.LOOK_S <= 5
