import shutil
import subprocess
from pathlib import Path

import pytest

from bondmate_image import slot_state

A = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "2", "BOOT_B_LEFT": "3"}
B = {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "1"}


def test_what_was_written_is_read() -> None:
    copy = slot_state.encode(A, 7)
    assert len(copy) == slot_state.OCTETS
    assert slot_state.decode(copy) == A


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="607 octets long"):
        slot_state.encode({"X": "y" * 603}, 0)


@pytest.mark.parametrize("octet", [0, 3, 5, 20, 511])
def test_one_wrong_bit_makes_a_copy_invalid(octet: int) -> None:
    copy = bytearray(slot_state.encode(A, 7))
    copy[octet] ^= 1
    assert slot_state.decode(bytes(copy)) is None


def test_half_a_copy_is_none() -> None:
    assert slot_state.decode(slot_state.encode(A, 7)[:256]) is None


@pytest.mark.parametrize(
    ("counts", "newer"),
    [((1, 2), B), ((2, 1), A), ((254, 255), B), ((255, 0), B), ((0, 255), A), ((5, 5), A), ((200, 3), A)],
)
def test_the_newer_copy_counts(counts: tuple[int, int], newer: dict[str, str]) -> None:
    copies = [slot_state.encode(A, counts[0]), slot_state.encode(B, counts[1])]
    assert slot_state.newest(copies) == newer


@pytest.mark.parametrize("written", range(0, slot_state.OCTETS, 37))
def test_a_torn_write_never_picks_what_nobody_chose(written: int) -> None:
    old, before = slot_state.encode(A, 8), slot_state.encode(B, 7)
    new = slot_state.encode({**B, "BOOT_B_LEFT": "0"}, 9)
    torn = new[:written] + before[written:]
    # the write is whole, or it has not been
    assert slot_state.newest([old, torn]) in (A, slot_state.decode(new))


def test_without_a_valid_copy_nothing_is_said() -> None:
    assert slot_state.newest([bytes(512), b"\xff" * 512]) is None


@pytest.mark.parametrize("counts", [(1, 2), (2, 1), (255, 0), (0, 255), (254, 255), (128, 0), (200, 3)])
def test_the_tools_of_u_boot_see_the_same(tmp_path: Path, counts: tuple[int, int]) -> None:
    if shutil.which("fw_setenv") is None:
        pytest.skip("needs fw_setenv: install Debian's libubootenv-tool")
    card, config = tmp_path / "card", tmp_path / "fw_env.config"
    config.write_text("".join(f"{card} {offset:#x} {slot_state.OCTETS:#x}\n" for offset in slot_state.OFFSETS))

    def copies() -> list[bytes]:
        held = card.read_bytes()
        return [held[offset : offset + slot_state.OCTETS] for offset in slot_state.OFFSETS]

    with card.open("wb") as file:
        for offset, values, count in zip(slot_state.OFFSETS, (A, B), counts, strict=True):
            file.seek(offset)
            file.write(slot_state.encode(values, count))
    before = copies()
    ours = slot_state.newest(before)
    assert ours is not None
    printed = subprocess.run(["fw_printenv", "-c", config], capture_output=True, text=True, check=True).stdout
    assert dict(line.split("=", 1) for line in printed.splitlines()) == ours
    subprocess.run(["fw_setenv", "-c", config, "BOOT_ORDER", "B"], check=True)
    assert slot_state.newest(copies()) == {**ours, "BOOT_ORDER": "B"}
    # what was newest is still there, whole
    assert [copy for copy in copies() if slot_state.decode(copy) == ours]
