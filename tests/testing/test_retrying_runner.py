"""A runner on which every bundle is done twice: results are those of one attempt, side effects of both."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

import beam_obs as obs
from beam_obs.metrics.run_snapshot import read_snapshot
from beam_obs.store.evidence import read_evidence
from beam_obs.testing import (
    RetryingRunner,
    assert_balanced,
    assert_dead_letters,
    assert_metrics,
    dead_letter,
)

CALLS: collections.Counter[Any] = collections.Counter()


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def note(element: Any) -> Any:
    CALLS[element] += 1
    return element


SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", VarIntCoder()))


class CountByKey(beam.DoFn):
    """Numbers the elements of each key."""

    def process(self, element: tuple[str, int], seen: Any = SEEN) -> Iterable[tuple[str, int]]:
        count = (seen.read() or 0) + 1
        seen.write(count)
        return [(element[0], count)]


class FinalizesBundles(beam.DoFn):
    """Notes when a bundle is committed."""

    def process(self, element: str, finalizer: Any = beam.DoFn.BundleFinalizerParam) -> Iterable[str]:
        CALLS["processed"] += 1
        finalizer.register(lambda: CALLS.update(["finalized"]))
        return [element]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_each_element_is_processed_that_many_times_and_comes_out_once(times: int) -> None:
    with TestPipeline(runner=RetryingRunner(times=times)) as p:
        numbers = p | beam.Create([1, 2, 3]) | "note" >> beam.Map(note)
        sums = numbers | beam.combiners.Count.Globally()
        assert_that(numbers, equal_to([1, 2, 3]))
        assert_that(sums, equal_to([3]), label="sums")
    assert [CALLS[number] for number in (1, 2, 3)] == [times] * 3


def test_what_a_failed_attempt_wrote_into_state_is_lost() -> None:
    with TestPipeline(runner=RetryingRunner(times=3)) as p:
        numbered = p | beam.Create([("a", 0), ("a", 0), ("b", 0)]) | beam.ParDo(CountByKey())
        assert_that(numbered, equal_to([("a", 1), ("a", 2), ("b", 1)]))


def test_only_the_committed_attempt_is_finalized() -> None:
    with TestPipeline(runner=RetryingRunner(times=3)) as p:
        _ = p | beam.Create(["a"]) | beam.ParDo(FinalizesBundles())
    assert CALLS == {"processed": 3, "finalized": 1}


def test_the_runner_is_found_by_its_name() -> None:
    with beam.Pipeline(options=PipelineOptions(["--runner=beam_obs.testing.RetryingRunner"])) as p:
        _ = p | beam.Create(["a"]) | beam.Map(note)
    assert CALLS == {"a": 2}


def test_an_error_of_the_users_code_still_fails_the_pipeline() -> None:
    with pytest.raises(Exception, match="invalid literal"), beam.Pipeline(RetryingRunner()) as p:
        _ = p | beam.Create(["x"]) | beam.Map(int)


def test_no_attempt_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="times=0"):
        RetryingRunner(times=0)


def test_dead_letters_and_counts_of_an_observed_run_are_not_doubled() -> None:
    with obs.Pipeline(RetryingRunner(times=3), name="retried") as p:
        texts = p | beam.Create(["1", "x", "2", "y"])
        numbers = texts | "parse" >> obs.Stage(beam.Map(int))
        _ = numbers | "plausible" >> obs.Check(obs.holds("small", lambda number: number < 2))
        _ = numbers | "counted" >> obs.Check(obs.holds("large", lambda number: number > 1), on_break="count")
    assert_metrics(p.result, stage="parse", in_=4, out=2, dead=2)
    assert_metrics(p.result, stage="plausible", in_=2, out=1, dead=1)
    assert_metrics(p.result, stage="counted", in_=2, out=2, dead=0, broken=1)
    assert_balanced(p.result)
    assert_dead_letters(
        p.result,
        dead_letter(stage="parse", payload="x"),
        dead_letter(stage="parse", payload="y"),
        dead_letter(stage="plausible", payload=2),
    )
    store = obs.Store()
    record = store.find("retried@latest")
    evidence = read_evidence(store, record.folder)
    assert (len(evidence.committed), len(evidence.uncommitted)) == (2, 4)
    assert record.end is not None
    assert record.end["dead_letters"]["count"] == 3
    assert [check["broken"] for check in record.end["checks"]] == [1]


def test_dead_letters_of_a_plain_pipeline_are_not_doubled(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path / "dead")
    with beam.Pipeline(RetryingRunner(times=2)) as p, obs.DeadLetters(folder) as dead:
        texts = p | beam.Create(["1", "x"])
        _ = texts | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
    assert_dead_letters(folder, dead_letter(stage="parse", payload="x"))
    assert len(list((tmp_path / "dead").glob("*.avro"))) == 2


def test_the_records_of_an_output_are_not_doubled(tmp_path: pathlib.Path) -> None:
    with obs.Pipeline(RetryingRunner(times=2), name="writes") as p:
        _ = p | beam.Create(["a", "b"]) | "write" >> obs.WriteToText(str(tmp_path / "out"))
    record = obs.Store().find("writes@latest")
    assert record.end is not None
    assert [output["records"] for output in record.end["outputs"]] == [2]
    lines = [line for path in tmp_path.glob("out*") for line in path.read_text().splitlines()]
    assert sorted(lines) == ["a", "b"]


def test_unique_keeps_one_record_under_retries() -> None:
    with beam.Pipeline(RetryingRunner(times=2)) as p:
        kept, dead = (
            p
            | beam.Create([{"id": 1}, {"id": 1}, {"id": 2}])
            | "unique" >> obs.Check(obs.unique("id")).with_dead_letters()
        )
        assert_that(kept, equal_to([{"id": 1}, {"id": 2}]))
        assert_dead_letters(dead, dead_letter(payload={"id": 1}))
    assert read_snapshot(p.result).stages["unique"].in_ == 3
