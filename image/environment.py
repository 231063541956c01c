"""The daemon and the Python packages that it needs, as a virtual environment for the image's architecture.

Wheels alone, and only those whose hashes `requirements/device.txt` pins; nothing of them runs while this is built.
"""

import configparser
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from bondmate_image import cache, host, recipe
from bondmate_image.cache import Cache
from bondmate_image.host import Tools

PYTHON = "3.13"
"""Of Debian's release."""

PLACE = Path("usr/lib/bondmate")

_PACKAGE = "bondmate"
_DEBIANS = {"systemd-python": "systemd"}
"""What has no wheel, and the package of it that Debian's own Python brings."""

_PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in range(41, 16, -1)] + ["manylinux2014_aarch64"]
"""Debian's C library is 2.41."""

_SCRIPT = """#!/{place}/bin/python -I
import sys
from {module} import {function}
sys.exit({function}())
"""


@dataclass(frozen=True, slots=True)
class PythonPackage:
    """One Python package of the environment."""

    name: str
    version: str


def environment(cache_: Cache, tools: Tools) -> Path:
    """Return a tree to be laid over the root file system; it holds the environment under `PLACE`."""
    top = recipe.repository()
    inputs: list[str | bytes] = [
        *(_SCRIPT, PYTHON, *_PLATFORMS),
        *(
            (top / file).read_bytes()
            for file in ("pyproject.toml", "requirements/device.txt", "requirements/build.txt")
        ),
        cache.tree(top / "daemon"),
    ]
    what = "laying out the daemon with its Python packages"
    return cache_.stage("environment", what, inputs, lambda folder: _make(folder, top, tools))


def installed(tree: Path) -> tuple[PythonPackage, ...]:
    """Return the Python packages of a tree that `environment` made, by name."""
    found = (PythonPackage(each.metadata["Name"], each.version) for each in distributions(path=[str(_site(tree))]))
    return tuple(sorted(found, key=lambda package: package.name.lower()))


def without(requirements: str, names: set[str]) -> str:
    """Return pinned requirements without some packages: each goes from its own line to the next package's."""
    pattern = "|".join(re.escape(name) for name in sorted(names))
    return re.sub(rf"^(?:{pattern})==.*\n(?:[ \t].*\n)*", "", requirements, flags=re.MULTILINE)


def _site(tree: Path) -> Path:
    return tree / PLACE / "lib" / f"python{PYTHON}" / "site-packages"


def _make(folder: Path, top: Path, tools: Tools) -> None:
    site, programs = _site(folder), folder / PLACE / "bin"
    pinned = folder / "requirements.txt"
    pinned.write_text(without((top / "requirements/device.txt").read_text(encoding="utf-8"), set(_DEBIANS)))
    platforms = [f"--platform={each}" for each in _PLATFORMS]
    _pip(
        *(
            "install",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--no-compile",
            f"--python-version={PYTHON}",
        ),
        *platforms,
        *("--target", str(site), "-r", str(pinned)),
    )
    pinned.unlink()
    shutil.rmtree(site / "bin", ignore_errors=True)
    _own_package(folder, top, site)
    for package in _DEBIANS.values():
        (site / package).symlink_to(f"/usr/lib/python3/dist-packages/{package}")
    programs.mkdir()
    (programs / "python").symlink_to(f"/usr/bin/python{PYTHON}")
    (folder / PLACE / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    _write_programs(site, programs)
    (folder / "usr/bin").mkdir()
    (folder / "usr/bin/bondmatectl").symlink_to(f"/{PLACE}/bin/bondmatectl")
    # by the release's own Python; never looked at again whether it is still that of the source: both are read-only
    tools.run(
        folder,
        *("python3", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-s", "/folder", "-p", "/"),
        f"/folder/{PLACE}",
    )


def _own_package(folder: Path, top: Path, site: Path) -> None:
    """Build the daemon's wheel from its own folder alone, so that no simulator and no tool comes along."""
    source = folder / "source"
    (source / ".src").mkdir(parents=True)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(top / file, source / file)
    shutil.copytree(top / "daemon", source / ".src" / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    _pip(
        "install", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--target", str(site), str(source)
    )
    shutil.rmtree(source)
    shutil.rmtree(site / "bin", ignore_errors=True)
    # where it came from: a folder of this computer
    for name in ("direct_url.json", "RECORD"):
        (_entry_file(site).parent / name).unlink()
    entries = _entry_points(site)
    for group in entries.sections():
        for name, target in entries.items(group):
            if target.partition(":")[0].split(".")[0] != _PACKAGE:
                entries.remove_option(group, name)
        if not entries.options(group):
            entries.remove_section(group)
    with _entry_file(site).open("w", encoding="utf-8") as opened:
        entries.write(opened)


def _own(site: Path) -> Distribution:
    (found,) = distributions(name=_PACKAGE, path=[str(site)])
    return found


def _entry_file(site: Path) -> Path:
    return Path(str(_own(site).locate_file(f"{_PACKAGE}-{_own(site).version}.dist-info/entry_points.txt")))


def _entry_points(site: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    parser.read(_entry_file(site), encoding="utf-8")
    return parser


def _write_programs(site: Path, programs: Path) -> None:
    for name, target in _entry_points(site).items("console_scripts"):
        module, _, function = target.partition(":")
        program = programs / name
        program.write_text(_SCRIPT.format(place=PLACE, module=module.strip(), function=function.strip()))
        program.chmod(0o755)


def _pip(*arguments: str) -> None:
    host.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments])
