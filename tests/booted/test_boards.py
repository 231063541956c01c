"""Each board finds its card: what drives the card, and what feeds it, is in the kernel or in the first file system.

QEMU's boards cannot show it: none of theirs has a card that is fed through a regulator, as a Pi 4's and a CM4's is.
"""

import tarfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import fdt
import pytest

from bondmate_image import build, recipe
from tests.booted.conftest import Image

BOARDS = (
    "bcm2837-rpi-zero-2-w", "bcm2837-rpi-3-b", "bcm2837-rpi-3-b-plus", "bcm2837-rpi-3-a-plus", "bcm2711-rpi-4-b",
    "bcm2711-rpi-cm4-io",
)  # fmt: skip
"""The names by which the firmware looks for a board's device tree, with `upstream_kernel`."""
RADIO = "wifi@1"
"""The other SD host has it."""


@pytest.fixture(scope="module")
def kernel(image: Image) -> dict[str, bytes]:
    """The files of Debian's kernel that say what there is, by their names."""
    with tarfile.open(build.parts(image.wanted).debian.archive) as archive:
        return {
            Path(member.name).name: file.read()
            for member in archive
            if member.name.endswith(("/modules.alias", *(f"/{board}.dtb" for board in BOARDS)))
            and (file := archive.extractfile(member)) is not None
        }


@pytest.mark.parametrize("board", BOARDS)
def test_what_the_card_needs_is_there_before_the_card(kernel: dict[str, bytes], board: str) -> None:
    tree = fdt.parse_dtb(kernel[f"{board}.dtb"])
    wanted = needed(tree, card(tree))
    assert wanted
    assert missing(wanted, kernel["modules.alias"].decode(), recipe.initramfs_modules()) == []


def test_a_regulator_that_is_not_there_is_seen(kernel: dict[str, bytes]) -> None:
    tree = fdt.parse_dtb(kernel["bcm2711-rpi-4-b.dtb"])
    without = [name for name in recipe.initramfs_modules() if name != "fixed"]
    assert missing(needed(tree, card(tree)), kernel["modules.alias"].decode(), without) == ["fixed"]


def card(tree: fdt.FDT) -> fdt.Node:
    """The SD host that has the card."""
    (found,) = (
        node
        for node in nodes(tree)
        if node.name.startswith("mmc@") and value(node, "status") == ["okay"] and not node.exist_subnode(RADIO)
    )
    return found


def needed(tree: fdt.FDT, host: fdt.Node) -> list[list[str]]:
    """What the host is, and what each of its supplies is, by the names that their drivers go by."""
    by_handle = {value(node, "phandle")[0]: node for node in nodes(tree) if node.exist_property("phandle")}
    supplies = [by_handle[each.data[0]] for each in host.props if each.name.endswith("-supply")]
    return [value(node, "compatible") for node in (host, *supplies)]


def missing(wanted: list[list[str]], aliases: str, brought: list[str]) -> list[str]:
    """Modules that are wanted and not brought. What no module drives is in the kernel itself."""
    patterns = [line.split()[1:] for line in aliases.splitlines() if line.startswith("alias of:")]
    modules = [
        {module for pattern, module in patterns if any(fnmatch(f"of:N*T*C{name}", pattern) for name in names)}
        for names in wanted
    ]
    here = {name.replace("-", "_") for name in brought}
    return sorted(name for found in modules if not found & here for name in found)


def nodes(tree: fdt.FDT) -> list[fdt.Node]:
    """All of the tree's."""
    return [tree.get_node(f"{path}/{node.name}") for path, children, _ in tree.walk() for node in children]


def value(node: fdt.Node, name: str) -> list[Any]:
    """A property's; of one that is not there nothing."""
    found = node.get_property(name)
    return [] if found is None else list(found.data)
