"""`bondmatectl gnss decode`: fixes as lines, what was not used by kind, whatever the octets; and gpsd as its judge."""

import datetime as dt
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest

from bondmate import cli, decode, doing
from bondmate.core.reception import Reception

COMMAND = str(Path(sys.executable).with_name("bondmatectl"))
PROMISED = {"time", "lat", "lon", "alt_m", "speed_mps", "track_deg", "mode", "hdop", "accuracy_m", "satellites"}
MEGABYTE = 1 << 20


def framed(body: str) -> bytes:
    return b"$%s*%02X\r\n" % (body.encode(), reduce(xor, body.encode(), 0))


def second(number: int, *, minutes: str = "43.3351", hemisphere: str = "W", date: str = "201126") -> bytes:
    """One epoch in Lisbon."""
    time = f"1200{number:02}.00"
    where = f"38{minutes},N,00908.3602,{hemisphere}"
    return (
        framed(f"GNRMC,{time},A,{where},0.8,181.2,{date},,,A")
        + framed(f"GNGGA,{time},{where},1,08,0.9,12.3,M,50.1,M,,")
        + framed("GNGSA,A,3,01,02,12,14,15,24,,,,,,,1.6,0.9,1.3,1")
        + framed(f"GNGST,{time},1.0,,,,3.0,4.0,5.0")
    )


LOG = b"".join(second(number) for number in range(3))


@pytest.fixture
def log(tmp_path: Path) -> Callable[[bytes], Path]:
    """A file with these octets."""

    def written(octets: bytes) -> Path:
        path = tmp_path / "walk.log"
        path.write_bytes(octets)
        return path

    return written


def decoded(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], str]:
    """The fixes as JSON, and what is said on standard error."""
    assert cli.main(["gnss", "decode", "--json", str(path)]) == 0
    written = capsys.readouterr()
    return [json.loads(line, parse_constant=pytest.fail) for line in written.out.splitlines()], written.err


# --- fixes -----------------------------------------------------------------------------------------------------------


