import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bondmate.api import authority
from bondmate.api.authority import CONSOLE_MAY, Authority, Household, Peer, Rule, may_enter, peer_of, rule, uid_of
from bondmate.api.door import Door
from bondmate.api.events import Events, Pictures
from bondmate.api.inbox import Inbox
from bondmate.api.server import application
from bondmate.api.views import Views
from bondmate.records import How
from tests.api.served import asked, console, exchange, served, set_pin
from tests.eventually import eventually
from tests.rights import NOBODY, as_nobody

HOME = Household(own_uid=990, group=991, console_uid=992, updater_uid=993)


@pytest.mark.parametrize(
    ("peer", "doors"),
    [
        (Peer(0, frozenset({0})), {Authority.FULL, Authority.CONSOLE, Authority.UPDATER}),
        (Peer(990, frozenset()), {Authority.FULL, Authority.CONSOLE, Authority.UPDATER}),
        (Peer(1000, frozenset({1000, 991})), {Authority.FULL}),
        (Peer(1000, frozenset({1000})), set()),
        (Peer(992, frozenset({992})), {Authority.CONSOLE}),
        (Peer(992, frozenset({992, 991})), {Authority.CONSOLE}),
        (Peer(993, frozenset({993})), {Authority.UPDATER}),
        (Peer(993, frozenset({993, 991})), {Authority.UPDATER}),
    ],
    ids=[
        *("root", "the daemon", "its group", "anybody", "the console", "the console, put into the group"),
        *("the updater", "the updater, put into the group"),
    ],
)
def test_who_gets_in_by_which_socket(peer: Peer, doors: set[Authority]) -> None:
    assert {authority for authority in Authority if may_enter(authority, HOME, peer)} == doors


def test_without_a_console_user_only_the_daemon_s_own_is_let_in_there() -> None:
    alone = Household(990, 991, None)
    assert may_enter(Authority.CONSOLE, alone, Peer(990, frozenset()))
    assert not may_enter(Authority.CONSOLE, alone, Peer(992, frozenset()))


def test_where_two_users_are_one_it_has_the_authority_of_the_socket() -> None:
    both = Household(990, 991, 990)
    assert may_enter(Authority.FULL, both, Peer(990, frozenset()))
    assert may_enter(Authority.CONSOLE, both, Peer(990, frozenset()))


def test_what_is_not_in_the_table_the_console_may_never() -> None:
    assert rule(Authority.CONSOLE, "POST", "/alert") is Rule.FREELY
    assert rule(Authority.CONSOLE, "POST", "/alert/cancel") is Rule.WITH_PIN
    assert rule(Authority.CONSOLE, "DELETE", "/alert") is Rule.NEVER
    assert rule(Authority.FULL, "POST", "/alert/cancel") is Rule.FREELY
    assert rule(Authority.CONSOLE, "POST", "/update") is Rule.NEVER
    assert rule(Authority.UPDATER, "POST", "/update") is Rule.FREELY
    assert rule(Authority.UPDATER, "GET", "/status") is Rule.NEVER


def test_the_kernel_says_who_it_is() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert peer.uid == os.getuid()
    assert {os.getgid(), *os.getgroups()} <= peer.groups
    assert uid_of("root") == 0
    assert uid_of("bondmate-nobody-of-this-name") is None


