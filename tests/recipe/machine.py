"""A Debian with what the recipe lays over it, as a file system to look at or as a machine that systemd boots.

The packages come from Debian once, and are kept in the user's cache; what a test changes lies in an overlay that goes
with it. A machine is a container of systemd-nspawn with a network of its own, without an image's kernel and boards.
"""

import ctypes
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TextIO

import pytest

from bondmate_sim.process import Process, wait_until
from tests.conftest import TOP

RECIPE = TOP / "image" / "recipe"
SUITE = "trixie"
PYTHON = "3.13"
"""Of that suite."""
PACKAGES = (
    "systemd", "systemd-sysv", "systemd-resolved", "udev", "dbus", "python3", "python3-systemd", "nftables", "chrony",
    "iproute2", "iwd", "ca-certificates",
)  # fmt: skip
"""What the recipe's units are made for; an image has more."""
HOME = "usr/lib/bondmate"
COMMANDS = {
    "bondmated": "bondmate.app:command",
    "bondmatectl": "bondmate.cli:main",
    "bondmate-console": "bondmate.console.app:main",
    "bondmate-updater": "bondmate.updater.app:main",
}
MAKING_S = 400
UNUSED_S = 7 * 86_400
READY_S = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CLONE_NEWNET = 0x40000000


def cgroups() -> Path | None:
    """The one hierarchy of cgroups of version 2, if there is one."""
    mounted = re.findall(r"^\S+ (\S+) cgroup2 (?:rw,|rw )", Path("/proc/mounts").read_text(), re.MULTILINE)
    return Path(mounted[0]) if mounted else None


def base() -> Path:
    """The file system of Debian and the daemon's dependencies; skips with the reason where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("a machine of its own needs root")
    missing = [tool for tool in ("mmdebstrap", "unshare", "nsenter") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)}")
    device = (TOP / "requirements" / "device.txt").read_text(encoding="utf-8")
    # Debian has it, and nobody has a wheel of it
    wheels = "".join(part for part in re.split(r"(?m)^(?=[a-z])", device) if not part.startswith("systemd-python"))
    stamp = hashlib.sha256(json.dumps([SUITE, PACKAGES, PYTHON, wheels]).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bondmate" / "machine"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = cache / stamp
        if not made.is_dir():
            shutil.rmtree(cache / "part", ignore_errors=True)
            _make(cache / "part", wheels)
            (cache / "part").rename(made)
        os.utime(made)
        for old in cache.iterdir():
            # another clone may be using one of other packages
            if old.is_dir() and time.time() - old.stat().st_mtime > UNUSED_S:
                shutil.rmtree(old)
    return made


def _make(part: Path, wheels: str) -> None:
    done = subprocess.run(
        [
            "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
            "--aptopt=APT::Install-Recommends false", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*", SUITE, part,
        ],
        capture_output=True, text=True, check=False, timeout=MAKING_S,
    )  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"Debian's packages cannot be had: {done.stderr.strip()[-300:]}")
    site = part / HOME / "lib" / f"python{PYTHON}" / "site-packages"
    site.mkdir(parents=True)
    asked = part / HOME / "requirements.txt"
    asked.write_text(wheels, encoding="utf-8")
    tags = [f"manylinux_2_{minor}_{os.uname().machine}" for minor in range(41, 16, -1)]
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--require-hashes",
            "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp", "--abi=cp313", "--abi=abi3",
            "--abi=none", *(f"--platform={tag}" for tag in (*tags, f"manylinux2014_{os.uname().machine}")),
            "--target", site, "-r", asked,
        ],
        capture_output=True, text=True, check=False, timeout=MAKING_S,
    )  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"the daemon's dependencies cannot be had: {done.stderr.strip()[-300:]}")
    home = part / HOME
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {PYTHON}\n")
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to("/usr/bin/python3")


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """What this thread starts and opens within has the network of that process."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(namespace: TextIO) -> None:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    with Path("/proc/thread-self/ns/net").open() as ours, Path(f"/proc/{pid}/ns/net").open() as its:
        enter(its)
        try:
            yield
        finally:
            enter(ours)


