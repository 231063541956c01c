import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from bondmate_image import environment
from bondmate_image.environment import PythonPackage
from bondmate_image.host import CommandError
from tests.conftest import TOP

PINNED = """# locked
systemd-python==235 ; sys_platform == 'linux' \\
    --hash=sha256:aa
    # via bondmate
systemd-python-extra==1 \\
    --hash=sha256:bb
yarl==1.25.1 \\
    --hash=sha256:cc
"""


def test_a_package_is_left_out_with_its_hashes() -> None:
    assert environment.without(PINNED, {"systemd-python"}) == (
        "# locked\nsystemd-python-extra==1 \\\n    --hash=sha256:bb\nyarl==1.25.1 \\\n    --hash=sha256:cc\n"
    )


def test_what_debian_brings_is_pinned_under_the_same_name() -> None:
    pinned = (TOP / "requirements/device.txt").read_text()
    left = environment.without(pinned, {"systemd-python"})
    assert len(pinned.splitlines()) - len(left.splitlines()) >= 2
    assert "systemd-python==" not in left


def _wheel(folder: Path, name: str, version: str, tag: str) -> str:
    """Make a wheel that pip installs, and return its hash."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"TAG = {tag!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        file.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, in the place of PyPI."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_hash_is_that_of_the_wheel_that_was_installed(tmp_path: Path, index: Path) -> None:
    """The requirements allow every wheel of a version; what is named is the one for the board."""
    pc = _wheel(index, "a_b", "1.0", "cp313-cp313-manylinux_2_17_x86_64")
    board = _wheel(index, "a_b", "1.0", "cp313-cp313-manylinux_2_17_aarch64")
    site = tmp_path / environment.PLACE / f"lib/python{environment.PYTHON}/site-packages"
    wheels = environment.install(f"a-b==1.0 --hash=sha256:{pc} --hash=sha256:{board}\n", site)
    assert (site / "a_b.py").read_text() == "TAG = 'cp313-cp313-manylinux_2_17_aarch64'\n"
    assert environment.installed(tmp_path, wheels) == (PythonPackage("a_b", "1.0", board),)
    subprocess.run(["sha256sum", "--check", "--strict"], input=wheels, cwd=index, text=True, check=True)


def test_nothing_names_the_python_that_installed_it(tmp_path: Path, index: Path) -> None:
    """A clone in another folder makes the same bytes: a program names its Python, and RECORD has the program's hash."""
    pinned = f"a-b==1.0 --hash=sha256:{_wheel(index, 'a_b', '1.0', 'py3-none-any')}\n"
    environment.install(pinned, tmp_path / "site")
    assert not (tmp_path / "site/bin").exists()
    recorded = (tmp_path / "site/a_b-1.0.dist-info/RECORD").read_text().splitlines()
    assert {line.partition(",")[0] for line in recorded} == {
        "a_b.py",
        *(f"a_b-1.0.dist-info/{name}" for name in ("INSTALLER", "METADATA", "RECORD", "WHEEL", "entry_points.txt")),
        "a_b-1.0.dist-info/REQUESTED",
    }


def test_a_wheel_that_is_not_pinned_is_not_installed(tmp_path: Path, index: Path) -> None:
    _wheel(index, "a_b", "1.0", "py3-none-any")
    with pytest.raises(CommandError, match="DO NOT MATCH THE HASHES"):
        environment.install(f"a-b==1.0 --hash=sha256:{'0' * 64}\n", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def _installed(tree: Path, *names: str) -> None:
    for name in names:
        info = tree / environment.PLACE / f"lib/python{environment.PYTHON}/site-packages/{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_packages_are_listed_by_name_however_a_wheel_spells_it(tmp_path: Path) -> None:
    _installed(tmp_path, "yarl", "Some.Name", "bondmate")
    assert environment.installed(tmp_path, "aa  some_name-1.0-py3-none-any.whl\nbb  yarl-1.0-py3-none-any.whl\n") == (
        PythonPackage("bondmate", "1.0", None),
        PythonPackage("Some.Name", "1.0", "aa"),
        PythonPackage("yarl", "1.0", "bb"),
    )


def test_no_package_but_the_daemon_goes_without_a_hash(tmp_path: Path) -> None:
    _installed(tmp_path, "bondmate", "yarl")
    with pytest.raises(KeyError, match="yarl"):
        environment.installed(tmp_path, "")
