"""`make demo-stream`, on the Pub/Sub emulator and on Prism."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

import fastavro
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from pipelines.flights.records import AirportStatistics
from tests.conftest import ROOT
from tests.engines.prism import prism_options
from tests.engines.pubsub_emulator import emulator_program
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.engines


class Printed(NamedTuple):
    """What a demonstration printed.

    Args:
      out: on standard output.
      errors: on standard error, where the report is.
    """

    out: str
    errors: str


def demo_stream(folder: pathlib.Path, *arguments: str) -> Printed:
    """Returns what it printed, after it has asked for the page that is named there."""
    out = ""
    with (folder / "errors").open("w") as errors:
        demo = subprocess.Popen(
            [sys.executable, "-m", "pipelines.flights.demo_stream", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert demo.stdout is not None
        for line in demo.stdout:
            out += line
            if line.startswith("Live at "):
                with urllib.request.urlopen(line.split()[2], timeout=30) as page:
                    assert page.status == 200
        code = demo.wait(PATIENCE_SECONDS)
    printed = Printed(out, (folder / "errors").read_text())
    assert code == 0, printed
    return printed


def demo_of_enough(
    folder: pathlib.Path, is_enough: Callable[[dict[str, Any]], bool], *arguments: str
) -> Printed:
    """Returns what it printed, after it has run for as long as it takes to come to enough."""
    for seconds in (15, 60, 240):
        printed = demo_stream(folder, f"--seconds={seconds}", *arguments)
        if is_enough(end_of(folder)):
            break
    return printed


def try_next(folder: pathlib.Path, errors: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Types the commands that stand behind the report, but for the last; returns which they are."""
    report, _, commands = errors.partition("Try next\n")
    assert "flights-stream  " in report
    exported, *lines, _ = commands.split("\n  ")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BEAM_OBS_STORE", exported.partition("=")[2])
    given = [shlex.split(line)[1:] for line in lines]
    assert [exit_code(one) for one in given] == [0] * len(given)
    return [one[0] for one in given]


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
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")
    emulator_program()

    def is_enough(end: dict[str, Any]) -> bool:
        refused = end["dead_letters"]["by_stage"].keys()
        has_files = all(written(tmp_path, windows) for windows in ("fixed", "sliding"))
        return len(refused) == 2 and passed(end, "refuse copies") >= 20 and has_files

    printed = demo_of_enough(tmp_path, is_enough)
    assert "Over Pub/Sub, emulated on 127.0.0.1:" in printed.out
    assert "Live at http://127.0.0.1:" in printed.out
    assert "flights-stream  cancelled" in printed.errors
    assert "check" not in try_next(tmp_path, printed.errors, monkeypatch)
    end = end_of(tmp_path)
    assert end["dead_letters"]["by_stage"].keys() == {"read flights", "refuse copies"}
    assert passed(end, "refuse copies") >= 20
    assert passed(end, "publish fixed") >= 1
    for windows in ("fixed", "sliding"):
        files = written(tmp_path, windows)
        assert files
        assert {one.windows for one in files} == {windows}
        assert len(files) == len(set(files)) <= passed(end, f"write {windows}")


def test_on_prism_each_flight_is_counted_once_however_late(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prism_options()
    printed = demo_of_enough(tmp_path, lambda end: by_origins(end, "refuse copies") >= 20, "--files")
    assert "✓ balanced" in printed.errors
    assert "check" in try_next(tmp_path, printed.errors, monkeypatch)
    end = end_of(tmp_path)
    flights = by_origins(end, "refuse copies")
    dropped = {one["step"]: one["count"] for one in end["balance"]["dropped"]}
    assert flights >= 20
    for kind, windows in (("fixed", 1), ("sliding", 2)):
        counted = sum(one.flights for one in written(tmp_path, kind))
        assert counted + dropped.get(f"combine {kind}", 0) == windows * flights
