"""What a stage counts is what happened."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.metrics import names
from beam_obs.records.run_context import observation_of
from tests.running import observed, run, run_in_bundles, through


class Everything(beam.DoFn):
    """Refuses, filters, gives one or many, tags, and fails at the end."""

    def process(self, number):  # type: ignore[no-untyped-def]
        if number % 5 == 0:
            raise ValueError("refused")
        if number % 5 == 1:
            return
        yield number
        if number % 5 == 2:
            yield TaggedOutput("side", number)

    def finish_bundle(self):  # type: ignore[no-untyped-def]
        yield WindowedValue("end", 0, (GlobalWindow(),))


def facts(counts: Any) -> tuple[int, ...]:
    return counts.in_, counts.out, counts.dead, counts.leftovers, counts.filtered, counts.internal_errors


@pytest.mark.parametrize("run_with", [run, run_in_bundles])
def test_counts_are_what_happened(run_with: Any) -> None:
    transform = beam.ParDo(Everything()).with_outputs("side", main="main")
    outcome = run_with(lambda p: p | beam.Create(range(100)) | observed(transform))
    emitted = len(outcome.values()) + len(outcome.values("side"))
    ends = outcome.values().count("end")
    assert facts(outcome.counts()) == (100, 80 + ends, 20, 0, 20, 0)
    assert emitted == 80 + ends
    assert len(outcome.letters) == 20


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda: beam.Map(lambda n: 1 // n), (4, 3, 1, 0, 0, 0)),
        (lambda: beam.Filter(lambda n: 2 // n > 1), (4, 1, 1, 0, 2, 0)),
        (lambda: beam.FlatMap(lambda n: [1 // n] * n), (4, 6, 1, 0, 0, 0)),
        (lambda: beam.FlatMap(lambda n: (1 // n for _ in range(n - 1))), (4, 3, 0, 0, 2, 0)),
    ],
)
def test_taken_is_passed_on_refused_or_filtered(transform: Any, expected: Any) -> None:
    assert facts(through([0, 1, 2, 3], transform()).counts()) == expected


def test_counts_of_a_result_that_is_passed_on_as_it_comes() -> None:
    def late(number: int) -> Any:
        yield from range(number)
        if number % 2:
            raise ValueError("late")

    assert facts(through([0, 1, 2, 3], beam.FlatMap(late), partial=True).counts()) == (4, 6, 2, 0, 1, 0)


def test_many_bundles_add_up() -> None:
    def build(p: beam.Pipeline) -> Any:
        return p | beam.Create(range(500)) | beam.Reshuffle() | observed(beam.Map(lambda n: 1 // (n % 10)))

    counts = run(build, "--direct_num_workers=3", "--direct_running_mode=multi_threading").counts()
    assert facts(counts) == (500, 450, 50, 0, 0, 0)


def test_stages_are_told_apart_by_their_full_labels() -> None:
    class Clean(beam.PTransform):
        def expand(self, texts: Any) -> Any:
            good, dead = texts | observed(beam.Map(int))
            more, also = good | "again" >> observed(beam.Map(lambda n: 1 // n))
            return {"main": more, "dead": (dead, also) | beam.Flatten()}

    outcome = run(lambda p: p | beam.Create(["1", "0", "x"]) | "clean" >> Clean())
    assert facts(outcome.counts("clean/step")) == (3, 2, 1, 0, 0, 0)
    assert facts(outcome.counts("clean/again")) == (2, 1, 1, 0, 0, 0)


def test_a_failing_end_of_a_bundle_is_a_leftover() -> None:
    class Failing(beam.DoFn):
        def process(self, element):  # type: ignore[no-untyped-def]
            yield element

        def finish_bundle(self) -> None:
            raise ValueError

    outcome = through([1, 2], beam.ParDo(Failing()))
    counts = outcome.counts()
    assert (counts.in_, counts.out, counts.dead) == (2, 2, counts.leftovers)
    assert counts.leftovers == len(outcome.letters) > 0


def test_latencies_are_of_one_element_in_the_sample_rate() -> None:
    def build(rate: int) -> Any:
        pipeline = beam.Pipeline("FnApiRunner")
        observation_of(pipeline).settings.sample_rate = rate
        return run(
            lambda p: p | beam.Impulse() | beam.FlatMap(lambda _: range(1000)) | observed(beam.Map(str)),
            pipeline=pipeline,
        ).counts()

    assert build(10).latency.count == 100
    assert build(128).latency.count == 8
    assert build(0).latency.count == 0


def test_latencies_tell_the_slow_from_the_fast() -> None:
    import time

    pipeline = beam.Pipeline("FnApiRunner")
    observation_of(pipeline).settings.sample_rate = 1
    counts = run(
        lambda p: p | beam.Create([0.0] * 9 + [0.02]) | observed(beam.Map(time.sleep)), pipeline=pipeline
    ).counts()
    assert counts.latency.count == 10
    assert (counts.latency.quantile_us(0.5) or 1e9) < 2_500
    assert 10_000 < (counts.latency.quantile_us(0.99) or 0) <= 250_000


def test_a_refused_element_is_timed_too() -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    observation_of(pipeline).settings.sample_rate = 1
    outcome = run(lambda p: p | beam.Create(["x", "y"]) | observed(beam.Map(int)), pipeline=pipeline)
    assert outcome.counts().latency.count == 2


def test_no_more_than_30_names_are_used() -> None:
    outcome = through(range(100), beam.ParDo(Everything()))
    used = outcome.result.metrics().query(MetricsFilter().with_namespace(names.NAMESPACE))
    assert len({counter.key.metric.name for counter in used["counters"]}) <= 30
    assert not used["distributions"]
    assert not used["gauges"]
    declared = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)} - {
        names.NAMESPACE,
        names.LATENCY_PREFIX,
        names.INNER_LEAF,
        names.LATER_LEAF,
    }
    assert len(declared | set(names.LATENCY_NAMES)) <= 30


def test_without_a_home_counts_are_there_too() -> None:
    import beam_obs as obs

    outcome = run(lambda p: p | beam.Create([1, 2]) | "step" >> obs.Stage(beam.Filter(lambda n: n > 1)))
    assert facts(outcome.counts()) == (2, 1, 0, 0, 1, 0)
