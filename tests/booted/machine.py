"""The image in QEMU: a board with a receiver's and a modem's serial port, GPIO lines driven from outside, and a shell.

The octets of the image are not touched for that: QEMU hands systemd one unit more (systemd.system-credentials(7)).
"""

import base64
import contextlib
import errno
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from bondmate_image.host import Tools
from tests.booted import qemu, tpm
from tests.booted.qemu import ANSWER_S, Lines

T = TypeVar("T")

Worn = Literal["read-only", "errors"]
"""A card at its end says that it takes no write, or answers each with an error."""

BOOT_S = 600.0
"""An idle computer takes 70 s, and one that runs other tests too takes several times as long."""

SCREEN = (480, 800)
"""Width and height in pixels."""

_SCREEN = (
    *("-device", f"virtio-gpu-pci,xres={SCREEN[0]},yres={SCREEN[1]},romfile="),
    *("-device", "virtio-multitouch-pci"),
)

_UNIT = """[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sh
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/hvc0
"""
_RULE = 'SUBSYSTEM=="tty", KERNEL=="hvc0", TAG+="systemd", ENV{SYSTEMD_WANTS}+="p.service"\n'
# QEMU takes names of 55 characters at most
_CREDENTIALS = {"systemd.extra-unit.p.service": _UNIT, "udev.rules.p": _RULE}
_WITH_TPM = {
    **_CREDENTIALS,
    "udev.rules.p": _RULE.replace("p.service", "p.service t.service"),
    "systemd.extra-unit.t.service": tpm.UNIT,
    "relay": tpm.RELAY,
}


