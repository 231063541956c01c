"""bondmated: reads the configuration and the credentials, and begins the run that they allow, armed or not."""

import bondmate.lean  # isort: skip  # noqa: F401 - before whatever would import ssl

import argparse
import asyncio
import gc
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from bondmate import __version__, config, credentials, erasing, logs
from bondmate.armed_run import ArmedRun, Setup
from bondmate.drivers import pins
from bondmate.errors import BondMateError, ConfigurationError, LocalError
from bondmate.faults import Faults
from bondmate.running import END_S, EXIT_FAILED, LAST_GOOD_FILE, end_in
from bondmate.unarmed_run import UnarmedRun

log = logging.getLogger(__name__)

EXIT_CONFIGURATION = 78
DEFAULT_CONFIG = Path("/etc/bondmate/device.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """The process's exit code: 0 ended on request, 1 failed, 2 usage, 78 configuration."""
    parser = argparse.ArgumentParser(
        prog="bondmated",
        description="The daemon of a BondMate device.",
        epilog="Exit codes: 0 ended on request, 1 failed, 2 usage, 78 the configuration cannot be used.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help=f"default: {DEFAULT_CONFIG}")
    parser.add_argument("--check", action="store_true", help="check configuration and credentials, and end")
    parser.add_argument("--version", action="version", version=f"bondmated {__version__}")
    arguments = parser.parse_args(argv)
    if arguments.check:
        return _check(arguments.config)
    return _run_given_or_last_good(arguments.config)


def command() -> None:
    """The process bondmated: main, and an end that no thread hanging in a dead disk or port can hold up."""
    code = main()
    end_in(END_S, code)
    sys.exit(code)


def _run_given_or_last_good(given: Path) -> int:
    """Run with the file that was given; if the device cannot be armed with it, with what worked last.

    Where all that is missing are credentials, the button lives all the same, not armed, until there are some.
    """
    while (code := _run_once(given)) is None:
        # a run that is over hangs in circles, which Python would leave lying for many runs; the next one takes its room
        gc.collect()
    return code


def _run_once(given: Path) -> int | None:
    """One run; its exit code. None: it came to its end by itself, and another one begins."""
    last_good = config.state_dir_of(given) / LAST_GOOD_FILE
    code, problems = EXIT_CONFIGURATION, list[str]()
    texts: set[str] = set()
    bare: Setup | None = None
    for path in (given, last_good):
        if path == last_good and not last_good.exists():
            break
        setup = None
        try:
            setup = Setup(path, *config.load(path))
            if setup.text in texts:
                break
            texts.add(setup.text)
            if erasing.is_marked(setup.configuration.device.credentials_dir):
                return _run_unarmed(setup, problems, last_good=path == last_good)
            return _run_to_the_end(setup, credentials.load(setup.configuration.device.credentials_dir), problems)
        except _NotArmedError as error:
            code = EXIT_FAILED if path == given else code
            problems = [*problems, *_complain(error)]
        except ConfigurationError as error:
            bare = bare or setup
            problems = [*problems, *_complain(error)]
    if bare is None:
        return code
    by_last_good = bare.path == last_good
    return _run_unarmed(bare, problems if by_last_good else [], last_good=by_last_good)


def _complain(error: "ConfigurationError | _NotArmedError") -> list[str]:
    for problem in error.problems:
        print(f"bondmated: {problem}", file=sys.stderr)
    return error.problems


class _NotArmedError(LocalError):
    """The device could not be armed as it is configured."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _check(path: Path) -> int:
    try:
        configuration, _ = config.load(path)
        known = credentials.load(configuration.device.credentials_dir)
        pins.find_factory(configuration.gpio.factory)
    except (ConfigurationError, LocalError) as error:
        for problem in getattr(error, "problems", [str(error)]):
            print(f"bondmated: {problem}", file=sys.stderr)
        return EXIT_CONFIGURATION
    print(f"{path}: good; this device is {known.device}")
    return 0


def _run_unarmed(setup: Setup, problems: list[str], *, last_good: bool) -> int | None:
    """Run without credentials; the exit code, or None: there are some. `problems` as in _run_to_the_end.

    `last_good`: the configuration is the one that worked last, for want of a better one.
    """
    logs.start(setup.configuration.log.level)
    run = UnarmedRun(setup.configuration, _faults(setup, problems), keep_last_good=last_good)
    try:
        return None if asyncio.run(run.serve()) else 0
    except (BondMateError, ExceptionGroup) as error:
        _complain(_NotArmedError(_told(setup, error)))
        return EXIT_FAILED
    finally:
        if run.end is not None:
            run.end.cancel()


def _faults(setup: Setup, problems: list[str]) -> Faults:
    faults = Faults()
    if problems:
        text = f"{'; '.join(problems)}. Running with the last good configuration, {setup.path}"
        faults.report("configuration", text, "correct the file and restart; bondmated --check shows all", None)
    return faults


def _told(setup: Setup, error: BaseException) -> list[str]:
    """What ended a run, in words, which are logged."""
    texts = [str(cause) or type(cause).__name__ for cause in _causes(error)]
    log.critical("ended: %s", "; ".join(texts), exc_info=not isinstance(error, BondMateError))
    return [f"{setup.path}: {text}" for text in texts]


def _run_to_the_end(setup: Setup, known: credentials.Credentials, problems: list[str]) -> int | None:
    """Run the device; the exit code, or None: another run has to begin.

    `problems` are those of a better configuration that could not be used.
    Raises _NotArmedError when it failed before it was armed.
    """
    logs.start(setup.configuration.log.level)
    run = ArmedRun(setup, known, _faults(setup, problems))
    try:
        return None if asyncio.run(run.serve()) else 0
    except (BondMateError, ExceptionGroup) as error:
        texts = _told(setup, error)
        if not run.armed:
            raise _NotArmedError(texts) from error
        return EXIT_FAILED
    finally:
        if run.end is not None:
            run.end.cancel()


def _causes(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [error]


if __name__ == "__main__":
    command()
