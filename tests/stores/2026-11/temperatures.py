"""A pipeline of many kinds of refusal, with groups, a combine and three outputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam

import beam_obs as obs

HERE = "/proc/self/cwd"  # the files are found by whoever asks in a folder that holds them


class Reading(NamedTuple):
    city: str
    day: int
    degrees: float


class City(NamedTuple):
    city: str
    country: str


def warm(reading: Reading) -> bool:
    if reading.city == "bern":
        raise LookupError("no thermometer in bern")
    return reading.degrees > -10


class Countries(beam.DoFn):
    def process(self, pair: Any) -> Iterator[str]:
        city, found = pair
        for country in found["country"]:
            for mean in found["mean"]:
                yield f"{country} {city} {mean:.2f}"


def run(number: int, folder: str) -> None:
    argv = ["--obs_store=store", "--obs_report=off", "--obs_lineage_filtered=all"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="temperatures") as p:
        cities = p | "cities" >> obs.ReadFromJson(f"{HERE}/input/cities.jsonl", record=City)
        readings = (
            p
            | "readings" >> obs.ReadFromCsv(f"{HERE}/input/readings-{number}*.csv", record=Reading)
            | "warm" >> obs.Stage(beam.Filter(warm))
            | "plausible" >> obs.Check(obs.between("degrees", -60, 60), obs.unique("city", "day"))
        )
        means = (
            readings
            | "by city" >> beam.Map(lambda reading: (reading.city, reading.degrees))
            | "mean" >> beam.combiners.Mean.PerKey()
        )
        days = readings | "days" >> beam.Map(lambda one: (one.city, one.day)) | "group" >> beam.GroupByKey()
        _ = (
            days
            | "as rows" >> beam.MapTuple(lambda city, days: {"city": city, "days": sorted(days)})
            | "write days" >> obs.WriteToJson(f"{HERE}/output/{folder}/days", num_shards=1, stamp=True)
        )
        _ = (
            {"country": cities | "key cities" >> beam.Map(lambda one: (one.city, one.country)), "mean": means}
            | "join" >> beam.CoGroupByKey()
            | "told" >> obs.Stage(beam.ParDo(Countries()))
            | "write means" >> beam.io.WriteToText(f"{HERE}/output/{folder}/means", num_shards=1)
        )


def no_page(file: obs.File) -> str:
    raise ValueError("not a page")


def refuse_a_file() -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_store=store", "--obs_report=off"], name="pages") as p:
        _ = p | "files" >> obs.ReadWholeFiles(f"{HERE}/input/n*") | "parse" >> obs.Stage(beam.Map(no_page))


def refuse_many() -> None:
    argv = ["--obs_store=store", "--obs_report=off"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="too-many") as p:
        lines = p | "lines" >> obs.ReadFromText(f"{HERE}/input/numbers.txt")
        parsed = lines | "parse" >> obs.Stage(beam.Map(float), max_dead_rate=0.4, max_dead_minimum=1)
        _ = parsed | "write" >> obs.WriteToText(f"{HERE}/output/too-many")


if __name__ == "__main__":
    if sys.argv[1:] == ["again"]:
        run(1, "again")
        sys.exit()
    run(1, "first")
    run(2, "second")
    refuse_a_file()
    try:
        refuse_many()
    except obs.BeamObsError as error:
        print(type(error).__name__, error)
