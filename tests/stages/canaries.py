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
    and ``sums`` go through an aggregate. The marks of those that were sent and that arrived go to files
    beside the outputs.
    """
    canary_of = obs.Canary  # imported before the clock is looked at: on a busy machine that takes seconds
    start = time.time()
    stop = start + seconds

    def canary(name: str, make: Any, mark_of: Any, wanted: Any) -> obs.Canary:
        return canary_of(
            name,
            make=lambda mark: _noted(f"{path}.{name}.sent", mark) and make(mark),
            mark_of=mark_of,
            expect=lambda record: _noted(f"{path}.{name}.arrived", mark_of(record)) and wanted(record),
            every=0.25,
            stop_timestamp=stop,
        )

    def of_rows(name: str, fare: str = "12", wanted: int = 12) -> obs.Canary:
        return canary(
            name,
            lambda mark: {"id": mark, "fare": fare},
            lambda row: row["id"],
            lambda row: row["fare"] == wanted,
        )

    canaries = [of_rows("trips"), of_rows("odd", wanted=13), of_rows("torn", fare="x")]
    sums = canary("sums", lambda mark: (mark, 5), lambda pair: pair[0], lambda pair: pair[1] == 5)
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


def _noted(path: str, mark: str) -> bool:
    with open(path, "a") as file:
        file.write(f"{mark}\n")
    return True


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return sorted(file.read().splitlines())
    except FileNotFoundError:
        return []


def check_canaries(record: Any, path: str, *, counts_are_whole: bool = True) -> None:
    """Holds what came of the stream, and of its canaries, against what should.

    Args:
      record: of the run.
      path: where its outputs went.
      counts_are_whole: whether the runner loses no count of a bundle; those of one that does are the least.
    """
    marks = {name: _lines(f"{path}.{name}.sent") for name in ("trips", "odd", "torn", "sums")}
    arrived = {name: _lines(f"{path}.{name}.arrived") for name in marks}
    assert all(marks.values())
    assert arrived == marks | {"torn": []}
    # Each begins when it was made, so that one may have been sent once more than another.
    sent = {name: len(found) for name, found in marks.items()}
    stages: dict[tuple[str, str], int] = {}
    for letter in obs.read_dead_letters(record.id):
        kind = letter.stage, letter.error_type
        stages[kind] = stages.get(kind, 0) + 1
    assert stages == {
        ("parse", "ValueError"): sent["torn"],
        ("odd out", "beam_obs.CanaryFailed"): sent["odd"],
    }
    lines = [line.split() for line in _lines(path)]
    assert {key for key, _ in lines} == {"all"}
    assert sum(int(total) for _, total in lines) % 7 == 0
    assert record.end["balance"]["holds"] is not False, record.end["balance"]
    _check_counts(record, sent, counts_are_whole)


def _check_counts(record: Any, sent: dict[str, int], are_whole: bool) -> None:
    told: dict[str, dict[str, int]] = {}
    for family in record.end["instruments"]["families"]:
        for sample in family["samples"]:
            name = family["name"].removesuffix("_total")
            told.setdefault(sample["labels"]["canary"], {})[name] = sample.get("value", sample.get("count"))
    arriving = ("canaries_sent", "canaries_arrived", "canary_latency_seconds")
    of_each = {
        "trips": arriving,
        "sums": arriving,
        "odd": (*arriving, "canaries_wrong"),
        "torn": arriving[:1],
    }
    expected = {name: dict.fromkeys(counts, sent[name]) for name, counts in of_each.items()}
    if are_whole:
        assert told == expected
    assert {name: set(counts) for name, counts in told.items()} == {
        name: set(counts) for name, counts in expected.items()
    }
    assert all(0 < count <= sent[name] for name, counts in told.items() for count in counts.values()), told
