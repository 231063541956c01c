import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim import nmea


@pytest.mark.parametrize(
    ("body", "framed"),
    [
        ("PMTK605", b"$PMTK605*31\r\n"),  # L80 GPS protocol specification, 3.25
        ("PQTMVERNO", b"$PQTMVERNO*58\r\n"),  # LG290P protocol specification, 2.3.9
        ("PQTMCFGMSGRATE,OK,GGA,1", b"$PQTMCFGMSGRATE,OK,GGA,1*59\r\n"),  # 2.3.15
    ],
)
def test_frames_are_the_manuals_own(body: str, framed: bytes) -> None:
    assert nmea.frame(body) == framed
    commands = nmea.Commands()
    assert [found for octet in framed if (found := commands.push(octet))] == [body]


def found_in(data: bytes) -> list[str]:
    commands = nmea.Commands()
    return [body for octet in data if (body := commands.push(octet)) is not None]


def test_only_a_right_checksum_counts() -> None:
    assert found_in(b"$PMTK605*31\r\n") == ["PMTK605"]
    assert found_in(b"$PMTK605*31\n") == ["PMTK605"], "a line feed alone ends it too"
    for wrong in (b"$PMTK605*32\r\n", b"$PMTK605\r\n", b"$PMTK605*3\r\n", b"PMTK605*31\r\n", b"$PM\xffK605*31\r\n"):
        assert found_in(wrong) == []


def test_a_command_is_found_behind_what_was_torn_off() -> None:
    assert found_in(b"$PMTK6$PMTK605*31\r\n") == ["PMTK605"]
    assert found_in(b"\xb5b\x06$PMTK605*31\r\n*31\r\n$PMTK605*31\r\n") == ["PMTK605", "PMTK605"]


def test_what_never_ends_is_let_go() -> None:
    commands = nmea.Commands()
    for octet in b"$" + b"A" * 10_000:
        commands.push(octet)
    assert commands._held is None
    assert [found for octet in b"$PMTK605*31\r\n" if (found := commands.push(octet))] == ["PMTK605"]


@given(st.binary(max_size=600), st.text("ABC,0123456789", max_size=80))
def test_garbage_hides_no_later_command(garbage: bytes, body: str) -> None:
    assert found_in(garbage + nmea.frame(body))[-1:] == [body]
