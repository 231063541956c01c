"""A bundle from a real server that breaks off, lies, or gives something else."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from bondmate.updater import fetching
from bondmate.updater.fetching import BrokenOffError, HopelessError, NoWayError, StoppedError, fetch
from tests.updater.web import BUNDLE, ORDER, Web, serving


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as made:
        yield made


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "bundle.part"


def always() -> bool:
    return True


def test_it_comes_whole(web: Web, part: Path) -> None:
    fetch(web.order, part, always)
    assert part.read_bytes() == BUNDLE
    assert web.asked == ["bytes=0-"]


def test_it_goes_on_where_it_broke_off(web: Web, part: Path) -> None:
    web.breaks_after = [100_000, 300_001]
    for have in (100_000, 400_001):
        with pytest.raises(BrokenOffError, match="broke off"):
            fetch(web.order, part, always)
        assert part.read_bytes() == BUNDLE[:have]
    fetch(web.order, part, always)
    assert part.read_bytes() == BUNDLE
    assert web.asked == ["bytes=0-", "bytes=100000-", "bytes=400001-"]


def test_what_is_here_is_not_asked_for_again(web: Web, part: Path) -> None:
    part.write_bytes(BUNDLE)
    fetch(web.order, part, always)
    assert web.asked == []


def test_a_server_without_ranges_begins_anew(web: Web, part: Path) -> None:
    web.ranges = False
    part.write_bytes(b"x" * 5000)
    fetch(web.order, part, always)
    assert part.read_bytes() == BUNDLE


def test_other_octets_are_thrown_away(web: Web, part: Path) -> None:
    web.content = bytes(len(BUNDLE))
    with pytest.raises(HopelessError, match="SHA-256"):
        fetch(web.order, part, always)
    assert not part.exists()


def test_what_was_here_and_does_not_belong_to_it_is_found_out(web: Web, part: Path) -> None:
    part.write_bytes(b"y" * 5000)
    with pytest.raises(HopelessError, match="SHA-256"):
        fetch(web.order, part, always)
    fetch(web.order, part, always)
    assert part.read_bytes() == BUNDLE


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("octets", [len(BUNDLE) - 1, len(BUNDLE) + 1, 1 << 40])
def test_another_length_is_not_fetched(web: Web, part: Path, octets: int, ranges: bool) -> None:
    web.told_octets, web.ranges = octets, ranges
    with pytest.raises(HopelessError, match=f"{octets} octets, ordered were {len(BUNDLE)}"):
        fetch(web.order, part, always)
    assert not part.exists()


def test_no_more_is_written_than_was_ordered(web: Web, part: Path) -> None:
    web.content = BUNDLE + b"more" * 100_000
    web.told_octets = len(BUNDLE)
    fetch(web.order, part, always)
    assert part.read_bytes() == BUNDLE


def test_a_range_that_was_not_asked_for_is_refused(web: Web, part: Path) -> None:
    part.write_bytes(BUNDLE[:1000])
    web.shift = 1
    with pytest.raises(HopelessError, match="asked for octets from 1000 on"):
        fetch(web.order, part, always)
    assert part.read_bytes() == BUNDLE[:1000]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 410, 416])
def test_what_will_never_come_is_given_up(web: Web, part: Path, status: int) -> None:
    web.status = status
    with pytest.raises(HopelessError, match=str(status)):
        fetch(web.order, part, always)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_come_later_is_waited_for(web: Web, part: Path, status: int) -> None:
    web.status = status
    with pytest.raises(BrokenOffError, match=str(status)):
        fetch(web.order, part, always)


def test_nobody_there_is_weather(web: Web, part: Path) -> None:
    with pytest.raises(NoWayError):
        fetch(replace(web.order, url="http://127.0.0.1:1/x"), part, always)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://[::1]/x", ("::1", 80)),
        ("https://[2001:db8::ab]/x", ("2001:db8::ab", 443)),
        ("https://[2001:db8::ab]:8443/x", ("2001:db8::ab", 8443)),
    ],
)
def test_an_address_of_ipv6_needs_no_port(
    part: Path, monkeypatch: pytest.MonkeyPatch, url: str, address: tuple[str, int]
) -> None:
    asked = []

    def nobody(address: tuple[str, int], *_: object) -> NoReturn:
        asked.append(address)
        raise OSError("no route")

    monkeypatch.setattr("socket.create_connection", nobody)
    with pytest.raises(NoWayError, match="no route"):
        fetch(replace(ORDER, url=url), part, always)
    assert asked == [address]


@pytest.mark.parametrize("url", ["http://gw..example/", "https://.example/x", f"http://{'a' * 64}.example/"])
def test_a_name_that_cannot_be_one_is_not_looked_for_again(part: Path, url: str) -> None:
    with pytest.raises(HopelessError, match="names no host"):
        fetch(replace(ORDER, url=url), part, always)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "http://a b/", "http://[::1/", "http://x:99999/"]
)
def test_what_is_no_url_of_the_web_is_not_asked_for(part: Path, url: str) -> None:
    with pytest.raises(HopelessError):
        fetch(replace(ORDER, url=url), part, always)


def test_it_stops_when_it_is_told_to_and_goes_on_later(web: Web, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LOOK_S", 0.0)
    web.holds = threading.Event()
    with pytest.raises(StoppedError):
        fetch(web.order, part, lambda: False)
    web.holds.set()
    have = part.stat().st_size
    assert 0 < have < len(BUNDLE)
    fetch(web.order, part, always)
    assert part.read_bytes() == BUNDLE
    assert web.asked[-1] == f"bytes={have}-"


def test_a_server_that_falls_silent_is_left(web: Web, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SILENCE_S", 2.0)
    web.holds = threading.Event()
    with pytest.raises(BrokenOffError, match="timed out"):
        fetch(web.order, part, always)
    web.holds.set()
    assert BUNDLE.startswith(part.read_bytes()), "what came is kept"


def test_a_full_card_is_said_before_anything_is_fetched(web: Web, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SPARE_OCTETS", 1 << 60)
    with pytest.raises(HopelessError, match="no room: 1 MiB are to come, and 0 MiB may be used"):
        fetch(web.order, part, always)
    assert web.asked == []
