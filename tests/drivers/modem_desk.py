"""What the tests of the modem's driver share: a modem and its driver on a pseudo-terminal, and short times."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from bondmate.drivers.modem import Modem
from bondmate.drivers.modem_boot import ModemSettings
from bondmate.drivers.modem_line import ModemTimes
from bondmate_sim.serial_end import SerialEnd
from tests.drivers.at_peer import QUECTEL, Peer, Quality, Reply, clean
from tests.eventually import eventually, running

QUICK = ModemTimes(
    command_s=2.0, sync_s=0.5, stale_s=0.02, prompt_s=1.0, activate_s=2.0, open_s=2.0, full_s=0.02, sms_s=2.0,
    busy_s=0.01, port_s=0.5, retry_s=0.02, watch_s=5.0, settle_s=0.1,
)  # fmt: skip
HASTY = ModemTimes(
    command_s=0.15, sync_s=0.1, stale_s=0.01, prompt_s=0.1, activate_s=0.2, open_s=0.2, full_s=0.01, sms_s=0.2,
    busy_s=0.01, port_s=0.2, retry_s=0.01, watch_s=5.0, settle_s=0.1,
)  # fmt: skip
"""For modems that hang: nobody waits for them longer than that."""


def settings(port: Path, **others: object) -> ModemSettings:
    return ModemSettings(**({"port": str(port), "apn": "internet"} | others))  # type: ignore[arg-type]


def codes(modem: Modem) -> list[str]:
    return [fault.code for fault in modem.faults()]


@contextlib.asynccontextmanager
async def plugged(
    tmp_path: Path,
    replies: Mapping[str, Reply] | None = None,
    *,
    times: ModemTimes = QUICK,
    quality: Quality = clean,
    ready: bool = True,
    **others: object,
) -> AsyncIterator[tuple[Modem, Peer]]:
    """A modem and its driver; `ready`: not before it is in its network."""
    modem = Modem(settings(tmp_path / "modem", **others), times=times)
    said = dict(QUECTEL if replies is None else replies)
    with SerialEnd(tmp_path / "modem") as end:
        async with Peer(end, said, quality) as peer, running(modem.run()):
            if ready:
                await eventually(lambda: modem.state().why_not is None, "the modem to be ready", 20.0)
            yield modem, peer
