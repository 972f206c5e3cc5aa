"""What a Stage adds per element: `python -m benchmarks.stage`.

Ten chained trivial steps over 200,000 ints in one fused bundle of the FnApiRunner, in CPU time of the
process. Each kind of step runs bare and under a Stage; the Map also with Beam's own
`with_exception_handling`, with asgarde, and with its dead letters kept in files. Everything that a
Stage costs is in "added": building, pickling and flushing too. "Fixed" is the part of it that does not
grow with the elements, from runs of ten of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from asgarde.collection_composer import CollectionComposer

import beam_obs as obs
from benchmarks.measure import (
    Verdict,
    in_turn,
    paired_difference,
    print_verdicts,
    process_seconds,
    without_warnings,
)

STEPS = 10
ELEMENTS = 200_000
ROUNDS = 5
TIMES_CHEAPER = 10
FEW = 10

Step = Callable[[Any, Any, int], Any]
"""From pipeline, PCollection and number of the step to the next PCollection."""

KINDS = {
    "Map": 100,
    "Filter": 100,
    "side input": 100,
    "FlatMap": 150,
    "list": 150,
    "generator": 220,
    "tagged": 220,
}
"""Kinds of steps, each with its target in nanoseconds."""


def increment(value: int) -> int:
    return value + 1


def add(value: int, addend: int) -> int:
    return value + addend


def is_natural(value: int) -> bool:
    return value >= 0


def single(value: int) -> list[int]:
    return [value + 1]


class ListDoFn(beam.DoFn):
    """Returns its one output in a list."""

    def process(self, element: int) -> list[int]:
        return [element + 1]


class GeneratorDoFn(beam.DoFn):
    """Yields its one output."""

    def process(self, element: int) -> Iterator[int]:
        yield element + 1


class TaggingDoFn(beam.DoFn):
    """Yields its one output, and one in ten again with a tag."""

    def process(self, element: int) -> Iterator[Any]:
        yield element + 1
        if element % 10 == 0:
            yield beam.pvalue.TaggedOutput("tens", element)


def transform(kind: str, addend: Any) -> Any:
    """Returns a trivial transform of the kind; it gives ints, so that coders cost the same everywhere.

    Args:
      kind: one of `KINDS`.
      addend: side input with one int.
    """
    if kind == "Map":
        return beam.Map(increment)
    if kind == "Filter":
        return beam.Filter(is_natural)
    if kind == "side input":
        return beam.Map(add, addend)
    if kind == "FlatMap":
        return beam.FlatMap(single)
    if kind == "list":
        return beam.ParDo(ListDoFn())
    if kind == "generator":
        return beam.ParDo(GeneratorDoFn())
    return beam.ParDo(TaggingDoFn()).with_output_types(int).with_outputs("tens", main="ints")


def main_output(result: Any) -> Any:
    """Returns the main output of a transform with tags, or its only one."""
    return result if isinstance(result, beam.PCollection) else result["ints"]


def run_chain(elements: int, apply_steps: Callable[[Any, Any], None]) -> None:
    """Runs a pipeline that counts up and sends the numbers through some steps.

    Args:
      elements: how many ints.
      apply_steps: given the ints and the side input, applies the steps.
    """
    with beam.Pipeline("FnApiRunner", PipelineOptions([])) as pipeline:
        ints = (
            pipeline
            | "start" >> beam.Impulse()
            | "count" >> beam.FlatMap(lambda _: range(elements)).with_output_types(int)
        )
        addend = beam.pvalue.AsSingleton(pipeline | "addend" >> beam.Create([1], reshuffle=False))
        apply_steps(ints, addend)


def bare(kind: str, elements: int) -> None:
    """The chain as Beam has it."""

    def apply_steps(values: Any, addend: Any) -> None:
        for number in range(STEPS):
            values = main_output(values | f"step {number}" >> transform(kind, addend))

    run_chain(elements, apply_steps)


def staged(kind: str, elements: int) -> None:
    """The chain with a Stage on every step; a bad record would fail the pipeline, as bare."""

    def apply_steps(values: Any, addend: Any) -> None:
        for number in range(STEPS):
            values = main_output(values | f"step {number}" >> obs.Stage(transform(kind, addend)))

    run_chain(elements, apply_steps)


def staged_with_dead_letters(kind: str, elements: int) -> None:
    """The chain with a Stage on every step, and one home for all dead letters."""

    def apply_steps(values: Any, addend: Any) -> None:
        with obs.DeadLetters(obs.AvroFiles(folder)) as dead:
            for number in range(STEPS):
                values = main_output(
                    values | f"step {number}" >> obs.Stage(transform(kind, addend), dead_letters=dead)
                )

    with tempfile.TemporaryDirectory() as folder:
        run_chain(elements, apply_steps)


def exception_handling(elements: int) -> None:
    """The chain of Maps with Beam's own exception handling."""

    def apply_steps(values: Any, addend: Any) -> None:
        for number in range(STEPS):
            values, _ = values | f"step {number}" >> beam.Map(increment).with_exception_handling()

    run_chain(elements, apply_steps)