def test_every_route_is_in_the_table_and_every_row_is_a_route(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            views, inbox = Views(there.device, None), Inbox(there.device)
            events = Events(Pictures(there.device, views.status_json, inbox))
            app = application(there.device, Authority.CONSOLE, Door(lambda _: True), views, inbox, events)
            routes = {(route.method, route.resource and route.resource.canonical) for route in app.router.routes()}
            assert routes == CONSOLE_MAY.keys()

    asyncio.run(main())


def test_what_the_table_does_not_have_is_refused_to_the_console_alone(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "CONSOLE_MAY", {})

    async def main() -> None:
        async with served(run) as there:
            assert await console(there, "GET", "/status") == (403, {"error": "this is not for the console"})
            assert (await asked(there, "GET", "/status"))[0] == 200

    asyncio.run(main())


@contextmanager
def in_no_group() -> Iterator[None]:
    """Root's own group is the sockets' here."""
    before, groups = os.getegid(), os.getgroups()
    os.seteuid(0)
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
        os.setgroups(groups)


BODIES: dict[str, dict[str, Any]] = {"/alert/cancel": {}, "/duty": {"duty": "off"}, "/settings": {"covert": False}}


@pytest.mark.parametrize(("method", "path"), [key for key, allowed in CONSOLE_MAY.items() if allowed is Rule.WITH_PIN])
def test_with_a_pin_means_that_nothing_happens_without_the_right_one(method: str, path: str, run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", "4321")
        body = BODIES[path]
        async with served(run) as there:
            await asked(there, "POST", "/alert")
            before = await asked(there, "GET", "/status")
            code, answer = await console(there, method, path, body)
            assert (code, answer["pin_needed"]) == (403, True)
            code, answer = await console(there, method, path, body | {"pin": "9999"})
            assert (code, answer) == (403, {"error": "the PIN is wrong", "tries_left": 4, "locked_s": 0.0})
            for malformed in ("12", 1234, ["1234"], True):
                assert (await console(there, method, path, body | {"pin": malformed}))[0] == 400
            after = await asked(there, "GET", "/status")
            for member in ("duty", "covert", "state"):
                assert after[1][member] == before[1][member]
            assert there.hows == []
            assert (await console(there, method, path, body | {"pin": "1234"}))[0] == 200, "the control"

    asyncio.run(main())


def test_a_technician_needs_no_pin_but_one_that_is_given_counts(run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", "4321")
        async with served(run) as there:
            await asked(there, "POST", "/alert")
            assert (await asked(there, "POST", "/alert/cancel", b'{"pin": "9999"}'))[0] == 403
            assert (await asked(there, "POST", "/alert/cancel"))[0] == 200
            await asked(there, "POST", "/alert")
            assert (await asked(there, "POST", "/alert/cancel", b'{"pin": "4321"}'))[0] == 200
            assert there.hows == [How.TOOL, How.DURESS]

    asyncio.run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_an_unprivileged_user_is_refused_in_words_before_anything_is_read(run: Path) -> None:
    run.chmod(0o755)

    async def main() -> None:
        async with served(run) as there:
            there.socket.chmod(0o666)  # as if somebody had opened it to all

            def as_somebody() -> list[tuple[int, object]]:
                with as_nobody(), in_no_group():
                    return [exchange(path, "POST", "/alert") for path in (there.socket, there.console)]

            answers = await there.as_client(as_somebody)
            assert answers == [(403, {"error": "this socket is not for you"})] * 2
            assert there.device.alert is None
            assert (await asked(there, "GET", "/status"))[0] == 200

    asyncio.run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_console_s_user_gets_in_by_its_own_socket_alone(run: Path) -> None:
    run.chmod(0o755)

    async def main() -> None:
        async with served(run, console_user="nobody") as there:
            there.socket.chmod(0o666)

            def as_console() -> list[int]:
                with as_nobody():
                    return [exchange(path, "GET", "/status")[0] for path in (there.socket, there.console)]

            assert uid_of("nobody") == NOBODY
            assert await there.as_client(as_console) == [403, 200]

    asyncio.run(main())


def test_replies_after_a_cancel_under_duress_are_those_after_a_true_one(run: Path) -> None:
    """Status, headers, members, and what can be asked afterwards; only times and the alert's number may differ."""

    async def main() -> None:
        set_pin(run, "1234", "4321")
        async with served(run) as there:
            seen = []
            for pin in ("1234", "4321"):
                await console(there, "POST", "/alert")
                await eventually(lambda: there.device.alert and there.device.alert.is_stored, "the alert to be stored")
                cancelled = await console(there, "POST", "/alert/cancel", {"pin": pin})
                again = await console(there, "POST", "/alert/cancel", {"pin": pin})
                code, status = await console(there, "GET", "/status")
                shown = await console(there, "GET", "/alert")
                duty = await console(there, "POST", "/duty", {"duty": "on", "pin": pin})
                told = json.dumps([cancelled[0], alike(cancelled[1]), again, code, alike(shown[1]), duty[0]])
                seen.append((told, {key: status[key] for key in ("state", "duty", "alert", "faults", "exercise")}))
            assert seen[0] == seen[1]
            assert there.hows == [How.PIN, How.DURESS], "the control: inside they differ"

    asyncio.run(main())


def alike(alert: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in alert.items() if name != "alert_id" and not name.endswith("_ms")}
