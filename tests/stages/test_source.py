from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_obs as obs
from beam_obs.records.origin import Partition
from tests.io.pipelines import RUNNER, Keeper, counters


@dataclasses.dataclass
class Trip:
    number: int
    _lineage: dict[str, Any] | None = None


class Fetch(beam.PTransform):
    """A user's own source."""

    def expand(self, pbegin: Any) -> Any:
        return pbegin | beam.Create(["1", "x", "3"]) | "parse" >> beam.Map(int)


def test_elements_and_their_types_are_the_reads_own_and_are_counted() -> None:
    pathlib.Path("in.txt").write_text("one\ntwo\n")
    kept = Keeper()

    with obs.Pipeline(RUNNER, name="foreign") as p:
        lines = p | "lines" >> obs.Source(beam.io.ReadFromText("in.txt"), dataset="in.txt")
        assert lines.element_type == (beam.Pipeline() | beam.io.ReadFromText("in.txt")).element_type
        _ = lines | beam.Map(kept)

    assert sorted(kept.elements) == ["one", "two"]
    assert counters(p.result, "lines") == {"in": 2, "out": 2}
    run = obs.Store(".beam_obs").runs("foreign")[0]
    assert [(one["name"], one["label"]) for one in run.end["inputs"]] == [("in.txt", "lines")]


def test_a_dataset_is_called_by_the_label_where_it_has_no_name() -> None:
    with obs.Pipeline(RUNNER, name="unnamed") as p:
        _ = p | "numbers" >> obs.Source(beam.Create([1]))

    assert [one["name"] for one in obs.Store(".beam_obs").runs("unnamed")[0].end["inputs"]] == ["numbers"]


def test_stamps_are_of_the_content_and_of_no_place() -> None:
    kept = Keeper()

    with beam.Pipeline(RUNNER) as p:
        read = beam.Create([{"a": 1}, {"a": 1}, {"a": 2, "_lineage": {"origin": "earlier"}}], reshuffle=False)
        trips = p | "trips" >> obs.Source(read, dataset="trips", stamp=True)
        _ = trips | beam.Map(kept)

    first, again, other = (bytes.fromhex(record["_lineage"]["origin"]) for record in kept.elements)
    code = Partition("trips", "", located=False).code.to_bytes(4, "big")
    assert {origin[:4] for origin in (first, again, other)} == {code}
    assert [int.from_bytes(origin[4:9], "big") for origin in (first, again, other)] == [0, 1, 0]
    assert first[9:] == again[9:] != other[9:]
    assert {record["_lineage"]["position"] for record in kept.elements} == {None}


class Lines(beam.PTransform):
    """A user's own read."""

    def expand(self, pbegin: Any) -> Any:
        lines = pbegin | beam.io.ReadFromText("source.txt")
        return lines | "make" >> beam.Map(lambda line: {"line": line})


def test_in_a_woven_pipeline_stamps_have_the_origins_that_the_weave_knows() -> None:
    pathlib.Path("source.txt").write_text("one\nthree\n")
    kept = Keeper()

    with obs.Pipeline(RUNNER, name="foreign") as p:
        lines = p | "lines" >> obs.Source(Lines(), dataset="the lines", stamp=True)
        _ = lines | "look" >> beam.Map(lambda record: (record, obs.current_origin())) | beam.Map(kept)

    assert sorted(record["_lineage"]["position"] for record, _ in kept.elements) == [0, 4]
    assert all(record["_lineage"]["origin"] == origin.hex() for record, origin in kept.elements)


def test_a_dataclass_with_room_is_stamped_and_what_has_none_passes() -> None:
    kept = Keeper()

    with beam.Pipeline(RUNNER) as p:
        _ = p | "trips" >> obs.Source(beam.Create([Trip(1), "text"]), stamp=True) | beam.Map(kept)

    text, trip = sorted(kept.elements, key=lambda element: isinstance(element, Trip))
    assert text == "text"
    assert trip.number == 1
    assert trip._lineage["source_uri"] == "trips"


def test_a_dead_letter_behind_a_stamped_source_has_its_origin() -> None:
    dead = Keeper()

    with beam.Pipeline(RUNNER) as p:
        trips = p | "trips" >> obs.Source(beam.Create([{"a": 0}]), stamp=True)
        _, letters = trips | "divide" >> obs.Stage(beam.Map(lambda trip: 1 / trip["a"])).with_dead_letters()
        _ = letters | beam.Map(dead)

    assert dead.elements[0].source_uri == "trips"
    assert len(dead.elements[0].origin) == 32


def test_the_steps_of_a_users_own_source_are_guarded() -> None:
    kept, dead = Keeper(), Keeper()

    with beam.Pipeline(RUNNER) as p:
        source = obs.Source(Fetch())
        numbers, letters = p | "fetch" >> source.with_dead_letters()
        _ = numbers | "kept" >> beam.Map(kept)
        _ = letters | "dead" >> beam.Map(dead)

    assert sorted(kept.elements) == [1, 3]
    assert [(letter.stage, letter.payload_text) for letter in dead.elements] == [("fetch/Fetch/parse", "x")]


