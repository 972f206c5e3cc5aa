"""A run with numbers of every kind, which the tests of exporters send to where they can be read back."""

from __future__ import annotations

import pathlib

import pytest

import beam_obs as obs
from beam_obs.exporters import sending
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.numbers_of_run import numbers_of_run
from tests import programs
from tests.shared_runs import made_once

PROGRAM = """
import sys

import apache_beam as beam
import beam_obs as obs

ROWS = obs.counter("rows", "kind")
SPEED = obs.histogram("speed_ratio", buckets=[0.5, 1, 2])
BALANCE = obs.gauge("balance_celsius")
WAIT = obs.summary("wait_seconds", quantiles=[0.5, 0.99])
RECENT = obs.summary("recent_seconds", quantiles=[0.5], window=600)


def use(number):
    ROWS.labels(kind="even" if number % 2 == 0 else "odd").inc()
    SPEED.observe(number / 100)
    WAIT.observe(number / 10)
    RECENT.observe(number)
    BALANCE.set(-2.5)
    return number


with obs.Pipeline(argv=sys.argv[1:], name="numbers") as p:
    texts = [str(number) for number in range(200)] + ["x", "y", ""]
    _ = p | beam.Create(texts) | "parse" >> obs.Stage(beam.Map(int)) | "use" >> beam.Map(use)
"""
"""All kinds of instruments, and records that are refused."""


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries targets that are away again at once, nearly."""
    monkeypatch.setattr(sending, "_FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture(scope="session")
def store_of_numbers(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A store with one run of `PROGRAM`."""

    def run(folder: pathlib.Path) -> None:
        (folder / "program.py").write_text(PROGRAM)
        options = ["--runner=FnApiRunner", "--obs_report=off", f"--obs_store={folder / 'store'}"]
        done = programs.run([str(folder / "program.py"), *options])
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "store-of-numbers", run) / "store"


@pytest.fixture(scope="session")
def numbers(store_of_numbers: pathlib.Path) -> RunNumbers:
    """The numbers of that run."""
    return numbers_of_run(obs.Store(str(store_of_numbers)).find("numbers@latest"))
