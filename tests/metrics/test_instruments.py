"""Users' instruments in DoFns: what counters and histograms say on runners, and what is refused."""

from __future__ import annotations

import math
import pickle
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.internal import pickler
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

import beam_obs as obs
from beam_obs.metrics import names
from beam_obs.metrics.instrument_names import USERS_NAMESPACE

ROWS = obs.counter("test_rows")
BY_CARRIER = obs.counter("test_flights", "carrier", series=3)
DELAY = obs.histogram("test_delay_seconds", buckets=[1, 10, 100])
SIZES = obs.histogram("test_sizes_bytes", "carrier", buckets=[10])


class Instrumented(beam.DoFn):
    """Counts elements, thrice each, and gives the rest values."""

    def start_bundle(self) -> None:
        self._seen = 0

    def process(self, number: int) -> Any:
        self._seen += 1
        ROWS.inc()
        ROWS.add(1)
        BY_CARRIER.labels(carrier="UA" if number % 2 else "AA").inc()
        BY_CARRIER.labels(carrier=f"x{number}").inc()
        DELAY.observe(number / 4)
        SIZES.labels(carrier="UA").observe({7: math.nan, 8: "eight"}.get(number, number))
        yield number

    def finish_bundle(self) -> None:
        ROWS.add(self._seen)


def counters(result: Any, namespace: str = USERS_NAMESPACE) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in result.metrics().query(MetricsFilter().with_namespace(namespace))["counters"]:
        found[one.key.metric.name] = found.get(one.key.metric.name, 0) + one.result
    return found


def pipelines() -> dict[str, Any]:
    return {
        "FnApiRunner": lambda: beam.Pipeline("FnApiRunner"),
        "bundle by bundle": lambda: beam.Pipeline(BundleBasedDirectRunner()),
        "woven": lambda: obs.Pipeline("FnApiRunner", argv=["--obs_report=off"]),
        "observed without lineage": lambda: obs.Pipeline(
            "FnApiRunner", argv=["--obs_report=off", "--obs_lineage=off"]
        ),
    }


@pytest.fixture(scope="module", params=pipelines())
def result(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two steps that use the instruments, one of them inside of a Stage, with 100 elements each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        pipeline = pipelines()[request.param]()
        stage = obs.Stage(beam.ParDo(Instrumented()))
        if not isinstance(pipeline, obs.Pipeline):
            stage = stage.with_dead_letters()
        numbers = pipeline | beam.Create(range(100))
        passed = numbers | "bare" >> beam.ParDo(Instrumented())
        _ = passed | beam.Reshuffle() | "stage" >> stage
        found = pipeline.run()
        found.wait_until_finish()
        return found


def test_a_counter_counts_every_element_of_every_step(result: Any) -> None:
    assert counters(result)["test_rows_total"] == 2 * 100 * 3


def test_labels_beyond_the_bound_are_one_series_which_is_counted(result: Any) -> None:
    found = {name: count for name, count in counters(result).items() if name.startswith("test_flights")}
    assert sum(found.values()) == 2 * 200
    beyond = found.pop('test_flights_total{carrier="other"}')
    assert len(found) == 3
    assert counters(result, names.NAMESPACE)[names.SERIES_BEYOND] == beyond


def test_a_histogram_has_cumulative_buckets_and_its_sum(result: Any) -> None:
    found = counters(result)
    buckets = {
        bound: found[f'test_delay_seconds_bucket{{le="{bound}"}}'] for bound in ("1.0", "10.0", "+Inf")
    }
    assert buckets == {"1.0": 2 * 5, "10.0": 2 * 41, "+Inf": 2 * 100}
    total = found["test_delay_seconds_sum"] + found["test_delay_seconds_sum_micros"] / 1e6
    assert total == 2 * sum(range(100)) / 4


def test_what_is_no_finite_number_is_left_out_and_counted(result: Any) -> None:
    found = counters(result)
    assert found['test_sizes_bytes_bucket{carrier="UA",le="+Inf"}'] == 2 * 98
    assert found['test_sizes_bytes_sum{carrier="UA"}'] == 2 * (sum(range(100)) - 7 - 8)
    assert counters(result, names.NAMESPACE)[names.VALUES_REFUSED] == 2 * 2


def test_an_instrument_is_the_same_one_wherever_it_is_unpickled() -> None:
    for one in (ROWS, DELAY, BY_CARRIER, SIZES.labels(carrier="UA")):
        assert pickle.loads(pickle.dumps(one)) is one
        assert pickler.loads(pickler.dumps(one)) is one


def test_what_takes_values_may_be_a_function_of_a_step_again_and_again() -> None:
    for _ in range(2):
        with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"]) as pipeline:
            _ = pipeline | beam.Create([0.5]) | beam.Map(DELAY.observe)
        assert counters(pipeline.result)["test_delay_seconds_sum_micros"] == 500_000


def test_an_instrument_made_again_alike_is_the_same_one() -> None:
    assert obs.counter("test_rows_total") is ROWS
    assert obs.histogram("test_delay_seconds", buckets=(1.0, 10, 100, math.inf)) is DELAY


def test_another_instrument_of_the_same_name_is_refused() -> None:
    with pytest.raises(obs.UsageError, match="'test_delay_seconds' already, made in another way"):
        obs.histogram("test_delay_seconds", buckets=[1])


def test_instruments_do_nothing_outside_of_a_pipeline() -> None:
    ROWS.inc()
    DELAY.observe(np.float32(1))


def test_an_instrument_with_labels_has_to_be_told_them() -> None:
    with pytest.raises(obs.UsageError, match=r"use \.labels\(carrier=\.\.\.\)"):
        BY_CARRIER.inc()
    with pytest.raises(obs.UsageError, match="takes the labels carrier, not carier"):
        BY_CARRIER.labels(carier="UA")
    with pytest.raises(obs.UsageError, match="has no labels"):
        ROWS.labels()


def test_a_counter_does_not_fall() -> None:
    with pytest.raises(obs.UsageError, match="never falls"):
        ROWS.add(-1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rows seen", "a letter, and then letters, digits and '_'"),
        ("1st", "a letter"),
        ("", "a letter"),
        ("beam_obs_rows", "names of beam_obs itself"),
        ("parse_ms", "use 'seconds', e.g. parse_seconds"),
        ("size_kilobytes", "use 'bytes', e.g. size_bytes"),
        ("rows_count", "Prometheus keeps the end '_count'"),
        ("rows_total_total", "use obs.counter"),
    ],
)
def test_names_that_prometheus_would_not_have_are_refused(name: str, said: str) -> None:
    with pytest.raises(obs.UsageError) as refused:
        obs.counter(name)
    assert said in str(refused.value)


