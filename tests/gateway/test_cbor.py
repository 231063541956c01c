import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import cbor

_LEAVES = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=40)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 99), inner, max_size=4),
    max_leaves=6,
)


@given(st.lists(st.lists(_LEAVES, max_size=30) | st.dictionaries(st.integers(0, 300), _LEAVES) | _LEAVES, max_size=300))
def test_an_array_is_cut_into_its_elements(values: list[object]) -> None:
    encoded = [cbor2.dumps(value, canonical=True) for value in values]
    assert cbor.items(cbor2.dumps(values, canonical=True)) == encoded


@given(st.binary(max_size=1024))
def test_octets_from_outside_are_cut_whole_or_refused_as_malformed(data: bytes) -> None:
    try:
        elements = cbor.items(data)
    except cbor.MalformedError:
        return
    head = cbor2.dumps([None] * len(elements))[: -len(elements) or None]
    assert head + b"".join(elements) == data


@given(st.lists(_VALUES, max_size=4), st.integers(0, 400))
def test_a_prefix_is_refused(values: list[object], cut: int) -> None:
    encoded = cbor2.dumps(values, canonical=True)
    with pytest.raises(cbor.MalformedError):
        cbor.items(encoded[: min(cut, len(encoded) - 1)])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "ends in the middle"),
        ("01", "array was expected"),
        ("8101 00", "1 octets follow"),
        ("9f01ff", "indefinite"),
        ("815f4101ff", "indefinite"),
        ("811c", "reserved"),
        ("811817", "longer than its value"),
        ("811900ff", "longer than its value"),
        ("811a0000ffff", "longer than its value"),
        ("811b00000000ffffffff", "longer than its value"),
        ("815801", "longer than its value"),
        ("81f81f", "simple value below 32"),
        ("815affffffff00", "ends in the middle of a string"),
        ("9bffffffffffffffff00", "ends in the middle"),
        ("8119ff", "ends in the middle of a head"),
        ("81" * 11 + "00", "nested more than"),
        ("81" + "c1" * 600 + "00", "nested more than"),
    ],
)
def test_what_is_not_deterministic_or_not_whole_is_refused_with_the_reason(data: str, why: str) -> None:
    with pytest.raises(cbor.MalformedError, match=why):
        cbor.items(bytes.fromhex(data))


@pytest.mark.parametrize("value", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1])
def test_unsigned_integers_at_the_borders_of_their_heads(value: int) -> None:
    assert cbor.uint(cbor2.dumps(value), 0, 2**64 - 1) == value


@pytest.mark.parametrize(
    ("item", "why"), [("05", "not between"), ("20", "unsigned integer"), ("40", "unsigned integer")]
)
def test_an_integer_out_of_range_or_of_another_type_is_refused(item: str, why: str) -> None:
    with pytest.raises(cbor.MalformedError, match=why):
        cbor.uint(bytes.fromhex(item), 1, 4)


@given(st.text(max_size=300))
def test_a_text_string_is_read(value: str) -> None:
    assert cbor.text(cbor2.dumps(value)) == value


@pytest.mark.parametrize(
    ("item", "why"), [("43616263", "text string was"), ("6161ff", "text string was"), ("61ff", "not UTF-8")]
)
def test_what_is_no_text_is_refused(item: str, why: str) -> None:
    with pytest.raises(cbor.MalformedError, match=why):
        cbor.text(bytes.fromhex(item))


@pytest.mark.parametrize(("item", "array"), [("80", True), ("8101", True), ("01", False), ("a0", False)])
def test_an_array_is_told_from_what_is_none(item: str, array: bool) -> None:
    assert cbor.is_array(bytes.fromhex(item)) == array


def test_a_byte_string_is_read_and_text_is_refused() -> None:
    assert cbor.octets(bytes.fromhex("43010203")) == b"\1\2\3"
    with pytest.raises(cbor.MalformedError, match="byte string was expected"):
        cbor.octets(bytes.fromhex("63616263"))
