"""What the updater does, a step at a time: the bundle comes from a real server, the slots are a program's."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from bondmate.updater import errand as module
from bondmate.updater.errand import HEALTHY_S, IDLE_S, SOON_S, Errand, wait_for_card
from bondmate.updater.order import Order, Situation
from bondmate.updater.silence import SILENCE_S
from bondmate.updater.slots import RESTART_FILE, RefusedError, Slots
from tests.updater import rauc as stand_in
from tests.updater.rauc import Rauc
from tests.updater.web import ORDER, Web, serving

OLD, NEW = "1.0.0", ORDER.software
IDLE = Situation(
    order=None,
    may_fetch=True,
    may_install=True,
    may_restart=True,
    why_not=None,
    alert_open=False,
    unwell=None,
    reached=True,
)


@dataclass
class Device:
    """Implements errand.Daemon, and has a clock that the test moves."""

    folder: Path
    rauc: Rauc
    situation: Situation | None = IDLE
    takes: bool = True
    told: list[tuple[int, bool, str]] = field(default_factory=list)
    now: float = 1000.0

    def ask(self) -> Situation | None:
        return self.situation

    def begin(self, number: int, software: str) -> bool:
        wanted = None if self.situation is None else self.situation.order
        return self.takes and wanted is not None and (wanted.number, wanted.software) == (number, software)

    def tell(self, number: int, done: bool, text: str) -> bool:
        if self.takes:
            self.told.append((number, done, text))
            if self.situation is not None and self.situation.order is not None:
                self.situation = replace(self.situation, order=None)
        return self.takes

    def wants(self, order: Order | None, **changed: object) -> None:
        self.situation = replace(IDLE, order=order, **changed)  # type: ignore[arg-type]

    def boot(self, software: str, boot: str) -> Errand:
        """The updater in that boot; what /run holds goes with the one before."""
        (self.folder / RESTART_FILE).unlink(missing_ok=True)
        slots = Slots(self.folder, str(self.rauc.top / "rauc"))
        return Errand(self, slots, self.folder, software, boot, lambda: self.now)

    @property
    def restarts(self) -> bool:
        return (self.folder / RESTART_FILE).exists()

    @property
    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.folder.iterdir())


@pytest.fixture
def device(tmp_path: Path) -> Device:
    (tmp_path / "state").mkdir()
    return Device(tmp_path / "state", stand_in.stand_in(tmp_path / "rauc"))


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as made:
        yield made


def steps(errand: Errand, count: int) -> None:
    for _ in range(count):
        errand.step()


def installed(device: Device, web: Web, **changed: object) -> None:
    """Up to the restart."""
    device.wants(web.order, **changed)
    errand = device.boot(OLD, "one")
    steps(errand, 3)
    assert device.restarts


def test_an_idle_device_gets_its_tries_back_once(device: Device) -> None:
    errand = device.boot(OLD, "one")
    assert errand.step() == IDLE_S
    steps(errand, 3)
    assert device.rauc.asked == ["mark-good"]
    assert (device.told, device.files) == ([], [])


def test_a_slot_whose_daemon_does_not_answer_is_not_called_good(device: Device) -> None:
    device.situation = None
    steps(device.boot(OLD, "one"), 3)
    assert device.rauc.asked == []


def test_a_daemon_that_comes_late_is_asked_again_soon_so_that_no_short_start_costs_a_try(device: Device) -> None:
    device.situation = None
    errand = device.boot(OLD, "one")
    assert errand.step() == SOON_S
    device.rauc.says(mark_good=(1, "no"))
    device.wants(None)
    assert errand.step() == SOON_S
    device.rauc.says()
    assert errand.step() == IDLE_S
    device.situation = None
    errand = device.boot(OLD, "two")
    device.now += HEALTHY_S
    assert errand.step() == IDLE_S, "but not for ever"


def test_fetched_installed_restarted_and_found_good(device: Device, web: Web) -> None:
    installed(device, web)
    assert device.rauc.asked == ["mark-good", "info", "install"]
    assert device.files == ["", ".json"], "the bundle is of no use any more"
    assert device.told == [], "nothing is told of what merely waits"

    errand = device.boot(NEW, "two")
    steps(errand, 2)
    assert device.rauc.asked[3:] == ["mark-good"]
    assert device.told == [(7, True, NEW)]
    assert device.files == []
    steps(errand, 2)
    assert device.rauc.asked[4:] in ([], ["mark-good"])
    assert len(device.told) == 1


def test_each_step_waits_for_its_leave(device: Device, web: Web) -> None:
    device.wants(web.order, may_fetch=False)
    errand = device.boot(OLD, "one")
    steps(errand, 2)
    assert web.asked == []
    device.wants(web.order, may_install=False)
    steps(errand, 3)
    assert (len(web.asked), device.rauc.asked) == (1, ["mark-good"])
    device.wants(web.order, may_restart=False)
    steps(errand, 3)
    assert device.rauc.asked == ["mark-good", "info", "install"]
    assert not device.restarts
    device.wants(web.order)
    steps(errand, 1)
    assert device.restarts


def test_what_already_runs_is_carried_out(device: Device, web: Web) -> None:
    device.wants(web.order)
    steps(device.boot(NEW, "one"), 2)
    assert device.told == [(7, True, NEW)]
    assert web.asked == []


def test_a_newer_order_takes_the_place_of_one_that_is_here(device: Device, web: Web) -> None:
    device.wants(web.order, may_install=False)
    errand = device.boot(OLD, "one")
    steps(errand, 2)
    assert device.files == [".raucb"]
    device.wants(replace(web.order, number=8, sha256="0" * 64), may_fetch=False)
    steps(errand, 1)
    assert device.files == []


def test_a_newer_order_takes_the_place_of_one_that_waits_for_its_restart(device: Device, web: Web) -> None:
    device.wants(web.order, may_restart=False)
    errand = device.boot(OLD, "one")
    steps(errand, 3)
    device.wants(replace(web.order, number=8))
    steps(errand, 3)
    assert device.restarts
    steps(device.boot(NEW, "two"), 2)
    assert device.told == [(8, True, NEW)]


@pytest.mark.parametrize(
    "newer", [{"software": OLD}, {"sha256": "0" * 64}, {"url": "ftp://127.0.0.1/x", "sha256": "0" * 64}]
)
def test_and_what_waited_for_its_restart_is_not_started_any_more(
    device: Device, web: Web, newer: dict[str, str]
) -> None:
    """Whether the newer one runs already, fails, or is still to come: the slot that runs is started again."""
    device.wants(web.order, may_restart=False)
    errand = device.boot(OLD, "one")
    steps(errand, 3)
    device.rauc.says(mark_active=(1, "no"))
    device.wants(replace(web.order, number=8, **newer))  # type: ignore[arg-type]
    with pytest.raises(RefusedError):
        errand.step()
    assert device.told == []
    assert ".json" in device.files, "until then it is on trial, should it be started"
    device.rauc.says()
    errand.step()
    assert device.rauc.asked[3:] == ["mark-active", "mark-active"]
    assert ".json" not in device.files


class CutError(Exception):
    """The power goes."""


def start_unwell(device: Device) -> None:
    """Start what was installed, without an order any more, and let the time for its trial go by: it is not well."""
    device.wants(None, unwell="the store does not work")
    errand = device.boot(NEW, "two")
    steps(errand, 2)
    device.now += HEALTHY_S
    errand.step()


def unheard(device: Device, web: Web, monkeypatch: pytest.MonkeyPatch, why: Exception) -> None:
    """Up to RAUC's installation, of whose end nobody hears."""
    device.wants(web.order)
    with monkeypatch.context() as patch, contextlib.suppress(CutError):
        patch.setattr(Slots, "install", Mock(side_effect=why))
        steps(device.boot(OLD, "one"), 3)


