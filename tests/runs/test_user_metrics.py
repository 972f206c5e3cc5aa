"""Observing takes nothing away: a run's own metrics are the same observed and bare, asked again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder, StrUtf8Coder
from apache_beam.metrics import Metrics
from apache_beam.runners.portability.portable_metrics import from_monitoring_infos
from apache_beam.transforms.userstate import BagStateSpec, CombiningValueStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_obs as obs
from beam_obs.metrics.names import NAMESPACE
from beam_obs.testing import assert_metrics

Applied = Callable[[Any], Any]


def count(element: Any) -> Any:
    Metrics.counter("mine", "seen").inc()
    Metrics.distribution("mine", "length").update(len(str(element)))
    Metrics.gauge("mine", "one").set(1)
    return element


class Numbered(beam.DoFn):
    """Numbers the elements of a key, and counts them when its timer fires."""

    SEEN = CombiningValueStateSpec("seen", sum)
    KEPT = BagStateSpec("kept", StrUtf8Coder())
    TIMER = TimerSpec("timer", beam.TimeDomain.WATERMARK)
    seen_state, kept_state = beam.DoFn.StateParam(SEEN), beam.DoFn.StateParam(KEPT)
    timer_param = beam.DoFn.TimerParam(TIMER)

    def process(
        self,
        element: tuple[str, int],
        seen: Any = seen_state,
        kept: Any = kept_state,
        timer: Any = timer_param,
    ) -> Iterable[tuple[str, int]]:
        Metrics.counter("mine", "taken").inc()
        seen.add(1)
        kept.add(str(element))
        timer.set(5)
        yield element[0], seen.read()

    @on_timer(TIMER)
    def expired(self, kept: Any = kept_state) -> Iterable[tuple[str, int]]:
        Metrics.counter("mine", "fired").inc()
        yield "fired", len(list(kept.read()))


class Bundled(beam.DoFn):
    """Counts elements, bundles and what it gives at their ends."""

    def start_bundle(self) -> None:
        self._held: list[Any] = []

    def process(self, element: Any) -> None:
        Metrics.counter("mine", "held").inc()
        self._held.append(element)

    def finish_bundle(self) -> Iterable[Any]:
        for element in self._held:
            Metrics.counter("mine", "given").inc()
            yield beam.transforms.window.GlobalWindows.windowed_value(element)


def numbers(pipeline: Any) -> Any:
    return pipeline | beam.Create(range(20)) | "count" >> beam.Map(count)


def keyed(pipeline: Any) -> Any:
    return numbers(pipeline) | beam.Map(lambda number: (str(number % 3), number))


def tagged(number: int) -> Iterable[Any]:
    yield beam.pvalue.TaggedOutput("odd" if number % 2 else "even", count(number))


def beside(number: int, others: list[int]) -> int:
    Metrics.counter("mine", "others").inc(len(others))
    return number


def two(pipeline: Any) -> Any:
    return pipeline | "two" >> beam.Create([1, 2])


def flattened(pipeline: Any) -> Any:
    parts = numbers(pipeline) | "tagged" >> beam.ParDo(tagged).with_outputs("odd", "even")
    return (parts.odd, parts.even) | beam.Flatten() | "again" >> beam.Map(count)


def joined(pipeline: Any) -> Any:
    pairs = keyed(pipeline)
    return {"a": pairs, "b": pairs} | beam.CoGroupByKey() | "joined" >> beam.Map(count)


def windowed(pipeline: Any) -> Any:
    times = numbers(pipeline) | beam.Map(lambda number: TimestampedValue(("key", number), number))
    return times | beam.WindowInto(FixedWindows(5)) | beam.GroupByKey() | "window" >> beam.Map(count)


PIPELINES: dict[str, Applied] = {
    "maps": lambda p: numbers(p) | beam.Filter(lambda number: number % 2) | "second" >> beam.Map(count),
    "grouped": lambda p: keyed(p) | beam.GroupByKey() | "groups" >> beam.Map(count),
    "combined": lambda p: keyed(p) | beam.CombinePerKey(sum) | "sums" >> beam.Map(count),
    "combined globally": lambda p: numbers(p) | beam.CombineGlobally(sum) | "sum" >> beam.Map(count),
    "joined": joined,
    "flattened": flattened,
    "windowed": windowed,
    "reshuffled": lambda p: numbers(p) | beam.Reshuffle() | "moved" >> beam.Map(count),
    "batched": lambda p: keyed(p) | beam.GroupIntoBatches(4) | "batches" >> beam.Map(count),
    "batched for a time": lambda p: keyed(p) | beam.GroupIntoBatches(4, 5) | "batches" >> beam.Map(count),
    "state and timers": lambda p: keyed(p) | "numbered" >> beam.ParDo(Numbered()) | "out" >> beam.Map(count),
    "bundles": lambda p: numbers(p) | "held" >> beam.ParDo(Bundled()) | "given" >> beam.Map(count),
    "beside": lambda p: (
        numbers(p) | "side" >> beam.Map(beside, beam.pvalue.AsList(p | "two" >> beam.Create([1, 2])))
    ),
    "splittable": lambda p: p | beam.io.ReadFromText(__file__, coder=BytesCoder()) | "line" >> beam.Map(len),
}


def run(pipeline: Any, applied: Applied) -> Any:
    applied(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def own(results: Any) -> dict[tuple[str, ...], Any]:
    """Returns what the user's own code counted: step, namespace, name -> value."""
    return {
        (str(found.key.step), found.key.metric.name): value_of(found.committed)
        for kind in results.query().values()
        for found in kind
        if found.key.metric.namespace == "mine"
    }


