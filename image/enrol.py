"""`bondmate-image enrol`: one enrolment file onto each card, and a label for it."""

import argparse
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bondmate_image import boot, enrolment, gateway, targets
from bondmate_image.boot import Boot
from bondmate_image.console import complain, say
from bondmate_image.enrolment import Enrolment
from bondmate_image.errors import ImageError
from bondmate_image.label import Label, printer

_MAX_COUNT = 1000
_MAX_NETWORK = 64 << 10
_SUFFIX = ".cose"


def add_parser(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `enrol`."""
    summary = "Put an enrolment file onto each card, and print labels."
    parser = parsers.add_parser("enrol", help=summary, description=summary)
    parser.set_defaults(command=_enrol, usage=parser.error)
    source = parser.add_mutually_exclusive_group(required=True)
    gateway.add_argument(source)
    source.add_argument("--from", type=Path, dest="prepared", metavar="DIR", help="files that --out left there")
    parser.add_argument("--count", type=_count, metavar="N", help="how many (default: one for each card, else 1)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the files there, for cards that come later")
    parser.add_argument("--labels", type=Path, metavar="FILE.pdf", help="print a label for each device")
    asked = parser.add_argument_group("the gateway", "What 'bondmate-gateway enrol' takes; see there.")
    asked.add_argument("--address", action="append", default=[], metavar="coap://HOST:PORT", help="of the gateway")
    asked.add_argument("--group", action="append", default=[], metavar="GROUP", help="that the devices are in")
    asked.add_argument("--approve", action="store_true", help="let a human there approve each device's key")
    asked.add_argument("--network", type=Path, metavar="FILE", help="what the devices need to know of the network")
    parser.add_argument("cards", type=Path, nargs="*", metavar="CARD", help="a whole card as /dev/sdb, or a file")


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MAX_COUNT:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and {_MAX_COUNT}")
    return count


def _enrol(arguments: argparse.Namespace) -> None:
    cards: Sequence[Path] = arguments.cards
    if bool(cards) == (arguments.out is not None):
        arguments.usage("name either cards or --out DIR")
    if arguments.prepared is not None and (arguments.out or arguments.count or _asked(arguments)):
        arguments.usage("--from takes cards, and nothing that is said to the gateway")
    if cards and arguments.count not in {None, len(cards)}:
        arguments.usage(f"--count {arguments.count} is not the number of cards, {len(cards)}")
    # What labels lack is said before anything is done.
    print_labels = None if arguments.labels is None else printer(arguments.labels)
    if arguments.out is not None:
        made = _make(arguments, arguments.count or 1)
        _keep(made, arguments.out)
        _say_labels(print_labels, made)
        return
    with contextlib.ExitStack() as stack:
        boots = _open(cards, stack)
        if arguments.prepared is not None:
            given = _prepared(boots, arguments.prepared)
        else:
            _refuse_enrolled(boots)
            given = _make(arguments, len(boots))
        done, failures = _put(boots, given, arguments.prepared)
    _say_labels(print_labels, done)
    if failures:
        raise ImageError(f"{len(failures)} of {len(boots)} cards NOT ENROLLED:\n  " + "\n  ".join(failures))


def _asked(arguments: argparse.Namespace) -> bool:
    return bool(arguments.address or arguments.group or arguments.approve or arguments.network)


def _make(arguments: argparse.Namespace, count: int) -> list[Enrolment]:
    """Ask the gateway for so many files. They are not written anywhere here."""
    words = ["--count", str(count), "--cards", "--json"]
    words += [word for address in arguments.address for word in ("--address", address)]
    words += [word for group in arguments.group for word in ("--group", group)]
    words += ["--approve"] if arguments.approve else []
    network: bytes | None = None
    if arguments.network is not None:
        # It has passphrases: they go through the pipe, and not over a command line.
        with arguments.network.open("rb") as file:
            network = file.read(_MAX_NETWORK + 1)
        words += ["--network", "-"]
    return enrolment.answered(gateway.ask(arguments.gateway, "enrol", words, network), count)


def _open(cards: Sequence[Path], stack: contextlib.ExitStack) -> list[Boot]:
    boots: list[Boot] = []
    refusals: list[str] = []
    for target in targets.check(cards, 1):
        try:
            boots.append(stack.enter_context(boot.opened(target)))
        except (ImageError, OSError) as error:
            refusals.append(f"{target.path} {error}")
    if refusals:
        raise ImageError("nothing was written:\n  " + "\n  ".join(refusals))
    return boots


def _refuse_enrolled(boots: Sequence[Boot]) -> None:
    refusals = [
        f"{each.target.path} holds the enrolment file of {_name(held)} already. Use it, or flash the card again"
        for each in boots
        if (held := each.read()) is not None
    ]
    if refusals:
        raise ImageError("nothing was written, and the gateway not asked:\n  " + "\n  ".join(refusals))


def _name(file: bytes) -> str:
    found = enrolment.read(file)
    return "somebody" if found is None else found.device


def _prepared(boots: Sequence[Boot], directory: Path) -> list[Enrolment]:
    """Choose a file of the directory for each card: the one that it holds already, or the next one."""
    waiting = []
    for path in sorted(directory.glob(f"BM-*{_SUFFIX}")):
        with path.open("rb") as opened:
            found = enrolment.read(opened.read(enrolment.MAX_OCTETS + 1))
        if found is None or found.device != path.stem:
            raise ImageError(f"{path} is not the enrolment file of {path.stem}. Take it away, and run this again")
        waiting.append(found)
    held = [each.read() for each in boots]
    refusals = []
    for each, file in zip(boots, held, strict=True):
        if file is None:
            continue
        first = boots[held.index(file)]
        if file not in {one.file for one in waiting}:
            refusals.append(
                f"{each.target.path} holds the enrolment file of {_name(file)} already. Use it, or flash the card again"
            )
        elif first is not each:
            refusals.append(
                f"{each.target.path} holds the enrolment file of {_name(file)}, as {first.target.path} does. Flash one"
                " of them again"
            )
    if refusals:
        raise ImageError("nothing was written:\n  " + "\n  ".join(refusals))
    free = iter([each for each in waiting if each.file not in held])
    chosen = [next((each for each in waiting if each.file == file), None) or next(free, None) for file in held]
    given = [each for each in chosen if each is not None]
    if len(given) < len(boots):
        raise ImageError(f"{directory} has {len(waiting)} files, for {len(boots)} cards. Make more with --out")
    return given


def _put(boots: Sequence[Boot], given: Sequence[Enrolment], prepared: Path | None) -> tuple[list[Enrolment], list[str]]:
    done: list[Enrolment] = []
    failures: list[str] = []
    for each, device in zip(boots, given, strict=True):
        card = each.target.path
        try:
            already = _hand_over(each, device, prepared)
        except (ImageError, OSError) as error:
            name = device.device
            failures.append(f"{card} {error}. {name} may be on it: run 'bondmate-gateway withdraw {name}'")
        else:
            say(f"{card}  {device.device}" + (", which it held already" if already else ""))
            done.append(device)
    return done, failures


def _hand_over(boot: Boot, device: Enrolment, prepared: Path | None) -> bool:
    """Put a file onto a card; return whether it was there already. After an ImageError or OSError it may be there."""
    try:
        already = boot.read() == device.file
        if not already:
            boot.write(device.file)
        return already
    finally:
        # Whatever came of it, no other card gets the file: the gateway takes one of two devices with one secret.
        if prepared is not None:
            (prepared / f"{device.device}{_SUFFIX}").unlink(missing_ok=True)


def _keep(made: Sequence[Enrolment], directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in made:
        path = directory / f"{each.device}{_SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(each.file)
            file.flush()
            os.fsync(descriptor)
        say(str(path))
    complain("bondmate-image: these files hold secrets until they were used: keep them where nobody else reads")


def _say_labels(print_labels: Callable[[Sequence[Label]], str] | None, devices: Sequence[Enrolment]) -> None:
    if print_labels is not None and devices:
        say(print_labels([Label(each.device, each.issued_s, None) for each in devices]))
