#!/usr/bin/python3 -I
"""Whether an update may replace what runs: RAUC's pre-install handler, whoever asks RAUC, and with whatever options.

RAUC has verified the bundle, and hands in its manifest's section [meta.bondmate] as RAUC_META_BONDMATE_NAME. What this
image says of itself is in /usr/share/bondmate. RAUC's error names the exit code alone: each reason has its own.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

SHARE = Path("/usr/share/bondmate")

TOO_OLD, TOO_FAR, OTHER_STORE, UNREADABLE, OTHER_SCREEN = 10, 11, 12, 13, 14
"""Exit codes, which bondmate-updater puts into words (daemon/updater)."""

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)
Order = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]


def order(version: str) -> Order:
    """What versions are ordered by: https://semver.org, section 11. ValueError for one that has no order."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} has no order, as 1.2.3 has")
    *core, before = match.groups()
    parts = before.split(".") if before else []
    # a release comes behind all that lead to it; numbers are before words
    marks = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
    return tuple(map(int, core)), not parts, marks


def judge(bundle: Mapping[str, str], image: Mapping[str, str]) -> tuple[int, str]:
    """The exit code, 0 to accept, and why. `bundle` and `image` are what each says of itself, by name."""
    try:
        new, running = order(bundle["version"]), order(image["version"])
        if bundle["screen"] != image["screen"]:
            return (
                OTHER_SCREEN,
                f"it is for devices with the screen {bundle['screen']!r}, and here is {image['screen']!r}",
            )
        if new < order(image["floor"]):
            return TOO_OLD, f"{bundle['version']} is older than {image['floor']}, the oldest that may be installed here"
        if running < order(bundle["replaces"]):
            return TOO_FAR, f"{image['version']} runs here, and {bundle['replaces']} has to be installed before this"
        (oldest, theirs, reader), (ours, our_reader) = (
            [int(bundle[name]) for name in ("store_oldest", "store", "store_reader")],
            [int(image[name]) for name in ("store", "store_reader")],
        )
    except (KeyError, ValueError) as error:
        return UNREADABLE, f"it cannot be told whether this may be installed: {error}"
    if ours < oldest or theirs < our_reader:
        return OTHER_STORE, f"it takes over stores of version {oldest} to {theirs}, and here is one of {ours}"
    if ours < reader:
        return OTHER_STORE, f"the store that it leaves is for version {reader} on, so nobody could fall back to {ours}"
    return 0, f"{bundle['version']} may replace {image['version']}"


def main() -> int:
    """Judge the bundle that RAUC is about to install."""
    prefix = "RAUC_META_BONDMATE_"
    bundle = {name.removeprefix(prefix).lower(): value for name, value in os.environ.items() if name.startswith(prefix)}
    lines = (SHARE / "updates.conf").read_text(encoding="ascii").splitlines()
    image = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    image |= {name: (SHARE / name).read_text(encoding="ascii").strip() for name in ("version", "screen")}
    code, why = judge(bundle, image)
    sys.stdout.write(f"accept_bundle: {why}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