@pytest.mark.parametrize("label", ["le", "step", "a-b", ""])
def test_labels_that_are_not_the_users_are_refused(label: str) -> None:
    with pytest.raises(obs.UsageError, match="cannot have a label"):
        obs.counter("test_of_labels", label)


@pytest.mark.parametrize("buckets", [[], [2, 1], [1, 1], [math.nan], list(range(51))])
def test_buckets_that_do_not_grow_are_refused(buckets: list[float]) -> None:
    with pytest.raises(obs.UsageError):
        obs.histogram("test_of_buckets", buckets=buckets)


def test_there_are_at_most_30_names_of_our_own() -> None:
    ours = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and not name.endswith(("_LEAF", "_PREFIX"))
    } - {names.NAMESPACE}
    assert names.IN in ours
    assert len(ours | {*names.LATENCY_NAMES}) <= 30


def test_a_count_of_more_bits_than_a_counter_has_says_so() -> None:
    with pytest.raises(obs.UsageError, match="63 bits"):
        ROWS.add(10**19)


@pytest.mark.parametrize(
    ("first", "second"), [(obs.counter, obs.gauge), (obs.gauge, obs.counter), (obs.counter, obs.histogram)]
)
def test_two_instruments_that_prometheus_would_take_for_one_are_refused(first: Any, second: Any) -> None:
    name = f"test_met_{first.__name__}_{second.__name__}"
    first(name)
    with pytest.raises(obs.UsageError) as refused:
        second(name)
    said = str(refused.value)
    assert f"a {second.__name__} cannot be named {name!r}" in said
    assert f"a {first.__name__} named" in said
    assert "test_instruments.py:" in said
    assert "give one of them another name" in said


def test_a_counter_is_given_an_amount_as_prometheus_clients_have_it() -> None:
    called: list[int] = []

    def count(number: int) -> int:
        ROWS.inc(number)
        ROWS.inc(count=1)
        return number

    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([2, 5, 0], reshuffle=False) | beam.Map(count) | beam.Map(called.append)
    assert counters(pipeline.result)["test_rows_total"] == 10
    with pytest.raises(obs.UsageError, match="never falls"):
        ROWS.inc(-1)


@pytest.mark.parametrize("amount", [0.5, "2", None])
def test_a_counter_takes_whole_numbers_and_says_so(amount: Any) -> None:
    for give in (ROWS.inc, ROWS.add):
        with pytest.raises(obs.UsageError, match="takes whole numbers, and was given"):
            give(amount)


@pytest.mark.parametrize("buckets", [5, None, ["a"], [1, None], [1, "x"], "12x"])
def test_buckets_that_are_no_numbers_are_refused_by_name(buckets: Any) -> None:
    with pytest.raises(obs.UsageError, match=r"histogram 'test_bad_seconds' needs .* e\.g\. \[0\.1, 1, 10\]"):
        obs.histogram("test_bad_seconds", buckets=buckets)


@pytest.mark.parametrize("quantiles", [0.5, None, ["p99"], [0.5, None], [99]])
def test_quantiles_that_are_none_are_refused_by_name(quantiles: Any) -> None:
    with pytest.raises(obs.UsageError, match=r"summary 'test_bad_seconds' needs .* e\.g\. \[0\.5, 0\.99\]"):
        obs.summary("test_bad_seconds", quantiles=quantiles)


@pytest.mark.parametrize("window", ["10m", [600]])
def test_a_window_that_is_no_number_of_seconds_is_refused(window: Any) -> None:
    with pytest.raises(obs.UsageError, match="needs a window of seconds"):
        obs.summary("test_bad_seconds", window=window)


def test_a_label_may_have_any_name_that_is_no_reserved_one() -> None:
    assert repr(obs.counter("test_selves", "self").labels(self="one")).endswith(
        'test_selves_total{self="one"}>'
    )
