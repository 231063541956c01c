"""The gateway's way to the simulated message centre: its lines, and a gateway process served by SMS."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiocoap
import pytest

from bondmate_sim.gateway.sms import Sms, SmsError, SmsRefusedError
from bondmate_sim.gateway.sms_centre import Centre, CentreLink
from tests.gateway.centre import NUMBER, MessageCentre
from tests.gateway.conftest import Gateway
from tests.gateway.twin import compact, digest

PHONE = "+4917000042"


@pytest.fixture
def centre() -> Iterator[MessageCentre]:
    with MessageCentre() as made:
        yield made


# --- The lines -----------------------------------------------------------------------------------


def converse(
    centre: MessageCentre, says: Callable[[], object], does: Callable[[CentreLink], Awaitable[Any]] | None = None
) -> Any:
    """Connect, with the centre doing its part in a thread, and return what came of it."""

    async def story() -> Any:
        part = asyncio.create_task(asyncio.to_thread(says))
        try:
            async with Centre("127.0.0.1", centre.port, NUMBER).connect() as link:
                return await (does or CentreLink.receive)(link)
        finally:
            await part

    return asyncio.run(story())


def test_a_message_arrives_as_it_was_delivered(centre: MessageCentre) -> None:
    def says() -> None:
        centre.attach()
        centre.deliver(PHONE, b"\0\xffdata")

    assert converse(centre, says) == Sms("c1", PHONE, b"\0\xffdata", eight_bit=True, whole=True)


@pytest.mark.parametrize(
    ("facts", "eight_bit", "whole"),
    [({"dcs": 0}, False, True), ({"udhi": True}, True, False), ({"udl": 7}, True, True)],
)
def test_what_it_says_of_a_message_arrives_too(
    centre: MessageCentre, facts: dict[str, Any], eight_bit: bool, whole: bool
) -> None:
    def says() -> None:
        centre.attach()
        centre.say({"type": "weather", "of": "a later version"})
        centre.deliver("VODAFONE", b"data", **facts)

    assert converse(centre, says) == Sms("c1", "VODAFONE", b"data", eight_bit, whole)


def test_a_message_is_sent_and_one_is_refused(centre: MessageCentre) -> None:
    taken: list[bytes] = []

    def says() -> None:
        centre.attach()
        taken.append(centre.submitted(PHONE))
        centre.say({"type": "submitted", "id": "another's"})
        refused = centre.hear("submit")
        centre.say({"type": "refused", "id": refused["id"], "why": "no such\nnumber" * 100})

    async def does(link: CentreLink) -> str:
        hearing = asyncio.create_task(link.receive())
        await link.send(PHONE, b"\1\2\3")
        with pytest.raises(SmsRefusedError) as refused:
            await link.send(PHONE, bytes(140))
        hearing.cancel()
        return str(refused.value)

    why = converse(centre, says, does)
    assert taken == [b"\1\2\3"]
    assert why.isprintable()
    assert len(why) < 220


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"x" * 5000 + b"\n", "more than 4096 octets"),
        (b"SMTP\n", "no JSON"),
        (b"\xff\xfe\n", "no JSON"),
        (b"[" * 4000 + b"\n", "no JSON"),
        (b"[]\n", "no JSON object"),
        (b'{"type":"deliver","id":"c1"}\n', "without what belongs to one"),
        (b'{"type":"deliver","id":"c1","from":"+49170","dcs":4,"udhi":false,"ud":"0g"}\n', "not hexadecimal"),
        (b"", "closed the connection"),
        (b'{"type":', "closed the connection"),
    ],
)
def test_what_is_not_the_protocol_ends_the_connection(centre: MessageCentre, line: bytes, why: str) -> None:
    def says() -> None:
        centre.attach()
        centre.say(line)
        centre.hang_up()

    with pytest.raises(SmsError, match=why):
        converse(centre, says)


def test_a_number_that_is_not_attached_is_an_error(centre: MessageCentre) -> None:
    def says() -> None:
        centre.accept()
        centre.say({"type": "refused", "why": "it is in use"})

    with pytest.raises(SmsError, match=r"does not attach \+4915550001: 'it is in use'; give another --sms-number"):
        converse(centre, says)


def test_a_centre_that_is_not_there_is_an_error() -> None:
    with MessageCentre() as gone:
        port = gone.port

    async def story() -> None:
        async with Centre("127.0.0.1", port, NUMBER).connect():
            raise AssertionError

    with pytest.raises(SmsError, match=r"cannot be reached .*; start it, or give another --sms"):
        asyncio.run(story())


# --- A gateway process ---------------------------------------------------------------------------


@pytest.fixture
def served(centre: MessageCentre, tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path, "--sms", f"centre:{centre.place}", "--sms-number", NUMBER)
    made.start()
    centre.attach()
    yield made
    assert "Traceback" not in made.log
    if made.process is not None:
        assert made.end() == 0


def test_an_alert_by_sms_is_acknowledged_receipted_and_shown(served: Gateway, centre: MessageCentre) -> None:
    with served.twin(bearer="sms") as device:
        record = device.record()
        centre.acknowledged(centre.deliver(PHONE, device.sms(compact(record))))
        assert device.take_sms(centre.submitted(PHONE)) == [device.session, 0, 1, digest(record)[:16], 0]
        (alert,) = served.alerts(device.name)
        assert (alert["bearer"], alert["record_hex"]) == ("sms", record.hex())
        assert "over sms: held" in served.log


def test_what_is_acknowledged_is_committed(served: Gateway, centre: MessageCentre) -> None:
    with served.twin(bearer="sms") as device:
        centre.acknowledged(centre.deliver(PHONE, device.sms(compact(device.record()))))
        served.end(signal.SIGKILL)
        assert len(served.alerts(device.name)) == 1


def test_after_a_kill_before_the_receipt_the_device_asks_again_and_gets_it(
    served: Gateway, centre: MessageCentre
) -> None:
    with served.twin(bearer="sms") as device:
        record = compact(device.record())
        first = device.sms(record)
        centre.deliver(PHONE, first)
        centre.hear("submit")
        served.end(signal.SIGKILL)
        served.start()
        centre.attach()
        # What was not acknowledged is delivered again: it was committed, so it is a replay.
        centre.acknowledged(centre.deliver(PHONE, first))
        centre.acknowledged(centre.deliver(PHONE, device.sms(record)))
        assert device.take_sms(centre.submitted(PHONE))[4] == 0
        assert centre.unheard == []
        assert len(served.alerts(device.name)) == 1


def test_the_centre_goes_and_comes_back_and_datagrams_never_notice(served: Gateway, centre: MessageCentre) -> None:
    with served.twin(bearer="sms") as device, served.twin() as other:
        record = other.record()
        centre.hang_up()
        assert other.submit(record)[4] == 0
        centre.attach()
        centre.say(b"garbage\n")
        centre.attach()
        centre.acknowledged(centre.deliver(PHONE, device.sms(compact(device.record()))))
        assert device.take_sms(centre.submitted(PHONE))[4] == 0
        assert other.submit(record)[4] == 0
        assert "it closed the connection; look at its log; trying again in 1 s" in served.log
        assert "it says what is no JSON; is it a message centre?; trying again in 2 s" in served.log


def test_the_receipt_also_goes_to_the_devices_newest_address(served: Gateway, centre: MessageCentre) -> None:
    file = served.enrol()
    with served.twin(file) as over_ip, served.twin(file, session=over_ip.session, bearer="sms") as over_sms:
        over_ip.submit(over_ip.record())
        record = over_sms.record(sequence=2, previous=digest(over_ip.record())[:4])
        centre.acknowledged(centre.deliver(PHONE, over_sms.sms(compact(record))))
        push = over_ip.take_push()
        assert (push.code, push.opt.uri_path) == (aiocoap.POST, ("c",))
        assert over_ip.entry(push.payload) == over_sms.take_sms(centre.submitted(PHONE))
        assert over_ip.entry(push.payload)[3] == digest(record)[:16]


def test_a_storm_of_noise_by_sms_leaves_datagrams_served(served: Gateway, centre: MessageCentre) -> None:
    with served.twin() as other:
        for number in range(300):
            centre.acknowledged(centre.deliver(PHONE, bytes([number % 256]) * (number % 145), dcs=number % 7))
            if number % 100 == 0:
                assert other.submit(other.record(sequence=number + 1))[4] == 0
        assert centre.unheard == []
        assert len([line for line in served.log.splitlines() if "SMS of" in line]) <= 4


def test_without_a_centre_datagrams_are_served_and_it_ends_cleanly(tmp_path: Path) -> None:
    with MessageCentre() as gone:
        place = gone.place
    gateway = Gateway(tmp_path, "--sms", f"centre:{place}", "--sms-number", NUMBER)
    gateway.start()
    with gateway.twin() as device:
        assert device.submit(device.record())[4] == 0
    assert gateway.end() == 0
    assert "start it, or give another --sms; trying again in 1 s" in gateway.log
