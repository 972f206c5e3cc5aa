"""Programs run as a user would run them, in processes of their own."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import textwrap
from collections.abc import Callable

import pytest

from tests import programs
from tests.programs import ROOT
from tests.shared_runs import made_once


def _program(source: str, command: tuple[str, ...], arguments: tuple[str, ...]) -> list[str]:
    program = pathlib.Path("program.py").absolute()
    program.write_text(textwrap.dedent(source), encoding="utf-8")
    return [*command, str(program), *arguments]


@pytest.fixture
def start_program(tmp_path: pathlib.Path) -> Callable[..., programs.Program]:
    """Starts a program given as text; its working folder is the test's, its store `.beam_obs` there."""

    def start(source: str, *arguments: str, command: tuple[str, ...] = ()) -> programs.Program:
        return programs.Program(_program(source, command, arguments))

    return start


@pytest.fixture
def run_program(tmp_path: pathlib.Path) -> Callable[..., tuple[int, str, str]]:
    """Runs a program given as text; returns its exit code, standard output and standard error.

    Where it is to be `fresh`, a Python of its own is started for it.
    """

    def run(
        source: str, *arguments: str, command: tuple[str, ...] = (), fresh: bool = False
    ) -> tuple[int, str, str]:
        run = programs.run_fresh if fresh else programs.run
        done = run(_program(source, command, arguments))
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def processes_as_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets workers that are processes of their own find the code of tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="session")
def clone_with_pictures(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder as a clone is after `make pictures`, but for those of pages: with what the demo wrote."""
    return made_once(
        tmp_path_factory, "clone-of-the-project", lambda folder: make(folder, "pictures-of-runs")
    )


def make(folder: pathlib.Path, target: str) -> None:
    """Makes a target of pictures in a folder as if it were a clone of the project."""
    (folder / "docs").mkdir()
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    for name in ("requirements-dev.lock", "pyproject.toml", "installed"):
        (folder / name).touch()
    made = subprocess.run(
        ["make", f"--file={ROOT / 'Makefile'}", f"BIN={programs.stand_ins()}", "STAMP=installed", target],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