@pytest.mark.parametrize("why", [CutError(), RefusedError("rauc install: timed out")], ids=["power cut", "timed out"])
def test_a_slot_that_rauc_chose_unheard_is_tried(
    device: Device, web: Web, monkeypatch: pytest.MonkeyPatch, why: Exception
) -> None:
    unheard(device, web, monkeypatch, why)
    start_unwell(device)
    assert device.rauc.asked[2:] == ["mark-bad"]


def test_a_power_cut_before_rauc_chose_the_slot_has_it_installed_anew(
    device: Device, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    unheard(device, web, monkeypatch, CutError())
    steps(device.boot(OLD, "two"), 3)
    assert device.told == [], "nothing failed"
    assert device.rauc.asked[2:] == ["mark-good", "info", "install"]
    assert device.restarts


def test_what_was_installed_is_tried_though_its_order_expired_meanwhile(device: Device, web: Web) -> None:
    device.wants(web.order, may_restart=False)
    errand = device.boot(OLD, "one")
    steps(errand, 3)
    device.wants(None)
    steps(errand, 3)
    assert not device.restarts
    start_unwell(device)
    assert device.rauc.asked[3:] == ["mark-bad"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"install": (1, stand_in.TOO_OLD)}, "older than the oldest version that may be installed here"),
        ({"install": (1, stand_in.DAMAGED)}, "Failed to copy data"),
        ({"info": (1, stand_in.UNSIGNED)}, "unable to get local issuer certificate"),
        ({"info": (0, json.dumps({"version": "9.9.9"}))}, "holds '9.9.9', ordered was 1.2.3"),
        ({"info": (0, "nonsense")}, "rauc info"),
    ],
)
def test_what_rauc_refuses_is_told(device: Device, web: Web, answers: dict[str, tuple[int, str]], why: str) -> None:
    device.rauc.says(**answers)
    device.wants(web.order)
    errand = device.boot(OLD, "one")
    steps(errand, 4)
    [(number, done, text)] = device.told
    assert (number, done) == (7, False)
    assert why in text
    assert not device.restarts
    assert ".raucb" not in device.files
    steps(device.boot(OLD, "two"), 3)
    assert (len(device.told), device.files) == (1, [])


