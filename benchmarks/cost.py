"""What observation costs a job as its input grows: `python -m benchmarks.cost [RECORDS ...]`.

Two plain pipelines over lines of some 60 bytes, by `beam.Pipeline` and by `obs.Pipeline`, in turn, on the
FnApiRunner: one groups them, 200 to a key, and writes a line for each key; one writes each again. At every
size are measured the CPU seconds of the process, the bytes that go into shuffles, as they are encoded, and
those of the store. A line is laid through what is added: what a record costs is the slope between the two
largest sizes, of which the line is carried on to larger ones; what a run costs at all is what the smallest
size adds beyond that. Both read by `obs.ReadFromText`: Beam's read of text is slower
bare than woven, which would be told as a gain of all steps.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest import mock

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.execution import GroupingBuffer

import beam_obs as obs
from benchmarks.measure import process_seconds, without_warnings
from benchmarks.weave import group_path, write_lines, write_path

RECORDS = (10_000, 100_000, 1_000_000)
ROUNDS = 3
MANY = 1_000_000_000
"""What a cost is told for."""


Build = Callable[[Any, pathlib.Path], Any]
"""Applies the steps of a pipeline behind its read; given a folder to write to."""


class Cost(NamedTuple):
    """What one run took."""

    cpu_seconds: float
    shuffle_bytes: float
    store_bytes: float


class Unit(NamedTuple):
    """How a number of `Cost` is told.

    Args:
      name: for people.
      digits: behind the point.
      each: its unit for a record.
      factor: from what is measured.
      many: its unit for `MANY` records.
      factor_many: from what is measured.
    """

    name: str
    digits: int
    each: str
    factor: float
    many: str
    factor_many: float


UNITS = (
    Unit("CPU s", 2, "us", 1e6, "hours", 1 / 3600),
    Unit("shuffle", 0, "B", 1, "GB", 1e-9),
    Unit("store", 0, "B", 1, "GB", 1e-9),
)


class Line(NamedTuple):
    """A straight line: ``fixed + each * records``."""

    fixed: float
    each: float


def group_and_write(lines: Any, folder: pathlib.Path) -> Any:
    """Sums of groups of lines, written."""
    return (
        group_path(lines, folder)
        | "line" >> beam.MapTuple("{},{}".format)
        | "write" >> beam.io.WriteToText(str(folder / "out"))
    )


PIPELINES = {"grouped": group_and_write, "each written": write_path}


@contextlib.contextmanager
def counted_shuffles() -> Iterator[list[int]]:
    """Notes the bytes of all that is given to a GroupByKey of the runner while the block runs."""
    given: list[int] = []
    append = GroupingBuffer.append

    def noted(buffer: GroupingBuffer, elements: bytes) -> None:
        given.append(len(elements))
        append(buffer, elements)

    with mock.patch.object(GroupingBuffer, "append", noted):
        yield given


def run(build: Build, lines: pathlib.Path, is_observed: bool, lineage: str = "woven") -> Cost:
    """Runs a pipeline once."""
    with tempfile.TemporaryDirectory() as name, counted_shuffles() as shuffled:
        folder = pathlib.Path(name)
        store = folder / "store"
        given = ["--runner=FnApiRunner", "--obs_report=off", "--obs_progress=off", f"--obs_lineage={lineage}"]
        options = PipelineOptions(given)
        if is_observed:
            pipeline: beam.Pipeline = obs.Pipeline(options=options, name="cost", store=str(store))
        else:
            pipeline = beam.Pipeline(options=options)
        build(pipeline | "read" >> obs.ReadFromText(str(lines)), folder)
        seconds = process_seconds(lambda: pipeline.run().wait_until_finish())
        kept = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        return Cost(seconds, sum(shuffled), kept)


def paired(build: Build, lines: pathlib.Path, rounds: int, lineage: str = "woven") -> tuple[Cost, Cost]:
    """Returns the medians of what a bare run takes, and of what observation adds in the same round."""
    bare, added = [], []
    for number in range(rounds):
        observed_first = bool(number % 2)
        both = {
            is_observed: run(build, lines, is_observed, lineage)
            for is_observed in (observed_first, not observed_first)
        }
        bare.append(both[False])
        added.append(Cost(*(with_ - without for with_, without in zip(both[True], both[False], strict=True))))
    return Cost(*map(statistics.median, zip(*bare, strict=True))), Cost(
        *map(statistics.median, zip(*added, strict=True))
    )


def line_through(records: Sequence[int], costs: Sequence[float]) -> Line:
    """Returns the line with the slope between the two largest sizes, and the rest of the smallest.

    Args:
      records: sizes, growing; two or more.
      costs: what is added at each.

    >>> line = line_through([10, 100, 1000], [25.0, 205.0, 2005.0])
    >>> round(line.fixed, 6), round(line.each, 6)
    (5.0, 2.0)
    """
    each = (costs[-1] - costs[-2]) / (records[-1] - records[-2])
    return Line(costs[0] - each * records[0], each)


def main(argv: list[str] | None = None) -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="What observation costs a job as its input grows.")
    parser.add_argument("records", nargs="*", type=int, help="sizes, two or more; default: 10^4, 10^5, 10^6")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--lineage", choices=("woven", "off"), default="woven", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    sizes = sorted(set(arguments.records or RECORDS))
    if len(sizes) < 2 or sizes[0] < 1:
        parser.error("a line takes two sizes of one record or more")
    with without_warnings(), tempfile.TemporaryDirectory() as name:
        files = {size: pathlib.Path(name) / f"{size}.txt" for size in sizes}
        for size, file in files.items():
            write_lines(file, size)
        for pipeline, build in PIPELINES.items():
            run(build, files[sizes[0]], True)  # what is only done once
            measured = {
                size: paired(build, file, arguments.rounds, arguments.lineage) for size, file in files.items()
            }
            _tell(pipeline, measured)
    return 0


def _tell(pipeline: str, measured: dict[int, tuple[Cost, Cost]]) -> None:
    print(f"{pipeline:<24}{'bare':>16}{'added':>16}{'added, a record':>18}")
    for place, unit in enumerate(UNITS):
        for size, (bare, added) in measured.items():
            both = "".join(f"{cost[place]:>16,.{unit.digits}f}" for cost in (bare, added))
            print(
                f"  {size:>10,}  {unit.name:<10}{both}{added[place] / size * unit.factor:>15.2f} {unit.each}"
            )
        line = line_through(list(measured), [added[place] for _, added in measured.values()])
        print(
            f"  {'line':>10}  {unit.name:<10}  a run {line.fixed:,.{unit.digits}f}, "
            f"a record {line.each * unit.factor:.2f} {unit.each}, "
            f"10^9 records {line.each * MANY * unit.factor_many:,.1f} {unit.many}"
        )


if __name__ == "__main__":
    sys.exit(main())
