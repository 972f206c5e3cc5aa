"""obs.unique: one record of each value stays, and the data decides which."""

from __future__ import annotations

import random
import typing
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, Sessions, SlidingWindows, TimestampedValue

import beam_obs as obs
from beam_obs import lineage
from beam_obs.testing import assert_balanced, assert_dead_letters, assert_metrics, contains, dead_letter


class Order(typing.NamedTuple):
    """A typed record."""

    id: int
    price: float


def at(seconds: int, **record: Any) -> TimestampedValue:
    return TimestampedValue(record, seconds)


def test_one_record_of_each_value_stays_and_the_others_are_dead_letters() -> None:
    orders = [Order(1, 5.0), Order(1, 5.0), Order(2, 7.0)]
    with TestPipeline("FnApiRunner") as p:
        kept, dead = (
            p
            | beam.Create(orders).with_output_types(Order)
            | "once" >> obs.Check(obs.unique("id")).with_dead_letters()
        )
        assert kept.element_type is Order
        assert_that(kept, equal_to([Order(1, 5.0), Order(2, 7.0)]))
        message = "id unique: id is 1, expected no other record of its window to have the same"
        assert_dead_letters(dead, dead_letter(stage="once", message=message))
    assert_metrics(p.result, stage="once", in_=3, out=2, dead=1)


def test_the_payload_is_the_record_with_its_own_coder() -> None:
    with TestPipeline("FnApiRunner") as p:
        _, dead = (
            p
            | beam.Create([("a", 1), ("a", 2)]).with_output_types(tuple[str, int])
            | "once" >> obs.Check(obs.unique("0")).with_dead_letters()
        )
        coder = "beam:coder:kv:v1(beam:coder:string_utf8:v1,beam:coder:varint:v1)"
        assert_dead_letters(dead, dead_letter(payload=("a", 2), payload_coder=coder, payload_text="('a', 2)"))


@pytest.mark.parametrize("seed", range(3))
def test_the_earliest_stays_and_of_one_time_the_one_whose_encoding_is_smallest(seed: int) -> None:
    records = [at(9, id=1, v="a"), at(5, id=1, v="c"), at(5, id=1, v="b"), at(7, id=1, v="a")]
    random.Random(seed).shuffle(records)
    with TestPipeline("FnApiRunner") as p:
        kept = (
            p
            | beam.Create(records)
            | "at" >> beam.Map(lambda value: value)
            | "once" >> obs.Check(obs.unique("id")).with_dead_letters()
        )[0]
        assert_that(kept, equal_to([{"id": 1, "v": "b"}]))


def test_a_record_that_breaks_another_assumption_takes_no_place() -> None:
    with TestPipeline("FnApiRunner") as p:
        kept, dead = (
            p
            | beam.Create([at(1, id=1, v=-1), at(2, id=1, v=1), at(3, id=1, v=2)])
            | "once" >> obs.Check(obs.unique("id"), obs.between("v", low=0)).with_dead_letters()
        )
        assert_that(kept, equal_to([{"id": 1, "v": 1}]))
        assert_dead_letters(
            dead,
            dead_letter(payload={"id": 1, "v": -1}, message=contains("v between: v is -1")),
            dead_letter(payload={"id": 1, "v": 2}, message=contains("id unique")),
        )


def test_each_window_is_looked_at_by_itself() -> None:
    with TestPipeline("FnApiRunner") as p:
        kept, dead = (
            p
            | beam.Create([at(1, id=1), at(61, id=1), at(62, id=1)])
            | beam.WindowInto(FixedWindows(60))
            | "once" >> obs.Check(obs.unique("id")).with_dead_letters()
        )
        starts = kept | beam.Map(lambda _, window=beam.DoFn.WindowParam: int(window.start))
        assert_that(starts, equal_to([0, 60]))
        assert_dead_letters(dead, dead_letter(event_time=62_000_000))
        assert kept.windowing == dead.windowing


def test_a_record_in_several_windows_is_judged_in_each() -> None:
    with TestPipeline("FnApiRunner") as p:
        kept, dead = (
            p
            | beam.Create([at(1, id=1), at(31, id=1)])
            | beam.WindowInto(SlidingWindows(60, 30))
            | "once" >> obs.Check(obs.unique("id")).with_dead_letters()
        )
        starts = kept | beam.Map(lambda _, window=beam.DoFn.WindowParam: int(window.start))
        assert_that(starts, equal_to([-30, 0, 30]))
        assert_dead_letters(dead, dead_letter(event_time=31_000_000, window=contains("00:00:00Z, ")))


def test_values_are_unique_together_and_types_count() -> None:
    with TestPipeline("FnApiRunner") as p:
        kept = p | beam.Create([{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1.0, "b": 1}, {"a": "1", "b": 1}])
        checked = kept | "once" >> obs.Check(obs.unique("a", "b"))
        counts = checked | beam.combiners.Count.Globally()
        assert_that(counts, equal_to([4]))


