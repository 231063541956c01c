"""bondmated runs without the ssl module, and whoever has it loaded already keeps it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("first", "kept"),
    [("import bondmate.app", False), ("import ssl; import bondmate.app", True)],
    ids=["alone", "later"],
)
def test_ssl_is_kept_out_of_the_daemon_alone(first: str, kept: bool) -> None:
    code = f"{first}; import sys, asyncio, aiohttp.web; print(sys.modules['ssl'] is not None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(kept)
