"""A stream of numbers with canaries among them, on any runner that has a periodic impulse."""

from __future__ import annotations

import time
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.window import FixedWindows

import beam_obs as obs


def parse(row: dict[str, str]) -> dict[str, Any]:
    return row | {"fare": int(row["fare"])}


def run_canaries(runner: str, path: str, options: tuple[str, ...] = (), seconds: float = 1.5) -> Any:
    """Runs the stream, whose outputs go to a file; returns the record of the run.

    Of its canaries ``trips`` arrive, ``odd`` are not what they should be, ``torn`` are refused on the way,
    and ``sums`` go through an aggregate.
    """
    start = time.time()
    stop = start + seconds

    def canary(name: str, fare: str = "12", wanted: int = 12) -> obs.Canary:
        return obs.Canary(
            name,
            make=lambda mark: {"id": mark, "fare": fare},
            mark_of=lambda row: row["id"],
            expect=lambda row: row["fare"] == wanted,
            every=0.25,
            stop_timestamp=stop,
        )

    canaries = [canary("trips"), canary("odd", wanted=13), canary("torn", fare="x")]
    sums = obs.Canary(
        "sums",
        make=lambda mark: (mark, 5),
        mark_of=lambda pair: pair[0],
        expect=lambda pair: pair[1] == 5,
        every=0.25,
        stop_timestamp=stop,
    )
    given = PipelineOptions(["--streaming", "--obs_report=off", "--obs_max_dead_rate=1", *options])
    with obs.Pipeline(runner, given, name="canaries") as p:
        rows = p | "rows" >> PeriodicImpulse(start, stop, 0.25)
        rows |= "row" >> beam.Map(lambda at: {"id": str(at), "fare": "7"})
        for one in canaries:
            rows |= f"{one.name} in" >> one.enter()
        good = rows | "parse" >> obs.Stage(beam.Map(parse))
        for one in canaries:
            good |= f"{one.name} out" >> one.leave()
        pairs = good | "pair" >> beam.Map(lambda row: ("all", row["fare"])).with_output_types(tuple[str, int])
        windowed = pairs | "windows" >> beam.WindowInto(FixedWindows(3600))
        summed = windowed | "sums in" >> sums.enter() | "sum" >> beam.CombinePerKey(sum)
        _ = summed | "sums out" >> sums.leave() | "write" >> beam.Map(_append, path)
    return obs.Store().find("latest")


def _append(pair: Any, path: str) -> None:
    with open(path, "a") as file:
        file.write(f"{pair[0]} {pair[1]}\n")


def check_canaries(record: Any, path: str) -> None:
    """Holds what came of the stream, and of its canaries, against what should."""
    told: dict[str, dict[str, Any]] = {}
    for family in record.end["instruments"]["families"]:
        for sample in family["samples"]:
            name = family["name"].removesuffix("_total")
            told.setdefault(sample["labels"]["canary"], {})[name] = sample.get("value", sample.get("count"))
    sent = told["trips"]["canaries_sent"]
    assert sent > 0
    for name in ("trips", "sums"):
        assert told[name] == {
            "canaries_sent": sent,
            "canaries_arrived": sent,
            "canary_latency_seconds": sent,
        }
    assert (told["odd"]["canaries_arrived"], told["odd"]["canaries_wrong"]) == (sent, sent)
    assert told["torn"] == {"canaries_sent": sent}
    stages: dict[tuple[str, str], int] = {}
    for letter in obs.read_dead_letters(record.id):
        kind = letter.stage, letter.error_type
        stages[kind] = stages.get(kind, 0) + 1
    assert stages == {("parse", "ValueError"): sent, ("odd out", "beam_obs.CanaryFailed"): sent}
    with open(path) as file:
        lines = [line.split() for line in file]
    assert {key for key, _ in lines} == {"all"}
    assert sum(int(total) for _, total in lines) % 7 == 0
    assert record.end["balance"]["holds"] is not False, record.end["balance"]
