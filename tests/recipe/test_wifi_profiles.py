"""Which networks become profiles of iwd, and which files are refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate import erasing, network
from bondmate.errors import RemoteError
from bondmate.network import Network, Wifi
from tests.recipe.scripts import load

wifi = load("wifi_profiles")


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> int:
    given_in, state = tmp_path / "credentials", tmp_path / "iwd"
    given_in.mkdir(exist_ok=True)
    state.mkdir(exist_ok=True)
    (given_in / "network.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given_in))
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    code: int = wifi.main()
    return code


def listed(*networks: tuple[object, object]) -> bytes:
    return json.dumps({"wifi": [{"ssid": ssid, "passphrase": secret} for ssid, secret in networks]}).encode()


def test_each_network_is_a_profile_and_those_of_before_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "iwd" / "Old.psk"
    old.parent.mkdir()
    old.touch()
    other = tmp_path / "iwd" / ".known_network.freq"
    other.touch()
    kept = tmp_path / "kept"
    kept.mkdir()
    # as the daemon writes it
    network.keep(Network(wifi=(Wifi("Posto-1", "correct horse"), Wifi("a/b", "\\\\12345 "))), kept)
    assert run(tmp_path, monkeypatch, (kept / network.NETWORK_FILE).read_bytes()) == 0
    assert {path.name for path in (tmp_path / "iwd").iterdir()} == {"Posto-1.psk", "=612f62.psk", other.name}
    assert "Passphrase=correct\\shorse\n" in (tmp_path / "iwd" / "Posto-1.psk").read_text()
    assert "Passphrase=\\\\\\\\12345\\s\n" in (tmp_path / "iwd" / "=612f62.psk").read_text()
    assert (tmp_path / "iwd" / "Posto-1.psk").stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().err == "2 Wi-Fi profiles written\n"


def test_a_wipe_takes_the_profiles_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    network.keep(Network(wifi=(Wifi("Posto-1", "correct horse"),)), kept)
    assert run(tmp_path, monkeypatch, (kept / network.NETWORK_FILE).read_bytes()) == 0
    assert (tmp_path / "iwd" / "Posto-1.psk").exists()
    erasing.mark(kept)
    erasing.finish(kept, kept, last_good=True)
    assert run(tmp_path, monkeypatch, (kept / network.NETWORK_FILE).read_bytes()) == 0
    assert list((tmp_path / "iwd").iterdir()) == []


@pytest.mark.parametrize(
    "given",
    [
        b"", b"\xff", b"[]", b'{"wifi":{}}', b'{"wifi":[1]}', b'{"wifi":[["a","12345678"]]}',
        b'{"wifi":[{"ssid":"a"}]}',
        listed(("a", 1)), listed((None, "12345678")), listed(("", "12345678")), listed(("a", "1234567")),
        listed(("a", "1234567\n")), listed(("a", "12345678\nX=1")), listed(("\ud800", "12345678")), b"[" * 10_000,
        listed(("a" * 33, "12345678")), listed(("é" * 17, "12345678")), listed(("a", "1" * 64)),
        listed(*[("a", "12345678")] * 17), listed(("a", "12345678")) + b" " * 20_000,
    ],
)  # fmt: skip
def test_what_no_enrolment_writes_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: bytes
) -> None:
    before = tmp_path / "iwd" / "Posto.psk"
    before.parent.mkdir()
    before.touch()
    assert run(tmp_path, monkeypatch, given) == 1
    assert list((tmp_path / "iwd").iterdir()) == [before]
    said = capsys.readouterr().err
    assert said.startswith("network.json of the enrolment: ")
    assert "1234567" not in said


@given(st.text("aé\0", max_size=4), st.text("aé ~\n", min_size=8, max_size=9))
def test_what_a_device_takes_of_an_enrolment_file_becomes_a_profile(ssid: str, passphrase: str) -> None:
    try:
        network.decode({1: [[ssid, passphrase]]})
    except RemoteError:
        return
    assert wifi.networks(listed((ssid, passphrase))) == [(ssid, passphrase)]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=10).filter(lambda ssid: "\0" not in ssid))
def test_no_ssid_leads_out_of_the_directory_or_into_another_profile(ssid: str) -> None:
    name = wifi.file_name(ssid)
    assert "/" not in name
    assert name.endswith(".psk")
    assert not name.startswith(".")
    read = bytes.fromhex(name[1:-4]).decode() if name.startswith("=") else name[:-4]
    assert read == ssid


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63))
def test_a_passphrase_is_one_setting_whatever_is_in_it(passphrase: str) -> None:
    lines = wifi.profile(passphrase).splitlines()
    assert lines[0] == "[Security]"
    assert lines[2:] == ["", "[Settings]", "AutoConnect=true"]
    # as ell's settings read it: escapes, and nothing at the ends
    value = lines[1].removeprefix("Passphrase=").strip()
    read = value.replace("\\\\", "\0").replace("\\s", " ").replace("\0", "\\")
    assert read == passphrase