def test_none_breaks_unless_allowed_and_then_any_number_may_be_there() -> None:
    records = [{"id": None}, {"id": None}, {"id": 1}]
    with TestPipeline("FnApiRunner") as p:
        created = p | beam.Create(records)
        _, dead = created | "strict" >> obs.Check(obs.unique("id")).with_dead_letters()
        lenient = created | "lenient" >> obs.Check(obs.unique("id", allow_none=True))
        assert_that(lenient, equal_to(records))
        assert_dead_letters(dead, dead_letter(message=contains("id is None"), times=2))


def test_a_value_without_a_deterministic_encoding_is_refused() -> None:
    with TestPipeline("FnApiRunner") as p:
        _, dead = (
            p
            | beam.Create([{"id": object}, {"id": 1}])
            | "once" >> obs.Check(obs.unique("id")).with_dead_letters()
        )
        assert_dead_letters(dead, dead_letter(message=contains("a value that can be compared")))


def test_duplicates_can_be_counted_only() -> None:
    with obs.Pipeline("FnApiRunner", name="duplicates") as p:
        _ = p | beam.Create([{"id": 1}] * 3) | "once" >> obs.Check(obs.unique("id"), on_break="count")
    assert_metrics(p.result, stage="once", in_=3, out=3, dead=0, broken=2)
    assert_balanced(p.result)


def test_an_observed_run_with_duplicates_is_balanced() -> None:
    with obs.Pipeline("FnApiRunner", name="balanced") as p:
        records = p | beam.Create([{"id": number % 4} for number in range(10)])
        stamped = records | "stamp" >> obs.Stage(beam.Map(dict))
        _ = stamped | "once" >> obs.Check(obs.unique("id")) | "go on" >> obs.Stage(beam.Map(dict))
    assert_metrics(p.result, stage="once", in_=10, out=4, dead=6)
    assert_balanced(p.result)
    assert_dead_letters(p.result, dead_letter(stage="once", times=6))


def test_in_a_stream_the_first_to_arrive_stays() -> None:
    stream = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements([at(9, id=1, v="first")])
        .advance_watermark_to(1)
        .add_elements([at(5, id=1, v="second"), at(6, id=2, v="bad"), at(7, id=2, v="good")])
        .advance_watermark_to(61)
        .add_elements([at(65, id=1, v="next window")])
        .advance_watermark_to_infinity()
    )
    options = PipelineOptions(["--streaming"])
    with TestPipeline("DirectRunner", options=options) as p:
        kept, dead = (
            p
            | stream
            | beam.WindowInto(FixedWindows(60))
            | "once"
            >> obs.Check(
                obs.unique("id"), obs.holds("not bad", lambda record: record["v"] != "bad")
            ).with_dead_letters()
        )
        values = kept | beam.Map(lambda record: record["v"])
        assert_that(values, equal_to(["first", "good", "next window"]))
        assert_dead_letters(
            dead,
            dead_letter(payload={"id": 1, "v": "second"}, event_time=5_000_000),
            dead_letter(payload={"id": 2, "v": "bad"}),
        )


def test_a_stream_in_the_global_window_is_refused() -> None:
    p = beam.Pipeline("DirectRunner", options=PipelineOptions(["--streaming"]))
    with pytest.raises(obs.UsageError, match="remember every value for ever"):
        _ = p | TestStream() | "once" >> obs.Check(obs.unique("id"))


def test_windows_that_merge_are_refused() -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(obs.UsageError, match="windows that merge"):
        _ = (
            p
            | beam.Create([{"id": 1}])
            | beam.WindowInto(Sessions(5))
            | "once" >> obs.Check(obs.unique("id"))
        )


def test_each_record_is_said_to_be_written_or_refused_and_made_of_itself(tmp_path: Path) -> None:
    people = tmp_path / "people.jsonl"
    people.write_text('{"id": 1, "who": "a"}\n{"id": 1, "who": "b"}\n{"id": 2, "who": "c"}\n')
    store = obs.Store(str(tmp_path / "store"))
    options = PipelineOptions([f"--obs_store={tmp_path / 'store'}", "--obs_lineage=strict"])
    with obs.Pipeline("FnApiRunner", options, name="people") as p:
        once = p | obs.ReadFromJson(str(people)) | "once" >> obs.Check(obs.unique("id"))
        _ = once | obs.WriteToJson(str(tmp_path / "out"), shard_name_template="")

    fates = [lineage.fate(f"{people}:{line}", store=store) for line in (1, 2, 3)]
    assert [bool(fate.into and fate.into.written) for fate in fates] == [True, False, True]
    assert [bool(fate.into and fate.into.dead_letters) for fate in fates] == [False, True, False]
    assert {fate.certainty.kind for fate in fates} == {lineage.COMPLETE}
    (made_of,) = lineage.why(f"{tmp_path / 'out'}:1", store=store).made_of
    assert isinstance(made_of, lineage.FromSource)
    assert made_of.record.line == 1
    assert_dead_letters(p.result, dead_letter(source_uri=str(people), position=22))
