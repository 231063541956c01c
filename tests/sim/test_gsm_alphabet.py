from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gsm_alphabet import pack, septets, text, unpack


def test_a_known_text() -> None:
    # "hellohello" of the well-known example of a packed message: E8329BFD4697D9EC37
    assert pack(septets("hellohello")).hex().upper() == "E8329BFD4697D9EC37"
    assert text(unpack(bytes.fromhex("E8329BFD4697D9EC37"), 10)) == "hellohello"


def test_letters_beyond_ascii() -> None:
    # 3GPP TS 23.038, clauses 6.2.1 and 6.2.1.1
    assert septets("@£Ä€[") == [0x00, 0x01, 0x5B, 0x1B, 0x65, 0x1B, 0x3C]
    assert septets("漢") == [0x3F]
    assert text([0x1B, 0x65, 0x1B]) == "€"


@given(st.lists(st.integers(0, 127), max_size=160))
def test_packing_and_back(values: list[int]) -> None:
    packed = pack(values)
    assert len(packed) == -(-len(values) * 7 // 8)
    assert unpack(packed, len(values)) == values
    assert isinstance(text(values), str)
