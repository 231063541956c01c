"""`./dev demo --json` as its users take it: the result checked with tools that are not ours."""

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import cwt
import pynmea2
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.gateway.cddl import ValidationError, validate_record

SIM = Path(sys.executable).with_name("bondmate-sim")
STEPS = ["world", "gateway", "receiver", "daemon", "armed", "fix", "press", "stored", "sent", "delivered", "shown"]


def demo(*arguments: str | Path, expect: int = 0) -> list[dict[str, Any]]:
    done = subprocess.run([SIM, "demo", "--json", *arguments], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A demo in a world that stays."""
    return demo("--keep", tmp_path_factory.mktemp("demo") / "world")


@pytest.fixture(scope="module")
def result(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return lines[-1]


def test_each_step_is_told_in_order_and_the_result_is_complete(lines: list[dict[str, Any]]) -> None:
    *steps, result = lines
    assert [step["name"] for step in steps] == STEPS
    assert [step["t_ms"] for step in steps] == sorted(step["t_ms"] for step in steps)
    assert result["event"] == "result"
    assert result["ok"] is True
    assert result["failed_step"] is None
    assert result["bearer"] == "ip"
    assert 0 < result["press_to_stored_ms"] < result["press_to_receipt_ms"]
    assert result["onair_octets"] <= 140
    assert Path(result["logs"]).is_dir()


def test_the_record_verifies_with_an_independent_library(result: dict[str, Any]) -> None:
    record = Path(result["record_file"]).read_bytes()
    aad = bytes.fromhex(result["external_aad_hex"])
    key = cwt.COSEKey.from_pem(Path(result["public_key_file"]).read_text(), alg="ES256")
    payload = cwt.COSE.new().decode(record, key, external_aad=aad)
    version, kind, sequence, *_ = cbor2.loads(payload)
    assert (version, kind) == (1, 1)
    assert result["alert_id"].endswith(f"/alert/{sequence}")
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(record, key, external_aad=aad[:-1] + bytes([aad[-1] ^ 1]))


def test_the_record_is_what_the_cddl_says(result: dict[str, Any]) -> None:
    record = Path(result["record_file"]).read_bytes()
    validate_record(record)
    protected, unprotected, payload, signature = cbor2.loads(record).value
    spoiled = cbor2.loads(payload)
    spoiled[1] = "panic"
    with pytest.raises(ValidationError):
        validate_record(cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, cbor2.dumps(spoiled), signature])))


def test_the_public_key_is_a_p256_key(result: dict[str, Any]) -> None:
    key = load_pem_public_key(Path(result["public_key_file"]).read_bytes())
    assert key.curve.name == "secp256r1"  # type: ignore[union-attr]


def test_no_datagram_holds_four_octets_of_a_payload_in_clear(result: dict[str, Any]) -> None:
    world = Path(result["logs"]).parent
    datagrams = [json.loads(line) for line in (world / "tap.jsonl").read_text().splitlines()]
    assert {one["direction"] for one in datagrams} == {"up", "down"}
    record = Path(result["record_file"]).read_bytes()
    secrets = {record[start : start + 4] for start in range(len(record) - 3)}
    device = bytes.fromhex(result["alert_id"][3:11])
    secrets |= {device, b"bond", b"stat"}

    def leaks(data: bytes) -> set[bytes]:
        return {data[start : start + 4] for start in range(len(data) - 3)} & secrets

    assert [leaks(bytes.fromhex(one["hex"])) for one in datagrams] == [set()] * len(datagrams)
    assert leaks(b"\x42\x02" + record), "the search finds what is there"


def test_the_position_is_one_of_the_recorded_log(corpus: Path) -> None:
    log = corpus / "gnss" / "telit-he910.log"
    positions = set()
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("$GPGGA"):
            sentence = pynmea2.parse(line)
            if sentence.gps_qual:
                positions.add((round(sentence.latitude, 6), round(sentence.longitude, 6)))
    result = demo("--nmea", log)[-1]
    assert (round(result["fix"]["lat"], 6), round(result["fix"]["lon"], 6)) in positions
    assert datetime.datetime.fromisoformat(result["fix"]["time"]).tzinfo is not None


def test_a_log_without_a_fix_delivers_the_alert_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "void.log"
    log.write_text("$GPRMC,,V,,,,,,,,,,N*53\n$GPGGA,,,,,,0,,,,M,,M,,*66\n")
    result = demo("--nmea", log)[-1]
    assert result["ok"] is True
    assert result["fix"] is None


def test_a_failure_names_the_step_and_its_log(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "mine").touch()
    done = subprocess.run([SIM, "demo", "--keep", tmp_path / "world"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not empty" in done.stderr