def test_nothing_is_installed_of_which_the_daemon_could_not_tell_later(device: Device, web: Web) -> None:
    device.wants(web.order)
    device.takes = False
    errand = device.boot(OLD, "one")
    steps(errand, 3)
    assert device.rauc.asked == ["mark-good", "info", "info"]
    device.takes = True
    steps(errand, 2)
    assert device.restarts


def test_a_rauc_that_is_busy_is_asked_again(device: Device, web: Web) -> None:
    device.rauc.says(install=(1, stand_in.BUSY))
    device.wants(web.order)
    errand = device.boot(OLD, "one")
    steps(errand, 3)
    assert device.told == []
    device.rauc.says()
    steps(errand, 2)
    assert device.restarts


def test_what_can_never_come_is_told_in_few_words(device: Device, web: Web) -> None:
    web.status = 404
    device.wants(replace(web.order, url=web.url + "&y=" + "é" * 120))
    web_order = replace(web.order, url=web.url + "&y=" + "e" * 170)
    device.wants(web_order)
    steps(device.boot(OLD, "one"), 2)
    [(_, done, text)] = device.told
    assert not done
    assert len(text.encode()) <= 160


@pytest.mark.parametrize("takes", [True, False], ids=["told", "not told"])
def test_what_failed_holds_up_itself_alone(device: Device, web: Web, takes: bool) -> None:
    errand = device.boot(OLD, "one")
    device.takes = takes
    device.wants(replace(web.order, url="ftp://127.0.0.1/x"))
    errand.step()
    device.wants(replace(web.order, number=web.order.number + 1) if takes else web.order)
    errand.step()
    assert device.files == ([".raucb"] if takes else [])


def test_a_server_that_breaks_off_is_tried_again_after_a_while(device: Device, web: Web) -> None:
    web.breaks_after = [1000, 1000]
    device.wants(web.order)
    errand = device.boot(OLD, "one")
    steps(errand, 5)
    assert len(web.asked) == 1, "not at once"
    device.now += module.LONGEST_WAIT_S
    steps(errand, 1)
    device.now += module.LONGEST_WAIT_S
    steps(errand, 3)
    assert web.asked == ["bytes=0-", "bytes=1000-", "bytes=2000-"]
    assert device.restarts


