"""The kiosk's browser: Debian's chromium with the image's policy and the unit's options, without a screen.

Of the policy two things differ: the page's port, which is free here, and that a test may look.
"""

import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from bondmate.console.app import DEFAULT_LISTEN
from bondmate.console.token import KIOSK_FILE
from tests.recipe.machine import RECIPE

UNIT = RECIPE / "touch/usr/lib/systemd/system/bondmate-kiosk.service"
POLICY = RECIPE / "touch/etc/chromium/policies/managed/bondmate.json"
PROGRAM = Path("/usr/lib/chromium/chromium")
GIVEN = f"file:///run/credentials/bondmate-kiosk.service/{KIOSK_FILE}"
"""Where systemd puts what LoadCredential= names."""
ALONE = ("unshare", "--mount", "--propagation", "private")
REFUSED = "ERR_BLOCKED_BY_ADMINISTRATOR"
PAGE = b"<p></p><script>document.querySelector('p').append(typeof WebAssembly)</script>"


class Handler(http.server.BaseHTTPRequestHandler):
    """The same page everywhere, which says whether there is a compiler."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """A server on loopback; its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True)
class Kiosk:
    """The browser, the page that it is for, and another one."""

    browser: Browser
    page: str
    elsewhere: str


@contextmanager
def kiosk(folder: Path, **changed: object) -> Iterator[Kiosk]:
    """The browser with the policy, of which some may be `changed`. Skips with the reason where there can be none."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can give one browser a policy")
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mounts of one's own here, as in a container: the policy would be every browser's")
    if not PROGRAM.exists():
        pytest.skip("no chromium on this machine; as root, ./dev test installs it")
    with ExitStack() as stack:
        page, elsewhere = (stack.enter_context(serving()) for _ in range(2))
        policy = json.loads(POLICY.read_text(encoding="utf-8")) | changed
        del policy["DeveloperToolsAvailability"]
        managed = folder / "chromium/policies/managed"
        managed.mkdir(parents=True)
        text = json.dumps(policy).replace(f"http://{DEFAULT_LISTEN}", page)
        (managed / POLICY.name).write_text(text, encoding="utf-8")
        enter = f"mount --bind {shlex.quote(str(folder))}/chromium /etc/chromium && exec {PROGRAM}"
        script = folder / "chromium.sh"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(ALONE)} sh -c {shlex.quote(enter)}\' "$@"\' sh "$@"\n')
        script.chmod(0o755)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=script, args=["--no-sandbox", *options()])
        stack.callback(browser.close)
        yield Kiosk(browser, page, elsewhere)


def options() -> list[str]:
    """The unit's options, but for the address, the screen and the place of the profile."""
    command = re.search(r"^ExecStart=(.*?[^\\])$", UNIT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert command is not None
    program, *words, address = command[1].replace("\\\n", " ").split()
    assert (program, address) == (str(PROGRAM), f"--app=file://%d/{KIOSK_FILE}")
    return [word for word in words if not word.startswith(("--ozone-platform", "--user-data-dir"))]


def test_it_shows_the_page_and_goes_nowhere_else(tmp_path: Path) -> None:
    with kiosk(tmp_path) as made:
        page = made.browser.new_page()
        page.goto(made.page)
        # no compiler, and without one no WebAssembly
        assert page.inner_text("p") == "undefined"
        for address in (made.elsewhere, "file:///etc/passwd", "chrome://version", f"view-source:{made.page}"):
            with pytest.raises(Error, match=REFUSED):
                made.browser.new_page().goto(address)


def test_it_is_the_policy_that_keeps_it_there(tmp_path: Path) -> None:
    with kiosk(tmp_path, URLBlocklist=[]) as made:
        page = made.browser.new_page()
        page.goto(made.elsewhere)
        assert page.inner_text("p") == "undefined"


def test_what_the_policy_allows_is_what_the_units_say() -> None:
    policy = json.loads(POLICY.read_text(encoding="utf-8"))
    assert policy["URLAllowlist"] == [f"http://{DEFAULT_LISTEN}", GIVEN]
    assert policy["URLBlocklist"][0] == "*"
    assert GIVEN.split("/")[-2] == UNIT.name
    assert f"\nLoadCredential={KIOSK_FILE}:/run/bondmate-console/{KIOSK_FILE}\n" in UNIT.read_text(encoding="utf-8")
