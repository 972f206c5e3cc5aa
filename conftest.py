"""Settings for every test and doctest of the project."""

from __future__ import annotations

import os
import pathlib
import re

import pytest

# A store of the person who runs the tests must never be written to.
os.environ.pop("BEAM_OBS_STORE", None)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Takes addresses of objects out of a test's id: processes that share the tests must agree on it."""
    item._nodeid = re.sub(r" at 0x[0-9a-f]+", "", item.nodeid)


@pytest.fixture(autouse=True)
def work_in_a_folder_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> pathlib.Path:
    """Runs each test in an empty folder, so that the default store `.beam_obs` is not shared."""
    folder = tmp_path_factory.mktemp("cwd")
    monkeypatch.chdir(folder)
    return folder
