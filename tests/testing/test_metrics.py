"""assert_metrics and assert_balanced."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream

import beam_obs as obs
from beam_obs.testing import assert_balanced, assert_metrics


def run(pipeline: Any) -> Any:
    with pipeline as p:
        odd = p | beam.Create([1, 2, 3]) | "odd" >> obs.Stage(beam.Filter(lambda number: number % 2))
        _ = odd | "double" >> obs.Stage(beam.Map(lambda number: number * 2))
    return p.result


@pytest.fixture(params=["plain", "observed", "store"])
def actual(request: pytest.FixtureRequest) -> Any:
    if request.param == "plain":
        return run(beam.Pipeline("FnApiRunner"))
    result = run(obs.Pipeline("FnApiRunner", name="numbers"))
    return result if request.param == "observed" else obs.Store()


def test_right_counts_pass(actual: Any) -> None:
    assert_metrics(actual, stage="odd", in_=3, out=2, dead=0, filtered=1)
    assert_metrics(actual, stage="double", in_=2)
    assert_balanced(actual)


def test_wrong_counts_are_shown_beside_those_expected(actual: Any) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_metrics(actual, stage="odd", in_=3, out=3, dead=1)
    assert str(raised.value) == "\n".join(
        [
            "the counts of stage 'odd' are not as expected:",
            "            expected  found",
            "  in_       3         3",
            "  out       3         2      <-",
            "  dead      1         0      <-",
            "  filtered  any       1",
        ]
    )


def test_a_misspelt_stage_is_told(actual: Any) -> None:
    with pytest.raises(AssertionError, match="there are 'double', 'odd'; is 'odd' meant"):
        assert_metrics(actual, stage="ood", out=2)


def test_a_stage_that_nothing_reached_has_zeros() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([]) | "odd" >> obs.Stage(beam.Map(int))
    assert_metrics(p.result, stage="odd", in_=0, out=0)


def test_a_run_that_is_not_balanced_fails_with_the_edge() -> None:
    run(obs.Pipeline("FnApiRunner", name="numbers"))
    (path,) = pathlib.Path(".beam_obs").glob("runs/numbers/*/end.json")
    end = json.loads(path.read_text())
    broken = {"where": "a -> b", "left": ["out of a", 2], "right": ["into b", 1], "text": "a -> b: 1 lost"}
    end["balance"] = {"holds": False, "checked": 1, "unchecked": "", "broken": [broken]}
    path.write_text(json.dumps(end))
    with pytest.raises(AssertionError, match="not every record is accounted for:\n  a -> b: 1 lost"):
        assert_balanced(obs.Store())


def test_a_balance_that_compares_nothing_fails() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([])
    with pytest.raises(AssertionError, match="could not be checked"):
        assert_balanced(p.result)


def test_counts_of_a_stream_are_those_of_its_report() -> None:
    options = PipelineOptions(["--streaming", "--obs_report=off"])
    stream = TestStream(coder=StrUtf8Coder())
    for time in (0, 300):
        stream = stream.advance_watermark_to(time).add_elements(["1", "2", "x"])
    with obs.Pipeline("DirectRunner", options, name="stream") as p:
        p | stream.advance_watermark_to_infinity() | "parse" >> obs.Stage(beam.Map(int))
    for actual in (p.result, obs.Store()):
        assert_metrics(actual, stage="parse", in_=6, out=4, dead=2)


def test_counts_that_beam_loses_prove_nothing() -> None:
    with beam.Pipeline("BundleBasedDirectRunner") as p:
        _ = p | beam.Create(["1"]) | "parse" >> obs.Stage(beam.Map(int))
    with pytest.raises(AssertionError, match=r"give the result of an obs\.Pipeline"):
        assert_metrics(p.result, stage="parse", in_=1)


def test_a_step_that_is_no_stage_has_what_beam_counts() -> None:
    with obs.Pipeline("FnApiRunner", name="numbers") as p:
        _ = p | beam.Create([1, 2, 3]) | "odd" >> beam.Filter(lambda number: number % 2)
    assert_metrics(p.result, stage="odd", in_=3, out=2, dropped=0)
    with pytest.raises(AssertionError, match=r"filtered +1 +not known +<-"):
        assert_metrics(p.result, stage="odd", in_=3, filtered=1)


def test_what_came_too_late_is_not_known_of_a_run_that_is_not_observed() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([1, 2, 3]) | "odd" >> obs.Stage(beam.Filter(lambda number: number % 2))
    assert_metrics(p.result, stage="odd", in_=3, out=2)
    with pytest.raises(AssertionError, match=r"dropped +0 +not known +<-"):
        assert_metrics(p.result, stage="odd", dropped=0)


def test_a_balance_may_have_to_be_checked_everywhere() -> None:
    # With lineage the ledger checks what Beam counts but once.
    with obs.Pipeline("FnApiRunner", argv=["--obs_lineage=off"], name="numbers") as p:
        numbers = p | beam.Create([1, 2, 3]) | "odd" >> beam.Filter(lambda number: number % 2)
        _ = numbers | "double" >> obs.Stage(beam.Map(lambda number: number * 2))
    assert_balanced(p.result)
    with pytest.raises(AssertionError, match=r"1 of 2 edges.*\n  not checked \(counted once, by Beam\): C"):
        assert_balanced(p.result, everywhere=True)
