"""Settings for every test and doctest of the project."""

from __future__ import annotations

import doctest
import gc
import inspect
import itertools
import os
import pathlib
import random
import re
import sys
from collections.abc import Generator, Iterator
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from beam_obs.files import new_file
from tests.chance import SEED

# A store of the person who runs the tests must never be written to.
os.environ.pop("BEAM_OBS_STORE", None)
# Nor is the width that pytest-xdist tells its workers one that anybody reads at.
os.environ.pop("COLUMNS", None)

# How long an example takes says how busy the machine is.
settings.register_profile(
    "project", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=not SEED
)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plain-beam", action="store_true", help="ask Beam anew what tests/quick_beam.py keeps")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Hypothesis then draws from it.
    if SEED and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = SEED
    # What tests share says what it found, too, where it asserts.
    rooms = (pathlib.Path(__file__).parent / "tests").iterdir()
    shared = {"tests.million", *(f"tests.{one.name}" for one in rooms if one.is_dir())}
    pytest.register_assert_rewrite(*(shared - sys.modules.keys()))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # Modules are imported, and nothing is thrown away.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    # Of tests of Beam's own, which find this file above an environment in a clone, the root is another.
    is_ours = session.config.rootpath == pathlib.Path(__file__).parent
    if is_ours and "apache_beam" in sys.modules and not session.config.getoption("--plain-beam"):
        from tests import quick_beam

        quick_beam.install()
    # What was imported stays: no collection of garbage need look at it again.
    gc.collect()
    gc.freeze()
    # What short pipelines leave is looked through again and again otherwise: up to a tenth of their time.
    gc.set_threshold(20_000, 10, 10)


_FOLDERS = itertools.count()
_FROM_MODULE = doctest.DocTestFinder._from_module


def _is_written_in(finder: doctest.DocTestFinder, module: ModuleType, found: object) -> bool:
    """Whether a module has an object's doctests: that of the file it is in, for classes known by another."""
    if inspect.isclass(found) and found.__module__ == "beam_obs":
        return re.search(rf"^class {found.__name__}\b", inspect.getsource(module), re.MULTILINE) is not None
    return _FROM_MODULE(finder, module, found)


doctest.DocTestFinder._from_module = _is_written_in


@pytest.fixture(autouse=True)
def leave_nothing_to_chance(request: pytest.FixtureRequest) -> None:
    """Lets what Beam, and what we, draw at random be the same each time."""
    random.seed(f"{request.node.nodeid} {SEED}")


@pytest.fixture(autouse=True)
def wait_for_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what lets evidence outlive a crash of the machine: some ten milliseconds a file."""
    monkeypatch.setattr(new_file, "sync", lambda descriptor: None)


@pytest.fixture(autouse=True)
def forget_instruments() -> Iterator[None]:
    """Forgets the instruments that a test makes: with gauges about, all pipelines are woven for them."""
    module = sys.modules.get("beam_obs.metrics.instruments")
    before = dict(module._MADE) if module is not None else {}
    yield
    module = sys.modules.get("beam_obs.metrics.instruments")
    if module is not None:
        module._MADE.clear()
        module._MADE.update(before)


@pytest.fixture(autouse=True)
def forget_logs_set_up() -> Iterator[None]:
    """Leaves no log records to runs that a test has not ended, as of a worker that is one for good."""
    yield
    module = sys.modules.get("beam_obs.logs.log_setup")
    for run in list(module._SET_UP) if module is not None else ():
        module.take_down_logs(run)


@pytest.fixture(autouse=True)
def work_in_a_folder_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> pathlib.Path:
    """Runs each test in an empty folder, so that the default store `.beam_obs` is not shared."""
    # Apart from pytest's own folders: for each of those it looks through all that are beside it.
    folder = tmp_path_factory.getbasetemp() / "cwd" / str(next(_FOLDERS))
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder
