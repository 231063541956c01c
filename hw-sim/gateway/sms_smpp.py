"""SMS by an operator's message centre over SMPP 3.4, as a transceiver. It needs the extra `smpp`.

The library (rusmppyc) speaks the protocol and keeps the session alive; a message is answered when the gateway is done
with it, and not before. "SMPP" here is the Short Message Peer to Peer Protocol Specification v3.4, issue 1.2.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from rusmppyc import (
    Ansi41Specific,
    Client,
    DataCoding,
    DeliverSm,
    EsmClass,
    Event,
    Events,
    GsmFeatures,
    InterfaceVersion,
    MessageType,
    MessagingMode,
    Npi,
    Pdu,
    TlvValue,
    Ton,
)
from rusmppyc.exceptions import RusmppycException, UnexpectedResponseException

from bondmate_sim.gateway.sms import Sms, SmsError, SmsRefusedError, is_eight_bit

_CONNECT_S = 10.0
_ANSWER_MS = 8_000
_ENQUIRE_MS = 30_000
"""How often the session is tested while nothing else is said (SMPP, section 2.9)."""

_PLAIN = EsmClass(MessagingMode.Default(), MessageType.Default(), Ansi41Specific.Other(0), GsmFeatures.NotSelected())
"""esm_class 0. The library's own default says 8, a delivery acknowledgement."""

for _name in ("rusmpp", "rusmppc", "rusmppyc"):
    # Told to say everything, the library says the password. What goes wrong comes as an exception too.
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Smpp:
    """The message centre at an address, for one account and one number (+ and digits)."""

    def __init__(self, host: str, port: int, number: str, user: str, password: str) -> None:
        self._place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._number = number
        self._user = user
        self._password = password

    def __str__(self) -> str:
        return f"SMPP message centre at {self._place}"

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator["SmppLink"]:
        """Connect and bind for as long as the block lasts. Raises SmsError."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                client, events = await Client.connect(
                    f"smpp://{self._place}",
                    enquire_link_interval=_ENQUIRE_MS,
                    enquire_link_response_timeout=_ANSWER_MS,
                    response_timeout=_ANSWER_MS,
                    # The library is of version 5.0, of which 3.4 is a part.
                    interface_version_check=False,
                )
        except (RusmppycException, TimeoutError) as error:
            why = str(error) or f"no answer within {_CONNECT_S:g} s"
            raise SmsError(f"it cannot be reached ({why}); check the address in --sms") from error
        try:
            await self._bind(client)
            yield SmppLink(client, events, self._number)
        finally:
            with contextlib.suppress(RusmppycException):
                await client.close()

    async def _bind(self, client: Client) -> None:
        try:
            await client.bind_transceiver(
                system_id=self._user, password=self._password, interface_version=InterfaceVersion.Smpp3_4()
            )
        except RusmppycException as error:
            raise SmsError(
                f"it does not bind {self._user} ({error}); check the name in --sms and --sms-password-file"
            ) from error


class SmppLink:
    """One session."""

    def __init__(self, client: Client, events: Events, number: str) -> None:
        self._client = client
        self._events = events
        self._number = number

    async def receive(self) -> Sms:
        """Wait for the next message. Raises SmsError."""
        async for event in self._events:
            match event:
                case Event.Error(error):
                    raise SmsError(f"the session broke ({error!r})")
                case Event.Incoming(command):
                    match command.pdu:
                        case Pdu.DeliverSm(message):
                            return _sms(command.sequence_number, message)
                        case Pdu.Unbind():
                            raise SmsError("it ended the session")
                        case _:
                            pass
                case _:
                    pass
        raise SmsError("it closed the connection")

    async def acknowledge(self, sms: Sms) -> None:
        """Answer a message, so that it does not come again. Raises SmsError."""
        try:
            await self._client.deliver_sm_resp(int(sms.delivery))
        except RusmppycException as error:
            raise SmsError(f"a message could not be answered ({error})") from error

    async def send(self, number: str, octets: bytes) -> None:
        """Submit 8-bit user data to a number; return once the centre took it. Raises SmsRefusedError, SmsError."""
        source_ton, source_npi, source = _address(self._number)
        ton, npi, destination = _address(number)
        try:
            await self._client.submit_sm(
                source_addr_ton=source_ton,
                source_addr_npi=source_npi,
                source_addr=source,
                dest_addr_ton=ton,
                dest_addr_npi=npi,
                destination_addr=destination,
                esm_class=_PLAIN,
                data_coding=DataCoding.OctetUnspecified2(),
                short_message=octets,
            )
        except UnexpectedResponseException as error:
            raise SmsRefusedError(str(error)) from error
        except RusmppycException as error:
            raise SmsError(f"a message could not be submitted ({error})") from error


def _sms(sequence: int, message: DeliverSm) -> Sms:
    octets, whole = bytes(message.short_message), _is_whole(message.esm_class)
    for tlv in message.tlvs:
        match tlv.value:
            case TlvValue.MessagePayload(payload):
                # In place of short_message, whatever the length (SMPP, section 5.3.2.32).
                octets = bytes(payload.value)
            case TlvValue.SarMsgRefNum() | TlvValue.SarTotalSegments() | TlvValue.SarSegmentSeqnum():
                whole = False
            case _:
                pass
    sender = bytes(message.source_addr).split(b"\0")[0].decode("ascii", "replace")
    if isinstance(message.source_addr_ton, Ton.International):
        sender = f"+{sender.removeprefix('+')}"
    return Sms(str(sequence), sender, octets, _is_eight_bit(message.data_coding), whole)


def _is_whole(esm_class: EsmClass) -> bool:
    """Say whether a message is one of its own: no header, and no delivery receipt of the centre."""
    return isinstance(esm_class.message_type, MessageType.Default) and isinstance(
        esm_class.gsm_features, GsmFeatures.NotSelected | GsmFeatures.SetReplyPath
    )


def _is_eight_bit(coding: DataCoding) -> bool:
    """Say whether a data_coding means 8-bit data (SMPP, section 5.2.19): 4, or what TP-DCS means beyond its table."""
    match coding:
        case DataCoding.OctetUnspecified2():
            return True
        case DataCoding.Other(value):
            return is_eight_bit(value)
        case _:
            return False


def _address(number: str) -> tuple[Ton, Npi, str]:
    if number.startswith("+"):
        return Ton.International(), Npi.Isdn(), number.removeprefix("+")
    return Ton.Unknown(), Npi.Isdn(), number