def eventually(look: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Look at the real thing until it gives something true.

    Not often: what looks runs on the emulated processor too, where Python alone takes seconds to start.
    """
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(1.0)
    return seen


class Machine:
    """A running board. `folder` is seen by QEMU as /folder; it holds the card and the sockets."""

    def __init__(
        self,
        tools: Tools,
        folder: Path,
        card: Path,
        *,
        logged: bool = False,
        worn: Worn | None = None,
        screen: bool = False,
        memory_mib: int = 1024,
        clock: str = "utc",
        tpm_state: Path | None = None,
    ) -> None:
        """`logged`: every write to the card is also kept, in order, in `folder`/writes (see writes.py).

        `worn`: how the card takes no write any more.
        `screen`: it has a touch screen, as large as `SCREEN`.
        `clock`: what the board's clock says as it starts, a date or "utc" (QEMU's `-rtc base=`).
        `tpm_state`: it has the TPM that keeps its state there.
        """
        self.folder = folder
        self.console = folder / "console"
        credentials = _CREDENTIALS if tpm_state is None else _WITH_TPM
        for name, text in credentials.items():
            (folder / name).write_text(text, encoding="utf-8")
        u_boot = tools.firmware / "u-boot-qemu/usr/lib/u-boot/qemu_arm64/u-boot.bin"
        (folder / "u-boot.bin").write_bytes(u_boot.read_bytes())
        command = tools.command(
            folder,
            [
                *("qemu-system-aarch64", "-M", "virt,acpi=off,gic-version=2", "-cpu", "cortex-a72", "-smp", "2"),
                *("-m", str(memory_mib), "-accel", "tcg,thread=multi,tb-size=512", "-bios", "/folder/u-boot.bin"),
                *("-display", "none", "-nodefaults", "-serial", "file:/folder/console"),
                *(*_drive(folder, card, logged=logged, worn=worn), "-device", "virtio-blk-pci,drive=card"),
                *("-device", "i6300esb", "-device", "virtio-rng-pci", "-rtc", f"base={clock}"),
                *("-device", "virtio-serial-pci", *_socket("shell"), "-device", "virtconsole,chardev=shell"),
                *(*_socket("serial"), "-device", "pci-serial,chardev=serial"),
                *(*_socket("modem"), "-device", "pci-serial,chardev=modem"),
                *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
                *(_SCREEN if screen else ()),
                *("-qmp", "unix:/folder/qmp,server=on,wait=off"),
                *("-qtest", "unix:/folder/qtest,server=on,wait=off", "-qtest-log", "/dev/null"),
                *(() if tpm_state is None else tpm.OPTIONS),
                *(
                    word
                    for name in credentials
                    for word in ("-fw_cfg", f"name=opt/io.systemd.credentials/{name},file=/folder/{name}")
                ),
            ],
        )
        self._tpm = None if tpm_state is None else tpm.start(tpm_state, folder)
        self._log = (folder / "qemu").open("wb")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            self._shell = eventually(lambda: self._connect("shell"), ANSWER_S, "QEMU to listen")
        except BaseException:
            self.stop()
            raise
        self._asked = 0

    def wait_for_shell(self) -> None:
        """Until the system is up so far that the tests' shell answers."""
        deadline = time.monotonic() + BOOT_S
        while True:
            with contextlib.suppress(TimeoutError):
                self.run("stty -echo", timeout_s=10)
                return
            assert time.monotonic() < deadline, f"no shell after {BOOT_S:g} s. The console's end:\n{self.console_end()}"

    def run(self, command: str, timeout_s: float = ANSWER_S) -> str:
        """Run a shell command as root in the machine and return what it printed; TimeoutError without an end."""
        self._asked += 1
        # quoted so that an echo of the command does not look like its end
        begin, end = f"begin{self._asked}.", f"end{self._asked}."
        self._shell.sendall(f"\necho 'beg'in{self._asked}.; {command}; echo 'en'd{self._asked}.\n".encode())
        self._shell.settimeout(timeout_s)
        said = b""
        while end.encode() not in said:
            more = self._shell.recv(65536)
            assert more, f"QEMU ended: {(self.folder / 'qemu').read_text(errors='replace')}"
            said += more
        text = said.decode(errors="replace").replace("\r", "")
        return text.rpartition(end)[0].rpartition(begin)[2].strip()

    def put(self, octets: bytes, place: str) -> None:
        """Make a small file in the machine, through the shell: its terminal takes lines of 4096 characters."""
        self.run(f": > {place}")
        for at in range(0, len(octets), 2400):
            self.run(f"echo {base64.b64encode(octets[at : at + 2400]).decode()} | base64 -d >> {place}")

    def serial(self, name: str = "serial") -> socket.socket:
        """Return the other end of a serial port: "serial" is /dev/ttyS0 in there (receiver), "modem" /dev/ttyS1."""
        return eventually(lambda: self._connect(name), ANSWER_S, "the serial port")

    def link(self, *, up: bool) -> None:
        """Put the network's cable in, or pull it out."""
        with self._monitor() as ask:
            ask("set_link", name="net", up=up)

    def forward(self, port: int) -> int:
        """Lead a port of this computer to the board's TCP port, and return it."""
        here = free_port()
        with self._monitor() as ask:
            said = ask("human-monitor-command", **{"command-line": f"hostfwd_add net tcp:127.0.0.1:{here}-:{port}"})
        assert said == "", said
        return here

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the board for a moment; all that it has written by then is in the log."""
        with self._monitor() as ask:
            ask("stop")
            try:
                yield
            finally:
                ask("cont")

    @contextlib.contextmanager
    def told(self) -> Iterator[Callable[[str], list[str]]]:
        """What QEMU tells of the board while the block lasts: all its events (QMP), up to the first of a name."""
        with eventually(lambda: self._connect("qmp"), ANSWER_S, "QMP") as monitor, monitor.makefile("r") as answers:
            qemu.monitor(monitor, answers)
            monitor.settimeout(ANSWER_S)

            def until(name: str) -> list[str]:
                events: list[str] = []
                while name not in events:
                    events += filter(None, [json.loads(answers.readline()).get("event")])
                return events

            yield until

    def wait_for_console(self, pattern: str) -> re.Match[str]:
        """Until U-Boot or the kernel has written something that matches: the first that does."""

        def look() -> re.Match[str] | None:
            assert self._process.poll() is None, (self.folder / "qemu").read_text(errors="replace")
            text = self.console.read_text(errors="replace") if self.console.exists() else ""
            return re.search(pattern, text)

        try:
            return eventually(look, BOOT_S, f"{pattern!r} on the console")
        except AssertionError as error:
            error.add_note(self.console_end())
            raise

    def screenshot(self) -> bytes:
        """Return what is on the screen: red, green and blue of each pixel, row by row."""
        width, height = SCREEN
        with self._monitor() as ask:
            ask("screendump", filename="/folder/screen")
        shot = (self.folder / "screen").read_bytes()
        header = f"P6\n{width} {height}\n255\n".encode()
        assert shot.startswith(header), shot[:32]
        return shot.removeprefix(header)

    def tap(self, x: int, y: int) -> None:
        """Touch the screen at a pixel, and let go."""
        width, height = SCREEN

        def event(what: str, **more: object) -> dict[str, object]:
            return {"type": "mtt", "data": {"type": what, "slot": 0, "tracking-id": 0, "axis": "x", "value": 0} | more}

        def at(axis: str, place: int, size: int) -> dict[str, object]:
            return event("data", axis=axis, value=place * 0x7FFF // size)

        with self._monitor() as ask:
            ask("input-send-event", events=[event("begin"), at("x", x, width), at("y", y, height)])
            ask("input-send-event", events=[event("end", **{"tracking-id": -1})])

    @contextlib.contextmanager
    def lines(self) -> Iterator[Lines]:
        """The GPIO lines, for as long as the block lasts."""
        with self._monitor() as ask:
            chip = qemu.find_chip(ask)
        with (
            eventually(lambda: self._connect("qtest"), ANSWER_S, "qtest") as connection,
            # closed too: QEMU serves one at a time, and a file that is left open keeps the connection
            connection.makefile("r") as answers,
        ):
            yield Lines(connection, answers, chip)

    def console_end(self) -> str:
        """Return the end of what U-Boot and the kernel wrote."""
        return self.console.read_text(errors="replace")[-3000:] if self.console.exists() else "(nothing)"

    def stop(self) -> None:
        """Cut the power."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if self._tpm is not None:
            self._tpm.terminate()
            self._tpm.wait()
        self._log.close()
        if hasattr(self, "_shell"):
            self._shell.close()

    @contextlib.contextmanager
    def _monitor(self) -> Iterator[Callable[..., Any]]:
        """What asks QEMU for one command, for as long as the block lasts."""
        with eventually(lambda: self._connect("qmp"), ANSWER_S, "QMP") as monitor, monitor.makefile("r") as answers:
            yield qemu.monitor(monitor, answers)

    def _connect(self, name: str) -> socket.socket | None:
        assert self._process.poll() is None, (self.folder / "qemu").read_text(errors="replace")
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(os.fspath(self.folder / name))
        except OSError:
            made.close()
            return None
        return made


