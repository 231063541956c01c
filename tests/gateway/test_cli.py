import json
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from bondmate_sim.gateway import cli, keys
from tests.gateway.conftest import command
from tests.gateway.recruit import Office, of_command


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


def test_wipe_shows_the_device_and_can_be_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = "--data", str(tmp_path / "data")
    command("enrol", "--count", "1", "--out", tmp_path / "out", *data)
    (shown,) = command("devices", *data)
    first, again = (command("wipe", shown["device"], *data) for _ in range(2))
    assert (first["state"], first["revoked"], first["wiped_at"]) == ("wiping", False, None)
    assert first == again
    assert [each["type"] for each in command("messages", *data)] == ["wipe"]
    assert cli.main(["wipe", "BM-00000000", *data]) == 1
    assert "no device BM-00000000" in capsys.readouterr().err
    assert cli.main(["rekey", shown["device"], *data]) == 1
    assert "has no key to agree on new ones by" in capsys.readouterr().err
    assert cli.main(["wipe", shown["device"], *data]) == 0
    assert "active  WIPING: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        *(
            "alerts",
            "devices",
            "messages",
            "revoke BM-7f3a09c1",
            "wipe BM-7f3a09c1",
            "group BM-7f3a09c1 north",
            "ack ID",
            "close ID",
        ),
        *("message BM-7f3a09c1 text", "alert --group north text", "exercise BM-7f3a09c1 off", "rekey BM-7f3a09c1"),
    ],
)
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
        "wipe",
        "wipe BM-7F3A09C1",
        "rekey",
        "ack",
        "close",
        "message BM-7f3a09c1",
        "message 7f3a09c1 text",
        "alert text",
        "alert --group north",
        "alert --group no,rth text",
        "alert --group north --area 38.7,9.1 text",
        "alert --group north --area 90.1,9.1,500 text",
        "alert --group north --area 38.7,180.1,500 text",
        "alert --group north --area 38.7,9.1,0 text",
        "alert --group north --area 38.7,9.1,4294967296 text",
        "alert --group north --area nan,9.1,500 text",
        "exercise BM-7f3a09c1",
        "exercise BM-7f3a09c1 on",
        "exercise BM-7f3a09c1 off --minutes 5",
        "exercise BM-7f3a09c1 --minutes 0",
        "exercise BM-7f3a09c1 --minutes 241",
        "group",
        "group BM-7f3a09c1 ,",
        "messages north",
        "enrol --count 1 --out . --group north,south",
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


