"""The daemon and the Python packages that it needs, as a virtual environment for the image's architecture.

Wheels alone, and only those whose hashes `requirements/device.txt` pins; nothing of them runs while this is built.
"""

import configparser
import hashlib
import re
import shutil
import sys
import tempfile
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
    """One Python package of the environment; `sha256` is that of its wheel. The daemon has none: it is built here."""

    name: str
    version: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Environment:
    """A tree to be laid over the root file system, which holds the environment under `PLACE`, and what is in it."""

    tree: Path
    installed: tuple[PythonPackage, ...]


def environment(cache_: Cache, tools: Tools) -> Environment:
    """Return the daemon with its Python packages, which is laid out the first time."""
    top = recipe.repository()
    inputs: list[str | bytes] = [
        *("2", _SCRIPT, PYTHON, *_PLATFORMS),
        *(
            (top / file).read_bytes()
            for file in ("pyproject.toml", "requirements/device.txt", "requirements/build.txt")
        ),
        cache.tree(top / "daemon"),
    ]
    what = "laying out the daemon with its Python packages"
    made = cache_.stage("environment", what, inputs, lambda folder: _make(folder, top, tools))
    return Environment(made / "tree", installed(made / "tree", (made / "wheels").read_text(encoding="utf-8")))


def install(requirements: str, site: Path) -> str:
    """Install pinned requirements for the image's architecture; return the wheels as `sha256sum` lists them.

    The requirements' hashes are those of every wheel that may be taken. So the wheels are put into a folder first, and
    installed from there: what is hashed is what was installed. CommandError if a wheel is missing, or is another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        pinned, wheels = Path(folder) / "requirements.txt", Path(folder) / "wheels"
        pinned.write_text(requirements, encoding="utf-8")
        meant = [
            *("--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={PYTHON}"),
            *(f"--platform={each}" for each in _PLATFORMS),
            f"--requirement={pinned}",
        ]
        _pip("download", *meant, f"--dest={wheels}")
        _pip("install", *meant, "--no-index", f"--find-links={wheels}", "--no-compile", f"--target={site}")
        _forget_programs(site)
        found = sorted(wheels.iterdir())
        return "".join(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n" for wheel in found)


def installed(tree: Path, wheels: str) -> tuple[PythonPackage, ...]:
    """Return the Python packages of a tree, by name, with their hashes from the list that `install` returned."""
    hashes = {}
    for line in wheels.splitlines():
        digest, wheel = line.split("  ")
        hashes[_normal(wheel.partition("-")[0])] = digest
    found = []
    for each in distributions(path=[str(_site(tree))]):
        name = each.metadata["Name"]
        found.append(PythonPackage(name, each.version, None if name == _PACKAGE else hashes[_normal(name)]))
    return tuple(sorted(found, key=lambda package: package.name.lower()))


def without(requirements: str, names: set[str]) -> str:
    """Return pinned requirements without some packages: each goes from its own line to the next package's."""
    pattern = "|".join(re.escape(name) for name in sorted(names))
    return re.sub(rf"^(?:{pattern})==.*\n(?:[ \t].*\n)*", "", requirements, flags=re.MULTILINE)


def _normal(name: str) -> str:
    """Return a package's name as it compares: a wheel's own name is spelt in another way (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _forget_programs(site: Path) -> None:
    """Remove the packages' own programs, and their hashes: they name the Python of the clone that builds."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for record in site.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith("../../bin/")), encoding="utf-8")


def _site(tree: Path) -> Path:
    return tree / PLACE / "lib" / f"python{PYTHON}" / "site-packages"


def _make(folder: Path, top: Path, tools: Tools) -> None:
    tree = folder / "tree"
    site, programs = _site(tree), tree / PLACE / "bin"
    pinned = (top / "requirements/device.txt").read_text(encoding="utf-8")
    (folder / "wheels").write_text(install(without(pinned, set(_DEBIANS)), site), encoding="utf-8")
    _own_package(folder, top, site)
    for package in _DEBIANS.values():
        (site / package).symlink_to(f"/usr/lib/python3/dist-packages/{package}")
    programs.mkdir()
    (programs / "python").symlink_to(f"/usr/bin/python{PYTHON}")
    (tree / PLACE / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    _write_programs(site, programs)
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/bondmatectl").symlink_to(f"/{PLACE}/bin/bondmatectl")
    # by the release's own Python; never looked at again whether it is still that of the source: both are read-only
    tools.run(
        tree,
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