def test_who_never_gets_anything_says_so_at_last(device: Device, web: Web) -> None:
    web.status = 503
    device.wants(web.order)
    errand = device.boot(OLD, "one")
    for _ in range(module.TRIES - 1):
        errand.step()
        device.now += module.LONGEST_WAIT_S
    assert device.told == []
    errand.step()
    [(_, done, text)] = device.told
    assert not done
    assert "503" in text


def test_who_is_somewhere_else_waits_and_says_nothing(device: Device, web: Web) -> None:
    device.wants(replace(web.order, url="http://127.0.0.1:1/x"))
    errand = device.boot(OLD, "one")
    for _ in range(2 * module.TRIES):
        errand.step()
        device.now += module.LONGEST_WAIT_S
    assert device.told == []
    device.wants(web.order)
    steps(errand, 3)
    assert device.restarts


def test_a_press_stops_what_is_being_fetched(device: Device, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.updater.fetching.LOOK_S", 0.0)
    device.wants(web.order)
    errand = device.boot(OLD, "one")
    ask = device.ask
    asked: list[None] = []

    def pressed_meanwhile() -> Situation | None:
        asked.append(None)
        return ask() if len(asked) == 1 else replace(IDLE, order=web.order, may_fetch=False, alert_open=True)

    device.ask = pressed_meanwhile  # type: ignore[method-assign]
    steps(errand, 3)
    assert device.files == [".part"]
    assert len(web.asked) == 1
    assert device.told == []
    device.ask = ask  # type: ignore[method-assign]
    steps(errand, 3)
    assert device.restarts, "and afterwards it goes on"


# --- after the restart ---------------------------------------------------------------------------


def test_what_does_not_prove_good_is_fallen_back_from(device: Device, web: Web) -> None:
    installed(device, web)
    device.wants(web.order, unwell="the store does not work")
    errand = device.boot(NEW, "two")
    steps(errand, 3)
    device.now += HEALTHY_S - 1
    assert errand.step() == SOON_S
    assert (device.rauc.asked[3:], device.restarts) == ([], False), "it has its time"
    device.now += 1
    errand.step()
    assert device.rauc.asked[3:] == ["mark-bad"]
    assert device.restarts

    device.wants(web.order)
    device.takes = False
    errand = device.boot(OLD, "three")
    steps(errand, 2)
    assert device.rauc.asked[4:] == ["mark-good"], "its tries come back, though nobody could be told"
    device.takes = True
    steps(errand, 2)
    assert device.told == [(7, False, "1.0.0 runs: 1.2.3 did not prove good")]
    assert device.files == []
    assert device.rauc.asked[5:] == []


def test_nobody_falls_back_in_an_open_alert(device: Device, web: Web) -> None:
    installed(device, web)
    device.wants(web.order, unwell="the store does not work", alert_open=True)
    errand = device.boot(NEW, "two")
    device.now += 10 * HEALTHY_S
    steps(errand, 5)
    assert (device.rauc.asked[3:], device.restarts) == ([], False)
    device.wants(web.order, unwell="the store does not work")
    errand.step()
    assert device.restarts


@pytest.mark.parametrize(
    "back", [None, {"unwell": "not known", "alert_open": None}], ids=["silent", "does not know yet"]
)
def test_nor_while_a_daemon_that_crashed_in_one_may_go_on_with_it(
    device: Device, web: Web, back: dict[str, object] | None
) -> None:
    installed(device, web)
    device.wants(web.order, unwell="the store does not work", alert_open=True)
    errand = device.boot(NEW, "two")
    device.now += 2 * HEALTHY_S
    errand.step()
    if back is None:
        device.situation = None
    else:
        device.wants(None, **back)
    device.now += SILENCE_S - 1
    errand.step()
    assert (device.rauc.asked[3:], device.restarts) == ([], False)
    device.now += 1
    errand.step()
    assert device.restarts, "nobody goes on with it"


def test_a_daemon_that_never_answers_is_fallen_back_from(device: Device, web: Web) -> None:
    installed(device, web)
    device.situation = None
    errand = device.boot(NEW, "two")
    steps(errand, 2)
    assert not device.restarts
    device.now += HEALTHY_S
    errand.step()
    assert device.rauc.asked[3:] == ["mark-bad"]
    assert device.restarts


@pytest.mark.parametrize(("before", "good"), [(True, False), (False, True)])
def test_the_gateway_has_to_be_reached_where_it_was_before(device: Device, web: Web, before: bool, good: bool) -> None:
    installed(device, web, reached=before)
    device.wants(web.order, reached=False)
    steps(device.boot(NEW, "two"), 3)
    assert (device.rauc.asked[3:4] == ["mark-good"]) is good


def test_a_slot_that_is_good_is_not_tried_again_though_nobody_could_be_told(device: Device, web: Web) -> None:
    installed(device, web)
    device.takes = False
    steps(device.boot(NEW, "two"), 3)
    assert device.rauc.asked[3:] == ["mark-good"]
    device.wants(web.order, unwell="the card died later")
    errand = device.boot(NEW, "three")
    device.now += 2 * HEALTHY_S
    steps(errand, 2)
    assert device.rauc.asked[4:] == ["mark-good"], "its tries come back all the same"
    device.takes = True
    steps(errand, 1)
    assert device.told == [(7, True, NEW)]


def test_a_rauc_that_does_not_mark_is_asked_again(device: Device, web: Web) -> None:
    installed(device, web)
    device.rauc.says(mark_good=(1, "no"))
    errand = device.boot(NEW, "two")
    steps(errand, 2)
    assert device.told == []
    device.rauc.says()
    steps(errand, 2)
    assert device.told == [(7, True, NEW)]


def test_what_was_kept_and_makes_no_sense_is_forgotten(device: Device) -> None:
    for text in ("", "[]", "{}", '{"number": 1}', "null"):
        (device.folder / "installed.json").write_text(text)
        steps(device.boot(NEW, "two"), 2)
        assert device.files == [], text
    assert device.told == []


@pytest.mark.parametrize("unwell", ["not armed", None], ids=["not armed", "no answer"])
def test_a_device_without_its_data_is_started_anew_after_ten_minutes(device: Device, unwell: str | None) -> None:
    device.situation = replace(IDLE, unwell=unwell) if unwell else None
    begun, restart = device.now, device.folder / RESTART_FILE

    def sleep(seconds: float) -> None:
        assert restart.exists() == (device.now - begun >= HEALTHY_S)
        device.now += seconds
        if device.now > begun + 2 * HEALTHY_S:
            (device.folder / "data").mkdir()

    wait_for_card(device, Slots(device.folder), device.folder / "data", lambda: device.now, sleep)
    assert restart.exists()


@pytest.mark.parametrize("changed", [{}, {"unwell": "not armed", "alert_open": True}], ids=["armed", "alert"])
def test_but_not_one_that_does_its_work_without(device: Device, changed: dict[str, object]) -> None:
    device.wants(None, **changed)
    begun = device.now

    def sleep(seconds: float) -> None:
        device.now += seconds
        if device.now > begun + 2 * HEALTHY_S:
            (device.folder / "data").mkdir()

    wait_for_card(device, Slots(device.folder), device.folder / "data", lambda: device.now, sleep)
    assert not (device.folder / RESTART_FILE).exists()


def test_a_daemon_that_is_silent_for_a_moment_may_have_its_alert_in_memory_alone(device: Device) -> None:
    device.wants(None, unwell="not armed", alert_open=True)
    begun, restart = device.now, device.folder / RESTART_FILE

    def sleep(seconds: float) -> None:
        device.now += seconds
        if device.now > begun + 2 * HEALTHY_S:
            device.situation = None
        if device.now > begun + 2 * HEALTHY_S + SILENCE_S / 2:
            assert not restart.exists()
            (device.folder / "data").mkdir()

    wait_for_card(device, Slots(device.folder), device.folder / "data", lambda: device.now, sleep)


def test_where_the_data_is_there_nothing_is_waited_for(device: Device) -> None:
    wait_for_card(device, Slots(device.folder), device.folder, lambda: device.now, lambda _: pytest.fail("it waited"))
