"""Sections of a TOML file: each fault has its place, however the file is written. Which keys: test_config."""

from dataclasses import dataclass
from typing import Any

import pytest

from bondmate import rules
from bondmate.errors import ConfigurationError
from bondmate.sections import Document


@dataclass(frozen=True, slots=True)
class Panic:
    hold_s: float = rules.key(rules.number(0.05, 10), 1.0)


@dataclass(frozen=True, slots=True)
class Log:
    level: str = rules.key(rules.one_of("debug", "info"))


KINDS = {"panic": Panic, "log": Log}
NEEDED = '[log]\nlevel = "info"\n'


def read(text: str) -> dict[str, Any]:
    document = Document(text, "device.toml")
    sections = document.read(KINDS)
    document.settle()
    return sections


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return caught.value.problems


def test_a_good_file_becomes_its_sections_with_defaults_for_what_is_left_out() -> None:
    assert read(NEEDED) == {"panic": Panic(1.0), "log": Log("info")}
    assert read(f"panic.hold_s = 2\n{NEEDED}")["panic"] == Panic(2.0)


def test_what_is_needed_is_missed_and_the_others_are_read_all_the_same() -> None:
    document = Document("[panic]\nhold_s = 2.5\n", "device.toml")
    assert document.read(KINDS) == {"panic": Panic(2.5), "log": None}
    with pytest.raises(ConfigurationError, match=r'log\.level: missing, allowed is "debug" or "info"'):
        document.settle()


def test_a_fault_that_its_reader_finds_is_told_among_the_others_in_their_order() -> None:
    document = Document("[panic]\nhold_s = 2.5\n[log]\nlevel = 1\n", "device.toml")
    document.read(KINDS)
    document.fault("panic", "hold_s", "longer than anybody holds")
    with pytest.raises(ConfigurationError) as caught:
        document.settle()
    assert caught.value.problems == [
        "device.toml:2: panic.hold_s: longer than anybody holds",
        'device.toml:4: log.level: found 1, allowed is "debug" or "info"',
    ]


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        ("top = 1\n", "device.toml:1: top: unknown section or key"),
        ("panic = 3\n", "device.toml:1: panic: found 3, allowed is a section [panic]"),
        ("panic.hold_s = 0\n", "device.toml:1: panic.hold_s: found 0, allowed is"),
        ("panic = { hold_s = 0 }\n", "device.toml: panic.hold_s: found 0, allowed is"),
        ("[[panic]]\n", "device.toml: panic: found [{}], allowed is a section [panic]"),
        ('["panic"]\nhold_s = 0\n', "device.toml: panic.hold_s: found 0, allowed is"),
    ],
)
def test_other_ways_to_write_toml_are_placed_as_well_as_can_be(extra: str, place: str) -> None:
    [problem] = problems(extra + NEEDED)
    assert problem.startswith(place)


@pytest.mark.parametrize(
    "text",
    ["[gpio", "x = ", "a = 1\na = 2\n", "x = " + "[" * 30_000, "x = " + "9" * 5_000, "x = 2026-99-99", "\0"],
    ids=["open", "no value", "twice", "deep", "large number", "no date", "nul"],
)
def test_what_is_no_toml_is_one_fault(text: str) -> None:
    [problem] = problems(text)
    assert problem.startswith("device.toml: not TOML: ")


def test_a_long_value_is_cut_in_its_message() -> None:
    [problem] = problems(f'[log]\nlevel = "{"x" * 10_000}"\n')
    assert len(problem) < 250
    assert "xxx…, allowed is" in problem


@pytest.mark.parametrize("key", ['"two\\nlines"', '"' + "x" * 500 + '"', '""'])
@pytest.mark.parametrize("section", ["", "[panic]\n"])
def test_an_unknown_key_of_any_form_is_one_short_line(section: str, key: str) -> None:
    [problem] = problems(f"{section}{key} = 1\n{NEEDED}")
    assert problem.startswith("device.toml")
    assert "\n" not in problem
    assert len(problem) < 250