class Root:
    """The file system, with the recipe and the project in it. Use it as a context manager."""

    def __init__(self, *additions: str) -> None:
        """`additions` are the recipe's trees that come on top of what every device has."""
        self._base = base()
        self._directory = Path(tempfile.mkdtemp(prefix="bondmate-root-"))
        self.upper = self._directory / "upper"
        """What is laid over Debian: a test may write here before it looks or boots."""
        self.upper.mkdir(mode=0o755)
        for part in ("work", "merged"):
            (self._directory / part).mkdir()
        for tree in ("root", *additions):
            shutil.copytree(RECIPE / tree, self.upper, symlinks=True, dirs_exist_ok=True)
        # a container has no card
        (self.upper / "etc" / "fstab").write_text("tmpfs /data tmpfs mode=0755,nosuid,nodev,noexec,nofail 0 0\n")
        self._install_project()
        prepared = self.run("sh", "-ec", "systemd-sysusers; systemctl --quiet preset-all")
        if "cannot mount" in prepared.stderr or "unshare" in prepared.stderr:
            self.close()
            pytest.skip(f"no file system of its own here: {prepared.stderr.strip()}")
        assert prepared.returncode == 0, prepared.stderr

    def __enter__(self) -> "Root":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was changed."""
        shutil.rmtree(self._directory)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in it, without a machine."""
        return subprocess.run(
            self.mounted(f"exec chroot {self._directory}/merged env -i PATH={_PATH} LANG=C.UTF-8", *command),
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def mounted(self, script: str, *arguments: str | Path) -> list[str]:
        """A command line that runs the script with the arguments behind it, where the file system is mounted."""
        places = f"lowerdir={self._base},upperdir={self.upper},workdir={self._directory}/work"
        mount = f"mount -t overlay overlay -o {places} {self._directory}/merged || exit 1"
        return [
            "unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mount}\n{script} "$@"', "sh",
            *map(str, arguments),
        ]  # fmt: skip

    @property
    def merged(self) -> Path:
        """Where it is mounted for those commands."""
        return self._directory / "merged"

    def _install_project(self) -> None:
        """As pip would do it from a wheel, without the build."""
        site = self.upper / HOME / "lib" / f"python{PYTHON}" / "site-packages"
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TOP / "daemon", site / "bondmate", ignore=leave)
        shutil.copytree(TOP / "hw-sim", site / "bondmate_sim", ignore=leave)
        about = site / "bondmate-0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bondmate\nVersion: 0\n")
        (about / "entry_points.txt").write_text(
            "[gpiozero_pin_factories]\nbondmate_sim = bondmate_sim.pin_factory:SimulatedFactory\n"
        )
        (self.upper / HOME / "bin").mkdir()
        for name, place in COMMANDS.items():
            module, _, function = place.partition(":")
            command = self.upper / HOME / "bin" / name
            command.write_text(
                f"#!/{HOME}/bin/python -I\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
            )
            command.chmod(0o755)


class Machine:
    """A root that systemd has booted, in a network of its own. Use it as a context manager."""

    def __init__(self, root: Root, log: Path, binds: Sequence[str] = ()) -> None:
        """`binds` are systemd-nspawn's: PATH:PATH. Skips with the reason where nothing can be booted."""
        if shutil.which("systemd-nspawn") is None:
            pytest.skip("systemd-nspawn is not here: it is Debian's package systemd-container")
        hierarchy = cgroups()
        if hierarchy is None or not os.access(hierarchy, os.W_OK):
            pytest.skip("no cgroups of version 2 that we may divide")
        # a container has no card and no slots; with a daemon that tries again and again these would be tried for ever
        for unit in ("bondmate-enrolment", "bondmate-erase", "bondmate-good"):
            (root.upper / f"etc/systemd/system/{unit}.service").symlink_to("/dev/null")
        name = f"bondmate-{secrets.token_hex(4)}"
        self._group = hierarchy / name
        self._group.mkdir()
        script = f"echo $$ >{self._group}/cgroup.procs\nexec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn"
        options: list[str | Path] = [
            "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--console=pipe",
            "--machine", name, "--directory", root.merged, *(f"--bind={bind}" for bind in binds),
        ]  # fmt: skip
        self._process = Process("systemd-nspawn", root.mounted(script, *options), log)
        self._process.start()
        self.leader = 0
        """The machine's first process."""
        try:
            self._process.wait_until(self._is_up, READY_S, "to boot the machine")
        except BaseException as error:
            error.add_note(log.read_text(errors="replace"))
            self.close()
            raise

    def __enter__(self) -> "Machine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Switch it off, as if by its power."""
        self._process.kill()
        wait_until(self._is_gone, READY_S, "the machine's processes to end")

    def wait_for_end(self) -> None:
        """Until it has shut down, or restarts, by itself."""
        wait_until(lambda: not Path(f"/proc/{self.leader}").exists(), READY_S, "the machine's first process to end")

    def path(self, place: str) -> Path:
        """A file of the machine's, from outside."""
        return Path(f"/proc/{self.leader}/root{place}")

    def try_to(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root."""
        return subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", "env", "-i", f"PATH={_PATH}", "LANG=C.UTF-8", *command],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def run(self, *command: str) -> str:
        """Run a command that has to work; what it printed."""
        done = self.try_to(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        lines = self.run("systemctl", "show", unit, f"--property={','.join(names)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit: str) -> str:
        """What was logged of a unit, and by it."""
        return self.run("journalctl", "--no-pager", "--output=short-monotonic", f"--unit={unit}")

    def as_user(self, user: str, script: str) -> str:
        """What a script of Python says that runs as that user, without a right more; its error where it has one."""
        python = (f"/{HOME}/bin/python", "-I", "-c", script)
        done = self.try_to("setpriv", "--reuid", user, "--regid", user, "--clear-groups", *python)
        return done.stdout + done.stderr

    def network(self) -> AbstractContextManager[None]:
        """What this thread starts and opens within has the machine's network."""
        return network_of(self.leader)

    def _is_up(self) -> bool:
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if pid is not None else []
        if not children:
            return False
        # an earlier one prepares the machine, and ends
        self.leader = int(children[-1])
        return self.try_to("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}

    def _is_gone(self) -> bool:
        alive = [int(pid) for file in self._group.rglob("cgroup.procs") for pid in file.read_text().split()]
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
        if alive:
            return False
        for directory in sorted((file.parent for file in self._group.rglob("cgroup.procs")), reverse=True):
            directory.rmdir()
        return True
