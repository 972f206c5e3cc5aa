"""What lineage costs: pipelines woven against bare, `python -m benchmarks.weave [NAME ...]`.

CPU time of the process on the FnApiRunner, on trivial user code, rounds in turn; per step figures are of ten
chained steps, also with a Stage on each of them, against bare: there, all elements share an origin. Paths are
whole pipelines over a text file, in which each element has its own, with rows of lineage written to a folder;
Beam's read of text is slower bare than woven, so `--read obs` tells what lineage adds behind the same read.
Weaving time is per transform of a pipeline of a hundred steps.
"""

from __future__ import annotations

import argparse
import logging
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import beam_obs as obs
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.weave import weave
from benchmarks.measure import (
    Samples,
    Verdict,
    in_turn,
    paired_difference,
    paired_ratio,
    print_verdicts,
    process_seconds,
)

ELEMENTS = 200_000
STEPS = 10
ROUNDS = 5
WORDS = "the quick brown fox jumps over"


class List(beam.DoFn):
    """A DoFn that gives what it takes in a list."""

    def process(self, element: Any) -> list[Any]:
        """Gives the element."""
        return [element]


class Generate(beam.DoFn):
    """A DoFn that yields what it takes."""

    def process(self, element: Any) -> Iterator[Any]:
        """Gives the element."""
        yield element


class Tag(beam.DoFn):
    """A DoFn that yields what it takes, and one in ten again with a tag."""

    def process(self, element: Any) -> Iterator[Any]:
        """Gives the element."""
        yield element
        if element % 10 == 0:
            yield beam.pvalue.TaggedOutput("tens", element)


class Case(NamedTuple):
    """A pipeline to measure.

    Args:
      build: applies its steps to the numbers; given a function that puts a Stage around a step, or not.
      nanoseconds: what it may add per element and step, or None.
      ratio: what it may take, woven over bare, or None.
    """

    build: Callable[..., Any]
    nanoseconds: float | None = None
    ratio: float | None = None


def chain(make: Callable[[], Any], numbers: Any, around: Callable[[Any], Any]) -> Any:
    """Applies the same step several times."""
    for step in range(STEPS):
        given = numbers | str(step) >> around(make())
        numbers = given if isinstance(given, beam.PCollection) else given["numbers"]
    return numbers


def keyed_means(numbers: Any, _: Any) -> Any:
    """CSV lines to pairs to means."""
    return (
        numbers
        | "lines" >> beam.Map(lambda number: f"a{number % 50},{number}")
        | "pairs" >> beam.Map(lambda line: (line.split(",")[0], int(line.split(",")[1])))
        | "mean" >> beam.combiners.Mean.PerKey()
    )


def word_count(numbers: Any, _: Any) -> Any:
    """Words of lines, counted."""
    return (
        numbers
        | "a line in six" >> beam.Filter(lambda number: number % 6 == 0)
        | "line" >> beam.Map(lambda _: WORDS)
        | "words" >> beam.FlatMap(str.split)
        | "pairs" >> beam.Map(lambda word: (word, 1))
        | "count" >> beam.CombinePerKey(sum)
    )


def grouped(keys: int, numbers: Any, _: Any) -> Any:
    """Sums of groups."""
    return (
        numbers
        | "pairs" >> beam.Map(lambda number: (number % keys, number))
        | "group" >> beam.GroupByKey()
        | "sum" >> beam.MapTuple(lambda key, values: (key, sum(values)))
    )


CASES = {
    "Map": Case(partial(chain, lambda: beam.Map(lambda number: number + 1)), nanoseconds=150),
    "Filter": Case(partial(chain, lambda: beam.Filter(lambda number: number >= 0)), nanoseconds=150),
    "FlatMap": Case(partial(chain, lambda: beam.FlatMap(lambda number: [number])), nanoseconds=220),
    "generator": Case(partial(chain, lambda: beam.ParDo(Generate())), nanoseconds=280),
    "list": Case(partial(chain, lambda: beam.ParDo(List())), nanoseconds=220),
    "tagged": Case(
        partial(chain, lambda: beam.ParDo(Tag()).with_outputs("tens", main="numbers")), nanoseconds=280
    ),
    "GroupByKey and sum": Case(partial(grouped, 1000), ratio=1.4),
    "GroupByKey, unique keys": Case(partial(grouped, ELEMENTS), ratio=1.4),
    "CSV, KV, Mean": Case(keyed_means, ratio=1.35),
    "WordCount": Case(word_count, ratio=1.5),
}


class Path(NamedTuple):
    """A whole pipeline over a text file.

    Args:
      build: applies its steps behind the read; given a folder too.
      ratio: what it may take, woven over bare.
    """

    build: Callable[[Any, pathlib.Path], Any]
    ratio: float


A_KEY = 200
"""Lines that have the same key, in a path that groups them."""


def parts_of(line: str) -> list[str]:
    """Returns the parts of a line: its number, its key, and what nobody looks at."""
    return line.split(",")


def pair_of(parts: list[str]) -> tuple[str, int]:
    """Returns key and number."""
    return parts[1], int(parts[0])


def read_path(lines: Any, _: pathlib.Path) -> Any:
    """Lines counted."""
    return (
        lines
        | "parts" >> beam.Map(parts_of)
        | "pair" >> beam.Map(pair_of)
        | "count" >> beam.combiners.Count.Globally()
    )


