"""A worker that is lost in mid-bundle: no engine that does not try again says that all is well.

Flink tries again: see `test_flink.py`.
"""

from __future__ import annotations

import os
import pathlib
import signal
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.store.evidence import Standing, dead_letters

pytestmark = pytest.mark.engines

PROCESSES = ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
NUMBERS = 1000


def parse(number: int) -> int:
    if number % 10 == 3:
        raise ValueError("ends with three")
    return number


def kill_once(number: int, killed: pathlib.Path) -> int:
    """Ends the process that it is in, the first time that it comes to the middle."""
    if number == NUMBERS // 2 and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def run(folder: pathlib.Path, options: list[str]) -> None:
    own = [f"--obs_store={folder / 'store'}", "--obs_store_shared", "--obs_report=off", "--obs_progress=off"]
    with obs.Pipeline(options=PipelineOptions([*options, *own]), name="lost") as p:
        numbers = p | "numbers" >> beam.Create(range(NUMBERS)) | "spread" >> beam.Reshuffle()
        kept = (
            numbers | "parse" >> obs.Stage(beam.Map(parse)) | "kill" >> beam.Map(kill_once, folder / "killed")
        )
        _ = kept | "text" >> beam.Map(str) | "write" >> beam.io.WriteToText(str(folder / "out"))


@pytest.mark.parametrize("engine", ["processes", "prism"])
def test_its_run_fails_and_the_next_comes_to_everything(
    engine: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[2]))
    options: list[str] = PROCESSES if engine == "processes" else request.getfixturevalue("prism")
    store = obs.Store(str(tmp_path / "store"))

    with pytest.raises(RuntimeError, match=r"closed prematurely|in state FAILED"):
        run(tmp_path, options)

    failed = store.find("latest")
    assert failed.status == "failed"
    assert {standing for _, standing in dead_letters(store, failed)} <= {Standing.UNCOMMITTED}
    assert list(tmp_path.glob("out*-of-*")) == []

    run(tmp_path, options)

    end: dict[str, Any] = store.find("latest").end or {}
    assert (end["status"], end["ledger"]["holds"], end["balance"]["broken"]) == ("done", True, [])
    assert (end["dead_letters"]["committed"], end["dead_letters"]["uncommitted"]) == (NUMBERS // 10, 0)
    lines = [line for file in tmp_path.glob("out*-of-*") for line in file.read_text().splitlines()]
    assert sorted(map(int, lines)) == [number for number in range(NUMBERS) if number % 10 != 3]
