"""A stand-in for RAUC's command: says what a test has it say, and notes what it was asked.

The real one is asked in tests/booted/test_update.py; what it says in which case is copied from there.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """#!{python} -I
import json, pathlib, sys
top = pathlib.Path({top!r})
with (top / "asked").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + chr(10))
answers = json.loads((top / "answers").read_text())
code, text = answers.get(sys.argv[1] if sys.argv[1] != "status" else sys.argv[2], [0, ""])
print(text)
sys.exit(code)
"""
TOO_OLD = """installing
 40% Determining target install group done.
100% Installing failed.
\r\x1b[JLastError: Pre-install handler error: Child process exited with code 10
idle
Installing `/data/bondmate-updater/x.raucb` failed"""
DAMAGED = """installing
\r\x1b[JLastError: Installation error: Failed updating slot rootfs.1: Failed to copy data: Input/output error
idle
Installing `/data/bondmate-updater/x.raucb` failed"""
BUSY = "Failed GDBus.Error:org.gtk.GDBus.UnmappedGError.Quark.Code30: Already processing a different method"
UNSIGNED = "signature verification failed: Verify error: unable to get local issuer certificate"


@dataclass(frozen=True, slots=True)
class Rauc:
    """The stand-in in a folder."""

    top: Path

    def says(self, **answers: tuple[int, str]) -> None:
        """Have it end with these codes and texts, by command; `info` says the version by itself."""
        said = {"info": (0, json.dumps({"version": "1.2.3"}))} | {
            name.replace("_", "-"): answer for name, answer in answers.items()
        }
        (self.top / "answers").write_text(json.dumps(said))

    @property
    def asked(self) -> list[str]:
        """Its commands, in order."""
        log = self.top / "asked"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [words[1] if words[0] == "status" else words[0] for words in lines]


def stand_in(top: Path) -> Rauc:
    """One that agrees to all."""
    top.mkdir()
    program = top / "rauc"
    program.write_text(_PROGRAM.format(python=sys.executable, top=str(top)))
    program.chmod(0o755)
    made = Rauc(top)
    made.says()
    return made
