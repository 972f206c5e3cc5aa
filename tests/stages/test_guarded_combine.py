"""What a combine refuses counts for the Stage around it: its row, its rate, its error."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs


class SumOfSmall(beam.CombineFn):
    """Adds numbers up; refuses those of 10 and more."""

    def create_accumulator(self) -> int:
        return 0

    def add_input(self, accumulator: int, number: int) -> int:
        if number >= 10:
            raise ValueError(f"{number} is too large")
        return accumulator + number

    def merge_accumulators(self, accumulators: Any) -> int:
        return sum(accumulators)

    def extract_output(self, accumulator: int) -> int:
        return accumulator


class Totals(beam.PTransform):
    def expand(self, numbers: Any) -> Any:
        return numbers | "key" >> beam.WithKeys("all") | "add" >> beam.CombinePerKey(SumOfSmall())


COMBINES: dict[str, tuple[Callable[[], Any], str, Any]] = {
    "globally": (lambda: beam.CombineGlobally(SumOfSmall()), "sum", [45]),
    "without defaults": (lambda: beam.CombineGlobally(SumOfSmall()).without_defaults(), "sum", [45]),
    "with a fanout": (lambda: beam.CombineGlobally(SumOfSmall()).with_fanout(2), "sum", [45]),
    "in a composite": (Totals, "sum/Totals/add", [("all", 45)]),
}


def pipeline(store: pathlib.Path, runner: Any = "FnApiRunner", *options: str) -> obs.Pipeline:
    given = ["--obs_report=off", f"--obs_store={store}", *options]
    return obs.Pipeline(runner, options=PipelineOptions(given), name="sums")


def end_of(store: pathlib.Path) -> Any:
    return obs.Store(str(store)).find("sums@latest").end


@pytest.mark.parametrize("name", COMBINES)
def test_the_stage_has_a_row_with_its_refusals(name: str, tmp_path: pathlib.Path) -> None:
    made, label, totals = COMBINES[name]

    with pipeline(tmp_path) as p:
        total = p | beam.Create(range(15)) | "sum" >> obs.Stage(made())
        assert_that(total, equal_to(totals))

    end = end_of(tmp_path)
    row = {stage["label"]: stage for stage in end["stages"]}[label]
    assert (row["in"], row["dead"], row["filtered"]) == (15, 5, 0)
    assert end["dead_letters"]["by_stage"] == {label: 5}
    assert end["balance"]["broken"] == []
    assert label in [step["label"] for step in end["steps"] if step["is_stage"]]


FANOUTS: dict[str, Any] = {"hot": 1000, "cold": 1, "some hot": lambda key: 1000 if key == "a" else 1}


@pytest.mark.parametrize("fanout", FANOUTS)
def test_what_a_hot_key_refuses_is_told_as_without_a_fanout(fanout: str) -> None:
    pairs = [("a", 1), ("a", 12), ("b", 13)]
    combine = beam.CombinePerKey(SumOfSmall())

    def told(letter: obs.DeadLetter) -> Any:
        return letter.payload, letter.payload_coder, letter.payload_text

    with beam.Pipeline("FnApiRunner") as p:
        of_pairs = p | beam.Create(pairs)
        _, plain = of_pairs | "plain" >> obs.Stage(combine).with_dead_letters()
        spread = combine.with_hot_key_fanout(FANOUTS[fanout])
        sums, dead = of_pairs | "spread" >> obs.Stage(spread).with_dead_letters()
        assert_that(sums, equal_to([("a", 1)]), label="sums")
        expected = [
            (b"\x01a\x0c", KV_CODER, "('a', 12)"),
            (b"\x01b\r", KV_CODER, "('b', 13)"),
        ]
        assert_that(plain | "as plain" >> beam.Map(told), equal_to(expected), label="plain letters")
        assert_that(dead | "as spread" >> beam.Map(told), equal_to(expected), label="spread letters")


KV_CODER = "beam:coder:kv:v1(beam:coder:string_utf8:v1,beam:coder:varint:v1)"


class SumsThatDoNotMerge(SumOfSmall):
    def merge_accumulators(self, accumulators: Any) -> int:
        raise ValueError("no merging")


def test_sums_of_a_hot_key_that_do_not_merge_are_told_with_the_users_key() -> None:
    spread = beam.CombinePerKey(SumsThatDoNotMerge()).with_hot_key_fanout(1000)

    with beam.Pipeline("FnApiRunner") as p:
        pairs = p | beam.Create([("a", 1), ("a", 2)])
        _, dead = pairs | "spread" >> obs.Stage(spread).with_dead_letters()
        texts = dead | beam.Map(lambda letter: letter.payload_text)
        are_told = texts | beam.Map(lambda text: re.fullmatch(r"\('a', \d\)", text) is not None)
        assert_that(are_told | beam.Distinct(), equal_to([True]))


def test_each_key_gives_one_and_the_edges_around_are_counted(tmp_path: pathlib.Path) -> None:
    with pipeline(tmp_path) as p:
        pairs = p | "make" >> beam.Create([(number % 3, number) for number in range(15)])
        sums = pairs | "sum" >> obs.Stage(beam.CombinePerKey(SumOfSmall()))
        assert_that(sums | "behind" >> beam.Map(lambda pair: pair), equal_to([(0, 18), (1, 12), (2, 15)]))

    end = end_of(tmp_path)
    (row,) = end["stages"]
    assert (row["label"], row["in"], row["out"], row["dead"]) == ("sum", 15, 3, 5)
    edges = {(edge["from"], edge["to"]): edge["count"] for edge in end["edges"]}
    assert (edges["make", "sum"], edges["sum", "behind"]) == (15, 3)
    assert end["balance"]["holds"]


@pytest.mark.parametrize("runner", ["FnApiRunner", BundleBasedDirectRunner])
@pytest.mark.parametrize("made", [beam.CombinePerKey, beam.CombineGlobally])
def test_a_run_fails_where_more_than_half_is_refused(made: Any, runner: Any, tmp_path: pathlib.Path) -> None:
    chosen = runner if isinstance(runner, str) else runner()
    of_key = made is beam.CombinePerKey

    with (  # noqa: PT012
        pytest.raises(obs.DeadRateExceeded, match="stage 'sum' refused 200 of 210") as raised,
        pipeline(tmp_path, chosen) as p,
    ):
        numbers = p | beam.Create(range(210))
        pairs = numbers | beam.WithKeys("all") if of_key else numbers
        pairs | "sum" >> obs.Stage(made(SumOfSmall()))

    assert raised.value.stage == "sum"
    assert end_of(tmp_path)["error"]["type"] == "DeadRateExceeded"


def test_a_stage_with_a_limit_of_its_own_is_held_to_it(tmp_path: pathlib.Path) -> None:
    stage = obs.Stage(beam.CombineGlobally(SumOfSmall()), max_dead_rate=0.2, max_dead_minimum=10)

    with (
        pytest.raises(obs.DeadRateExceeded, match="stage 'sum' refused 5 of 15"),
        pipeline(tmp_path) as p,
    ):
        p | beam.Create(range(15)) | "sum" >> stage
