"""What happens to the card in a device: an old image restored, a clone, broken pages; and clocks that are years off."""

import datetime
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim import walk
from bondmate_sim.commands import command_line
from bondmate_sim.process import wait_until
from bondmate_sim.world import Settings, World
from tests.e2e.conftest import calls, ctl
from tests.faults import report
from tests.faults.world import FELT_S, HOLD_S, Hand, be_known, newest_alert, press, settle, start_others, vary, verdict

TOLD_S = 20.0
DAMAGES_SHORT, DAMAGES_LONG = 6, 60
PAGE_OCTETS = 4096
"""SQLite's default; the outbox does not change it."""
RECORD_KIND_STORE_LOST = 18


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Everything but the receiver runs."""
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as made:
        start_others(made)
        made.start_daemon()
        yield made


def state_of(world: World) -> Path:
    return world.directory / "state"


# --- an old image, and a clone -----------------------------------------------------------------------


def test_after_an_old_image_was_restored_everything_new_arrives(world: World) -> None:
    """The image holds an alert without a receipt, which went out afterwards, and knows nothing of what came then."""
    image = world.directory / "image"
    with Hand(world) as hand:
        world.network.kill()
        press(world, hand)
        world.daemon.kill()
        shutil.copytree(state_of(world), image)
        world.start_network()
        world.start_daemon()
        press(world, hand)
        settle(world)
        world.daemon.kill()
        shutil.rmtree(state_of(world))
        shutil.copytree(image, state_of(world))
        world.start_daemon()
        for _ in range(2):
            press(world, hand)
        settle(world)
        found = verdict(world, hand)
    report.add("an old image of the card", 1, found.confirmed, len(found.lost), len(found.duplicated))
    assert found.good, found
    assert (found.confirmed, len(calls(world))) == (4, 4), "what the image held was sent again, and is held once"
    assert [len(each) for each in branches(world)] == [2], "the session after the image was made, and the one from it"


def test_a_clone_beside_the_device_makes_alerts_of_its_own(world: World, tmp_path: Path) -> None:
    with Hand(world) as hand, World(tmp_path / "clone", Settings(hold_s=HOLD_S)) as clone:
        press(world, hand)
        settle(world)
        world.daemon.kill()
        copy_card(world, clone)
        clone.start_board()
        world.start_daemon()
        clone.start_daemon()
        with Hand(clone) as other:
            for _ in range(2):
                press(world, hand)
                press(clone, other)
            settle(world)
            settle(clone)
        said = {newest["alert_id"] for each in (world, clone) if (newest := newest_alert(each)) is not None}
    shown = calls(world)
    report.add("a cloned card", 1, 5, 5 - len(shown), len(shown) - len({each["digest"] for each in shown}))
    assert len({each["alert_id"] for each in shown}) == len(shown) == 5
    assert said < {each["alert_id"] for each in shown}
    assert [each["forks"] for each in shown] == [[]] * 5, "no session is drawn twice, so no identity is"
    # each goes on in sessions of its own, with whole chains: that both continue one session is all that tells of two
    assert {each["chain"] for each in shown} == {"whole"}
    assert [len(each) for each in branches(world)] == [2], "the first session of each after the copy"


def branches(world: World) -> list[list[str]]:
    """The sessions that continue the same session at the gateway; each time it is logged once."""
    [device] = world.at_gateway("devices")
    assert world.gateway.log.read_text().count("BRANCH") == len(device["branches"])
    return [each["sessions"] for each in device["branches"]]


def copy_card(world: World, clone: World) -> None:
    """The same state and credentials in another device, whose own paths are the only difference."""
    for part in ("state", "credentials"):
        shutil.rmtree(clone.directory / part)
        shutil.copytree(world.directory / part, clone.directory / part)
    text = world.config_file.read_text()
    clone.config_file.write_text(
        text.replace(str(world.directory), str(clone.directory)).replace(str(world.run), str(clone.run))
    )


@pytest.mark.timeout(120)
def test_the_very_first_alerts_may_arrive_last(tmp_path: Path) -> None:
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as world:
        start_others(world)
        world.network.kill()
        with Hand(world) as hand:
            for _ in range(3):
                world.start_daemon()
                press(world, hand)
                world.daemon.kill()
            world.start_network()
            world.start_daemon()
            settle(world)
            found = verdict(world, hand)
    assert found.good, found
    assert found.confirmed == 3


# --- clocks ------------------------------------------------------------------------------------------


def receiver_of(world: World, year: int) -> None:
    """From its next start on, the receiver says that it is this year."""
    log = world.directory / f"{year}.nmea"
    motion = walk.walk((walk.parse_point("38.72225,-9.13934"),), 0.0)
    start = datetime.datetime(year, 3, 1, 12, tzinfo=datetime.UTC)
    log.write_bytes(b"".join(walk.speak(motion, start + datetime.timedelta(seconds=each)) for each in range(600)))
    world.receiver.command = command_line("bondmate-sim", "gnss", "--link", world.receiver_link, "--nmea", log)


@pytest.mark.timeout(120)
def test_years_ahead_and_years_back_change_nothing_but_the_times(tmp_path: Path) -> None:
    """Alerts wait for a receipt through sessions of 2041, of 2021, and of no known time."""
    with World(tmp_path / "world", Settings(hold_s=HOLD_S, clock_source="gnss")) as world:
        start_others(world)
        with Hand(world) as hand:
            be_known(world, hand)
            world.daemon.kill()
            world.network.kill()
            for year in (2041, 2021, None):
                if year is not None:
                    receiver_of(world, year)
                    world.start_receiver()
                world.start_daemon()
                if year is not None:
                    world.daemon.wait_until(lambda: ctl(world, "status")["clock"]["source"], 20, "to know UTC")
                press(world, hand)
                world.daemon.kill()
                world.receiver.stop()
            world.start_network()
            world.start_daemon()
            settle(world)
            confirmed = len(hand.confirmed())
    shown = calls(world)
    report.add("clock jumps of years", 3, confirmed, 4 - len(shown), 0)
    years = [None if each["raised_at"] is None else str(each["raised_at"])[:4] for each in in_order(shown)]
    assert confirmed == 4
    assert years == [None, "2041", "2021", None]
    assert [(each["chain"], each["verdict"], each["forks"]) for each in shown] == [("whole", "held", [])] * 4


@pytest.mark.timeout(120)
def test_a_clock_that_leaps_by_decades_at_every_reading(tmp_path: Path) -> None:
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as world:
        start_others(world)
        with Hand(world) as hand:
            be_known(world, hand)
            world.daemon.kill()
            world.network.kill()
            vary(world, "leaping")
            for _ in range(3):
                world.start_daemon()
                press(world, hand)
                press(world, hand)
                world.daemon.kill()
            world.start_network()
            world.start_daemon()
            settle(world)
            confirmed = len(hand.confirmed())
    shown = calls(world)
    report.add("clock jumps of years", 6, confirmed, 7 - len(shown), 0)
    assert confirmed == 7
    assert [(each["chain"], each["verdict"], each["forks"]) for each in shown] == [("whole", "held", [])] * 7


def in_order(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By session, whose counter is the first part of its name."""
    return sorted(shown, key=lambda each: str(each["alert_id"]))


