"""A stand-in for `bondmate-gateway`, as far as the technician's tool asks it, and for ssh.

test_enrolling has the same with the gateway itself; this one is for answers that it never gives.
"""

import base64
import json
import stat
import sys
from pathlib import Path

import cbor2
import pytest

ISSUED_S = 1795737600
ISSUED_DAY = "2026-11-27"

_GATEWAY = """#!{python}
import json, pathlib, sys
top = pathlib.Path({top!r})
with (top / "asked").open("a") as log:
    log.write(json.dumps([sys.argv[1:], sys.stdin.read()]) + chr(10))
answers = json.loads((top / "answers").read_text())
answer = answers.pop(0)
(top / "answers").write_text(json.dumps(answers))
if "fails" in answer:
    print("bondmate-gateway: " + answer["fails"], file=sys.stderr)
    sys.exit(1)
print(answer["says"])
"""

_SSH = """#!/bin/sh
# -T -o BatchMode=yes [-p PORT] -- LOGIN COMMAND, as sshd runs it: by a shell
printf '%s\\n' "$@" >{top}/ssh
[ "$1 $2 $3" = "-T -o BatchMode=yes" ] || exit 255
while [ "$1" != -- ]; do shift; done
case $2 in *nobody*) echo "Permission denied (publickey)." >&2; exit 255 ;; esac
exec sh -c "$3"
"""


def file(device: str = "BM-7f3a09c1", issued_s: int = ISSUED_S) -> bytes:
    """An enrolment file; its signature is nobody's, for this side verifies none."""
    payload = [1, bytes.fromhex(device[3:]), b"kid0", b"s" * 32, [b"\x67", ["coap://[::1]"], [], []], issued_s, None]
    return cbor2.dumps(cbor2.CBORTag(18, [b"\xa1\x01\x26", {}, cbor2.dumps(payload), b"x" * 64]))


def offer(*devices: str) -> str:
    """What `bondmate-gateway enrol --cards --json` prints for them."""
    expires_at = "2026-12-04T00:00:00.000Z"
    return json.dumps(
        [{"device": each, "file": base64.b64encode(file(each)).decode(), "expires_at": expires_at} for each in devices]
    )


class Desk:
    """The stand-in: it gives one prepared answer after another."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        _program(top / "bondmate-gateway", _GATEWAY.format(python=sys.executable, top=str(top)))
        _program(top / "ssh", _SSH.format(top=top))
        # Where the tool looks first is where its own interpreter is.
        monkeypatch.setattr(sys, "executable", str(top / "python"))
        monkeypatch.setenv("PATH", str(top), prepend=":")
        self.data = top / "data"

    def will_say(self, *answers: str) -> None:
        (self.top / "answers").write_text(json.dumps([{"says": each} for each in answers]))

    def will_fail(self, text: str) -> None:
        (self.top / "answers").write_text(json.dumps([{"fails": text}]))

    @property
    def asked(self) -> list[tuple[list[str], str]]:
        log = self.top / "asked"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(words, given) for words, given in map(json.loads, lines)]


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