@beam.ptransform_fn
def fetch(pbegin: Any) -> Any:
    return pbegin | Fetch()


def test_a_source_that_is_a_function_is_the_users_own() -> None:
    dead = Keeper()

    with beam.Pipeline(RUNNER) as p:
        _, letters = p | "fetch" >> obs.Source(fetch()).with_dead_letters()
        _ = letters | "dead" >> beam.Map(dead)

    assert [letter.payload_text for letter in dead.elements] == ["x"]


class ReadOfBeams(beam.PTransform):
    """A read with exception handling built in, as a release of Beam's may have."""

    __module__ = "apache_beam.io.people"

    def __init__(self, handler: Any) -> None:
        super().__init__()
        self._handler = handler

    def expand(self, pbegin: Any) -> Any:
        people = pbegin | beam.Create([{"name": "Ada Lovelace", "age": "old"}])
        ages = beam.Map(lambda person: int(person["age"])).with_error_handler(self._handler)
        return people | "ages" >> ages


def test_what_is_to_stay_out_stays_out_of_what_a_read_of_beams_refuses() -> None:
    with beam.Pipeline(RUNNER) as p, obs.DeadLetters("dead") as home:
        _ = p | "people" >> obs.Source(ReadOfBeams(home), redact=["name"])

    (letter,) = obs.read_dead_letters("dead")
    assert letter.redacted
    assert letter.payload_text == '{"name": "[redacted]", "age": "old"}'


class ReadRows(beam.PTransform):
    """A user's own source around a read of ours."""

    def __init__(self, home: obs.DeadLetters | None = None) -> None:
        super().__init__()
        self._home = home

    def expand(self, pbegin: Any) -> Any:
        return pbegin | "rows" >> obs.ReadFromCsv("rows.csv", dead_letters=self._home)


def _read_rows(pipeline: beam.Pipeline) -> tuple[list[Any], list[Any]]:
    pathlib.Path("rows.csv").write_text("a,b\n1,2\n3\n5,6\n")
    kept, dead = Keeper(), Keeper()
    with pipeline as p:
        rows, letters = p | "source" >> obs.Source(ReadRows()).with_dead_letters()
        _ = rows | "kept" >> beam.Map(kept)
        _ = letters | "dead" >> beam.Map(dead)
    return [row["a"] for row in kept.elements], dead.elements


def test_what_a_read_of_ours_refuses_inside_a_users_source_is_the_sources() -> None:
    kept, dead = _read_rows(beam.Pipeline(RUNNER))

    assert kept == ["1", "5"]
    assert [(letter.stage, letter.position) for letter in dead] == [("source/ReadRows/rows", 8)]


def test_an_observed_run_has_what_a_read_inside_a_source_refused_once() -> None:
    kept, dead = _read_rows(obs.Pipeline(RUNNER, name="inside"))

    assert (kept, len(dead)) == (["1", "5"], 1)
    end = obs.Store().find("latest").end
    assert end is not None
    assert end["dead_letters"]["count"] == 1


def test_a_read_inside_a_source_keeps_a_home_of_its_own() -> None:
    pathlib.Path("rows.csv").write_text("a,b\n1,2\n3\n5,6\n")
    with beam.Pipeline(RUNNER) as p, obs.DeadLetters("own") as home:
        _ = p | "source" >> obs.Source(ReadRows(home))

    assert len(list(pathlib.Path("own").glob("*.avro"))) == 1


def test_a_stream_keeps_its_windows_and_timestamps() -> None:
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    stream = TestStream().add_elements([TimestampedValue("a", 1), TimestampedValue("b", 70)])

    with TestPipeline("DirectRunner", options=options) as p:
        counted = (
            p
            | "events" >> obs.Source(stream.advance_watermark_to_infinity())
            | beam.WindowInto(FixedWindows(60))
            | beam.Map(lambda element, stamp=beam.DoFn.TimestampParam: (element, int(stamp)))
        )
        assert_that(counted, equal_to([("a", 1), ("b", 70)]))


def test_misuse_is_told_when_the_pipeline_is_built() -> None:
    p = beam.Pipeline(RUNNER)
    numbers = p | beam.Create([1])

    with pytest.raises(obs.UsageError, match=r"has no label.*obs\.Source\(\.\.\.\)"):
        _ = p | obs.Source(beam.Create([1]))
    with pytest.raises(obs.UsageError, match="is applied to a pipeline"):
        _ = numbers | "read" >> obs.Source(beam.Create([1]))
    with pytest.raises(obs.UsageError, match="reads no source by itself"):
        obs.Source(beam.Map(print))
    with pytest.raises(obs.UsageError, match="give a name or URI"):
        obs.Source(beam.Create([1]), dataset="")
    with pytest.raises(obs.UsageError, match="not one PCollection"):
        _ = p | "two" >> obs.Source(_Two())


class _Two(beam.PTransform):
    def expand(self, pbegin: Any) -> Any:
        return pbegin | "one" >> beam.Create([1]), pbegin | "other" >> beam.Create([2])
