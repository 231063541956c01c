from pathlib import Path

import pytest

from bondmate_sim import story as story_module
from bondmate_sim.process import ProcessError
from bondmate_sim.story import Story
from bondmate_sim.world import Settings, World

NAMES = [
    "world", "gateway", "receiver", "daemon", "armed", "fix", "press", "stored", "sent", "delivered", "shown",
]  # fmt: skip


def test_without_a_fix_the_story_still_ends_with_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_module, "FIX_S", 1.0)
    log = tmp_path / "indoors.log"
    log.write_bytes(b"$GPGGA,,,,,,0,,,,M,,M,,*66\r\n$GPRMC,,V,,,,,,,,,,N*53\r\n")
    with World(tmp_path / "world", Settings(("--nmea", str(log), "--loop"), "system")) as world:
        story = Story(world, "indoors")
        steps = story.steps()
        assert [name for name, _, _ in steps] == NAMES
        texts = {name: deed() for name, deed, _ in steps}
        result = story.result
        datagrams = world.datagrams()
    assert texts["receiver"] == "indoors"
    assert texts["fix"].startswith("no fix in this sky after 1 s")
    assert result["fix"] is None
    assert world.device is not None
    assert result["alert_id"].startswith(world.device)
    assert 0 <= result["press_to_stored_ms"] < result["press_to_receipt_ms"] < 10_000
    record = Path(result["record_file"]).read_bytes()
    assert record.startswith(b"\xd2\x84"), "a tagged COSE_Sign1 (RFC 9052, section 4.2)"
    assert result["onair_octets"] in {len(one.data) for one in datagrams if one.direction == "up"}
    assert not any(record[-64:] in one.data for one in datagrams), "the signature never went in clear"
    assert Path(result["public_key_file"]).read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert bytes.fromhex(result["external_aad_hex"]).startswith(b"\x83\x71bondmate record 1")
    assert result["alert_id"] in story.dispatcher_view


def test_without_a_network_nothing_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_module, "DELIVERED_S", 3.0)
    with World(tmp_path / "world", Settings(network=("--loss", "1"))) as world:
        story = Story(world, "a sky")
        deeds = {name: deed for name, deed, _ in story.steps()}
        for name in NAMES[: NAMES.index("delivered")]:
            deeds[name]()
        with pytest.raises(ProcessError, match="waited 3 s for bondmated to vibrate for delivered"):
            deeds["delivered"]()
    assert "press_to_receipt_ms" not in story.result
    assert "record_file" not in story.result