def asgarde(elements: int) -> None:
    """The chain of Maps with asgarde."""

    def apply_steps(values: Any, addend: Any) -> None:
        composer = CollectionComposer.of(values)
        for number in range(STEPS):
            composer = composer.map(f"step {number}", increment)
        _ = composer.outputs, composer.failures

    run_chain(elements, apply_steps)


def variants(elements: int) -> dict[str, Callable[[], float]]:
    """Returns every variant by its name, as a function that runs it and gives its seconds of CPU."""
    runs: dict[str, Callable[[], object]] = {}
    for kind in KINDS:
        runs[f"{kind}, bare"] = partial(bare, kind, elements)
        runs[f"{kind}, Stage"] = partial(staged, kind, elements)
    for kind in ("Map", "generator"):
        runs[f"{kind}, Stage and DeadLetters"] = partial(staged_with_dead_letters, kind, elements)
    runs["Map, with_exception_handling"] = partial(exception_handling, elements)
    runs["Map, asgarde"] = partial(asgarde, elements)
    return {name: partial(process_seconds, run) for name, run in runs.items()}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what a Stage adds per element.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--elements", type=int, default=ELEMENTS, help="default: %(default)s")
    parser.add_argument("--only", default="", help="only kinds whose name contains this")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    arguments = parser.parse_args(argv)

    chosen = {name: run for name, run in variants(arguments.elements).items() if arguments.only in name}
    with without_warnings():
        samples = in_turn(chosen, arguments.rounds, lambda text: print(text, file=sys.stderr, flush=True))
        few = in_turn({name: run for name, run in variants(FEW).items() if name in chosen}, arguments.rounds)
    per_element = 1e9 / (arguments.elements * STEPS)

    print(f"\n{STEPS} chained steps, {arguments.elements:,} ints, FnApiRunner, {arguments.rounds} rounds.")
    print("CPU nanoseconds per element per step: fastest round; added, and the fixed part of it, are")
    print("medians of paired differences\n")
    print(f"  {'':<32}{'fastest':>10}{'added':>10}{'fixed':>10}")
    added: dict[str, float] = {}
    for name, costs in samples.items():
        yardstick = f"{name.split(', ')[0]}, bare"
        added[name] = paired_difference(samples, name, yardstick) * per_element
        fixed = paired_difference(few, name, yardstick) * per_element
        shown = "" if name == yardstick else f"{added[name]:>10.0f}{fixed:>10.0f}"
        print(f"  {name:<32}{min(costs) * per_element:>10.0f}{shown}")

    verdicts = [
        Verdict(kind, f"{added[name]:.0f} ns", f"<= {target} ns", added[name] <= target)
        for kind, target in KINDS.items()
        if (name := f"{kind}, Stage") in added
    ]
    if "Map, with_exception_handling" in added:
        for name in ("Map, Stage", "Map, Stage and DeadLetters"):
            times = added["Map, with_exception_handling"] / max(added[name], 1.0)
            verdicts.append(
                Verdict(
                    f"with_exception_handling over {name.split(', ')[1]}",
                    f"{times:.1f} x",
                    f">= {TIMES_CHEAPER} x",
                    times >= TIMES_CHEAPER,
                )
            )
    print()
    met = print_verdicts(verdicts)
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
