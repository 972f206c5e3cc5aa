"""`make demo-stream`, on the Pub/Sub emulator and on Prism."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import fastavro
import pytest

import beam_obs as obs
from pipelines.flights.records import AirportStatistics
from tests.conftest import ROOT
from tests.engines.prism import prism_options
from tests.engines.pubsub_emulator import emulator_program
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.engines


def demo_stream(folder: pathlib.Path, *arguments: str) -> str:
    """Returns what it printed, after it has asked for the page that is named there."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "pipelines.flights.demo_stream", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    printed = ""
    for line in demo.stdout:
        printed += line
        if line.startswith("Live at "):
            with urllib.request.urlopen(line.split()[2], timeout=30) as page:
                assert page.status == 200
    assert demo.wait(PATIENCE_SECONDS) == 0, printed
    return printed


def demo_of_enough(folder: pathlib.Path, is_enough: Callable[[dict[str, Any]], bool], *arguments: str) -> str:
    """Returns what it printed, after it has run for as long as it takes to come to enough."""
    for seconds in (15, 60, 240):
        printed = demo_stream(folder, f"--seconds={seconds}", *arguments)
        if is_enough(end_of(folder)):
            break
    return printed


def end_of(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what the run came to."""
    end = obs.Store(str(folder / "demo-output/stream/store")).find("flights-stream@latest").end
    assert end is not None
    return end


def passed(end: dict[str, Any], label: str) -> int:
    """Returns how many records a stage passed on."""
    (count,) = (step["out"] for step in end["stages"] if step["label"] == label)
    return int(count)


def by_origins(end: dict[str, Any], label: str) -> int:
    """Returns how many a step gave by the ledger, of which Prism loses nothing as it does of counts."""
    (given,) = (step["out"] for step in end["ledger"]["steps"] if step["label"] == label)
    return sum(count for tag, count in given.items() if tag == "None")


def written(folder: pathlib.Path, windows: str) -> list[AirportStatistics]:
    files = (folder / "demo-output/stream").glob(f"departures-{windows}-*.avro")
    return [AirportStatistics(**row) for file in files for row in fastavro.reader(file.open("rb"))]


def test_on_the_emulator_what_is_torn_or_doubled_is_refused_and_the_rest_counted(
    tmp_path: pathlib.Path,
) -> None:
    pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")
    emulator_program()

    def is_enough(end: dict[str, Any]) -> bool:
        refused = end["dead_letters"]["by_stage"].keys()
        return len(refused) == 2 and passed(end, "refuse copies") >= 20 and passed(end, "publish fixed") >= 1

    printed = demo_of_enough(tmp_path, is_enough)
    assert "Over Pub/Sub, emulated on 127.0.0.1:" in printed
    assert "cancelled" in printed
    assert "Live at http://127.0.0.1:" in printed
    end = end_of(tmp_path)
    assert end["dead_letters"]["by_stage"].keys() == {"read flights", "refuse copies"}
    assert passed(end, "refuse copies") >= 20
    assert passed(end, "publish fixed") >= 1


def test_on_prism_each_flight_is_counted_once_however_late(tmp_path: pathlib.Path) -> None:
    prism_options()
    printed = demo_of_enough(tmp_path, lambda end: by_origins(end, "refuse copies") >= 20, "--files")
    assert "✓ balanced" in printed
    end = end_of(tmp_path)
    flights = by_origins(end, "refuse copies")
    dropped = {one["step"]: one["count"] for one in end["balance"]["dropped"]}
    assert flights >= 20
    for kind, windows in (("fixed", 1), ("sliding", 2)):
        counted = sum(one.flights for one in written(tmp_path, kind))
        assert counted + dropped.get(f"combine {kind}", 0) == windows * flights
