"""The ways to the gateway over the API of a running device, and as bondmatectl says them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bondmate import showing
from bondmate.ports import ModemState, PartFault
from tests.api.served import Served, asked, served
from tests.eventually import eventually

KNOWN = ModemState(
    port="/dev/ttyUSB2", present=True, why_not=None, model="EC25", imei="490154203237518", iccid="8949020000001234567",
    sim="ready", registration="registered", roaming=False, operator="Telekom", rat="LTE", rsrp_dbm=-95.0, rsrq_db=-11.0,
    sinr_db=12.5, recovery=None, refused=(), sockets=1, troubles={"socket lost": 2, "buffer full": 1},
)  # fmt: skip
SILENT = replace(
    KNOWN, present=False, why_not="the modem does not answer", model=None, imei=None, iccid=None, sim=None,
    registration=None, operator=None, rat=None, rsrp_dbm=None, rsrq_db=None, sinr_db=None, recovery="reset by command",
    sockets=0, troubles={},
)  # fmt: skip


class Shown:
    """What is shown of a modem."""

    def __init__(self, state: ModemState) -> None:
        self._state = state

    def state(self) -> ModemState:
        return self._state

    def faults(self) -> tuple[PartFault, ...]:
        return ()


def shown(run: Path, look: Callable[[Served], None], modem: ModemState | None) -> Any:
    async def main() -> Any:
        async with served(run) as there:
            there.device.parts.modem = None if modem is None else Shown(modem)  # type: ignore[assignment]
            await eventually(lambda: there.air.tried, "an attempt")
            look(there)
            code, answer = await asked(there, "GET", "/bearers")
            assert code == 200
            return answer

    return asyncio.run(main())


def works(there: Served) -> None:
    there.air.why_not, there.air.last_success_s = None, asyncio.get_running_loop().time() - 3.0


def test_without_a_modem_there_is_ip(run: Path) -> None:
    answer = shown(run, lambda _: None, None)
    assert answer == {
        "bearers": [{"name": "ip", "up": False, "last_success_s": None, "why_not": "nothing sent yet"}],
        "modem": None,
    }
    assert showing.bearers(answer).splitlines() == ["ip       down: nothing sent yet", "modem    none is configured"]


def test_a_modem_is_shown_with_its_signal_and_what_went_wrong(run: Path) -> None:
    answer = shown(run, works, KNOWN)
    assert answer["modem"] == {
        "port": "/dev/ttyUSB2", "present": True, "why_not": None, "model": "EC25", "imei": "490154203237518",
        "iccid": "8949020000001234567", "sim": "ready", "registration": "registered", "roaming": False,
        "operator": "Telekom", "rat": "LTE", "rsrp_dbm": -95.0, "rsrq_db": -11.0, "sinr_db": 12.5, "recovery": None,
        "refused": [], "sockets": 1, "troubles": {"socket lost": 2, "buffer full": 1},
    }  # fmt: skip
    assert answer["bearers"][0]["last_success_s"] == pytest.approx(3.0, abs=2.0)
    first, *rest = showing.bearers(answer).splitlines()
    assert first.startswith("ip       up, last answer 3")
    assert rest == [
        "modem    /dev/ttyUSB2: EC25",
        "network  registered: Telekom, LTE, at home",
        "signal   RSRP -95 dBm, RSRQ -11 dB, SINR 12.5 dB",
        "SIM      ready",
        "troubles 1 buffer full, 2 socket lost",
    ]


def test_a_modem_that_does_not_answer_says_why_not_and_what_was_tried(run: Path) -> None:
    assert showing.bearers(shown(run, works, SILENT)).splitlines()[1:] == [
        "modem    /dev/ttyUSB2: its model is not known yet",
        "why not  the modem does not answer",
        "recovery reset by command",
    ]


@pytest.mark.parametrize(
    ("why_not", "modem", "expected"),
    [
        ("nothing sent yet", KNOWN, (True, None)),
        (None, KNOWN, (True, None)),
        ("no answer in time", KNOWN, (False, "no answer in time")),
        ("nothing sent yet", SILENT, (False, "the modem does not answer")),
        (None, SILENT, (False, "the modem does not answer")),
        ("nothing sent yet", None, (False, "nothing sent yet")),
    ],
)
def test_what_is_over_a_modem_works_where_that_does_as_far_as_anybody_knows(
    why_not: str | None, modem: ModemState | None, expected: tuple[bool, str | None], run: Path
) -> None:
    def as_lte(there: Served) -> None:
        there.air.name, there.air.why_not = "lte", why_not

    [bearer] = shown(run, as_lte, modem)["bearers"]
    assert (bearer["up"], bearer["why_not"]) == expected
