"""Which other `worker` Python would find is named; what it would not find is left alone."""

import shutil
import sys
from pathlib import Path

import pytest

import worker
from worker.identity import foreign_worker

OURS = Path(worker.__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working directory, empty, and before it on the path nothing but ourselves."""
    outside = [entry for entry in sys.path if not (Path(entry or ".") / "worker").exists()]
    monkeypatch.setattr(sys, "path", [str(OURS), *outside])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add_distribution(folder: Path, name: str) -> None:
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "top_level.txt").write_text("worker\n")
    (folder / "worker").mkdir()


def test_alone_there_is_nothing_to_say() -> None:
    assert foreign_worker() is None


@pytest.mark.parametrize("file", ["worker/__init__.py", "worker.py"])
def test_one_in_the_working_directory_is_named(folder: Path, file: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).touch()

    problem = foreign_worker()

    assert problem is not None
    assert problem.startswith(f"{folder / file} is a package `worker` too; rename it")


def test_one_elsewhere_on_the_path_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "worker").mkdir(parents=True)
    (elsewhere / "worker" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(elsewhere)])
    assert str(elsewhere) in str(foreign_worker())


def test_a_plain_folder_is_in_nobodys_way(folder: Path) -> None:
    (folder / "worker").mkdir()
    (folder / "worker" / "notes.txt").touch()
    assert foreign_worker() is None


def test_ourselves_are_not_foreign_in_our_own_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(OURS)
    assert foreign_worker() is None


def test_ourselves_are_not_foreign_through_a_link(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "link").symlink_to(OURS, target_is_directory=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder / "link")])
    assert foreign_worker() is None


def test_a_clone_beside_an_installed_copy_is_not_foreign(folder: Path) -> None:
    shutil.copytree(OURS / "worker", folder / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    assert foreign_worker() is None


@pytest.mark.parametrize(("name", "foreign"), [("celery-worker", True), ("crud_worker", False)])
def test_another_distribution_is_named(
    name: str,
    foreign: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    add_distribution(site, name)
    monkeypatch.syspath_prepend(site)

    problem = foreign_worker()

    assert (problem is not None) is foreign
    if foreign:
        assert f"distribution {name!r} has a package `worker` too; uninstall one" in str(problem)
