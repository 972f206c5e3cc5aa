"""A run says which code it ran: a commit, a package, or a digest."""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from beam_obs.runs.code_version import _installed

PROGRAM = (
    "import json; from beam_obs.runs.code_version import code_version; print(json.dumps(code_version()))"
)


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def version(run_program: Callable[..., tuple[int, str, str]]) -> dict[str, object]:
    code, output, errors = run_program(PROGRAM)
    assert code == 0, errors
    return dict(json.loads(output))


def test_a_program_outside_git_has_a_digest(run_program: Callable[..., tuple[int, str, str]]) -> None:
    found = version(run_program)
    assert str(found["version"]).startswith("sha256:")
    assert found["commit"] is None


def test_a_committed_program_has_its_commit(run_program: Callable[..., tuple[int, str, str]]) -> None:
    git("init", "-q")
    pathlib.Path("program.py").write_text(PROGRAM)
    git("add", "program.py")
    git("commit", "-q", "-m", "Add")
    found = version(run_program)
    assert found["dirty"] is False
    assert found["version"] == str(found["commit"])[:12]


def test_a_changed_file_makes_it_dirty(run_program: Callable[..., tuple[int, str, str]]) -> None:
    git("init", "-q")
    for name in ("program.py", "other.py"):
        pathlib.Path(name).write_text(PROGRAM)
    git("add", ".")
    git("commit", "-q", "-m", "Add")
    pathlib.Path("other.py").write_text("changed = 1")
    found = version(run_program)
    assert found["dirty"] is True
    assert str(found["version"]).endswith("+dirty")


def test_a_program_that_git_does_not_know_is_dirty(run_program: Callable[..., tuple[int, str, str]]) -> None:
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "Empty")
    assert version(run_program)["dirty"] is True


def test_files_of_packages_that_are_elsewhere_are_not_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        importlib.metadata.Distribution, "files", property(lambda package: read.append(package.name))
    )
    assert _installed("program", str(tmp_path / "program.py")) is None
    assert not read


@pytest.mark.parametrize("edited", [True, False])
def test_a_package_that_is_edited_in_place_has_what_is_in_its_folder(
    edited: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site" / "theirs-1.2.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    (installed / "top_level.txt").write_text("theirs\n")
    origin = {"url": (tmp_path / "project").as_uri(), "dir_info": {"editable": edited}}
    (installed / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    assert _installed("theirs", str(tmp_path / "project" / "a.py")) == ("theirs 1.2" if edited else None)
    assert _installed("tests", str(tmp_path / "project" / "b.py")) is None
    assert _installed("theirs", str(tmp_path / "elsewhere" / "c.py")) is None


@pytest.mark.parametrize(
    ("owned", "package"), [("elsewhere/program.py", None), ("shared_name/program.py", "theirs 1.2")]
)
def test_a_module_is_of_a_package_only_where_that_installed_its_file(owned: str, package: str | None) -> None:
    installed = pathlib.Path("theirs-1.2.dist-info")
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    (installed / "top_level.txt").write_text("shared_name\n")
    (installed / "RECORD").write_text(f"{owned},,\n")
    module = pathlib.Path("shared_name") / "program.py"
    module.parent.mkdir()
    module.write_text(PROGRAM)
    command = [sys.executable, "-m", "shared_name.program"]
    told = subprocess.run(command, check=True, capture_output=True).stdout
    assert json.loads(told)["package"] == package
