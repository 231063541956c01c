"""The token: made once, for nobody else to read, and made anew when it cannot be trusted."""

import os
import re
import stat
from pathlib import Path

import pytest

from bondmate.console.token import KIOSK_FILE, TOKEN_FILE, load, write_kiosk_page


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_is_random_and_outlives_the_console(tmp_path: Path) -> None:
    token = load(tmp_path)
    assert re.fullmatch(r"[\w-]{43}", token, re.ASCII)
    assert load(tmp_path) == token
    (tmp_path / TOKEN_FILE).unlink()
    assert load(tmp_path) != token


def test_neither_file_is_open_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_kiosk_page(tmp_path, "http://127.0.0.1:8480", load(tmp_path))
    finally:
        os.umask(before)
    assert mode(tmp_path / TOKEN_FILE) == mode(tmp_path / KIOSK_FILE) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [KIOSK_FILE, TOKEN_FILE]


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 44, "\N{GREEK SMALL LETTER ALPHA}" * 43, "A" * 42 + "B", "A" * 43 + "\n"]
)
def test_what_is_no_token_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / TOKEN_FILE
    path.touch(mode=0o600)
    path.write_text(text)
    assert load(tmp_path) != text
    assert load(tmp_path) == path.read_text()


def test_one_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    token = load(tmp_path)
    (tmp_path / TOKEN_FILE).chmod(0o640)
    assert load(tmp_path) != token
    assert mode(tmp_path / TOKEN_FILE) == 0o600


def test_a_link_to_somewhere_else_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    token = load(elsewhere)
    (tmp_path / TOKEN_FILE).symlink_to(elsewhere / TOKEN_FILE)
    assert load(tmp_path) != token
    assert load(elsewhere) == token


def test_the_kiosks_page_leads_to_the_console_with_the_token_where_no_server_sees_it(tmp_path: Path) -> None:
    write_kiosk_page(tmp_path, "http://127.0.0.1:8480", "TOKEN")
    assert "url=http://127.0.0.1:8480/#TOKEN" in (tmp_path / KIOSK_FILE).read_text()
