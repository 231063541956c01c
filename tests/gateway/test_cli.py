import json
import stat
import sys
from pathlib import Path

import apsw
import pytest

from bondmate_sim.gateway import cli
from tests.gateway.conftest import command


def test_enrol_writes_one_private_file_a_device_and_says_which(tmp_path: Path) -> None:
    names = command("enrol", "--count", "3", "--out", tmp_path / "out", "--data", tmp_path / "data")
    assert sorted(names) == sorted(str(each) for each in (tmp_path / "out").iterdir())
    assert len(names) == 3
    assert {stat.S_IMODE(Path(name).stat().st_mode) for name in names} == {0o600}
    documents = [json.loads(Path(name).read_text()) for name in names]
    assert {each["device"] for each in documents} == {
        each["device"] for each in command("devices", "--data", tmp_path / "data")
    }
    assert documents[0]["gateways"] == documents[1]["gateways"]
    assert documents[0]["gateways"][0]["addresses"] == ["coap://127.0.0.1:5683"]


def test_addresses_are_written_as_given(tmp_path: Path) -> None:
    addresses = ["coap://gateway.example:5683", "coap://[2001:db8::7]:5684"]
    options = [part for each in addresses for part in ("--address", each)]
    (name,) = command("enrol", "--count", "1", *options, "--out", tmp_path, "--data", tmp_path / "data")
    assert json.loads(Path(name).read_text())["gateways"][0]["addresses"] == addresses


def test_the_enrolled_half_is_what_devices_shows(tmp_path: Path) -> None:
    command("enrol", "--count", "1", "--out", tmp_path / "out", "--data", tmp_path / "data")
    (shown,) = command("devices", "--data", tmp_path / "data")
    assert shown["public_key_pem"].startswith("-----BEGIN PUBLIC KEY-----")
    assert (shown["last_seen_at"], shown["sessions"], shown["revoked"]) == (None, [], False)
    assert shown["enrolled_at"].endswith("Z")


def test_files_of_devices_that_could_not_be_stored_are_taken_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("enrol", "--count", "1", "--out", tmp_path / "out", "--data", tmp_path / "data")
    before = list((tmp_path / "out").iterdir())
    other = apsw.Connection(str(tmp_path / "data" / "gateway.db"))
    other.execute("BEGIN IMMEDIATE")
    assert cli.main(["enrol", "--count", "2", "--out", str(tmp_path / "out"), "--data", str(tmp_path / "data")]) == 1
    other.close()
    assert "locked" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == before


def test_revoke_shows_the_device_and_can_be_repeated(tmp_path: Path) -> None:
    command("enrol", "--count", "1", "--out", tmp_path / "out", "--data", tmp_path / "data")
    (shown,) = command("devices", "--data", tmp_path / "data")
    first = command("revoke", shown["device"], "--data", tmp_path / "data")
    again = command("revoke", shown["device"], "--data", tmp_path / "data")
    assert first["revoked"]
    assert first == again


@pytest.mark.parametrize("name", ["alerts", "devices", "revoke BM-7f3a09c1"])
def test_without_a_database_a_command_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.main([*name.split(), "--data", str(tmp_path)]) == 1
    assert "no gateway database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_device_cannot_be_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("enrol", "--count", "1", "--out", tmp_path / "out", "--data", tmp_path / "data")
    assert cli.main(["revoke", "BM-00000000", "--data", str(tmp_path / "data")]) == 1
    assert "no device BM-00000000" in capsys.readouterr().err


def test_a_newer_schema_is_an_error_of_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("enrol", "--count", "1", "--out", tmp_path / "out", "--data", tmp_path)
    other = apsw.Connection(str(tmp_path / "gateway.db"))
    other.pragma("user_version", 99)
    other.close()
    for arguments in (
        ["alerts"],
        ["run", "--listen", "127.0.0.1:0"],
        ["enrol", "--count", "1", "--out", str(tmp_path)],
    ):
        assert cli.main([*arguments, "--data", str(tmp_path)]) == 1
        assert "schema version 99" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "nothing",
        "enrol --count 1",
        "enrol --count 0 --out .",
        "enrol --count 1001 --out .",
        "enrol --count 1 --out . --address http://127.0.0.1:5683",
        "enrol --count 1 --out . --address coap://127.0.0.1",
        "run --listen 127.0.0.1",
        "run --listen 127.0.0.1:70000",
        "run --sms centre:127.0.0.1:2775",
        "run --sms-number +4915550001",
        "run --sms centre:127.0.0.1 --sms-number +4915550001",
        "run --sms centre:NAME@127.0.0.1:2775 --sms-number +4915550001",
        "run --sms centre:127.0.0.1:2775 --sms-number 015550001",
        "run --sms centre:127.0.0.1:2775 --sms-number +4915550001 --sms-password-file f",
        "run --sms smpp:127.0.0.1:2775 --sms-number +4915550001 --sms-password-file f",
        "run --sms smpp:a-name-of-16-chrs@127.0.0.1:2775 --sms-number +4915550001 --sms-password-file f",
        "run --sms smpp:NAME@127.0.0.1:2775 --sms-number +4915550001",
        "run --sms pigeon:127.0.0.1:2775 --sms-number +4915550001",
        "revoke BM-7F3A09C1",
        "revoke",
    ],
)
def test_wrong_usage_is_2(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments.split())
    assert caught.value.code == 2
    assert "usage: bondmate-gateway" in capsys.readouterr().err


SMPP = ["run", "--sms", "smpp:NAME@127.0.0.1:2775", "--sms-number", "+4915550001", "--sms-password-file"]


@pytest.mark.parametrize("content", [b"", b"\n", b"9 letters", b"\xc3\xa9", b"two\nlines", b"a\0b"])
def test_what_is_no_smpp_password_is_an_error_that_does_not_tell_it(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    assert cli.main([*SMPP, str(file), "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "holds no SMPP password: one line of 1 to 8 ASCII characters" in said
    assert "letters" not in said


def test_a_password_file_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SMPP, str(tmp_path / "none"), "--data", str(tmp_path)]) == 1
    assert "give another --sms-password-file" in capsys.readouterr().err


def test_without_the_extra_smpp_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "bondmate_sim.gateway.sms_smpp", raising=False)
    monkeypatch.delattr("bondmate_sim.gateway.sms_smpp", raising=False)
    monkeypatch.setitem(sys.modules, "rusmppyc", None)
    assert cli.main([*SMPP, str(tmp_path / "none"), "--data", str(tmp_path)]) == 1
    assert "install bondmate with the extra 'smpp'" in capsys.readouterr().err


def test_the_data_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONDMATE_GATEWAY_DATA", str(tmp_path / "data"))
    command("enrol", "--count", "1", "--out", tmp_path / "out")
    assert (tmp_path / "data" / "gateway.db").exists()
    assert len(command("devices", "--data", tmp_path / "data")) == 1


def test_without_option_and_environment_it_is_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BONDMATE_GATEWAY_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    command("enrol", "--count", "1", "--out", tmp_path / "out")
    assert (tmp_path / ".local" / "share" / "bondmate-gateway" / "gateway.db").exists()
