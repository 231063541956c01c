"""UDP sockets inside a modem: opened, fed from their queues, read when the modem says that something came."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

from bondmate.core.dialects import Dialect, Event, Kind, fill, is_sayable
from bondmate.drivers.modem_boot import Known
from bondmate.drivers.modem_datagrams import ModemSocket
from bondmate.drivers.modem_line import ModemGoneError, ModemLine, ModemTimes
from bondmate.errors import LinkError

log = logging.getLogger(__name__)

MAX_SOCKETS = 10
"""SIM7600 has ten, Quectel's have twelve."""
MAX_READS = 8
"""In a row, before what waits to be sent has its turn."""
FIRST_PORT = 49152
"""Local port of the first socket where a module wants one named: the first that nobody has a name for."""
SEND_TRIES = 2


class Sockets:
    """Opens and serves them."""

    def __init__(self, line: ModemLine, times: ModemTimes, known: Known, why_not: Callable[[], str | None]) -> None:
        """`why_not` tells why no data can pass now; None while they can."""
        self._line = line
        self._times = times
        self._known = known
        self._why_not = why_not
        self._opening = asyncio.Lock()
        self._half = False
        """Whether the modem still holds what is left of a context: the makers want that cleared before the next."""
        self._open: dict[int, ModemSocket] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._expected: dict[tuple[Kind, int | None], asyncio.Future[Event]] = {}
        """Events that a command's OK is followed, or preceded, by; for a socket or for all."""

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    async def open(self, host: str, port: int, received: Callable[[bytes], None]) -> ModemSocket:
        """See ports.CellularModem."""
        async with self._opening:
            if (why_not := self._why_not()) is not None:
                raise LinkError(why_not)
            dialect = self._known.dialect
            if dialect is None:
                raise LinkError(f"nobody knows how a {self._known.model or 'modem of this kind'} opens sockets")
            free = next((number for number in range(MAX_SOCKETS) if number not in self._open), None)
            if free is None:
                raise LinkError(f"{MAX_SOCKETS} sockets are open in the modem already")
            if not is_sayable(host):
                raise LinkError("the gateway's host name cannot be said to a modem; see the device's credentials")
            await self._activate(dialect)
            socket = ModemSocket(free, (await self._address(dialect, host), port), received)
            self._open[free] = socket
            try:
                await self._open_in_modem(dialect, socket)
            except BaseException as problem:
                del self._open[free]
                socket.end("it was never open")
                if isinstance(problem, LinkError):
                    self._known.troubles["socket not opened"] += 1
                raise
            task = asyncio.get_running_loop().create_task(self._serve(dialect, socket))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            return socket

    def event(self, event: Event) -> None:
        """What came unasked of sockets and contexts."""
        expected = self._expected.get((event.kind, event.socket))
        if expected is not None and not expected.done():
            expected.set_result(event)
            return
        socket = None if event.socket is None else self._open.get(event.socket)
        match event.kind:
            case Kind.DEACTIVATED:
                self._half = True
                self.end("the network has taken the PDP context away", "PDP deactivated")
            case Kind.RECEIVED if socket is not None:
                socket.readable()
            case Kind.CLOSED if socket is not None:
                self._lost(socket, "the modem has lost it", "socket lost")
            case Kind.SENT if socket is not None and event.error < 0:
                self._lost(socket, "the modem could not send over it", "socket lost")
            case Kind.SENT if socket is not None and event.error == 0:
                self._count(socket, "buffer full")
            case _:
                pass

    def end(self, why: str, trouble: str) -> None:
        """All of them are no more."""
        for expected in self._expected.values():
            if not expected.done():
                expected.set_exception(ModemGoneError(why))
        for socket in list(self._open.values()):
            self._lost(socket, why, trouble)

    async def finish(self) -> None:
        """Until nothing of those that ended is under way any longer."""
        await asyncio.gather(*self._serving, return_exceptions=True)

    def look(self) -> None:
        """Read all of them: a line loses octets, and the modem does not tell twice that something came."""
        for socket in self._open.values():
            socket.readable()

    # --- opening ---------------------------------------------------------------------------------------

    async def _activate(self, dialect: Dialect) -> None:
        if self._half:
            await self._line.ask(dialect.deactivate, self._times.activate_s)
            self._half = False
        state = await self._line.ask(dialect.is_active)
        if any(dialect.active.fullmatch(line) for line in state.lines):
            return
        with self._expecting(Kind.ACTIVATED, None) as result:
            response = await self._line.ask(dialect.activate, self._times.activate_s)
            why = "" if response.ok else response.why
            if response.ok and dialect.waits_for_activation:
                error = await self._event(result, self._times.activate_s)
                why = dialect.why(error) if error else ""
        if why:
            self._known.troubles["PDP not activated"] += 1
            self._half = True
            raise LinkError(f"the network gives no PDP context: {why}; see modem.apn")

    async def _address(self, dialect: Dialect, host: str) -> str:
        if dialect.resolve is None or host.replace(".", "").isdigit():
            return host
        response = await self._line.ask(fill(dialect.resolve, host=host), self._times.open_s)
        for line in response.lines:
            if (found := dialect.resolved.fullmatch(line)) is not None:
                return found[1]
        raise LinkError(f"the network does not know {host}: {response.why}")

    async def _open_in_modem(self, dialect: Dialect, socket: ModemSocket) -> None:
        host, port = socket.peer
        # a run of this daemon before may have left one
        await self._line.ask(fill(dialect.close, socket=socket.number))
        with self._expecting(Kind.OPENED, socket.number) as result:
            local_port = FIRST_PORT + socket.number
            command = fill(dialect.open, socket=socket.number, host=host, port=port, local_port=local_port)
            response = await self._line.ask(command)
            if not response.ok:
                raise LinkError(f"the modem opens no socket: {response.why}")
            if error := await self._event(result, self._times.open_s):
                raise LinkError(f"the modem opens no socket: {dialect.why(error)}")

    @contextlib.contextmanager
    def _expecting(self, kind: Kind, socket: int | None) -> Iterator[asyncio.Future[Event]]:
        self._expected[kind, socket] = result = asyncio.get_running_loop().create_future()
        try:
            yield result
        finally:
            del self._expected[kind, socket]
            if not result.cancel() and not result.cancelled():
                result.exception()  # nobody may have come to wait for it

    async def _event(self, result: asyncio.Future[Event], deadline_s: float) -> int:
        """The error of an event that was expected."""
        try:
            async with asyncio.timeout(deadline_s):
                return (await result).error
        except TimeoutError:
            raise LinkError(f"{self._line.port}: the modem did not say what came of it") from None

    # --- serving ---------------------------------------------------------------------------------------

    async def _serve(self, dialect: Dialect, socket: ModemSocket) -> None:
        while not socket.closed.done():
            try:
                datagram = await socket.work()
                if datagram is not None:
                    await self._send(dialect, socket, datagram)
                elif not socket.closed.done():
                    await self._read(dialect, socket)
            except LinkError as problem:
                # counted where commands are; whether the modem is to be helped is decided there too
                log.debug("socket %d: %s", socket.number, problem)
        # its number is free only when the modem knows it too, or has forgotten all of them
        try:
            if self._known.set_up_s is not None:
                await self._line.ask(fill(dialect.close, socket=socket.number))
        except LinkError as problem:
            log.debug("socket %d is not closed in the modem: %s", socket.number, problem)
        finally:
            del self._open[socket.number]

    async def _send(self, dialect: Dialect, socket: ModemSocket, datagram: bytes) -> None:
        host, port = socket.peer
        command = fill(dialect.send, socket=socket.number, length=len(datagram), host=host, port=port)
        for attempt in range(SEND_TRIES):
            if attempt > 0:
                await asyncio.sleep(self._times.full_s)
            try:
                response = await self._line.ask(command, data=datagram)
            except LinkError:
                self._count(socket, "send failed")
                raise
            if response.ok:
                return
            if response.final in command.finals:
                self._known.troubles["buffer full"] += 1
                continue
            self._count(socket, "send failed")
            self._lost(socket, f"the modem does not send over it: {response.why}", "socket lost")
            return
        socket.lose()

    async def _read(self, dialect: Dialect, socket: ModemSocket) -> None:
        for _ in range(MAX_READS):
            response = await self._line.ask(fill(dialect.read, socket=socket.number))
            if not response.data:
                return
            socket.take(response.data)
        socket.readable()

    def _count(self, socket: ModemSocket, trouble: str) -> None:
        self._known.troubles[trouble] += 1
        socket.lose()

    def _lost(self, socket: ModemSocket, why: str, trouble: str) -> None:
        if socket.closed.done():
            return
        log.warning("a socket in the modem on %s is lost: %s", self._line.port, why)
        self._known.troubles[trouble] += 1
        socket.end(why)
