"""A Stage on a composite guards each step inside it and keeps its labels and results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow as pa
import pytest
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
from beam_obs import lineage
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.stages.stage import Stage
from beam_obs.testing import assert_dead_letters, dead_letter
from beam_obs.wrapper.exception_note import note_of


class Tagging(beam.DoFn):
    def process(self, number: int) -> Iterable[Any]:
        if number < 3:
            yield beam.pvalue.TaggedOutput("small", number)
        yield 10 // (number - 1)


class Clean(beam.PTransform):
    def expand(self, texts: Any) -> Any:
        numbers = texts | "parse" >> beam.Map(int)
        results = numbers | "invert" >> beam.ParDo(Tagging()).with_outputs("small", main="main")
        return results.main, results.small


class Nested(beam.PTransform):
    def expand(self, texts: Any) -> Any:
        return texts | "clean" >> Clean()


class WithStage(beam.PTransform):
    def expand(self, texts: Any) -> Any:
        return texts | "inner" >> Stage(beam.Map(int))


class MeanFn(beam.CombineFn):
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add_input(self, accumulator: tuple[int, int], number: int) -> tuple[int, int]:
        return accumulator[0] + number, accumulator[1] + 1

    def merge_accumulators(self, accumulators: Iterable[tuple[int, int]]) -> tuple[int, int]:
        totals, counts = zip(*accumulators, strict=True)
        return sum(totals), sum(counts)

    def extract_output(self, accumulator: tuple[int, int]) -> float:
        return accumulator[0] / accumulator[1]


class ChangingFn(beam.CombineFn):
    def create_accumulator(self) -> list[int]:
        return []

    def add_input(self, accumulator: list[int], number: int) -> list[int]:
        accumulator.append(0)
        accumulator[-1] = 1 // number
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[list[int]]) -> list[int]:
        return [number for accumulator in accumulators for number in accumulator]

    def extract_output(self, accumulator: list[int]) -> int:
        return sum(accumulator)


class Inverse(ModelHandler):
    def load_model(self) -> Any:
        return lambda number: 10 // number

    def run_inference(self, batch: Any, model: Any, inference_args: Any = None) -> list[int]:
        return [model(number) for number in batch]


def facts(letters: Any) -> Any:
    return letters | "facts" >> beam.Map(
        lambda letter: (letter.stage, letter.error_type, letter.payload_text)
    )


def labels(pipeline: beam.Pipeline) -> set[str]:
    found: set[str] = set()

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, applied: Any) -> None:
            found.add(applied.full_label)

    pipeline.visit(Visitor())
    return found


def test_a_failure_deep_inside_names_the_inner_step() -> None:
    with beam.Pipeline("DirectRunner") as p:
        texts = p | beam.Create(["1", "x", "2", "5"])
        (main, small), letters = texts | "outer" >> Stage(Nested()).with_dead_letters()
        assert_that(main, equal_to([10, 2]), label="main")
        assert_that(small, equal_to([2]), label="small")
        expected = [
            ("outer/Nested/clean/parse", "ValueError", "x"),
            ("outer/Nested/clean/invert/ParDo(Tagging)", "ZeroDivisionError", "1"),
        ]
        assert_that(facts(letters), equal_to(expected), label="letters")


def test_labels_inside_stay_as_they_are() -> None:
    bare = beam.Pipeline("DirectRunner")
    _ = bare | beam.Create(["1"]) | "outer" >> Nested()
    observed = beam.Pipeline("DirectRunner")
    _ = observed | beam.Create(["1"]) | "outer" >> Stage(Nested())
    inside = {label.replace("outer/", "outer/Nested/", 1) for label in labels(bare)}
    assert inside <= labels(observed)


def test_what_is_guarded_is_listed_when_the_pipeline_is_built() -> None:
    stage = Stage(Nested())
    _ = beam.Pipeline("DirectRunner") | beam.Create(["1"]) | "outer" >> stage
    assert stage.guarded == ["outer/Nested/clean/parse", "outer/Nested/clean/invert/ParDo(Tagging)"]
    assert stage.unguarded == []


def test_what_cannot_be_guarded_is_listed_with_the_reason(tmp_path: Any) -> None:
    write = beam.io.WriteToParquet(str(tmp_path / "out"), pa.schema([("a", pa.int64())]))
    stage = Stage(write)
    _ = beam.Pipeline("DirectRunner") | beam.Create([{"a": 1}]) | "write" >> stage
    assert [reason for _, reason in stage.unguarded] == ["records of _ParquetSink cannot be tried first"]


def test_without_a_home_a_failure_inside_is_raised_as_beam_would() -> None:
    with pytest.raises(ValueError, match="outer/Nested/clean/parse"), beam.Pipeline("DirectRunner") as p:
        _ = p | beam.Create(["x"]) | "outer" >> Stage(Nested())


def test_a_home_gets_the_dead_letters_of_all_steps_inside(tmp_path: Any) -> None:
    with beam.Pipeline("DirectRunner") as p, DeadLetters(str(tmp_path)) as dead:
        _ = p | beam.Create(["1", "x"]) | "outer" >> Stage(Nested(), dead_letters=dead)
    assert len(list(tmp_path.glob("dead_letters-*.avro"))) == 2


def test_a_stage_inside_a_guarded_composite_uses_its_home() -> None:
    with beam.Pipeline("DirectRunner") as p:
        good, letters = p | beam.Create(["1", "x"]) | "outer" >> Stage(WithStage()).with_dead_letters()
        assert_that(good, equal_to([1]), label="good")
        assert_that(facts(letters), equal_to([("outer/WithStage/inner", "ValueError", "x")]), label="letters")


def test_a_combine_in_a_stage_inside_another_is_guarded_once() -> None:
    class WithCombine(beam.PTransform):
        def expand(self, pairs: Any) -> Any:
            return pairs | "mean" >> Stage(beam.CombinePerKey(MeanFn()))

    with beam.Pipeline("FnApiRunner") as p:
        pairs = p | beam.Create([("a", 1), ("a", "bad"), ("a", 3)])
        means, letters = pairs | "outer" >> Stage(WithCombine()).with_dead_letters()
        assert_that(means, equal_to([("a", 2.0)]), label="means")
        refused = ("outer/WithCombine/mean", "TypeError", "('a', 'bad')")
        assert_that(facts(letters), equal_to([refused]), label="letters")


def test_a_combine_leaves_out_the_input_it_refuses() -> None:
    with beam.Pipeline("DirectRunner") as p:
        pairs = p | beam.Create([("a", 1), ("a", "bad"), ("a", 3), ("b", "no")])
        means, letters = pairs | "mean" >> Stage(beam.CombinePerKey(MeanFn())).with_dead_letters()
        assert_that(means, equal_to([("a", 2.0)]), label="means")
        step = "mean"
        expected = [(step, "TypeError", "('a', 'bad')"), (step, "TypeError", "('b', 'no')")]
        assert_that(facts(letters), equal_to(expected), label="letters")


def test_an_accumulator_that_cannot_be_extracted_is_the_dead_letter() -> None:
    with beam.Pipeline("DirectRunner") as p:
        pairs = p | beam.Create([("a", 1), ("a", "bad"), ("b", 2)])
        totals, letters = pairs | "sum" >> Stage(beam.CombinePerKey(sum)).with_dead_letters()
        assert_that(totals, equal_to([("b", 2)]), label="totals")
        kinds = letters | beam.Map(lambda letter: (letter.error_type, letter.payload_coder))
        assert_that(kinds, equal_to([("TypeError", "pickle")]), label="letters")


def test_a_combine_whose_accumulator_may_be_half_changed_fails_and_names_the_input() -> None:
    p = beam.Pipeline("DirectRunner")
    pairs = p | beam.Create([("a", 1), ("a", 0)])
    _ = pairs | "sum" >> Stage(beam.CombinePerKey(ChangingFn())).with_dead_letters()
    with pytest.raises(Exception) as raised:  # noqa: PT011
        p.run()
    assert "while adding the input '0'" in (note_of(raised.value) or "")


def test_group_by_guards_its_key_function_and_its_aggregation() -> None:
    rows = [beam.Row(key="a", value=1), beam.Row(key="a", value=0), beam.Row(key="b", value=2)]
    group = beam.GroupBy("key").aggregate_field(lambda row: 10 // row.value, sum, "total")
    with beam.Pipeline("DirectRunner") as p:
        totals, letters = p | beam.Create(rows) | "by key" >> Stage(group).with_dead_letters()
        assert_that(totals | beam.Map(tuple), equal_to([("a", 10), ("b", 5)]), label="totals")
        errors = letters | beam.Map(lambda letter: letter.error_type)
        assert_that(errors, equal_to(["ZeroDivisionError"]), label="letters")


@pytest.mark.parametrize("num_shards", [0, 1, 3])
def test_a_text_sink_writes_the_good_records_and_refuses_the_bad(tmp_path: Any, num_shards: int) -> None:
    write = beam.io.WriteToText(
        str(tmp_path / "out"), num_shards=num_shards, coder=beam.coders.StrUtf8Coder()
    )
    with beam.Pipeline("DirectRunner") as p:
        _, letters = p | beam.Create(["good", 3, "fine"]) | "write" >> Stage(write).with_dead_letters()
        assert_that(letters | beam.Map(lambda letter: letter.payload_text), equal_to(["3"]))
    lines = sorted(line for file in tmp_path.glob("out*") for line in file.read_text().splitlines())
    assert lines == ["fine", "good"]


def test_an_avro_sink_writes_the_good_records_and_refuses_the_bad(tmp_path: Any) -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]}
    records = [{"a": 1}, {"a": "bad"}, {"b": 1}, {"a": 2}]
    write = beam.io.WriteToAvro(str(tmp_path / "out"), schema, num_shards=1)
    with beam.Pipeline("DirectRunner") as p:
        _, letters = p | beam.Create(records) | "write" >> Stage(write).with_dead_letters()
        texts = letters | beam.Map(lambda letter: letter.payload_text)
        assert_that(texts, equal_to(['{"a": "bad"}', '{"b": 1}']))
    (file,) = tmp_path.glob("out*")
    with file.open("rb") as opened:
        assert sorted(record["a"] for record in fastavro.reader(opened)) == [1, 2]


def test_a_failing_batch_of_an_inference_is_split() -> None:
    with beam.Pipeline("DirectRunner") as p:
        numbers = p | beam.Create([1, 2, 0, 5])
        results, letters = numbers | "infer" >> Stage(RunInference(Inverse())).with_dead_letters()
        assert_that(results, equal_to([10, 5, 2]), label="results")
        assert_that(letters | beam.Map(lambda letter: letter.payload_text), equal_to(["0"]), label="letters")


def test_an_observed_composite_is_told_by_its_steps_and_balances(tmp_path: Any) -> None:
    options = PipelineOptions([f"--obs_store={tmp_path}", "--obs_report=off"])
    with obs.Pipeline("DirectRunner", options, name="nested") as p:
        _ = p | beam.Create(["1", "x", "2", "5"]) | "outer" >> Stage(Nested())
    end = obs.Store(str(tmp_path)).find("latest").end
    assert end is not None
    counts = {stage["label"]: (stage["in"], stage["dead"]) for stage in end["stages"]}
    assert counts == {
        "outer/Nested/clean/parse": (4, 1),
        "outer/Nested/clean/invert/ParDo(Tagging)": (3, 1),
    }
    assert end["balance"]["holds"]


def test_an_input_that_a_combine_refuses_is_no_part_of_its_result_and_keeps_its_line(tmp_path: Path) -> None:
    numbers, store = tmp_path / "numbers.txt", obs.Store(str(tmp_path / "store"))
    numbers.write_text("1\nx\n5\n")
    options = PipelineOptions([f"--obs_store={tmp_path / 'store'}", "--obs_lineage=strict"])
    with obs.Pipeline("FnApiRunner", options, name="means") as p:
        lines = (
            p
            | obs.ReadFromText(str(numbers))
            | beam.Map(lambda line: ("all", int(line) if line != "x" else None))
        )
        means = lines | "mean" >> Stage(beam.CombinePerKey(MeanFn()))
        _ = means | beam.Map(str) | beam.io.WriteToText(str(tmp_path / "out"), shard_name_template="")

    refused = lineage.fate(f"{numbers}:2", store=store).into
    assert refused is not None
    assert not refused.aggregates
    assert len(refused.dead_letters) == 1
    assert_dead_letters(
        p.result, dead_letter(source_uri=str(numbers), position=2, payload_text="('all', None)")
    )
    (made_of,) = lineage.why(f"{tmp_path / 'out'}:1", store=store).made_of
    assert isinstance(made_of, lineage.FromAggregate)
    lines_of_mean = [one.record.line for one in made_of.contributors if isinstance(one, lineage.FromSource)]
    assert lines_of_mean == [1, 3]


@pytest.mark.parametrize("option", ["--runtime_type_check", "--performance_runtime_type_check"])
def test_refusals_inside_are_not_held_against_the_types_of_the_results(option: str) -> None:
    class Parse(beam.PTransform):
        def expand(self, texts: Any) -> Any:
            add = beam.Map(lambda number: number + 1).with_input_types(int).with_output_types(int)
            return texts | "parse" >> beam.Map(int).with_output_types(int) | "add" >> add

    with beam.Pipeline("DirectRunner", PipelineOptions([option])) as p:
        good, letters = p | beam.Create(["1", "x"]) | "outer" >> Stage(Parse()).with_dead_letters()
        assert_that(good, equal_to([2]), label="good")
        assert_that(facts(letters), equal_to([("outer/Parse/parse", "ValueError", "x")]), label="letters")