def group_path(lines: Any, _: pathlib.Path) -> Any:
    """Sums of groups of lines."""
    return (
        lines
        | "parts" >> beam.Map(parts_of)
        | "pair" >> beam.Map(pair_of)
        | "group" >> beam.GroupByKey()
        | "sum" >> beam.MapTuple(lambda key, numbers: (key, sum(numbers)))
    )


def write_path(lines: Any, folder: pathlib.Path) -> Any:
    """Lines written as they are but for their order of parts."""
    return (
        lines
        | "parts" >> beam.Map(parts_of)
        | "line" >> beam.Map(lambda parts: ",".join(reversed(parts)))
        | "write" >> beam.io.WriteToText(str(folder / "out"))
    )


PATHS = {
    "text, 2 Maps, Count": Path(read_path, 1.12),
    "text, GroupByKey, sum": Path(group_path, 1.25),
    "text, 2 Maps, WriteToText": Path(write_path, 1.10),
}


READS = {"beam": beam.io.ReadFromText, "obs": obs.ReadFromText}


def write_lines(file: pathlib.Path, count: int) -> None:
    """Writes a file of lines of some 60 bytes; the lines of a key are spread over all of it."""
    keys = max(count // A_KEY, 1)
    with file.open("w") as lines:
        for number in range(count):
            lines.write(f"{number},key-{number % keys:05d},the quick brown fox jumps over the lazy dog\n")


def run_path(path: Path, lines: pathlib.Path, read: str, is_woven: bool) -> float:
    """Returns the CPU seconds of one run of a path, behind one of `READS`."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = beam.Pipeline(runner=FnApiRunner())
        path.build(pipeline | "read" >> READS[read](str(lines)), pathlib.Path(folder))
        if not is_woven:
            return process_seconds(pipeline.run)
        with weaving(WeaveSettings(evidence=f"{folder}/evidence")):
            return process_seconds(pipeline.run)


def run(case: Case, is_woven: bool, is_staged: bool = False) -> float:
    """Returns the CPU seconds of one run."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    one = pipeline | "one" >> beam.Create([0])
    case.build(one | "numbers" >> beam.FlatMap(lambda _: range(ELEMENTS)), obs.Stage if is_staged else _bare)
    if not is_woven:
        return process_seconds(pipeline.run)
    with weaving():
        return process_seconds(pipeline.run)


def _bare(step: Any) -> Any:
    return step


def weaving_milliseconds() -> float:
    """Returns the time that weaving takes per transform."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    numbers = pipeline | beam.Create([0])
    for step in range(100):
        numbers = numbers | str(step) >> beam.Map(lambda number: number + 1)
    proto = pipeline.to_runner_api()
    start = time.perf_counter()
    weave(proto)
    return (time.perf_counter() - start) * 1000 / 100


def verdict_of_path(name: str, read: str, lines: int, rounds: int) -> Verdict:
    """Measures a path, bare and woven, on a file of some lines; tells what one line costs too."""
    path = PATHS[name]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "lines.txt"
        write_lines(file, lines)
        samples: Samples = in_turn(
            {
                "bare": partial(run_path, path, file, read, False),
                "woven": partial(run_path, path, file, read, True),
            },
            rounds,
        )
    ratio = paired_ratio(samples, "woven", "bare")
    bare = statistics.median(samples["bare"]) / lines * 1e6
    added = paired_difference(samples, "woven", "bare") / lines * 1e6
    figure = f"{ratio:.2f} x ({bare:.2f} {added:+.2f} us a line)"
    return Verdict(name, figure, f"{path.ratio:.2f} x", ratio <= path.ratio)


def main(argv: list[str] | None = None) -> int:
    """Prints the figures; returns 1 where a target is missed."""
    parser = argparse.ArgumentParser(description="What lineage costs.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join([*CASES, *PATHS])}; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--lines", type=int, default=ELEMENTS, help="of the file that paths read")
    parser.add_argument(
        "--read", choices=sorted(READS), default="beam", help="of paths; default: %(default)s"
    )
    chosen = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    verdicts = []
    for name in chosen.names or (*CASES, *PATHS):
        if name in PATHS:
            verdicts.append(verdict_of_path(name, chosen.read, chosen.lines, chosen.rounds))
            continue
        case = CASES[name]
        variants = {"bare": partial(run, case, False), "woven": partial(run, case, True)}
        if case.nanoseconds is not None:
            variants["staged and woven"] = partial(run, case, True, True)
        samples = in_turn(variants, chosen.rounds)
        for variant in list(variants)[1:] if case.nanoseconds is not None else ():
            added = paired_difference(samples, variant, "bare") / ELEMENTS / STEPS * 1e9
            verdicts.append(
                Verdict(
                    name if variant == "woven" else f"{name}, Stage + lineage",
                    f"{added:+.0f} ns",
                    f"+{case.nanoseconds:.0f} ns",
                    added <= (case.nanoseconds or 0.0),
                )
            )
        if case.ratio is not None:
            ratio = paired_ratio(samples, "woven", "bare")
            verdicts.append(Verdict(name, f"{ratio:.2f} x", f"{case.ratio:.2f} x", ratio <= case.ratio))
    weaving_time = min(weaving_milliseconds() for _ in range(3))
    verdicts.append(Verdict("weaving, per transform", f"{weaving_time:.2f} ms", "2 ms", weaving_time <= 2))
    return 0 if print_verdicts(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
