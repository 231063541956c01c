"""A small foreign machine with real GPIO lines, under QEMU: Debian's arm64 kernel, a PL061, Python and our drivers.

Debian's kernels have no simulated chip, and the machine that runs the tests has no real one. `./dev test` fetches the
packages (want_guest); the guest runs in_guest.py as its first process and is told by name what to do. The host holds
its lines: as an input they are what the host says, and as an output the host reads what the chip drives.
"""

import compileall
import json
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import TOP

PACKAGES = TOP / ".guest"
"""Debian's packages for the guest, and the wheel of gpiod."""
QEMU = "qemu-system-aarch64"
CHIP = "9030000.pl061"
"""The label of the chip: its address and its driver."""
_DEVICES = "/machine/unattached"
_DATA, _DIRECTION, _RAISED = 0x0903_03FC, 0x0903_0400, 0x0903_0418
"""Registers of the chip (ARM DDI 0190, 3.2) on the machine "virt"."""


def why_not() -> str | None:
    """Why there can be no guest here; None where there can."""
    if shutil.which(QEMU) is None:
        return f"needs {QEMU}: install Debian's qemu-system-arm, or run ./dev test as root on Debian"
    if not (PACKAGES / "complete").exists():
        return f"needs Debian's packages for arm64 in {PACKAGES}: run ./dev test as root on Debian"
    return None


_KERNEL = "console=ttyAMA0 quiet loglevel=3 panic=-1 PYTHONPATH=/own"
_NEEDLESS = (
    "__pycache__",
    "test",
    "static",
    "lib2to3",
    "pydoc_data",
    "sqlite3",
    "distutils",
    "unittest",
    "xml",
    "tkinter",
)


class Guest:
    """The machine, from its start until `close`."""

    def __init__(self, place: Path) -> None:
        """Boots it; what it needs is put together in `place`."""
        kernel, initrd = _put_together(place)
        self._log = (place / "qemu.log").open("wb")
        qtest, qmp = place / "qtest.sock", place / "qmp.sock"
        self._process = subprocess.Popen(
            [
                *(QEMU, "-M", "virt,acpi=off", "-accel", "tcg", "-cpu", "cortex-a53", "-smp", "1", "-m", "512"),
                *("-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{place / 'console.log'}"),
                # a port of its own: what comes while the kernel still sets up its console is lost there, or stops it
                *("-chardev", "stdio,id=talk,signal=off", "-device", "pci-serial,chardev=talk"),
                *("-qtest", f"unix:{qtest},server=on,wait=off", "-qtest-log", "none"),
                *("-qmp", f"unix:{qmp},server=on,wait=off"),
                *(
                    "-kernel",
                    kernel,
                    "-initrd",
                    initrd,
                    "-append",
                    _KERNEL,
                ),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._hear("up")
        self._qtest = socket.socket(socket.AF_UNIX)
        self._qtest.connect(str(qtest))
        self._answers = self._qtest.makefile("r")
        self._chip = _find_chip(qmp)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._log.close()
        if hasattr(self, "_qtest"):
            self._answers.close()
            self._qtest.close()

    def begin(self, name: str) -> None:
        """Let it do what in_guest.py calls so."""
        assert self._process.stdin is not None
        self._process.stdin.write(name.encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """What it says next."""
        return self._hear("says")

    def drive(self, line: int, level: int) -> None:
        """Drive a line of the chip from outside."""
        self._ask(f"set_irq_in {self._chip} unnamed-gpio-in {line} {level}")

    def settle(self) -> None:
        """Wait until its kernel has taken notice of the edges that there were; it may not have read the level yet."""
        while int(self._ask(f"readl {_RAISED:#x}"), 16):
            pass

    def driven(self, line: int) -> int | None:
        """What the chip drives at a line; None where it is an input."""
        direction, data = (int(self._ask(f"readl {register:#x}"), 16) for register in (_DIRECTION, _DATA))
        return data >> line & 1 if direction >> line & 1 else None

    def _hear(self, word: str) -> Any:
        said = []
        for line in self._lines():
            said.append(line)
            mark, _, rest = line.partition(" ")
            if mark == f"guest-{word}":
                return json.loads(rest)
        raise AssertionError("the guest ended:\n" + "".join(said[-30:]))

    def _lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield line.decode(errors="replace").strip()

    def _ask(self, command: str) -> str:
        self._qtest.sendall(command.encode() + b"\n")
        word, _, rest = self._answers.readline().strip().partition(" ")
        if word != "OK":
            raise LookupError(f"{command}: {word} {rest}")
        return rest


def _find_chip(monitor: Path) -> str:
    """The chip's path among the machine's devices; no option gives it a name."""
    with socket.socket(socket.AF_UNIX) as qmp:
        qmp.connect(str(monitor))
        answers = qmp.makefile("r")
        answers.readline()  # the greeting

        def ask(command: str, **arguments: str) -> Any:
            qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
            return next(found for found in map(json.loads, answers) if "event" not in found)["return"]

        ask("qmp_capabilities")
        devices = ask("qom-list", path=_DEVICES)
        [chip] = [each["name"] for each in devices if each["type"] == "child<pl061>"]
        return f"{_DEVICES}/{chip}"


def _put_together(place: Path) -> tuple[Path, Path]:
    """The kernel, and an initial RAM disk with Python, our drivers and in_guest.py."""
    root, unpacked = place / "root", place / "unpacked"
    for package in PACKAGES.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
    for pattern in ("usr/bin/python3*", "usr/lib/*", "lib/*", "lib/aarch64-linux-gnu/*", "usr/lib/aarch64-linux-gnu/*"):
        for found in unpacked.glob(pattern):
            if ".so" in found.name or "python3" in found.name:
                _copy(found, root / found.relative_to(unpacked))
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    own = root / "own"
    for name in ("gpiozero", "colorzero"):
        for found in Path(sys.prefix).glob(f"lib/python3*/site-packages/{name}*"):
            _copy(found, own / found.name)
    for found in Path(sys.prefix).glob("lib/python3*/site-packages/bondmate-*.dist-info"):
        _copy(found, own / found.name)
    for wheel in PACKAGES.glob("gpiod-*.whl"):
        zipfile.ZipFile(wheel).extractall(own)
    _copy(TOP / "daemon", own / "bondmate")
    _copy(Path(__file__).with_name("in_guest.py"), root / "init")
    (root / "init").chmod(0o755)
    for name in ("dev", "proc", "sys", "tmp"):
        (root / name).mkdir()
    if (root / "usr/lib" / f"python3.{sys.version_info.minor}").exists():
        # the guest is slow, and this is half of its start
        compileall.compile_dir(own, quiet=1)
        compileall.compile_dir(root / "usr/lib" / f"python3.{sys.version_info.minor}", quiet=1)
    initrd = place / "initrd"
    names = subprocess.run(["find", ".", "-print0"], cwd=root, check=True, stdout=subprocess.PIPE).stdout
    with initrd.open("wb") as file:
        subprocess.run(["cpio", "-o", "-0", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=file, check=True)
    [kernel] = unpacked.glob("boot/vmlinuz-*")
    return kernel, initrd


def _copy(found: Path, to: Path) -> None:
    if found.is_dir() and not found.is_symlink():
        shutil.copytree(found, to, symlinks=True, ignore=shutil.ignore_patterns(*_NEEDLESS))
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(found, to, follow_symlinks=False)
