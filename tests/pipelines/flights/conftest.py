"""One run of the demonstration, for all that looks at what it wrote."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib

import pytest

from pipelines.flights import demo
from tests.shared_runs import made_once


def run_demo(folder: pathlib.Path) -> None:
    before = pathlib.Path.cwd()
    printed = io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed):
            code = demo.main()
    finally:
        os.chdir(before)
    (folder / "printed").write_text(printed.getvalue())
    (folder / "code").write_text(str(code))


@pytest.fixture(scope="session")
def flights_demo(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder in which it ran, with what it printed in ``printed``, and its exit code in ``code``."""
    return made_once(tmp_path_factory, "flights-demo", run_demo)
