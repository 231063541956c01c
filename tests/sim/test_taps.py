import json
from pathlib import Path

from bondmate_sim.mobile import DEVICE_NUMBER, GATEWAY_NUMBER
from bondmate_sim.taps import Datagram, datagrams, json_lines, messages


def test_a_tap_that_is_not_there_saw_nothing(tmp_path: Path) -> None:
    assert datagrams(tmp_path / "none") == messages(tmp_path / "none") == []


def test_the_line_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    tap = tmp_path / "tap.jsonl"
    tap.write_text('{"n": 1}\n{"n": 2}\n{"n": ')
    assert json_lines(tap) == [{"n": 1}, {"n": 2}]


def test_datagrams_are_octets_again(tmp_path: Path) -> None:
    tap = tmp_path / "tap.jsonl"
    entry = {
        "t_ns": 5,
        "utc": "",
        "direction": "up",
        "client": "127.0.0.1:9",
        "octets": 2,
        "hex": "00ff",
        "fate": "lost",
    }
    tap.write_text(json.dumps(entry) + "\n")
    assert datagrams(tap) == [Datagram(5, "up", "127.0.0.1:9", b"\x00\xff", "lost")]


def test_a_message_to_the_gateway_goes_up_and_any_other_down(tmp_path: Path) -> None:
    tap = tmp_path / "sms.jsonl"
    ways = [(DEVICE_NUMBER, GATEWAY_NUMBER), (GATEWAY_NUMBER, DEVICE_NUMBER)]
    entries = [{"t_ns": 1, "from": a, "to": b, "ud": "01", "fate": "delivered"} for a, b in ways]
    tap.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert [(one.direction, one.client) for one in messages(tap)] == [("up", DEVICE_NUMBER), ("down", GATEWAY_NUMBER)]