def value_of(found: Any) -> Any:
    """Returns a number, of distributions all numbers, of a gauge without its time."""
    data = getattr(found, "data", found)
    return getattr(data, "value", data)


def own_in(infos: list[Any]) -> dict[tuple[str, ...], Any]:
    """Returns the same of raw monitoring infos."""
    return {
        (str(key.step), key.metric.name): value_of(found)
        for kind in from_monitoring_infos(infos, user_metrics_only=True)
        for key, found in kind.items()
        if key.metric.namespace == "mine"
    }


def elements(infos: Iterable[Any]) -> dict[str, list[bytes]]:
    """Returns Beam's counts of elements by PCollection."""
    found: dict[str, list[bytes]] = {}
    for info in infos:
        if info.urn == "beam:metric:element_count:v1":
            found.setdefault(info.labels["PCOLLECTION"], []).append(info.payload)
    return {pcollection: sorted(counts) for pcollection, counts in found.items()}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_runs_own_metrics_are_the_same_observed_and_bare(name: str) -> None:
    bare = list(run(beam.Pipeline("FnApiRunner"), PIPELINES[name]).monitoring_infos())
    result = run(obs.Pipeline("FnApiRunner", name="own"), PIPELINES[name])
    for _ in range(2):
        assert own(result.monitoring_metrics()) == own_in(bare)
        assert own(result.metrics()) == own_in(bare)
        told = elements(result.monitoring_infos())
        assert {pcollection: told.get(pcollection) for pcollection in elements(bare)} == elements(bare)


def test_what_is_added_is_of_its_own_namespace() -> None:
    result = run(obs.Pipeline("FnApiRunner", name="own"), PIPELINES["maps"])
    spaces = {found.key.metric.namespace for found in result.metrics().query()["counters"]}
    assert spaces <= {"mine", NAMESPACE}


def test_metrics_of_a_beam_pipeline_stay_after_they_were_looked_at() -> None:
    def staged(pipeline: Any) -> Any:
        return keyed(pipeline) | beam.GroupIntoBatches(4) | "stage" >> obs.Stage(beam.Map(count))

    result = run(beam.Pipeline("FnApiRunner"), staged)
    assert_metrics(result, stage="stage", in_=6)
    assert sum(value == 20 for value in own(result.monitoring_metrics()).values()) == 1
