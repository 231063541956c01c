"""The alphabet of short messages, by the tables of TS 23.038."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.alphabet import text_of, unpack


@pytest.mark.parametrize(
    ("septets", "text"),
    [
        ([0x00, 0x02, 0x0A, 0x11, 0x7F], "@$\n_à"),
        ([0x1B, 0x14, 0x1B, 0x28, 0x1B, 0x29, 0x1B, 0x2F], "^{}\\"),
        ([0x1B, 0x3C, 0x1B, 0x3D, 0x1B, 0x3E, 0x1B, 0x40, 0x1B, 0x65, 0x1B, 0x0A], "[~]|€\f"),
        ([0x1B, 0x41], "A"),
        ([0x1B, 0x1B, 0x41], " A"),
        ([0x41, 0x1B], "A"),
    ],
)
def test_the_default_alphabet_and_its_extension(septets: list[int], text: str) -> None:
    assert text_of(septets) == text


def packed(septets: list[int], skip: int = 0) -> bytes:
    """By one large number, bit for bit."""
    number = sum(septet << (7 * place + skip) for place, septet in enumerate(septets))
    return number.to_bytes((7 * len(septets) + skip + 7) // 8, "little")


@given(st.lists(st.integers(0, 127), max_size=160), st.integers(0, 6))
def test_septets_come_out_as_they_were_packed(septets: list[int], skip: int) -> None:
    assert unpack(packed(septets, skip), len(septets), skip) == septets