def free_port() -> int:
    """Return a TCP port of this computer that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _drive(folder: Path, card: Path, *, logged: bool, worn: Worn | None) -> list[str]:
    """Return the card as a block device of QEMU's, called "card".

    What the board flushes stays in this computer's memory: its disk is not what is tested, and others wait for it.
    """

    def file(name: str, node: str) -> dict[str, object]:
        return {"driver": "file", "filename": f"/folder/{name}", "node-name": node, "cache": {"no-flush": True}}

    nodes, under = [file(card.name, "held")], "held"
    if logged:
        (folder / "writes").write_bytes(b"")
        nodes.append(file("writes", "writes"))
        nodes.append({"driver": "blklogwrites", "file": under, "log": "writes", "node-name": (under := "logged")})
    if worn == "errors":
        error = {"event": "none", "iotype": "write", "errno": errno.EIO}
        nodes.append({"driver": "blkdebug", "image": under, "inject-error": [error], "node-name": (under := "worn")})
    nodes.append({"driver": "raw", "file": under, "node-name": "card", "read-only": worn == "read-only"})
    return [word for node in nodes for word in ("-blockdev", json.dumps(node))]


def _socket(name: str) -> tuple[str, str]:
    return "-chardev", f"socket,id={name},path=/folder/{name},server=on,wait=off"
