"""bondmated runs without the modules over OpenSSL, and whoever has them loaded already keeps them."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["ssl", "_hashlib"])
@pytest.mark.parametrize(
    ("first", "kept"),
    [("import bondmate.app", False), ("import {name}; import bondmate.app", True)],
    ids=["alone", "later"],
)
def test_it_is_kept_out_of_the_daemon_alone(name: str, first: str, kept: bool) -> None:
    code = (
        f"{first.format(name=name)}; import sys, asyncio, hmac, aiohttp.web; print(sys.modules['{name}'] is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(kept)
