"""The gateway, asked by its own command line: on this computer, or through ssh on its own.

Secrets come and go over pipes: none is on a command line, and none is written at the gateway's.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bondmate_image.errors import ImageError

_PROGRAM = "bondmate-gateway"
_PATIENCE_S = 600
_SSH_FAILED = 255
"""ssh(1): its own errors; any other exit code is the command's."""


@dataclass(frozen=True, slots=True)
class Local:
    """A gateway whose data directory is on this computer."""

    data: Path

    def __str__(self) -> str:
        return str(self.data)

    def command(self, name: str, arguments: Sequence[str]) -> list[str]:
        """Return what is run."""
        # The one that was installed with this tool comes first.
        beside = shutil.which(_PROGRAM, path=str(Path(sys.executable).parent))
        program = beside or shutil.which(_PROGRAM)
        if program is None:
            raise ImageError(f"{_PROGRAM} is not on this computer. Install it, or name the gateway as ssh://USER@HOST")
        return [program, name, "--data", str(self.data), *arguments]


@dataclass(frozen=True, slots=True)
class Remote:
    """A gateway on another computer, where `bondmate-gateway` finds its data by itself."""

    host: str
    user: str | None
    port: int | None

    def __str__(self) -> str:
        return f"ssh://{self._login()}" + (f":{self.port}" if self.port else "")

    def command(self, name: str, arguments: Sequence[str]) -> list[str]:
        """Return what is run."""
        # Without questions: whoever is to be let in has a key, and knows the host.
        options = ["-T", "-o", "BatchMode=yes"] + (["-p", str(self.port)] if self.port else [])
        return ["ssh", *options, "--", self._login(), shlex.join([_PROGRAM, name, *arguments])]

    def _login(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host


Gateway = Local | Remote


def parse(text: str) -> Gateway:
    """Read `ssh://[USER@]HOST[:PORT]`, or the name of a directory. ValueError."""
    if not text.startswith("ssh://"):
        return Local(Path(text))
    parts = urlsplit(text)
    host, user = parts.hostname or "", parts.username
    # None begins with a hyphen, so that ssh takes none for an option.
    if (
        parts.path or parts.query or parts.fragment or parts.password is not None
        or not re.fullmatch(r"[A-Za-z0-9:][A-Za-z0-9.:-]*", host)
        or not (user is None or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", user))
    ):  # fmt: skip
        raise ValueError(f"{text!r} is not ssh://[USER@]HOST[:PORT]")
    return Remote(host, user, parts.port)


def add_argument(parser: "argparse._ActionsContainer", *, required: bool = False) -> None:
    """Add the option `--gateway`."""
    parser.add_argument(
        "--gateway",
        type=_argument,
        required=required,
        metavar="GATEWAY",
        help="ssh://[USER@]HOST[:PORT], or the data directory of a gateway on this computer",
    )


def _argument(text: str) -> Gateway:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def ask(gateway: Gateway, name: str, arguments: Sequence[str], given: bytes | None = None) -> Any:
    """Run one command of the gateway, with `given` on its standard input; return its answer, of JSON. ImageError."""
    command = gateway.command(name, arguments)
    try:
        done = subprocess.run(command, input=given or b"", capture_output=True, timeout=_PATIENCE_S, check=False)
    except FileNotFoundError as error:
        raise ImageError(f"{command[0]} is not on this computer. Install it (Debian: openssh-client)") from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"the gateway {gateway} did not answer within {_PATIENCE_S} s. See whether it hangs"
        ) from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        said = lines[-1].rstrip(".")
        if isinstance(gateway, Remote) and done.returncode == _SSH_FAILED:
            raise ImageError(f"{gateway} was not reached; ssh says: {said}. Log in there once with ssh, then try again")
        raise ImageError(f"the gateway {gateway} refused; it says: {said}")
    try:
        return json.loads(done.stdout)
    except (ValueError, RecursionError) as error:
        raise ImageError(
            f"the gateway {gateway} answered something else than JSON. Its {_PROGRAM} has to be of this tool's version"
        ) from error
