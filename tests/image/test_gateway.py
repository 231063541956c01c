from pathlib import Path

import pytest

from bondmate_image import gateway
from bondmate_image.errors import ImageError
from bondmate_image.gateway import Local, Remote
from tests.image.desk import Desk


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/gateway", Local(Path("/srv/gateway"))),
        ("gateway", Local(Path("gateway"))),
        ("ssh://desk.example", Remote("desk.example", None, None)),
        ("ssh://ann@desk.example:2222", Remote("desk.example", "ann", 2222)),
        ("ssh://ann@[2001:db8::1]", Remote("2001:db8::1", "ann", None)),
    ],
)
def test_a_gateway_is_a_directory_or_a_host(text: str, expected: gateway.Gateway) -> None:
    assert gateway.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ssh://", "ssh://-oProxyCommand=true", "ssh://-l@host", "ssh://ann:secret@host", "ssh://host/data", "ssh://host?a",
        "ssh://host:99999", "ssh://a b", "ssh://ann;true@host", "ssh://host$(true)",
    ],
)  # fmt: skip
def test_what_ssh_could_take_for_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        gateway.parse(text)


def test_a_local_gateway_is_run_with_its_data(desk: Desk) -> None:
    desk.will_say("[1]")
    assert gateway.ask(Local(desk.data), "devices", ["--json"], b"given") == [1]
    assert desk.asked == [(["devices", "--data", str(desk.data), "--json"], "given")]


def test_a_remote_gateway_is_run_by_its_shell_with_each_word_whole(desk: Desk) -> None:
    desk.will_say("[1]")
    assert gateway.ask(Remote("host", "ann", 2222), "enrol", ["--group", "a b; false"], b"given") == [1]
    assert desk.asked == [(["enrol", "--group", "a b; false"], "given")]
    assert (desk.top / "ssh").read_text().splitlines() == [
        "-T", "-o", "BatchMode=yes", "-p", "2222", "--", "ann@host", "bondmate-gateway enrol --group 'a b; false'",
    ]  # fmt: skip


def test_what_the_gateway_says_when_it_refuses_is_passed_on(desk: Desk) -> None:
    desk.will_fail("no disk")
    with pytest.raises(ImageError, match=r"the gateway .*data refused; it says: bondmate-gateway: no disk"):
        gateway.ask(Local(desk.data), "devices", [])


def test_a_host_that_lets_nobody_in_is_told_from_a_gateway_that_refuses(desk: Desk) -> None:
    with pytest.raises(
        ImageError, match=r"ssh://nobody@host was not reached; ssh says: Permission denied \(publickey\)"
    ):
        gateway.ask(Remote("host", "nobody", None), "devices", [])


def test_an_answer_that_is_no_json_is_refused(desk: Desk) -> None:
    desk.will_say("Welcome to this host!")
    with pytest.raises(ImageError, match="something else than JSON"):
        gateway.ask(Local(desk.data), "devices", [])


def test_a_gateway_that_is_not_installed_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.top / "bondmate-gateway").unlink()
    monkeypatch.setenv("PATH", str(desk.top))
    with pytest.raises(ImageError, match="bondmate-gateway is not on this computer"):
        gateway.ask(Local(desk.data), "devices", [])


def test_without_ssh_it_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.top / "ssh").unlink()
    monkeypatch.setenv("PATH", str(desk.top))
    with pytest.raises(ImageError, match="ssh is not on this computer"):
        gateway.ask(Remote("host", None, None), "devices", [])
