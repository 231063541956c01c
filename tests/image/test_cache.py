from pathlib import Path

import pytest

from bondmate_image import cache
from bondmate_image.cache import Cache


@pytest.mark.parametrize("other", [["ab", "d"], ["a", "bc"], ["abc"], ["a", "b", "c"], ["c", "ab"]])
def test_other_inputs_have_another_key(other: list[str]) -> None:
    assert cache.key(other) != cache.key(["ab", "c"])
    assert cache.key(["ab", b"c"]) == cache.key(["ab", "c"])


def test_a_tree_is_told_by_names_modes_links_and_contents(tmp_path: Path) -> None:
    def make(name: str, *, content: str = "x", mode: int = 0o644, target: str = "file", file: str = "file") -> bytes:
        tree = tmp_path / name
        (tree / "folder").mkdir(parents=True)
        (tree / "folder" / file).write_text(content)
        (tree / "folder" / file).chmod(mode)
        (tree / "folder/link").symlink_to(target)
        return cache.tree(tree)

    same = make("one")
    assert make("two") == same
    assert make("group", mode=0o664) == same
    others = {
        make("content", content="y"),
        make("mode", mode=0o755),
        make("target", target="x"),
        make("name", file="other"),
    }
    assert len(others | {same}) == 5


def test_what_python_compiled_is_no_part_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    before = cache.tree(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").touch()
    assert cache.tree(tmp_path) == before


def test_a_stage_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, made = Cache(tmp_path / "cache"), list[Path]()

    def make(folder: Path) -> None:
        (folder / "result").write_text("done")
        made.append(folder)

    first = kept.stage("part", "making it", ["x"], make)
    again = kept.stage("part", "making it", ["x"], make)
    other = kept.stage("part", "making it", ["y"], make)
    assert first == again != other
    assert len(made) == 2
    assert (first / "result").read_text() == "done"
    assert capsys.readouterr().err.splitlines()[::2] == ["part: making it ...", "part: cached", "part: done in 0 s"]


def test_a_stage_that_failed_leaves_nothing(tmp_path: Path) -> None:
    kept = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        kept.stage("part", "making it", [], fail)
    assert [path.name for path in tmp_path.iterdir()] == ["part.lock"]
    assert kept.stage("part", "making it", [], lambda _: None).is_dir()


def test_old_results_are_forgotten(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    made = [kept.stage("part", "making it", [str(number)], lambda _: None) for number in range(6)]
    beside = kept.stage("party", "making it", [], lambda _: None)
    assert beside.is_dir()
    assert made[-1].is_dir()
    assert len([folder for folder in made if folder.is_dir()]) == 3


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.standard_directory() == tmp_path / "bondmate-image"
