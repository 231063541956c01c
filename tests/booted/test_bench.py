"""The image of a bench: ssh for whom it was built for, by key alone, and nothing else that a release has not."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bondmate_image import build
from bondmate_image.recipe import Profile
from bondmate_image.trust import Trust, ssh_keys
from tests.booted import writes
from tests.booted.conftest import READY_S, Image, release
from tests.booted.machine import Machine, eventually
from tests.booted.qemu import ANSWER_S
from tests.booted.test_image import OPEN_SOCKETS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh (Debian: openssh-client)"),
]

KEEPS_NOTHING = (
    "-F",
    "none",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """A developer's: a board with the bench's image, and ssh with the key that the image was built for."""

    machine: Machine
    image: Path
    key: Path
    port: int

    def ssh(self, *words: str, key: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command there, or none; `words` may be options before it."""
        return subprocess.run(
            [
                *("ssh", *KEEPS_NOTHING, "-o", "IdentitiesOnly=yes", "-o", f"ConnectTimeout={ANSWER_S:.0f}"),
                *("-i", str(key or self.key), "-p", str(self.port), *words),
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip


def make_key(file: Path) -> Path:
    """As a developer makes one."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


@pytest.fixture(scope="module")
def desk(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    key = make_key(folder / "id_ed25519")
    trust = Trust(ssh_keys=ssh_keys(key.with_suffix(".pub")))
    made = build.image(replace(image.wanted, profile=Profile.BENCH, trust=trust), folder)
    writes.copy(made, folder / "card.img")
    machine = Machine(image.tools, folder, folder / "card.img")
    try:
        release(machine)
        machine.wait_for_shell()
        eventually(lambda: machine.run("systemctl is-active ssh") == "active", READY_S, "sshd to say READY")
        found = Desk(machine, made, key, machine.forward(22))
        eventually(lambda: found.ssh("root@127.0.0.1", "true").returncode == 0, READY_S, "the network, and a log-in")
        yield found
    finally:
        machine.stop()
    shutil.rmtree(folder)


def test_who_has_the_key_is_root(desk: Desk) -> None:
    done = desk.ssh("root@127.0.0.1", "id -u; grep VARIANT_ID /etc/os-release")
    assert done.stdout.split() == ["0", "VARIANT_ID=bench"], done.stderr


def test_with_another_key_or_a_password_nobody_gets_in(desk: Desk, tmp_path: Path) -> None:
    done = desk.ssh("-o", "BatchMode=yes", "root@127.0.0.1", "id", key=make_key(tmp_path / "other"))
    assert (done.returncode, done.stdout) == (255, "")
    assert "Permission denied (publickey)." in done.stderr, "it offers nothing else"
    done = desk.ssh("-o", "PreferredAuthentications=password,keyboard-interactive", "root@127.0.0.1", "id")
    assert (done.returncode, done.stdout) == (255, "")
    assert "Permission denied (publickey)." in done.stderr


def test_it_is_known_again(desk: Desk) -> None:
    """Its own key is on the data partition, for root alone, and sshd shows that one."""
    key = "/data/ssh/ssh_host_ed25519_key"
    assert desk.machine.run(f"stat -c '%a %U' /data/ssh {key}").splitlines() == ["700 root", "600 root"]
    made = desk.machine.run(f"ssh-keygen -y -f {key}").split()[:2]
    desk.machine.run("systemctl restart ssh")
    scan = ["ssh-keyscan", "-T", f"{ANSWER_S:.0f}", "-p", str(desk.port), "127.0.0.1"]
    shown = subprocess.run(scan, capture_output=True, text=True, check=False).stdout.splitlines()
    assert [line.split()[1:3] for line in shown if not line.startswith("#")] == [made]


def test_nothing_else_differs(desk: Desk, image: Image) -> None:
    """What listens, what failed, and which packages there are."""
    lines = [line.split() for line in desk.machine.run("ss -Hltunp").splitlines()]
    reachable = {(words[0], words[6].split('"')[1]) for words in lines if not words[4].startswith(("127.", "[::1]"))}
    assert ("tcp", "sshd") in reachable
    assert reachable <= {*OPEN_SOCKETS, ("tcp", "sshd")}
    assert desk.machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
    assert _packages(desk.image) - _packages(image.file) >= {"openssh-server"}
    assert _packages(image.file) <= _packages(desk.image)


def _packages(image: Path) -> set[str]:
    manifest = json.loads(image.with_suffix(".manifest.json").read_text(encoding="utf-8"))
    return {each["package"] for each in manifest["debian"]}
