"""Programs run as a user would run them, in processes of their own."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

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
