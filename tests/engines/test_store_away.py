"""A store that is away when a bundle has dead letters to keep is waited for; else the run fails.

Flink tries again: see `test_flink.py`.
"""

from __future__ import annotations

import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator
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
AWAY_SECONDS = 3.0


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
    options = [*options, *own]
    with obs.Pipeline("FnApiRunner", PipelineOptions(options), name="away") as p:
        numbers = p | "numbers" >> beam.Create(range(NUMBERS), reshuffle=False)
        kept = numbers | "parse" >> obs.Stage(beam.Map(parse)) | "hold" >> beam.Map(hold, folder)
        _ = kept | "text" >> beam.Map(str) | "write" >> beam.io.WriteToText(str(folder / "out"))


@contextlib.contextmanager
def store_behind_a_gate() -> Iterator[tuple[Gate, int, list[str]]]:
    """Gives an open way to a server of S3, its port behind it, and the options that lead there."""
    before = FileSystems._pipeline_options
    try:
        with running_s3() as server, gate(free_port()) as way:
            target = int(server.options[0].rpartition(":")[2])
            way.open(target)
            yield way, target, [f"--s3_endpoint_url=http://127.0.0.1:{way.port}", *server.options[1:]]
    finally:
        FileSystems.set_options(before)


def end_of_latest(store: obs.Store) -> dict[str, Any]:
    end: dict[str, Any] = store.find("latest").end or {}
    assert (end["status"], end["ledger"]["holds"], end["balance"]["broken"]) == ("done", True, [])
    assert end["dead_letters"]["committed"] == NUMBERS // 10
    return end


def test_its_run_is_not_done_and_the_next_comes_to_everything(tmp_path: pathlib.Path) -> None:
    with store_behind_a_gate() as (way, target, options):
        threading.Thread(target=shut_when_held, args=(way, tmp_path), daemon=True).start()

        with pytest.raises(Exception, match="dead_letters-parse of a bundle cannot be written"):
            run(tmp_path, [*options, "--obs_store_patience=0"])

        way.open(target)
        store = obs.Store("s3://bucket/store")
        cut_off = store.find("latest")
        assert cut_off.end is None  # it could not be written: lost, once this process has ended
        assert list(dead_letters(store, cut_off)) == []
        assert list(tmp_path.glob("out*-of-*")) == []

        run(tmp_path, options)

        end_of_latest(store)


def test_a_run_waits_for_one_that_comes_back(tmp_path: pathlib.Path) -> None:
    with store_behind_a_gate() as (way, target, options):

        def away_for_a_while() -> None:
            shut_when_held(way, tmp_path)
            time.sleep(AWAY_SECONDS)
            way.open(target)

        threading.Thread(target=away_for_a_while, daemon=True).start()

        run(tmp_path, options)

        store = obs.Store("s3://bucket/store")
        end_of_latest(store)
        assert len(list(dead_letters(store, store.find("latest")))) == NUMBERS // 10
        written = sum(len(file.read_text().split()) for file in tmp_path.glob("out*-of-*"))
        assert written == NUMBERS - NUMBERS // 10
