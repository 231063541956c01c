"""`bondmate-image bundle`: an update that the devices of an image accept, as a signed RAUC bundle (docs/updates.md).

What it holds is one slot, made as `build` makes it. Its manifest says which devices it is for; the image's own
`accept_bundle.py` reads that on the device, before anything is written.
"""

import argparse
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bondmate_image import build, card, papers, progress, recipe
from bondmate_image.errors import ImageError
from bondmate_image.host import CommandError, Tools
from bondmate_image.recipe import Wanted

COMPATIBLE = "bondmate"
MAX_OCTETS = 1 << 30
"""What an update message may announce (docs/protocol.md, section 10)."""

_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII)
"""https://semver.org: whoever compares two versions needs to know which is the older one."""
_SQUASHFS = "-comp zstd -Xcompression-level 9 -no-progress"


@dataclass(frozen=True, slots=True)
class Signer:
    """Files in PEM: a certificate that the devices' keyring vouches for, and its private key."""

    certificate: Path
    key: Path


def add_parser(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `bundle`."""
    summary = "Make a signed update for devices that run an image, from a clone of the repository, as root."
    parser = parsers.add_parser("bundle", help=summary, description=summary)
    parser.set_defaults(command=_bundle)
    build.add_options(parser)
    parser.add_argument("--cert", type=Path, required=True, metavar="PEM", help="the signer's certificate")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="PEM", help="the signer's private key, without a passphrase"
    )
    parser.add_argument(
        "--min-version",
        type=version,
        metavar="V",
        help="the oldest version that it may replace (default: what the recipe says)",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="where to put the bundle")


def version(text: str) -> str:
    """Return a version that has an order; ArgumentTypeError for any other."""
    if len(text) > 64 or not _VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} has no order: give it as 1.2.3, 1.2.3-rc.1 or 1.2.3+site")
    return text


def manifest(wanted: Wanted, says: dict[str, str]) -> str:
    """Return RAUC's manifest; `says` is what the device is told of the bundle, beside its version and screen."""
    said = {"version": wanted.version, "screen": wanted.screen, **says}
    meta = "".join(f"{name}={value}\n" for name, value in said.items())
    return f"""[update]
compatible={COMPATIBLE}
version={wanted.version}

[bundle]
format=verity

[image.rootfs]
filename=rootfs.ext4

[meta.bondmate]
{meta}"""


def bundle(wanted: Wanted, signer: Signer, out: Path, min_version: str | None = None) -> Path:
    """Make a bundle in a folder, and return its path. `min_version`: the oldest version that it may replace."""
    if wanted.trust.keyring is None:
        raise ImageError(
            "what it installs would believe no further update: give --update-keyring, as to the image of the devices"
        )
    said = recipe.updates()
    says = {"replaces": min_version or said["replaces"]}
    says |= {name: said[name] for name in ("store", "store_oldest", "store_reader")}
    parts = build.parts(wanted)
    out.mkdir(parents=True, exist_ok=True)
    made = out / f"{wanted.name}.raucb"
    with (
        progress.stage("bundle", "packing and signing the slot"),
        tempfile.TemporaryDirectory(prefix=".bundling-", dir=out) as folder,
    ):
        work = Path(folder)
        (work / "content").mkdir()
        card.clone(parts.slot.file_system, work / "content/rootfs.ext4")
        sign(parts.tools, work, manifest(wanted, says), signer, wanted)
        if (octets := (work / "made.raucb").stat().st_size) > MAX_OCTETS:
            raise ImageError(f"the bundle has {octets} octets, and {MAX_OCTETS} are the most that devices fetch")
        shutil.move(work / "made.raucb", made)
    progress.say(f"{octets} octets, SHA-256 {papers.sha256(made)}")
    progress.say(f"{made}")
    return made


def sign(tools: Tools, work: Path, text: str, signer: Signer, wanted: Wanted) -> None:
    """Make `made.raucb` in `work` of the images in its folder `content` and the text of a manifest.

    RAUC itself holds the signature against the keyring. ImageError if that does not vouch for the signer.
    """
    (work / "content/manifest.raucm").write_text(text, encoding="utf-8")
    (work / "cert.pem").write_bytes(signer.certificate.read_bytes())
    (work / "keyring.pem").write_bytes(wanted.trust.keyring or b"")
    try:
        tools.run(
            work,
            *("rauc", "--cert=/folder/cert.pem", "--key=/dev/stdin", "--keyring=/folder/keyring.pem"),
            *(f"--mksquashfs-args={_SQUASHFS}", "bundle", "/folder/content", "/folder/made.raucb"),
            environment={"SOURCE_DATE_EPOCH": str(wanted.epoch)},
            # through a pipe: no second file ever holds it
            given=signer.key.read_text(encoding="ascii", errors="replace"),
        )
    except CommandError as error:
        raise ImageError(
            f"no bundle was made: does the keyring vouch for {signer.certificate}, and is {signer.key} its key? {error}"
        ) from error


def _bundle(arguments: argparse.Namespace) -> None:
    wanted = build.wanted(arguments)
    try:
        version(wanted.version)
    except argparse.ArgumentTypeError as error:
        raise ImageError(f"--version: {error}") from error
    bundle(wanted, Signer(arguments.cert, arguments.key), arguments.out, arguments.min_version)
