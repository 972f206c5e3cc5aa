"""Programs run as a user would run them, in processes of their own."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from tests.shared_runs import made_once

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def start_program(tmp_path: pathlib.Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts a program given as text; its working folder is the test's, its store `.beam_obs` there."""

    def start(source: str, *arguments: str, command: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        program = pathlib.Path("program.py").absolute()
        program.write_text(textwrap.dedent(source), encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, *command, str(program), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell ignores the interrupt for what it starts in the background, and programs inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return start


@pytest.fixture
def run_program(start_program: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Runs a program given as text; returns its exit code, standard output and standard error."""

    def run(source: str, *arguments: str, command: tuple[str, ...] = ()) -> tuple[int, str, str]:
        process = start_program(source, *arguments, command=command)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors

    return run


@pytest.fixture(scope="session")
def clone_with_pictures(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder as a clone is after `make pictures`: with the pictures, and what the demo wrote."""
    return made_once(tmp_path_factory, "clone-of-the-project", _make_pictures)


def _make_pictures(folder: pathlib.Path) -> None:
    (folder / "docs").mkdir()
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    for name in ("requirements-dev.lock", "pyproject.toml", "installed"):
        (folder / name).touch()
    programs = pathlib.Path(sys.executable).parent
    made = subprocess.run(
        ["make", f"--file={ROOT / 'Makefile'}", f"BIN={programs}", "STAMP=installed", "pictures"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
