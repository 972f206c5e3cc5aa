"""The text that Prometheus reads says what the end of a run says, whatever names and labels there are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from beam_obs.exporters.prometheus_text import metrics_of_run, prometheus_text
from beam_obs.metrics.families import COUNTER, GAUGE, HISTOGRAM, SUMMARY, Family, Sample
from beam_obs.metrics.own_families import OWN_FAMILIES
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.numbers_of_run import numbers_of_run
from tests.exporters.small_runs import run_small, series, values
from tests.shared_runs import made_once


def text_of(*families: Family, openmetrics: bool = False, pipeline: str = "small") -> str:
    runs = [RunNumbers(pipeline, "1", 0, families)]
    return b"".join(prometheus_text(runs, openmetrics)).decode()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = made_once(tmp_path_factory, "exported-run", lambda folder: run_small(folder / "store"))
    from beam_obs.store.store import Store

    return Store(folder / "store").find("latest")


@pytest.mark.parametrize("openmetrics", [False, True])
def test_the_text_of_a_run_says_what_its_end_says(record: Any, openmetrics: bool) -> None:
    text = b"".join(prometheus_text([numbers_of_run(record)], openmetrics)).decode()
    found = values(text, openmetrics)
    (read, parsed) = sorted(record.end["stages"], key=lambda stage: stage["label"] == "parse")
    for stage in (read, parsed):
        of = {"pipeline": "small", "stage": stage["label"]}
        assert found[series("beam_obs_records_in_total", **of)] == stage["in"]
        assert found[series("beam_obs_records_out_total", **of)] == stage["out"]
        assert found[series("beam_obs_records_filtered_total", **of)] == stage["filtered"]
    of = {"pipeline": "small", "stage": "parse"}
    assert found[series("beam_obs_records_dead_total", error="ValueError", **of)] == 1
    timed = record.end["stages"][[one["label"] for one in record.end["stages"]].index("parse")]
    assert found[series("beam_obs_latency_seconds_bucket", le="+Inf", **of)] == timed["latency_us_le"]["inf"]
    assert found[series("beam_obs_run_status", pipeline="small", status="done")] == 1
    assert found[series("beam_obs_run_balanced", pipeline="small")] == 1
    assert found[series("exported_rows_total", kind='a "kind"', **of)] == 3
    assert found[series("exported_size_bytes_bucket", le="1.0", **of)] == 2
    assert found[series("exported_size_bytes_count", **of)] == 3
    assert found[series("exported_size_bytes_sum", **of)] == 4
    assert found[series("exported_load_ratio", **of)] == 0.25


def test_openmetrics_has_an_origin_of_what_was_refused_as_trace_id(record: Any) -> None:
    text = b"".join(prometheus_text([numbers_of_run(record)], openmetrics=True)).decode()
    (kind,) = record.end["dead_letters"]["by_fingerprint"]
    exemplars = {
        sample.name: sample.exemplar.labels
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert exemplars == {"beam_obs_records_dead_total": {"trace_id": kind["origin"]}}
    assert len(kind["origin"]) == 32


def test_help_and_types_are_those_of_the_table(record: Any) -> None:
    text = b"".join(prometheus_text([numbers_of_run(record)])).decode()
    lines = text.splitlines()
    for name, (kind, said) in OWN_FAMILIES.items():
        if f"# TYPE {name} " in text:
            assert f"# HELP {name} {said}" in lines
            assert f"# TYPE {name} {kind}" in lines
    assert "# TYPE beam_obs_records_in_total counter" in lines


def test_families_of_several_runs_stand_together() -> None:
    runs = [
        RunNumbers(name, "1", 0, (Family("rows_total", COUNTER, (Sample("a", value=at),), "Rows."),))
        for at, name in enumerate(("one", "two"))
    ]
    lines = b"".join(prometheus_text(runs)).decode().splitlines()
    assert lines == [
        "# HELP rows_total Rows.",
        "# TYPE rows_total counter",
        'rows_total{pipeline="one",stage="a"} 0.0',
        'rows_total{pipeline="two",stage="a"} 1.0',
    ]


def test_of_families_whose_samples_have_one_name_the_first_is_told() -> None:
    rows = Family("rows_total", COUNTER, (Sample("parse", value=3),))
    sizes = Family("rows_sum", GAUGE, (Sample("parse", value=4.0),))
    spread = Family("rows", SUMMARY, (Sample("parse", count=2, sum=5.0),))
    for told, others in ((rows, [Family("rows_total", GAUGE, sizes.samples)]), (sizes, [spread])):
        text = text_of(told, *others, openmetrics=True)
        (metric,) = text_string_to_metric_families(text)
        assert [sample.name for sample in metric.samples] == [told.name]


def test_of_two_kinds_of_one_name_the_first_is_told() -> None:
    runs = [
        RunNumbers("one", "1", 0, (Family("rows", GAUGE, (Sample("a", value=1),)),)),
        RunNumbers("two", "1", 0, (Family("rows_total", COUNTER, (Sample("a", value=2),)),)),
    ]
    for openmetrics in (False, True):
        found = values(b"".join(prometheus_text(runs, openmetrics)).decode(), openmetrics)
        assert found == {series("rows", pipeline="one", stage="a"): 1}


names = st.from_regex(r"[a-z][a-z0-9_]{0,10}[a-z]", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
labels = st.dictionaries(names, texts, max_size=3)
numbers = st.floats(allow_nan=False, allow_infinity=False)
RESERVED = ("total", "bucket", "sum", "count", "created", "info", "gsum", "gcount", "le", "quantile")


@given(names, texts, labels, numbers, texts, st.booleans())
def test_any_label_and_value_is_read_back(
    name: str, step: str, told: dict[str, str], value: float, pipeline: str, openmetrics: bool
) -> None:
    if name.endswith(RESERVED) or {"pipeline", "stage"} & told.keys():
        return
    text = text_of(
        Family(name, GAUGE, (Sample(step, told, value=value),)), openmetrics=openmetrics, pipeline=pipeline
    )
    wanted = told | {"pipeline": pipeline} | ({"stage": step} if step else {})
    assert values(text, openmetrics) == {series(name, **wanted): value}


@pytest.mark.parametrize(
    "sample",
    [
        Sample("a", buckets={"wide": 1}, count=1),
        Sample("a", quantiles={"most": 1.0}),
        Sample("a"),
        Sample("a", value=10**400),
        Sample("a", {"kind": "\ud800"}, value=1),
    ],
    ids=["bound", "quantile", "nothing", "huge", "surrogate"],
)
def test_what_cannot_be_said_is_left_out_and_nothing_else_with_it(sample: Sample) -> None:
    kind = HISTOGRAM if sample.buckets else SUMMARY if sample.quantiles else GAUGE
    bad, good = Family("rows", kind, (sample,)), Family("size", GAUGE, (Sample("", value=7),))
    runs = [RunNumbers("bad", "1", 0, (bad,)), RunNumbers("good", "1", 0, (good,))]
    for openmetrics in (False, True):
        found = values(b"".join(prometheus_text(runs, openmetrics)).decode(), openmetrics)
        assert found == {series("size", pipeline="good"): 7}
    one = metrics_of_run(RunNumbers("bad", "1", 0, (bad, good)))
    assert values(generate_latest(one).decode()) == {series("size", pipeline="bad"): 7}


@pytest.mark.parametrize(
    "family",
    [
        Family("rows_total", COUNTER, (Sample("a", value=-(2.0**63)),)),
        Family("rows_total", COUNTER, (Sample("a", value=float("nan")),)),
        Family("sizes", HISTOGRAM, (Sample("a", buckets={"1": -1, "+Inf": 2}, count=2, sum=1.0),)),
        Family("sizes", SUMMARY, (Sample("a", quantiles={"0.5": 1.0}, count=-2, sum=1.0),)),
    ],
    ids=["total", "no number", "bucket", "count"],
)
def test_a_count_below_zero_is_left_out_and_nothing_else_with_it(family: Family) -> None:
    good = Family("size", GAUGE, (Sample("", value=7),))
    runs = [RunNumbers("bad", "1", 0, (family,)), RunNumbers("good", "1", 0, (good,))]
    for openmetrics in (False, True):
        found = values(b"".join(prometheus_text(runs, openmetrics)).decode(), openmetrics)
        assert found == {series("size", pipeline="good"): 7}
    one = metrics_of_run(RunNumbers("bad", "1", 0, (family, good)))
    assert values(generate_latest(one).decode()) == {series("size", pipeline="bad"): 7}


def test_a_series_that_is_there_twice_is_told_once() -> None:
    twice = Family("rows", GAUGE, (Sample("a", value=1), Sample("a", value=2)))
    assert values(text_of(twice)) == {series("rows", pipeline="small", stage="a"): 1}


def test_of_two_that_prometheus_takes_for_one_the_second_is_left_out_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Workers that never met may have made them, each without knowing of the other.
    counter = Family("clash_total", COUNTER, (Sample("a", value=3),))
    gauge = Family("clash", GAUGE, (Sample("b", value=1),))
    for openmetrics in (False, True):
        found = values(text_of(counter, gauge, openmetrics=openmetrics), openmetrics)
        assert found == {series("clash_total", pipeline="small", stage="a"): 3}
    (told,) = [text for text in caplog.messages if "clash" in text]
    assert "the gauge 'clash' of small is left out" in told
    assert "give one of them another name" in told
