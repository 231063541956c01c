"""Three ways to the gateway, and all that may happen to a modem: each alert arrives, once. All in real processes.

Where a bearer is dead, its network is a black hole: nothing is refused, nothing comes back. Times are short.
"""

import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiocoap import Message

from bondmate_sim.mobile import Mobile
from bondmate_sim.process import wait_until
from bondmate_sim.world import Settings, World
from tests.e2e.bearers import (
    at_gateway,
    await_attempt,
    await_down,
    await_modem,
    await_passed,
    await_up,
    black_hole,
    calm,
    delivered,
    down,
    felt_since,
    layout,
    nonce,
    raise_alert,
    said,
    tell_modem,
    up,
)
from tests.e2e.conftest import HOLD_S, alerts, calls, ctl

SIM = Path(sys.executable).with_name("bondmate-sim")
SMS_OCTETS = 140
"""The user data of one short message (3GPP TS 23.040, 9.2.3.24)."""
RACE_S, SMS_S = 0.6, 4.0
"""From one to the other an alert has LTE: on a machine that is busy with other tests, an answer takes its time."""


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which all bearers work, for all tests that leave it as it was."""
    settings = Settings(hold_s=HOLD_S, mobile=Mobile("auto", race_after_s=RACE_S, sms_after_s=SMS_S))
    with World(tmp_path_factory.mktemp("bearers") / "world", settings) as made:
        made.start()
        yield made


@pytest.fixture
def world(lasting: World) -> World:
    """The same, when nothing of an earlier test waits for anything."""
    return calm(lasting)


def test_the_demo_ends_well_over_each_bearer_and_an_sms_is_one_message(tmp_path: Path) -> None:
    told = {"lte": ["--bearer", "lte"], "sms": ["--bearer", "sms"], "auto": ["--bearer", "auto", "--no-ip", "--no-lte"]}
    running = {
        name: subprocess.Popen(
            [SIM, "demo", "--json", "--keep", tmp_path / name, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for name, words in told.items()
    }
    try:
        printed = {name: demo.communicate(timeout=150)[0].decode() for name, demo in running.items()}
    finally:
        for demo in running.values():
            demo.kill()
    assert {name: demo.returncode for name, demo in running.items()} == dict.fromkeys(told, 0), printed
    results = {name: json.loads(text.splitlines()[-1]) for name, text in printed.items()}
    assert {name: (one["ok"], one["bearer"]) for name, one in results.items()} == {
        "lte": (True, "lte"),
        "sms": (True, "sms"),
        "auto": (True, "sms"),
    }
    assert _messages(tmp_path / "lte") == []
    for name in ("sms", "auto"):
        messages = _messages(tmp_path / name)
        assert max(one["octets"] for one in messages) <= SMS_OCTETS
        assert messages[0]["octets"] == len(messages[0]["ud"]) // 2 == results[name]["onair_octets"]


def test_what_works_is_shown_and_what_does_not_with_the_reason(world: World) -> None:
    tell_modem(world, "signal", dbm=-112)
    tell_modem(world, "registration", state="denied")
    try:
        why = wait_until(lambda: ctl(world, "bearers")["modem"]["why_not"], 30, "a reason")
        assert "denied" in why
        assert _bearers_text(world)["why"] == f"why not  {why}"
    finally:
        tell_modem(world, "registration", state="home")
    await_modem(world)
    with black_hole(world.network):
        delivered(world, raise_alert(world))

    answer = ctl(world, "bearers")
    names = ["ip", "lte", "sms"]
    assert [one["name"] for one in answer["bearers"]] == names
    lte = answer["bearers"][1]
    assert (lte["up"], lte["why_not"]) == (True, None)
    assert 0 <= lte["last_success_s"] < 5
    modem = answer["modem"]
    expected = {"sim": "ready", "registration": "home", "operator": "Test Network", "rat": "LTE", "rsrp_dbm": -112}
    assert {key: modem[key] for key in expected} == expected
    text = _bearers_text(world)
    assert "up, last answer" in text["lte"]
    assert "home: Test Network, LTE, at home" in text["network"]
    assert "RSRP -112 dBm" in text["signal"]
    assert "why" not in text


def test_lte_dead_it_goes_over_ip_and_nobody_asks_the_modem(world: World) -> None:
    with black_hole(world.mobile.relay):
        raised = raise_alert(world)
        assert delivered(world, raised)["delivered_after_ms"] < RACE_S * 1e3
        assert at_gateway(world, raised)["bearer"] == "ip"
    await_passed(world.mobile.relay_port, world.mobile_datagrams)
    assert len(up(world.mobile_datagrams(), raised.t_ns)) == 1, "the fence alone"
    assert up(world.messages(), raised.t_ns) == []


def test_ip_dead_it_goes_over_lte(world: World) -> None:
    with black_hole(world.network):
        raised = raise_alert(world)
        assert delivered(world, raised)["delivered_after_ms"] >= RACE_S * 1e3, "IP had its chance"
        assert at_gateway(world, raised)["bearer"] == "lte"
    assert up(world.mobile_datagrams(), raised.t_ns) != []
    assert up(world.messages(), raised.t_ns) == []


def test_both_dead_it_goes_in_one_sms(world: World) -> None:
    with black_hole(world.network, world.mobile.relay):
        raised = raise_alert(world)
        assert delivered(world, raised)["delivered_after_ms"] >= SMS_S * 1e3, "the others had their chance"
        assert at_gateway(world, raised)["bearer"] == "sms"
        messages = up(world.messages(), raised.t_ns)
        assert len(messages) <= 2, "the alert, and perhaps the position that goes with it"
        assert max(len(message.data) for message in messages) <= SMS_OCTETS
        assert felt_since(world, raised.t_ns, 2) == ["stored", "delivered"]


def test_all_three_at_once_are_one_alert_and_delivered_is_felt_once(world: World) -> None:
    count = len(calls(world))
    with black_hole(world.network, world.mobile.relay):
        raised = raise_alert(world)
        await_up(world.messages, raised)
    delivered(world, raised)
    for tap in (world.datagrams, world.mobile_datagrams, world.messages):
        await_up(tap, raised)
        await_down(tap, raised)
    wait_until(lambda: not ctl(world, "queue"), 30, "an empty queue")
    # what is felt of the next alert ends the time in which anything more of this one could be felt
    delivered(world, raise_alert(world))
    assert felt_since(world, raised.t_ns, 4) == ["stored", "delivered"] * 2
    assert len(calls(world)) == count + 2
    at_gateway(world, raised)


def test_the_same_record_over_ip_and_lte_is_the_same_kind_of_datagram(world: World) -> None:
    with black_hole(world.network):
        raised = raise_alert(world)
        delivered(world, raised)
    # only the alert goes over LTE; over IP others go as well, and the alert, when that is no black hole any longer
    over_lte = await_up(world.mobile_datagrams, raised).data
    octets = len(Message.decode(over_lte).payload)

    def look() -> bytes | None:
        candidates = [one.data for one in up(world.datagrams(), raised.t_ns)]
        return next((one for one in candidates if len(Message.decode(one).payload) == octets), None)

    over_ip = wait_until(look, 30, "a record of that length at IP's tap")
    assert layout(over_ip) == layout(over_lte)
    assert nonce(over_ip).session == nonce(over_lte).session
    assert nonce(over_ip).kid != nonce(over_lte).kid, "each bearer has its own"
    assert Message.decode(over_ip).payload != Message.decode(over_lte).payload
    answers = {layout(await_down(tap, raised).data) for tap in (world.datagrams, world.mobile_datagrams)}
    assert len(answers) == 1
    assert answers != {layout(over_ip)}, "a difference would be seen"


def test_libcoap_makes_the_same_kind_of_datagram(world: World, tmp_path: Path) -> None:
    client = shutil.which("coap-client-openssl")
    if client is None:
        pytest.skip("coap-client-openssl is not installed: apt-get install libcoap3-bin")
    if "-E oscore_conf_file" not in subprocess.run([client, "-h"], capture_output=True, text=True, check=False).stderr:
        pytest.skip(f"{client} has no OSCORE: libcoap has it from 4.3.2 on")
    with black_hole(world.network):
        raised = raise_alert(world)
        delivered(world, raised)
    [ours, *_] = up(world.mobile_datagrams(), raised.t_ns)
    configuration = tmp_path / "oscore.conf"
    configuration.write_text(
        f'master_secret,hex,"{secrets.token_hex(16)}"\nmaster_salt,hex,"{secrets.token_hex(8)}"\n'
        'id_context,hex,"0001a1b2c3d4"\nsender_id,hex,"01020304"\nrecipient_id,hex,"67"\n'
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway:
        # on another port than CoAP's own, libcoap would tell it outside, in Uri-Port
        host = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}.1"
        gateway.bind((host, 5683))
        gateway.settimeout(10)
        uri = f"coap://{host}/r"
        with subprocess.Popen([client, "-E", configuration, "-m", "post", "-e", "record", uri]) as running:
            try:
                theirs = gateway.recv(2048)
            finally:
                running.kill()
    assert layout(ours.data) == layout(theirs)
    assert {len(nonce(one).session) for one in (ours.data, theirs)} == {6}


def test_a_modem_that_hangs_slows_nothing_down(world: World) -> None:
    tell_modem(world, "hang", seconds=None)
    try:
        for _ in range(3):
            raised = raise_alert(world)
            alert = delivered(world, raised)
            assert alert["stored_after_ms"] < 250
            assert alert["delivered_after_ms"] < RACE_S * 1e3, "as fast as with a modem that works"
            assert at_gateway(world, raised)["bearer"] == "ip"
        with black_hole(world.network):
            raised = raise_alert(world)
            await_attempt(world, "lte")
        assert up(world.mobile_datagrams(), raised.t_ns) == [], "it hangs indeed"
        delivered(world, raised)
    finally:
        # unplugged, it is not waited for any longer
        tell_modem(world, "hang", seconds=0.01)
        tell_modem(world, "unplug", seconds=0.3)
        wait_until(lambda: ctl(world, "bearers")["modem"]["why_not"], 30, "the modem to be missed")


def test_the_modem_is_unplugged_while_it_is_given_a_datagram(world: World) -> None:
    count = len(calls(world))
    tell_modem(world, "lose-prompts", count=1)
    with black_hole(world.network):
        raised = raise_alert(world)
        await_attempt(world, "lte")
        wait_until(lambda: ctl(world, "bearers")["modem"]["sockets"], 30, "a socket, and AT+QISEND on it")
        assert up(world.mobile_datagrams(), raised.t_ns) == []
        tell_modem(world, "unplug", seconds=0.3)
        tell_modem(world, "lose-prompts", count=0)
        delivered(world, raised)
        assert at_gateway(world, raised)["bearer"] in ("lte", "sms")
    assert len(calls(world)) == count + 1


def test_without_its_sim_alerts_go_over_ip_and_with_it_over_lte_again(world: World) -> None:
    tell_modem(world, "sim", inserted=False)
    try:
        wait_until(lambda: "sim-absent" in said(world, "status"), 30, "the status to say so")
        assert "absent; put a SIM in, the contacts down" in said(world, "status")
        raised = raise_alert(world)
        delivered(world, raised)
        assert at_gateway(world, raised)["bearer"] == "ip"
    finally:
        tell_modem(world, "sim", inserted=True)
    await_modem(world)
    wait_until(lambda: "sim-absent" not in said(world, "status"), 30, "the status to say nothing of it")
    with black_hole(world.network):
        raised = raise_alert(world)
        delivered(world, raised)
        assert at_gateway(world, raised)["bearer"] == "lte"


def test_ten_thousand_lines_that_nobody_asked_for_keep_no_alert_from_lte(world: World) -> None:
    with black_hole(world.network):
        raised = raise_alert(world)
        tell_modem(world, "storm", count=10_000)
        delivered(world, raised)
        assert at_gateway(world, raised)["bearer"] == "lte"
    assert up(world.messages(), raised.t_ns) == []


def test_messages_doubled_and_out_of_order_and_a_modem_unplugged_while_it_is_given_one(
    make_world: Callable[..., World],
) -> None:
    # of four messages in a row, this luck lets the second overtake the first and the fourth the third
    centre = ("--duplicate", "1", "--reorder", "0.5", "--seed", "6")
    other_maker = ("--dialect", "simcom")
    world = make_world(
        mobile=Mobile(
            "auto", no_ip=True, no_lte=True, options=other_maker, centre=centre, race_after_s=0.5, sms_after_s=1.0
        )
    )
    world.start()
    await_modem(world)
    wait_until(lambda: ctl(world, "status")["fix"], 30, "a fix: the alert's position goes in a message of its own")
    raised = raise_alert(world)
    delivered(world, raised)
    wait_until(lambda: len(down(world.messages(), raised.t_ns)) == 2, 30, "a receipt for each, none for the doubles")
    assert {message.fate for message in world.messages()} == {"duplicated"}
    assert felt_since(world, raised.t_ns, 2) == ["stored", "delivered"]
    assert at_gateway(world, raised)["bearer"] == "sms"
    assert at_gateway(world, raised)["positions"] == 1

    raised = raise_alert(world)
    await_up(world.mobile_datagrams, raised)
    tell_modem(world, "lose-prompts", count=1)
    await_attempt(world, "sms")
    assert up(world.messages(), raised.t_ns) == [], "AT+CMGS has no prompt"
    tell_modem(world, "unplug", seconds=0.3)
    tell_modem(world, "lose-prompts", count=0)
    delivered(world, raised)
    assert felt_since(world, raised.t_ns, 2) == ["stored", "delivered"]
    assert at_gateway(world, raised)["bearer"] == "sms"
    assert len(calls(world)) == 2


def test_a_receipt_by_sms_counts_after_a_restart_too(make_world: Callable[..., World]) -> None:
    world = make_world(
        mobile=Mobile("auto", no_ip=True, no_lte=True, centre=("--delay-s", "1"), race_after_s=0.5, sms_after_s=3.0)
    )
    world.start()
    await_modem(world)
    raised = raise_alert(world)
    await_up(world.messages, raised)
    world.daemon.kill()
    restarted_ns = time.monotonic_ns()
    assert alerts(world) == [], "it is still under way, and its receipt will be to a session that is over"
    world.start_daemon()
    assert ctl(world, "status")["session"] not in raised.alert_id
    # its receipt may be here already, where the restart took its time
    assert ctl(world, "alert", "show")["alert_id"] == raised.alert_id
    delivered(world, raised)
    assert up(world.messages(), restarted_ns) == [], "nothing was sent again"
    assert at_gateway(world, raised)["bearer"] == "sms"


def _messages(world: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (world / "sms.jsonl").read_text().splitlines()]


def _bearers_text(world: World) -> dict[str, str]:
    """The lines of `bondmatectl bearers` by their first word."""
    return {line.split()[0]: line for line in said(world, "bearers").splitlines()}
