"""Wiping over the wire: a command, the running gateway, and a device that is told so and says that it did."""

import signal

import aiocoap

from tests.gateway.conftest import Gateway, command
from tests.gateway.twin import digest

MESSAGE_STATE = 20


def test_a_stolen_device_is_revoked_wiped_and_gets_its_receipt_again_when_that_was_lost(own_gateway: Gateway) -> None:
    with own_gateway.twin() as device:
        device.submit(device.record())
        command("message", device.name, "secret", "--data", own_gateway.data)
        assert device.take_push().opt.uri_path == ("w",)
        command("revoke", device.name, "--data", own_gateway.data)
        assert device.fetch(0) == []
        shown = command("wipe", device.name, "--by", "Ann", "--data", own_gateway.data)
        assert (shown["state"], shown["revoked"]) == ("wiping", True)
        assert device.take_push().opt.uri_path == ("w",), "a revoked device is woken for its wipe"
        assert [each[1:3] + each[6:] for each in device.fetch(0)] == [[1, 9, "Ann", []]]
        assert device.fetch(1) == []
        taken = device.record(MESSAGE_STATE, body=[[1, 1]])
        assert device.submit(taken)[4:] == [2, 1]
        said = device.record(MESSAGE_STATE, 2, digest(taken)[:4], body=[[1, 5, ""]])
        own_gateway.end(signal.SIGKILL)
        own_gateway.start()
        for _ in range(2):
            assert device.submit(said)[4:] == [2, 1]
            assert own_gateway.device(device.name)["state"] == "wiped"
        assert f"WIPED: {device.name}" in own_gateway.log
        assert "Traceback" not in own_gateway.log


def test_a_device_that_is_not_revoked_delivers_its_calls_first(gateway: Gateway) -> None:
    with gateway.twin() as device:
        command("wipe", device.name, "--data", gateway.data)
        assert device.fetch(0)[0][2] == 9
        call = device.record()
        assert device.submit(call)[4] == 0
        said = device.record(MESSAGE_STATE, body=[[1, 5, ""]])
        for _ in range(2):
            assert device.submit(said)[4:] == [0], "the same receipt again, if the first was lost"
        assert gateway.device(device.name)["state"] == "wiped"
        assert device.submit(device.record(sequence=2, previous=digest(call)[:4]))[4:] == [2, 1]
        assert [each["kind"] for each in gateway.alerts(device.name)] == ["panic"], "its records stay"
        assert device.answer(device.protect(b"", ("k",))).code == aiocoap.BAD_REQUEST