# --- The desk ------------------------------------------------------------------------------------


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of two devices of the group north."""
    monkeypatch.setenv("BONDMATE_GATEWAY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOGNAME", "ann.doe")
    files = command("enrol", "--count", "2", "--out", tmp_path / "out", "--group", "north", "--group", "night")
    return [Path(each).stem for each in files]


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main([*arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_message_is_written_in_the_name_of_the_login_or_another(names: list[str]) -> None:
    first = command("message", names[0], "come in", "--reply", "yes", "--reply", "no", "--urgent")
    second = command("message", names[0], "--by", "Ann", "again")
    assert first | {"at": None} == {
        "device": names[0],
        "number": 1,
        "type": "message",
        "at": None,
        "by": "ann.doe",
        "alert_id": None,
    }
    assert (second["number"], second["by"]) == (2, "Ann")
    shown = command("messages", names[0])
    assert [(each["text"], each["replies"], each["urgent"]) for each in shown] == [
        ("come in", ["yes", "no"], True),
        ("again", [], False),
    ]
    assert command("messages", names[1]) == []


def test_a_group_is_alerted_with_and_without_an_area(names: list[str]) -> None:
    done = command("alert", "--group", "north", "--area=-38.7223,9.1393,500", "look out")
    assert sorted(each["device"] for each in done) == sorted(names)
    command("alert", "--group", "night", "anywhere")
    assert [each["place"] for each in command("messages", names[0])] == [
        {"lat": -38.7223, "lon": 9.1393, "radius_m": 500},
        None,
    ]


def test_groups_are_set_and_shown(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("group", names[0], "south", "day") == {"device": names[0], "groups": ["day", "south"]}
    assert [each["groups"] for each in command("devices") if each["device"] == names[0]] == [["day", "south"]]
    assert command("group", names[0])["groups"] == []
    assert "is in the group south" in fails(capsys, "alert", "--group", "south", "text")
    assert "no device BM-00000000" in fails(capsys, "group", "BM-00000000", "north")


def test_an_exercise_is_ordered_and_ended(names: list[str]) -> None:
    assert command("exercise", names[0], "--minutes", "10")["number"] == 1
    assert command("exercise", names[0], "off")["number"] == 2
    assert [each["exercise_s"] for each in command("messages", names[0])] == [600, 0]


def test_what_cannot_be_done_is_said(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    unknown = "BM-00000000"
    for arguments in (("message", unknown, "text"), ("exercise", unknown, "off"), ("messages", unknown)):
        assert f"no device {unknown} is enrolled here" in fails(capsys, *arguments)
    assert "the text has 1 to 480 octets" in fails(capsys, "message", names[0], "a" * 481)
    assert "at most 4 quick replies" in fails(capsys, "message", names[0], "text", *["--reply=yes"] * 5)
    assert "the name of who sends it has 1 to 64 octets" in fails(capsys, "message", names[0], "text", "--by", "")
    for what in ("ack", "close"):
        assert f"no alert {names[0]} is held here" in fails(capsys, what, names[0])
    assert command("messages") == []


def test_acts_in_words(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for act in ("message {} text", "exercise {} --minutes 1", "messages", "group {} a"):
        assert cli.main(act.format(names[0]).split()) == 0
        assert names[0] in capsys.readouterr().out


def test_numbers_are_gapless_though_many_write_at_once(names: list[str]) -> None:
    """Each writer is a process of its own, as the command line is."""
    script = "import sys; from bondmate_sim.gateway import cli; sys.exit(any(cli.main(sys.argv[1:]) for _ in range(8)))"
    writers = [
        subprocess.Popen([sys.executable, "-c", script, "message", name, "text"], stdout=subprocess.PIPE, text=True)
        for name in (names[0], names[0], names[0], names[1])
    ]
    said = [writer.communicate(timeout=50)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    assert sum(len(each.splitlines()) for each in said) == 32
    for name, count in zip(names, (24, 8), strict=True):
        assert [each["number"] for each in command("messages", name)] == list(range(1, count + 1))


# --- Enrolment by cards -----------------------------------------------------------------------------


def test_cards_are_printed_with_secrets_from_a_file_and_written_nowhere(tmp_path: Path) -> None:
    described = tmp_path / "network.toml"
    described.write_text('sim_pin = "0000"\n')
    data = tmp_path / "data"
    options = ("--data", data, "--network", described, "--valid-days", "2", "--group", "north")
    shown = command("enrol", "--count", "3", "--cards", *options)
    assert [sorted(each) for each in shown] == [["device", "expires_at", "file"]] * 3
    force = command("force-key", "--data", data)
    assert [of_command(each, force["public_key_pem"]).network for each in shown] == [{3: "0000"}] * 3
    listed = command("devices", "--data", data)
    assert [(each["state"], each["fingerprint"], each["public_key_pem"], each["groups"]) for each in listed] == [
        ("offered", None, None, ["north"])
    ] * 3
    assert {each["expires_at"] for each in shown} == {each["expires_at"] for each in listed}
    assert sorted(each.name for each in data.iterdir()) == [
        "dh-key.pem",
        "force-key.pem",
        "gateway.db",
        "signing-key.pem",
    ]


def test_what_does_not_go_together_is_usage(tmp_path: Path) -> None:
    for arguments in (
        "enrol --count 1 --cards",
        "enrol --count 1 --cards --out . --json",
        "enrol --count 1 --out . --approve",
        "enrol --count 1 --cards --json --valid-days 0",
        "enrol --count 1 --cards --json" + " --address coap://192.0.2.7:5683" * 9,
        "approve BM-7f3a09c1 --fingerprint abcd",
        "approve BM-7f3a09c1",
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments.split(), "--data", str(tmp_path / "data")])
        assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_approved_by_its_fingerprint_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    office = Office(tmp_path)
    recruit = office.recruit(office.file(approval=True))
    name, data = recruit.file.name, ("--data", str(tmp_path))
    wrong = "ABCD-EFGH-IJKL-MNOP"
    approve = ("approve", name, *data, "--by", "Ann", "--fingerprint")
    assert "has not asked yet" in fails(capsys, *approve, wrong)
    assert recruit.ask() == 1
    right = keys.fingerprint(recruit.der)
    refused = fails(capsys, *approve, wrong)
    assert wrong in refused
    assert right in refused
    assert recruit.ask() == 1
    assert command(*approve, right)["state"] == command(*approve, right)["state"] == "taken"
    assert recruit.ask() == 0
    assert "needs no approval" in fails(capsys, "approve", office.file().name, *data, "--fingerprint", wrong)
    office.database.close()


def test_a_file_is_withdrawn_until_its_device_is_enrolled_and_revoke_does_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    office = Office(tmp_path)
    data = ("--data", str(tmp_path))
    for what in ("withdraw", "revoke"):
        recruit = office.recruit()
        shown = command(what, recruit.file.name, *data)
        assert (shown["state"], shown["revoked"]) == ("withdrawn", True)
        assert recruit.ask() == 3
        approve = ("approve", recruit.file.name, *data, "--by", "Ann", "--fingerprint", "AAAA-AAAA-AAAA-AAAA")
        assert "was withdrawn" in fails(capsys, *approve)
    enrolled, _ = office.enrolled()
    assert "is enrolled" in fails(capsys, "withdraw", enrolled.file.name, *data)
    assert command("revoke", enrolled.file.name, *data)["state"] == "revoked"
    assert "no enrolment file was made here" in fails(capsys, "withdraw", "BM-00000000", *data)
    assert cli.main(["devices", *data]) == 0
    assert "withdrawn" in capsys.readouterr().out
    office.database.close()
