"""Steps that refuse some of what they take, alone and in composites, for random pipelines that lose nothing.

Values are those of `random_steps`. Where a composite stands in a Stage each of its steps may refuse; what a
dead letter holds is then of any form, and goes on as a value that stands for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

import beam_obs as obs
from tests.weaving.random_steps import STEPS, Value, typed
from tests.weaving.steps_of_ours import Passes, UnionOfSome, passes


class _FailsLate(beam.DoFn):
    def process(self, value: Value) -> Iterable[Value]:
        yield value
        yield passes(value)


class _TagsSome(beam.DoFn):
    def process(self, value: Value) -> Iterable[Any]:
        yield passes(value) if value[0] % 2 else beam.pvalue.TaggedOutput("even", passes(value))


class _FailsAtTheEnd(beam.DoFn):
    def start_bundle(self) -> None:
        self._taken = 0

    def process(self, value: Value) -> Iterable[Value]:
        self._taken += 1
        yield passes(value)

    def finish_bundle(self) -> None:
        if self._taken % 2:
            raise ValueError("the end of the bundle is refused")


def _of_tags(pcoll: Any, name: str) -> Any:
    odd, even = pcoll | name >> beam.ParDo(_TagsSome()).with_outputs("even", main="odd")
    return (odd, even) | f"{name} f" >> beam.Flatten()


def _flattened(pcoll: Any, name: str) -> Any:
    parts = [pcoll | f"{name} {part}" >> beam.Map(passes) for part in "ab"]
    return (*parts, pcoll) | name >> beam.Flatten()


def _beside(pcoll: Any, name: str) -> Any:
    others = beam.pvalue.AsList(pcoll | f"{name} others" >> beam.Map(passes))
    return pcoll | name >> beam.Map(lambda value, _: passes(value), others)


def _batches(pcoll: Any, name: str) -> Any:
    batched = pcoll | name >> beam.GroupIntoBatches(2)
    return batched | f"{name} u" >> beam.MapTuple(lambda key, all_: passes((key, frozenset().union(*all_))))


def _grouped(pcoll: Any, name: str) -> Any:
    grouped = pcoll | f"{name} before" >> beam.Map(passes) | name >> beam.GroupByKey()
    return grouped | f"{name} u" >> beam.MapTuple(lambda key, all_: passes((key, frozenset().union(*all_))))


def _globally(pcoll: Any, name: str, combine: Any) -> Any:
    combined = pcoll | f"{name} v" >> beam.Values() | name >> combine
    return combined | f"{name} k" >> beam.Map(lambda numbers: (7, numbers or frozenset()))


REFUSING: dict[str, Any] = {
    "refusing map": lambda pcoll, name: pcoll | name >> beam.Map(passes),
    "refusing flat map": lambda pcoll, name: pcoll | name >> beam.FlatMap(lambda value: [passes(value)] * 2),
    "refusing filter": lambda pcoll, name: pcoll | name >> beam.Filter(lambda value: passes(value)[0] % 2),
    "refusing late": lambda pcoll, name: pcoll | name >> beam.ParDo(_FailsLate()),
    "refusing at the end": lambda pcoll, name: pcoll | name >> beam.ParDo(_FailsAtTheEnd()),
    "refusing tags": _of_tags,
    "refusing side input": _beside,
    "refusing parts": _flattened,
    "refusing group": _grouped,
    "refusing combine": lambda pcoll, name: pcoll | name >> beam.CombinePerKey(UnionOfSome()),
    "refusing hot keys": lambda pcoll, name: (
        pcoll | name >> beam.CombinePerKey(UnionOfSome()).with_hot_key_fanout(3)
    ),
    "refusing globally": lambda pcoll, name: _globally(pcoll, name, beam.CombineGlobally(UnionOfSome())),
    "refusing without defaults": lambda pcoll, name: _globally(
        pcoll, name, beam.CombineGlobally(UnionOfSome()).without_defaults()
    ),
    "refusing batches": _batches,
    "refusing inference": lambda pcoll, name: pcoll | name >> RunInference(Passes()),
}


class Chain(beam.PTransform):
    """A composite of steps."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def expand(self, pcoll: Any) -> Any:
        for at, name in enumerate(self._names):
            apply = {**STEPS, **REFUSING, **WITHIN}[name]
            pcoll = typed(apply(typed(pcoll, f"{at} first"), f"{at} {name}"), f"{at} last")
        return pcoll


class _Ends(beam.PTransform):
    """A write that refuses in two places."""

    def expand(self, pcoll: Any) -> Any:
        return pcoll | "passes" >> beam.Map(passes) | "sends" >> beam.Map(passes)


def _with_letters(pcoll: Any, name: str, names: Sequence[str]) -> Any:
    given, letters = pcoll | name >> obs.Stage(Chain(names)).with_dead_letters()
    taken = letters | f"{name} taken" >> beam.Map(lambda _: (9, frozenset([0])))
    return (given, taken) | f"{name} both" >> beam.Flatten()


def _in_a_sink(pcoll: Any, name: str, names: Sequence[str]) -> Any:
    given = pcoll | name >> obs.Stage(Chain(names))
    _ = given | f"{name} sink" >> obs.Sink(_Ends())
    return given


def _in_a_home(pcoll: Any, name: str, names: Sequence[str]) -> Any:
    with obs.DeadLetters(beam.Map(lambda letter: letter)) as home:
        return pcoll | name >> obs.Stage(Chain(names), dead_letters=home)


AROUND: dict[str, Any] = {
    "a stage": lambda pcoll, name, names: pcoll | name >> obs.Stage(Chain(names)),
    "a stage with letters": _with_letters,
    "a home": _in_a_home,
    "a stage before a sink": _in_a_sink,
}
WITHIN: dict[str, Any] = {
    "stage within": lambda pcoll, name: pcoll | name >> obs.Stage(beam.Map(passes)),
    "combine within": lambda pcoll, name: pcoll | name >> obs.Stage(beam.CombinePerKey(UnionOfSome())),
    "stages within": lambda pcoll, name: (
        pcoll | name >> obs.Stage(Chain(["refusing map", "refusing combine", "refusing group"]))
    ),
    "letters within": lambda pcoll, name: _with_letters(
        pcoll, name, ["refusing flat map", "refusing combine"]
    ),
}
