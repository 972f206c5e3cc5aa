"""A run of many records, a million on engines, each with an origin of its own, that loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs

RECORDS = 1_000_000
KEYS = 1000


def parse(line: str) -> int:
    number = int(line)
    if number % 100 == 3:
        raise ValueError("ends with three")
    return number


def assert_many_records_balance(
    folder: Path, runner: Any, options: list[str], records: int = RECORDS
) -> None:
    """Runs it, and holds its ledger against what is known of it.

    Args:
      folder: an empty one.
      runner: or its name; None where the options name it.
      options: of the runner.
      records: how many.
    """
    lines = folder / "numbers.txt"
    lines.write_text("".join(f"{number}\n" for number in range(records)))
    given = PipelineOptions([*options, f"--obs_store={folder / 'store'}", "--obs_report=off"])
    with obs.Pipeline(runner, given, name="many") as p:
        (
            p
            | "read" >> beam.io.ReadFromText(str(lines))
            | "spread" >> beam.Reshuffle()
            | "parse" >> obs.Stage(beam.Map(parse))
            | "even" >> beam.Filter(lambda number: number % 2 == 0)
            | "key" >> beam.Map(lambda number: (number % KEYS, number))
            | "group" >> beam.GroupByKey()
            | "sum" >> beam.MapTuple(lambda key, numbers: (key % 7, sum(numbers)))
            | "total" >> beam.CombinePerKey(sum)
            | "text" >> beam.Map(str)
            | "write" >> beam.io.WriteToText(str(folder / "out"))
        )
    (run,) = obs.Store(str(folder / "store")).runs()
    end = run.end or {}
    ledger = end["ledger"]
    assert ledger["holds"] is True, [edge for edge in ledger["edges"] if edge.get("text")]
    assert [edge for edge in ledger["edges"] if edge.get("reason")] == []
    assert end["balance"]["broken"] == []
    steps = {step["label"]: step for step in ledger["steps"]}
    assert steps["read"]["out"] == {"None": records}
    assert (steps["parse"]["in"], steps["parse"]["dead"]) == (records, records // 100)
    assert (steps["even"]["in"], steps["even"]["filtered"]) == (records * 99 // 100, records * 49 // 100)
    assert (steps["group"]["in"], steps["write"]["in"]) == (records // 2, 7)