def test_each_fix_is_one_json_object_on_a_line(
    log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    fixes, _ = decoded(log(LOG), capsys)
    assert len(fixes) == 3
    assert fixes[1] == {
        "time": "2026-11-20T12:00:01.000Z",
        # by hand: 38 + 43.3351 / 60, 9 + 8.3602 / 60; 0.8 knots; the root of 3² + 4²
        "lat": 38.722251667,
        "lon": -9.139336667,
        "alt_m": 12.3,
        "geoid_m": 50.1,
        "speed_mps": 0.412,
        "track_deg": 181.2,
        "mode": 3,
        "hdop": 0.9,
        "accuracy_m": 5.0,
        "satellites": 8,
        "source": "gnss",
        "suspect": [],
    }
    assert all(fix.keys() >= PROMISED for fix in fixes)
    assert not any("age_s" in fix for fix in fixes), "nobody knows how old a recorded fix is"


def test_what_a_receiver_does_not_say_is_null(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    [fix], _ = decoded(log(framed("GPGLL,3843.3351,N,00908.3602,W,120000.00,A,A")), capsys)
    assert {name for name, value in fix.items() if value is None} == {
        "time", "alt_m", "geoid_m", "speed_mps", "track_deg", "hdop", "accuracy_m", "satellites",
    }  # fmt: skip
    assert fix.keys() >= PROMISED


def test_old_logs_keep_their_dates(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    fixes, _ = decoded(log(second(0, date="060407")), capsys)
    assert fixes[0]["time"] == "2007-04-06T12:00:00.000Z"


def test_what_is_suspect_is_told(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    fixes, _ = decoded(log(LOG + second(3, hemisphere="E") + second(4)), capsys)
    assert [fix["suspect"] for fix in fixes] == [[], [], [], ["jump"], []]
    fixes, _ = decoded(log(framed("GNTXT,01,01,01,ANTENNA OPEN") + second(0)), capsys)
    assert fixes[0]["suspect"] == ["antenna_open"]


def test_people_get_a_table(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    dateless = framed("GPGLL,3843.3351,N,00908.3602,W,115959.00,A,A")
    assert cli.main(["gnss", "decode", str(log(dateless + LOG + second(3, hemisphere="E")))]) == 0
    head, first, *others = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "time", "(UTC)", "latitude", "longitude", "altitude", "speed", "track", "fix", "accuracy",
    ]  # fmt: skip
    assert first.split() == ["unknown", "38.7222517", "-9.1393367", "-", "-", "-", "2D", "-"]
    assert others[0].split() == [
        "2026-11-20T12:00:00.000Z", "38.7222517", "-9.1393367", "12.3", "m", "0.4", "m/s", "181.2°", "3D", "5.0", "m",
        "8", "sat",
    ]  # fmt: skip
    assert others[-1].endswith("8 sat  suspect: jump")
    assert len(others) == 4


@pytest.mark.parametrize("size", [1, 7, 64, decode.CHUNK_OCTETS])
def test_a_file_is_read_in_chunks_and_they_make_no_difference(
    size: int, log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log(b"noise\xb5\x62" + LOG + LOG[:100])
    whole = decoded(path, capsys)
    monkeypatch.setattr(decode, "CHUNK_OCTETS", size)
    assert decoded(path, capsys) == whole


def test_a_sentence_across_two_chunks_is_one(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    octets = b"x" * (decode.CHUNK_OCTETS - 20) + LOG
    fixes, said = decoded(log(octets), capsys)
    assert len(fixes) == 3
    assert f"{decode.CHUNK_OCTETS - 20:,} octets of noise" in said


def test_the_last_line_needs_no_end(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    fixes, _ = decoded(log(LOG.rstrip()), capsys)
    assert len(fixes) == 3
    _, said = decoded(log(LOG + b"$GPGLL,4916.45,N,12311.12,W,225444,A,"), capsys)
    assert "1 with no checksum" in said


# --- what was not used -----------------------------------------------------------------------------------------------


def test_nothing_is_said_to_be_wrong_where_nothing_is(
    log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = decoded(log(LOG), capsys)
    assert said == "walk.log: 12 sentences, 3 fixes; nothing was left unused\n"


def test_what_was_not_used_is_counted_by_kind(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    wrong = (
        b"$GPGGA,1,2,3\r\n" * 2,
        LOG[:100].replace(b"*", b"9*"),
        framed("GPGGA,120000.00"),
        framed("GPGLL,3843.3351,X,00908.3602,W,120000.00,A,A") * 3,
        framed("GPGLL,9943.3351,N,00908.3602,W,120000.00,A,A"),
        b"\xb5\x62\x01\x07noise\r\n",
    )
    _, said = decoded(log(LOG + b"".join(wrong)), capsys)
    assert said.startswith("walk.log: 12 sentences, 3 fixes; not used: ")
    told = set(said.strip().partition("not used: ")[2].split(", "))
    assert told >= {"2 with no checksum", "1 too short", "3 malformed", "1 out of range"}
    assert [kind for kind in told if kind.endswith(("with wrong checksum", "octets of noise"))]
    assert len(told) == 6


def test_an_empty_file_has_no_fixes(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert decoded(log(b""), capsys) == ([], "walk.log: 0 sentences, 0 fixes; nothing was left unused\n")


@pytest.mark.parametrize("name", ["nowhere.log", "."])
def test_a_file_that_cannot_be_read_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gnss", "decode", str(tmp_path / name)]) == cli.EXIT_FAILED
    written = capsys.readouterr()
    assert written.err.startswith(f"bondmatectl: {tmp_path / name} cannot be read: ")
    assert written.err.count("\n") == 1


# --- standard input, and processes -----------------------------------------------------------------------------------


def test_a_dash_is_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOG)))
    fixes, said = decoded(Path("-"), capsys)
    assert len(fixes) == 3
    assert said.startswith("standard input: 12 sentences")


def test_it_needs_no_daemon_and_no_configuration(log: Callable[[bytes], Path]) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    by_name = subprocess.run(
        [COMMAND, "gnss", "decode", "--json", str(log(LOG))], env=environment, capture_output=True, check=True
    )
    by_pipe = subprocess.run(
        [COMMAND, "gnss", "decode", "--json", "-"], input=LOG, env=environment, capture_output=True, check=True
    )
    assert by_name.stdout == by_pipe.stdout
    assert by_name.stdout.count(b"\n") == 3


def test_a_reader_that_leaves_early_is_no_crash(log: Callable[[bytes], Path]) -> None:
    path = log(LOG * 20_000)
    with subprocess.Popen(
        [COMMAND, "gnss", "decode", "--json", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == cli.EXIT_FAILED


def test_a_standard_input_that_is_closed_is_no_crash() -> None:
    ended = subprocess.run(
        ["sh", "-c", f"exec {COMMAND} gnss decode --json - <&-"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == cli.EXIT_FAILED


def test_a_pipe_that_trickles_is_read_to_its_end() -> None:
    with subprocess.Popen(
        [COMMAND, "gnss", "decode", "--json", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        for place in range(0, len(LOG), 50):
            process.stdin.write(LOG[place : place + 50])
            process.stdin.flush()
        out, _ = process.communicate()
    assert process.returncode == 0
    assert out.count(b"\n") == 3


def test_a_fix_of_a_receiver_that_speaks_now_is_shown_at_once() -> None:
    """Its octets come through a pipe that nobody closes."""
    with subprocess.Popen(
        [COMMAND, "gnss", "decode", "--json", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LOG)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["lat"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == doing.EXIT_INTERRUPTED


def test_a_disk_that_is_full_is_not_a_log_that_cannot_be_read(log: Callable[[bytes], Path]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [COMMAND, "gnss", "decode", str(log(LOG))], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == cli.EXIT_FAILED
    assert "bondmatectl: nothing can be printed: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_terminal_without_degrees_gets_question_marks(log: Callable[[bytes], Path]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        [COMMAND, "gnss", "decode", str(log(LOG))], env=environment, capture_output=True, text=True, check=True
    )
    assert "?" in ended.stdout


@pytest.mark.parametrize("seconds", [0.04, 0.1, 1.0, 5.0, 30.0])
def test_a_walk_is_believed_at_any_rate_also_without_a_date(
    seconds: float, log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A log has no clock but its receiver's: 20 m/s, of GGA alone."""

    def gga(number: int) -> bytes:
        moment, north = 43_200 + number * seconds, 20 * number * seconds / 1852
        clock = f"{int(moment // 3600):02}{int(moment // 60) % 60:02}{moment % 60:05.2f}"
        return framed(f"GPGGA,{clock},48{north:08.5f},N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,")

    fixes, _ = decoded(log(b"".join(map(gga, range(20)))), capsys)
    assert [fix["suspect"] for fix in fixes] == [[]] * 20


def test_progress_is_told_to_a_terminal_alone(
    log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "PROGRESS_S", 0.0)
    monkeypatch.setattr(decode, "CHUNK_OCTETS", len(LOG))
    path = log(LOG * 4)
    _, said = decoded(path, capsys)
    assert "%" not in said
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fixes, said = decoded(path, capsys)
    assert [line.strip() for line in said.split("\r") if "%" in line] == [
        f"{part} % of {4 * len(LOG):,} octets" for part in (25, 50, 75, 100)
    ]
    assert len(fixes) == 12, "and it is not among the fixes"


# --- whatever comes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
def test_noise_is_no_crash(size: int, log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(size)
    for _ in range(5):
        fixes, said = decoded(log(chance.randbytes(size)), capsys)
        assert fixes == []
        assert said.count("\n") == 1


def test_noise_between_sentences_loses_none(log: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(20261120)
    lines = [line + b"\n" for line in LOG.splitlines()]
    fixes, _ = decoded(log(b"".join(chance.randbytes(300) + line for line in lines)), capsys)
    assert fixes == decoded(log(LOG), capsys)[0]


def test_every_log_of_the_corpus_decodes_wherever_it_is_cut_off(corpus: Path) -> None:
    chance = random.Random(20261120)
    for path in sorted((corpus / "gnss").glob("*.log")):
        octets = path.read_bytes()
        for _ in range(3):
            begin, end = sorted(chance.randrange(len(octets)) for _ in range(2))
            reception = Reception(None)
            found = list(decode.fixes(iter([octets[begin:end], b"\n"]), reception))
            assert reception.octets == end - begin + 1
            assert len(found) <= sum(reception.counts.values())


# --- memory ----------------------------------------------------------------------------------------------------------

MEASURED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
from bondmate import cli
code = cli.main(sys.argv[1:])
peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(int(peak.split()[1]) * 1024, file=sys.stderr)
sys.exit(code)
"""
"""The command, and behind it the most memory that it ever had in RAM (proc(5)): rusage would count its parent's too.

What grows without end takes half a gigabyte, and not the machine.
"""


def peak_octets(chunks: Iterable[bytes], program: str = MEASURED) -> int:
    with subprocess.Popen(
        [sys.executable, "-c", program, "gnss", "decode", "--json", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stderr is not None
        for chunk in chunks:
            process.stdin.write(chunk)
        process.stdin.close()
        said = process.stderr.read().decode().splitlines()
    assert process.returncode == 0, said
    return int(said[-1])


def noise(megabytes: int) -> Iterator[bytes]:
    chance = random.Random(megabytes)
    return (chance.randbytes(MEGABYTE) for _ in range(megabytes))


def repeated(octets: bytes) -> Callable[[int], Iterator[bytes]]:
    whole = octets * (MEGABYTE // len(octets))
    return lambda megabytes: (whole for _ in range(megabytes))


def kinds(megabytes: int) -> Iterator[bytes]:
    """A kind of sentence that nobody knows, and another, and another."""
    return (b"".join(framed(f"GNX{part}A{each}") for each in range(60_000)) for part in range(megabytes))


def epochs(megabytes: int) -> Iterator[bytes]:
    """Good sentences, without end."""
    whole = b"".join(second(number % 60) for number in range(MEGABYTE // len(second(0))))
    return (whole for _ in range(megabytes))


def skies(megabytes: int) -> Iterator[bytes]:
    """Groups of GSV that never end, each of another signal."""
    return (
        b"".join(
            framed(f"GPGSV,999,{each},1,{'1,,,,' * 19}{part}.{turn}") for turn in range(8) for each in range(1, 1000)
        )
        for part in range(megabytes)
    )


STREAMS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "noise": noise,
    "good sentences": epochs,
    "one line without an end": repeated(b"x"),
    "dollars": repeated(b"$"),
    "sentences that never end": repeated(b"$GPGGA," + b"1" * 200),
    "sentences without a checksum": repeated(b"$GPGGA,1,2,3\r\n"),
    "GSA without a time": repeated(framed("GNGSA,A,3,01,02,,,,,,,,,,,1.0,1.0,1.0")),
    "kinds that nobody knows": kinds,
    "skies without end": skies,
}
START_OCTETS = 40 * MEGABYTE
"""What the interpreter and the command need, with room for another Python; on 3.11 it is 21 MB."""


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_few_megabytes_of_anything_take_no_memory(stream: Callable[[int], Iterator[bytes]]) -> None:
    before, after = peak_octets(stream(0)), peak_octets(stream(4))
    assert before < START_OCTETS
    assert after - before < 6 * MEGABYTE


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_hundred_megabytes_of_anything_take_no_memory(stream: Callable[[int], Iterator[bytes]]) -> None:
    assert peak_octets(stream(100)) < START_OCTETS


def test_a_decoder_that_reads_its_file_at_once_would_be_noticed() -> None:
    greedy = MEASURED.replace("import cli\n", "import cli, decode\ndecode._read = lambda file: file.read()\n")
    assert peak_octets(noise(8), greedy) - peak_octets([], greedy) > 6 * MEGABYTE


# --- gpsd as the judge -----------------------------------------------------------------------------------------------


@pytest.fixture
def oracle(corpus: Path) -> Path:
    """The tool that holds a decoder against gpsd's expected output, beside the corpus."""
    tool = corpus.parent / "tools" / "gnss_oracle.py"
    if not tool.exists():
        pytest.skip(f"no judge: {tool} does not exist")
    return tool


def judged(oracle: Path, logs: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(oracle), str(logs), "--command", command],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_gpsd_agrees_on_every_log_that_is_judged(oracle: Path, corpus: Path) -> None:
    verdict = judged(oracle, corpus / "gnss", f"{COMMAND} gnss decode --json {{log}}")
    assert verdict.returncode == 0, verdict.stdout
    # "32/32 logs, …": all of them, and there are some
    agreed, of = verdict.stdout.splitlines()[-1].split()[0].split("/")
    assert agreed == of != "0"
    assert "0 decoder failures" in verdict.stdout


BROKEN = {
    "forgets the hemisphere": "fields._degrees = lambda text, hemisphere, *_: degrees(text, hemisphere, *_).__abs__()",
    "ignores V": "nmea._READERS.update({kind: believing(reader) for kind, reader in nmea._READERS.items()})",
    "says knots": "nmea._READERS.update(RMC=lambda *said: rmc(*said)._replace(speed_mps="
    "(rmc(*said).speed_mps or 0) / K))",
    "splits at VTG": "epoch.EpochAssembler._begins_another = lambda self, key, said: said.type == 'VTG' or "
    "begins(self, key, said)",
    "knows GPS alone": "nmea.parse = reception.parse = lambda line: gps_alone(parse(line))",
    "height over the ellipsoid": "nmea._READERS.update(GGA=lambda *said: gga(*said)._replace(alt_m="
    "(gga(*said).alt_m or 0) + (gga(*said).geoid_m or 0)))",
    "another day": "epoch.EpochAssembler._utc = lambda self, time_ms: utc(self, time_ms) and utc(self, time_ms) + DAY",
}
VARIANT = """
import datetime, sys
from bondmate import cli
from bondmate.core import epoch, fields, nmea, reception

DAY, K = datetime.timedelta(days=1), nmea.KNOT_MPS
degrees, parse, utc = fields._degrees, nmea.parse, epoch.EpochAssembler._utc
begins, rmc, gga = epoch.EpochAssembler._begins_another, nmea._rmc, nmea._gga

def believing(reader):
    return lambda *said: reader(*said)._replace(valid=None)

def gps_alone(said):
    return said if said.talker == "GP" else nmea.Sentence("", said.type)

{change}
sys.exit(cli.main(["gnss", "decode", "--json", sys.argv[1]]))
"""
"""The decoder with one change."""
FEW = ("telit-he910.log", "ublox-f9p-hpnmea.log", "jl-micro-jlt.log", "saab-r4.log")
"""From both hemispheres, with void epochs at the start, by GPS alone and by all systems, with and without VTG."""


@pytest.fixture
def few(corpus: Path, tmp_path: Path) -> Path:
    """Four logs, all judged in every way."""
    missing = [name for name in FEW if not (corpus / "gnss" / name).exists()]
    if missing:
        pytest.skip(f"this corpus has no {', '.join(missing)}")
    for name in FEW:
        (tmp_path / name).symlink_to(corpus / "gnss" / name)
        (tmp_path / f"{name}.chk").symlink_to(corpus / "gnss" / f"{name}.chk")
    rules: dict[str, object] = {"pos_alt_speed": FEW, "mode": [], "no_date": [], "extra": {}}
    (tmp_path / "oracle.json").write_text(json.dumps(rules))
    return tmp_path


def test_gpsd_agrees_with_the_decoder_that_is_not_changed(oracle: Path, few: Path) -> None:
    """Else it would disagree with every change, whatever it was."""
    (few / "variant.py").write_text(VARIANT.format(change=""))
    verdict = judged(oracle, few, f"{sys.executable} {few / 'variant.py'} {{log}}")
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_gpsd_notices_a_decoder_that_is_broken(change: str, oracle: Path, few: Path) -> None:
    (few / "variant.py").write_text(VARIANT.format(change=change))
    verdict = judged(oracle, few, f"{sys.executable} {few / 'variant.py'} {{log}}")
    assert verdict.returncode == 1
    assert "0 decoder failures" in verdict.stdout, verdict.stdout


# gpsd takes what the chip says in binary too where a log has both: there it has more digits
NEARLY = {"quectel-l76k-dual.log", "quectel-eg25-g.log", "ublox-zed-f9r.log"}


@pytest.mark.parametrize("name", sorted(NEARLY))
def test_logs_that_are_not_judged_agree_within_a_decimetre(name: str, corpus: Path) -> None:
    path = corpus / "gnss" / name
    if not path.exists():
        pytest.skip(f"this corpus has no {name}")
    ours = {fix.time: fix for fix in decode.fixes(iter([path.read_bytes(), b"\n"]), Reception(None))}
    compared = 0
    for line in path.with_name(f"{name}.chk").read_text(errors="replace").splitlines():
        if '"class":"TPV"' not in line:
            continue
        tpv = json.loads(line)
        if tpv.get("mode", 0) < 3 or not {"time", "lat", "altMSL"} <= tpv.keys():
            continue
        fix = ours.get(dt.datetime.fromisoformat(tpv["time"]))
        if fix is None:
            continue
        compared += 1
        assert (fix.lat, fix.lon) == pytest.approx((tpv["lat"], tpv["lon"]), abs=1e-6)
        assert fix.alt_m == pytest.approx(tpv["altMSL"], abs=0.1)
    assert compared > 0
