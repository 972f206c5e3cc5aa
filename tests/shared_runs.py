"""Runs that several files of tests look at: made once, by whichever process of pytest-xdist comes first."""

from __future__ import annotations

import fcntl
import os
import pathlib
from collections.abc import Callable

import pytest


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[pathlib.Path], object]
) -> pathlib.Path:
    """Returns a folder that all processes of the session share; tests only read what is in it.

    Args:
      tmp_path_factory: pytest's.
      name: of the folder.
      make: fills the folder, which is there and empty; where it fails, the next that asks tries again.
    """
    base = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own in that of the session.
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder, made = base / name, base / f"{name}.made"
        if not made.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            made.touch()
    return folder


def go_where_it_ran(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    run: Callable[[], object],
) -> None:
    """Makes the folder in which something ran once in the session that of the test, which only reads there.

    Args:
      monkeypatch: pytest's.
      tmp_path_factory: pytest's.
      name: of the folder.
      run: runs it, in the folder, which is empty.
    """

    def made(folder: pathlib.Path) -> None:
        monkeypatch.chdir(folder)
        run()

    monkeypatch.chdir(made_once(tmp_path_factory, name, made))