# --- broken pages ------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
def test_broken_pages(tmp_path: Path) -> None:
    broken_pages(tmp_path, DAMAGES_SHORT)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_broken_pages_many_times(tmp_path: Path) -> None:
    broken_pages(tmp_path, DAMAGES_LONG)


def broken_pages(tmp_path: Path, damages: int) -> None:
    """Again and again random octets in random pages: the button works, what is lost is told, and no file is deleted.

    Octets that SQLite does not find wrong may be a chain's: then the gateway shows it as broken, and holds the alert.
    """
    seed = random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as world:
        start_others(world)
        world.start_daemon()
        with Hand(world) as hand:
            for damage in range(damages):
                press(world, hand)
                settle(world)
                world.daemon.stop()
                spoil(state_of(world) / "outbox.db", rng)
                world.start_daemon()
                press_and_deliver(world, hand)
                settle(world)
                world.daemon.wait_until(lambda: ctl(world, "status")["store"]["ok"], TOLD_S, "to have a store again")
                aside = len(set_aside(world))
                why = f"the loss to be told (seed {seed}, damage {damage})"
                wait_until(lambda aside=aside: losses_told(world) >= aside, TOLD_S, why)  # type: ignore[misc]
            confirmed = len(hand.confirmed())
    shown = calls(world)
    report.add(
        "broken pages", damages, confirmed, 2 * damages - len(shown), len(shown) - len({e["digest"] for e in shown})
    )
    assert confirmed >= damages, f"seed {seed}"
    assert len({each["alert_id"] for each in shown}) == len(shown) == 2 * damages, f"seed {seed}"
    assert set_aside(world), "else no damage was worth the name"


def press_and_deliver(world: World, hand: Hand) -> None:
    """The damage may show in the very commit: then the palm feels that, and the alert is sent from memory."""
    before = newest_alert(world)

    def delivered_another() -> bool:
        alert = newest_alert(world)
        is_another = alert is not None and (before is None or alert["alert_id"] != before["alert_id"])
        return alert is not None and is_another and alert["state"] == "delivered"

    hand.down()
    world.daemon.wait_until(delivered_another, FELT_S, "to deliver an alert")
    hand.up()


def spoil(file: Path, rng: random.Random) -> None:
    """Random octets over the whole, or over a part, of one to three pages."""
    octets = bytearray(file.read_bytes())
    for _ in range(rng.randint(1, 3)):
        page = rng.randrange(len(octets) // PAGE_OCTETS) * PAGE_OCTETS
        start, end = sorted(rng.choices(range(PAGE_OCTETS + 1), k=2)) if rng.random() < 0.5 else (0, PAGE_OCTETS)
        octets[page + start : page + end] = rng.randbytes(end - start)
    file.write_bytes(octets)


def set_aside(world: World) -> list[Path]:
    """The damaged files that were kept."""
    return [each for each in state_of(world).glob("outbox.db.damaged-*") if not each.name.endswith(("-wal", "-shm"))]


def losses_told(world: World) -> int:
    """How many records at the gateway say that the store was lost: in the session's opening, or while it ran."""
    with closing(sqlite3.connect(f"file:{world.gateway_data}/gateway.db?mode=ro", uri=True)) as database:
        [(openings,)] = database.execute("SELECT count(DISTINCT record) FROM predecessor WHERE session IS NULL")
        [(running,)] = database.execute("SELECT count(*) FROM record WHERE kind = ?", (RECORD_KIND_STORE_LOST,))
        return int(openings) + int(running)
