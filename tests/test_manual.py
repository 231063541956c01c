"""The manual page and the completion know every command and option of bondmatectl."""

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from bondmate import cli
from tests.conftest import TOP

PAGE = TOP / "docs" / "bondmatectl.1"


def commands(parser: argparse.ArgumentParser, words: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and its parser, the whole one first."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from commands(command, f"{words} {name}".strip())


def plain(roff: str) -> str:
    """Without the marks of roff."""
    text = re.sub(r"\\f[BIR]", "", roff).replace("\\-", "-")
    lines = [re.sub(r"^\.[A-Z]{1,2}\s*", "", line) for line in text.splitlines()]
    return "\n".join(re.sub(r'["\s]+', " ", line).strip() for line in lines)


def test_every_command_and_option_has_its_place_in_the_manual() -> None:
    page = plain(PAGE.read_text())
    known = dict(commands(cli.parser()))
    assert len(known) == 28
    entries = page.splitlines()
    for words, parser in known.items():
        is_group = any(other.startswith(f"{words} ") for other in known) and words != "inbox"
        if words and not is_group and words != "checkin":
            assert any(entry == words or entry.startswith(f"{words} ") for entry in entries), words
        for action in parser._actions:
            for option in action.option_strings:
                assert option in page, (words, option)


def test_the_manual_knows_no_command_that_there_is_not() -> None:
    known = {words for words, _ in commands(cli.parser())}
    section = PAGE.read_text().split(".SH COMMANDS")[1].split(".SH")[0]
    heads = [plain(head).strip().split(" ") for head in re.findall(r"^\.TP\n(.+)$", section, re.MULTILINE)]
    assert len(heads) > 15
    for head in heads:
        assert head[0] in known or " ".join(head[:2]) in known, head


def test_every_exit_code_is_in_the_manual_and_in_the_help() -> None:
    for code in (0, 1, 2, 3, 4, 78):
        assert f".B {code}\n" in PAGE.read_text()
        assert re.search(rf"\b{code} [a-z]", cli.EXIT_CODES)


@pytest.mark.skipif(shutil.which("man") is None, reason="no man here to read the page")
def test_man_has_nothing_to_say_against_it() -> None:
    read = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", str(PAGE)], capture_output=True, text=True, check=True, timeout=20
    )
    assert read.stderr == ""
    assert "bondmatectl - look at" in read.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_is_a_script_that_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert ended.value.code == 0
    for words, parser in commands(cli.parser()):
        assert words.rpartition(" ")[2] in script
        assert all(option in script for action in parser._actions for option in action.option_strings)
    if shutil.which(shell) is not None:
        checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False, timeout=20)
        assert (checked.returncode, checked.stderr) == (0, "")
