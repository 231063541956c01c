"""Bundles, made and read by RAUC itself; what a device does with one is in tests/booted/test_update.py."""

import argparse
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from bondmate.store.schema import MIGRATIONS
from bondmate_image import bundle, cli, recipe
from bondmate_image.bundle import Signer
from bondmate_image.errors import ImageError
from bondmate_image.recipe import Profile, Wanted
from bondmate_image.trust import Trust
from tests.image import signers
from tests.image.here import HERE
from tests.image.signers import Authority

needs_rauc = pytest.mark.skipif(
    shutil.which("rauc") is None or shutil.which("mksquashfs") is None,
    reason="RAUC makes and verifies bundles: it needs Debian's packages rauc and squashfs-tools",
)
SAYS = {"replaces": "0.9.0", "store": "4", "store_oldest": "1", "store_reader": "3"}


@pytest.fixture
def force() -> Authority:
    return signers.authority()


def wanted(force: Authority) -> Wanted:
    return Wanted("1.2.3", Profile.RELEASE, 1_700_000_000, Trust(keyring=force.pem))


def make(folder: Path, force: Authority, signer: Signer) -> Path:
    work = folder / "work"
    (work / "content").mkdir(parents=True)
    (work / "content/rootfs.ext4").write_bytes(os.urandom(1 << 20))
    image = wanted(force)
    bundle.sign(HERE, work, bundle.manifest(image, SAYS), signer, image)
    return work / "made.raucb"


def info(made: Path, force: Authority) -> subprocess.CompletedProcess[str]:
    keyring = made.with_name("devices.pem")
    keyring.write_bytes(force.pem)
    return subprocess.run(
        ["rauc", f"--keyring={keyring}", "info", "--output-format=json", made],
        capture_output=True,
        text=True,
        check=False,
    )


@needs_rauc
def test_rauc_reads_what_was_signed(tmp_path: Path, force: Authority) -> None:
    made = make(tmp_path, force, force.signer(tmp_path))
    done = info(made, force)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["compatible"], shown["version"]) == ("bondmate", "1.2.3")
    assert [each["rootfs"]["filename"] for each in shown["images"]] == ["rootfs.ext4"]


@needs_rauc
def test_a_device_of_another_force_does_not_believe_it(tmp_path: Path, force: Authority) -> None:
    made = make(tmp_path, force, force.signer(tmp_path))
    done = info(made, signers.authority())
    assert done.returncode != 0
    assert "signature verification failed" in done.stderr


@needs_rauc
def test_what_the_devices_would_not_believe_is_not_made(tmp_path: Path, force: Authority) -> None:
    """The same name, and another key: no bundle may come of it that is found out in the field."""
    with pytest.raises(ImageError, match="unable to get local issuer certificate"):
        make(tmp_path, force, signers.authority().signer(tmp_path))
    assert not (tmp_path / "work/made.raucb").exists()


@needs_rauc
def test_a_key_that_is_not_the_certificates_signs_nothing(tmp_path: Path, force: Authority) -> None:
    one, two = force.signer(tmp_path, "one"), force.signer(tmp_path, "two")
    with pytest.raises(ImageError, match="key values mismatch"):
        make(tmp_path, force, Signer(one.certificate, two.key))
    assert not (tmp_path / "work/made.raucb").exists()


@needs_rauc
def test_the_key_goes_no_further_than_its_file(tmp_path: Path, force: Authority) -> None:
    signer = force.signer(tmp_path)
    made = make(tmp_path, force, signer)
    secret = signer.key.read_bytes().splitlines()[1]
    assert [file for file in made.parent.rglob("*") if file.is_file() and secret in file.read_bytes()] == []


def test_the_manifest_says_for_whom_it_is(force: Authority) -> None:
    text = bundle.manifest(wanted(force), SAYS)
    assert text.startswith("[update]\ncompatible=bondmate\nversion=1.2.3\n")
    assert "\n[bundle]\nformat=verity\n" in text
    assert text.endswith(
        "[meta.bondmate]\nversion=1.2.3\nscreen=none\nreplaces=0.9.0\nstore=4\nstore_oldest=1\nstore_reader=3\n"
    )
    assert "\nscreen=touch\n" in bundle.manifest(replace(wanted(force), touch=True), SAYS)


def test_the_recipe_says_which_store_the_daemon_keeps() -> None:
    said = recipe.updates()
    assert said.keys() == {"floor", "replaces", "store", "store_oldest", "store_reader"}
    assert int(said["store"]) == len(MIGRATIONS)
    assert 1 <= int(said["store_oldest"]) <= int(said["store"])
    fresh = apsw.Connection(":memory:")
    fresh.execute("".join(MIGRATIONS))
    assert int(said["store_reader"]) == fresh.execute("SELECT oldest_reader FROM format").get
    for name in ("floor", "replaces"):
        assert bundle.version(said[name]) == said[name]


@pytest.mark.parametrize("text", ["0.1.0", "10.20.30", "1.2.3-rc.1", "1.2.3+site-7", "1.2.3-a-b.7+x.y"])
def test_a_version_that_has_an_order(text: str) -> None:
    assert bundle.version(text) == text


@pytest.mark.parametrize(
    "text", ["1.2", "v1.2.3", "1.2.3\n", "", "1.2.3~1", "1.2.x", "1.2.3-", "\u0661.2.3", "1." * 40]
)
def test_a_version_that_has_none_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="has no order"):
        bundle.version(text)


def test_what_would_believe_no_further_update_is_not_bundled(
    tmp_path: Path, force: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = force.signer(tmp_path)
    words = ["bundle", "--version", "1.2.3", "--cert", str(signer.certificate), "--key", str(signer.key)]
    assert cli.main([*words, "-o", str(tmp_path / "out")]) == 1
    assert "give --update-keyring" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
