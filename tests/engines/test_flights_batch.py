"""The flights pipeline comes to the same on the FnApiRunner, on Prism and on a Flink of two task managers."""

from __future__ import annotations

import pathlib

import pytest

from tests.engines.flights_runs import CameTo, damaged_flights, run_flights
from tests.engines.prism import prism_options

pytestmark = pytest.mark.engines


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A glob of damaged files."""
    return damaged_flights(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="session")
def on_one_worker(flights: str, tmp_path_factory: pytest.TempPathFactory) -> CameTo:
    return run_flights(tmp_path_factory.mktemp("one worker"), flights, ["--runner=FnApiRunner"])


def assert_same(found: CameTo, wanted: CameTo) -> None:
    """Holds outputs, dead letters, lineage, ledger and balance of a run against those of another."""
    assert found.written == wanted.written
    assert found.outputs == wanted.outputs
    assert found.refused == wanted.refused
    assert found.lineage == wanted.lineage
    assert found.ledger == wanted.ledger
    assert found.ledger["holds"] is True
    assert (found.end["status"], found.end["balance"]["broken"]) == ("done", [])


def test_on_prism(flights: str, on_one_worker: CameTo, tmp_path: pathlib.Path) -> None:
    found = run_flights(tmp_path, flights, ["--runner=PrismRunner", *prism_options()])

    assert_same(found, on_one_worker)


@pytest.mark.slow
def test_on_flink(
    request: pytest.FixtureRequest, flights: str, on_one_worker: CameTo, tmp_path: pathlib.Path
) -> None:
    cluster = request.getfixturevalue("cluster")
    found = run_flights(tmp_path, flights, [*cluster.options, "--obs_progress=off"])

    assert_same(found, on_one_worker)
    assert found.counts == on_one_worker.counts
