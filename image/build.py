"""`bondmate-image build`: from this repository to an image, and the papers that go with it."""

import argparse
import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bondmate_image import cache, card, environment, host, packages, papers, progress, recipe, root, trust
from bondmate_image.cache import Cache
from bondmate_image.environment import Environment
from bondmate_image.errors import ImageError
from bondmate_image.host import Tools
from bondmate_image.packages import Packages
from bondmate_image.recipe import Profile, Wanted
from bondmate_image.root import Slot
from bondmate_image.trust import Trust


def add_parser(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `build`."""
    summary = "Build the image of the device from a clone of the repository, as root."
    parser = parsers.add_parser("build", help=summary, description=summary)
    parser.set_defaults(command=_build)
    add_options(parser)
    parser.add_argument(
        "--sign-key", type=Path, metavar="PEM", help="a private key, P-256 or Ed25519, that signs the list of checksums"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="where to put the image")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which image is meant; `wanted` reads it."""
    parser.add_argument(
        "--version", type=_version, help="what the image calls itself (default: the repository's version)"
    )
    parser.add_argument(
        "--profile",
        type=Profile,
        choices=list(Profile),
        default=Profile.RELEASE,
        metavar="{release,bench}",
        help="release (the default), or bench: a developer's, with ssh by key alone",
    )
    parser.add_argument(
        "--touch", action="store_true", help="for devices with a touch screen: a browser shows the officer's page"
    )
    parser.add_argument(
        "--force-key", type=Path, metavar="PEM", help="the force's public key, which signs the cards' enrolment files"
    )
    parser.add_argument(
        "--update-keyring",
        type=Path,
        metavar="PEM",
        help="certificates of the authorities whose signers' updates count",
    )
    parser.add_argument(
        "--ssh-keys", type=Path, metavar="FILE", help="public keys of those who may log in to a bench, as root"
    )


def wanted(arguments: argparse.Namespace) -> Wanted:
    """Return which image is meant. ImageError where a key is none of its kind, or of no use; OSError."""
    epoch = recipe.epoch()
    if arguments.ssh_keys is not None and arguments.profile is not Profile.BENCH:
        raise ImageError("a release image has no ssh, so nobody logs in: --ssh-keys is for --profile bench")
    believed = Trust(
        None if arguments.force_key is None else trust.force_key(arguments.force_key),
        None if arguments.update_keyring is None else trust.keyring(arguments.update_keyring, epoch),
        None if arguments.ssh_keys is None else trust.ssh_keys(arguments.ssh_keys),
    )
    return Wanted(arguments.version or recipe.version(), arguments.profile, epoch, believed, arguments.touch)


@dataclass(frozen=True, slots=True)
class Parts:
    """What an image is made of: Debian's packages, the daemon's environment, and the slot that both are in."""

    tools: Tools
    debian: Packages
    python: Environment
    slot: Slot


def parts(wanted: Wanted) -> Parts:
    """Return what an image is made of, which is made the first time."""
    host.prepare()
    kept = Cache(cache.standard_directory())
    tools = host.tools(kept)
    debian = packages.packages(kept, wanted)
    python = environment.environment(kept, tools)
    return Parts(tools, debian, python, root.slot(kept, tools, wanted, debian, python))


def image(wanted: Wanted, out: Path, sign_key: Path | None = None) -> Path:
    """Build an image and its papers into a folder, and return the image's path."""
    made_of = parts(wanted)
    slot = made_of.slot
    out.mkdir(parents=True, exist_ok=True)
    made, bmap = out / f"{wanted.name}.img", out / f"{wanted.name}.bmap"
    with (
        progress.stage("card", "putting the image together"),
        tempfile.TemporaryDirectory(prefix=".building-", dir=out) as folder,
    ):
        card.make(Path(folder), made_of.tools, wanted, slot)
        shutil.move(Path(folder) / "card.img", made)
        shutil.move(Path(folder) / "card.bmap", bmap)
    with progress.stage("papers", "manifest, bill of materials, checksums"):
        # a package that boots the board may be installed in the slots too, and is named once
        debian = sorted({*made_of.debian.installed, *card.firmware(made_of.tools)})
        python = made_of.python.installed
        digest = papers.sha256(made)
        hashes = {"image": digest, "slot": papers.sha256(slot.file_system)}
        hashes |= {place.name: hashlib.sha256(pem).hexdigest() for place, pem in wanted.trust.files().items()}
        manifest, sbom = out / f"{wanted.name}.manifest.json", out / f"{wanted.name}.cdx.json"
        manifest.write_text(papers.manifest(wanted, debian, python, hashes), encoding="utf-8")
        sbom.write_text(papers.sbom(wanted, debian, python), encoding="utf-8")
        (out / "os_list.json").write_text(papers.os_list(wanted, made, made.stat().st_size, digest), encoding="utf-8")
        sums = out / f"{wanted.name}.sha256"
        sums.write_text(papers.checksums([made, bmap, manifest, sbom]), encoding="utf-8")
        if sign_key is not None:
            sums.with_suffix(".sha256.sig").write_bytes(papers.sign(sums.read_bytes(), sign_key))
    if sign_key is None:
        progress.say(f"{sums} is not signed: --sign-key signs it")
    if wanted.trust.force_key is None:
        progress.say(
            "THIS IMAGE BELIEVES NO ENROLMENT FILE: no card of it can be enrolled. --force-key makes one that can"
        )
    if wanted.trust.keyring is None:
        progress.say(
            "THIS IMAGE BELIEVES NO UPDATE: its cards have to be flashed anew. --update-keyring makes one that does"
        )
    if wanted.profile is Profile.BENCH and wanted.trust.ssh_keys is None:
        progress.say("NOBODY CAN LOG IN TO THIS IMAGE: --ssh-keys makes one with ssh for the keys that it is given")
    progress.say(f"{made}")
    return made


def _build(arguments: argparse.Namespace) -> None:
    image(wanted(arguments), arguments.out, arguments.sign_key)


def _version(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.+~-]{0,63}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version: letters, digits and . + ~ - are")
    return text
