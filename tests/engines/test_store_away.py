"""A store that is away when a bundle has dead letters to keep: where nothing is tried again, no run is done.

Flink tries again: see `test_flink.py`.
"""

from __future__ import annotations

import pathlib
import threading
import time
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.store.evidence import dead_letters
from tests.engines.gate import Gate, gate
from tests.engines.object_stores import free_port, running_s3

pytestmark = pytest.mark.engines

NUMBERS = 1000


def parse(number: int) -> int:
    if number % 10 == 3:
        raise ValueError("ends with three")
    return number


def hold(number: int, folder: pathlib.Path) -> int:
    """Holds the last number back until the store is away, so that its bundle ends then."""
    if number == NUMBERS - 1:
        (folder / "held").touch()
        while not (folder / "shut").exists():
            time.sleep(0.02)
    return number


def shut_when_held(way: Gate, folder: pathlib.Path) -> None:
    while not (folder / "held").exists():
        time.sleep(0.02)
    way.shut()
    (folder / "shut").touch()


def run(folder: pathlib.Path, options: list[str]) -> None:
    own = ["--obs_store=s3://bucket/store", "--obs_report=off", "--obs_progress=off"]
    with obs.Pipeline("FnApiRunner", PipelineOptions([*options, *own]), name="away") as p:
        numbers = p | "numbers" >> beam.Create(range(NUMBERS), reshuffle=False)
        kept = numbers | "parse" >> obs.Stage(beam.Map(parse)) | "hold" >> beam.Map(hold, folder)
        _ = kept | "text" >> beam.Map(str) | "write" >> beam.io.WriteToText(str(folder / "out"))


def test_its_run_is_not_done_and_the_next_comes_to_everything(tmp_path: pathlib.Path) -> None:
    before = FileSystems._pipeline_options
    try:
        with running_s3() as server, gate(free_port()) as way:
            target = int(server.options[0].rpartition(":")[2])
            way.open(target)
            options = [f"--s3_endpoint_url=http://127.0.0.1:{way.port}", *server.options[1:]]
            threading.Thread(target=shut_when_held, args=(way, tmp_path), daemon=True).start()

            with pytest.raises(Exception, match="dead_letters-parse of a bundle cannot be written"):
                run(tmp_path, options)

            way.open(target)
            store = obs.Store("s3://bucket/store")
            cut_off = store.find("latest")
            assert cut_off.end is None  # it could not be written: lost, once this process has ended
            assert list(dead_letters(store, cut_off)) == []
            assert list(tmp_path.glob("out*-of-*")) == []

            run(tmp_path, options)

            end: dict[str, Any] = store.find("latest").end or {}
            assert (end["status"], end["ledger"]["holds"], end["balance"]["broken"]) == ("done", True, [])
            assert end["dead_letters"]["committed"] == NUMBERS // 10
    finally:
        FileSystems.set_options(before)
