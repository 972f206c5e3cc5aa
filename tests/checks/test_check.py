"""obs.Check: named assumptions, what breaks them, and where what broke them goes."""

from __future__ import annotations

import dataclasses
import json
import operator
import pathlib
import pickle
import sys
import tempfile
import typing
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

import beam_obs as obs
from beam_obs.records.payload import decode_payload
from beam_obs.testing import (
    assert_balanced,
    assert_dead_letters,
    assert_metrics,
    contains,
    dead_letter,
    like,
    meets,
)

TRIP = {
    "type": "record",
    "name": "Trip",
    "fields": [{"name": "fare", "type": "double"}, {"name": "tip", "type": ["null", "double"]}],
}


class Flight(typing.NamedTuple):
    """A typed record."""

    carrier: str
    dep_time: int | None
    arr_time: int | None


@dataclasses.dataclass
class Trip:
    """Another."""

    fare: float
    tip: float | None = None


def messages(*records: Any, check: obs.Check) -> list[str]:
    """Returns the messages of the dead letters of a check."""
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline("FnApiRunner") as p:
            _, dead = p | beam.Create(list(records), reshuffle=False) | "check" >> check.with_dead_letters()
            texts = dead | beam.Map(lambda letter: letter.error_message)
            _ = texts | beam.io.WriteToText(f"{folder}/messages", num_shards=1)
        return [line for path in pathlib.Path(folder).iterdir() for line in path.read_text().splitlines()]


def test_records_for_which_all_assumptions_hold_pass_with_their_type() -> None:
    flights = [Flight("UA", 517, 830), Flight("AA", None, None)]
    with TestPipeline("FnApiRunner") as p:
        checked = (
            p
            | beam.Create(flights).with_output_types(Flight)
            | "plausible"
            >> obs.Check(
                obs.between("dep_time", 0, 2400, allow_none=True), obs.one_of("carrier", ["UA", "AA"])
            )
        )
        assert checked.element_type is Flight
        assert_that(checked, equal_to(flights))
    assert_metrics(p.result, stage="plausible", in_=2, out=2, dead=0)


def test_a_broken_assumption_names_assumption_field_value_and_limit() -> None:
    bad = {"dep_time": 2460}
    with TestPipeline("FnApiRunner") as p:
        good, dead = (
            p
            | beam.Create([{"dep_time": 517}, bad])
            | "plausible"
            >> obs.Check(obs.between("dep_time", 0, 2400, name="on the clock")).with_dead_letters()
        )
        assert_that(good, equal_to([{"dep_time": 517}]))
        assert_dead_letters(
            dead,
            dead_letter(
                stage="plausible",
                error_type=obs.AssumptionBroken,
                message="on the clock: dep_time is 2460, expected 0 to 2400",
                payload=bad,
                traceback=meets("without our frames", lambda text: "File" not in text),
            ),
        )
    assert_metrics(p.result, stage="plausible", in_=2, out=1, dead=1)


def test_a_record_that_breaks_several_assumptions_is_one_dead_letter() -> None:
    check = obs.Check(obs.between("a", 0, 9), obs.not_null("b"), obs.of_type("c", str))
    (message,) = messages({"a": 10, "b": None, "c": 1}, {"a": 1, "b": 1, "c": "x"}, check=check)
    assert message == (
        "a between: a is 10, expected 0 to 9; b not_null: b is None, expected a value; "
        "c of_type: c is 1, expected str"
    )


def test_two_assumptions_have_two_fingerprints_and_one_has_one() -> None:
    with obs.Pipeline("FnApiRunner", name="fingerprints") as p:
        _ = (
            p
            | beam.Create([{"a": 10, "b": 1}, {"a": 11, "b": 1}, {"a": 1, "b": -1}, *[{"a": 1, "b": 1}] * 3])
            | "check" >> obs.Check(obs.between("a", 0, 9), obs.between("b", 0, 9))
        )
    record = obs.Store().find("latest")
    assert record.end is not None
    kinds = record.end["dead_letters"]["by_fingerprint"]
    assert [kind["count"] for kind in kinds] == [2, 1]
    assert_balanced(p.result)


def test_fingerprints_do_not_change_with_the_value_or_the_limit() -> None:
    fingerprints = set()
    for limit in (5, 9):
        with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(obs.JsonLines(f"dead{limit}")) as dead:
            _ = (
                p
                | beam.Create([{"a": limit + 1}])
                | "c" >> obs.Check(obs.between("a", 0, limit), dead_letters=dead)
            )
        (path,) = pathlib.Path(f"dead{limit}").glob("*.jsonl")
        fingerprints.add(json.loads(path.read_text())["fingerprint"])
    assert len(fingerprints) == 1


@pytest.mark.parametrize(
    ("assumption", "good", "bad", "found"),
    [
        (obs.between("x", 1, 2), [1, 2, 1.5], [0, 3, "1", None, float("nan"), [1]], "expected 1 to 2"),
        (obs.between("x", low="b"), ["b", "c"], ["a", 1], "expected at least 'b'"),
        (obs.between("x", high=2), [-9], [3], "expected at most 2"),
        (obs.between("x", 1, 2, allow_none=True), [None, 1], [0], "expected 1 to 2"),
        (obs.one_of("x", {"a", "b"}), ["a"], ["c", None, [], 1], "expected one of 'a', 'b'"),
        (obs.one_of("x", {0, 1}), [0, 1, 1.0], [True, False, 2], "expected one of 0, 1"),
        (obs.one_of("x", [True, "a"]), [True, "a"], [1, False], "expected one of 'a', True"),
        (obs.one_of("x", ["a", None]), ["a", None], ["b"], "expected one of 'a'"),
        (obs.one_of("x", [[1], [2]]), [[1]], [[3]], "expected one of [1], [2]"),
        (
            obs.matches("x", r"N\d+"),
            ["N1"],
            ["N1x", "xN1", "", 1, None, b"N1"],
            r"expected a match of 'N\\d+'",
        ),
        (obs.of_type("x", int), [1, 0], [True, 1.0, "1", None], "expected int"),
        (obs.of_type("x", int, float), [1, 1.0], [True, "1"], "expected int or float"),
        (obs.of_type("x", bool), [True], [1], "expected bool"),
        (obs.not_null("x"), [0, "", False], [None], "expected a value"),
        (obs.holds("small", lambda x: x < 5, "x"), [4], [5, "4", None], "expected 'small' to hold"),
        (obs.holds("small", lambda record: record["x"] < 5), [4], [5, "4"], "expected 'small' to hold"),
        (obs.fits_schema("double", "x"), [1.0, 2], ["1.0", None], "expected the Avro schema"),
    ],
)
def test_each_assumption_tells_good_from_bad(
    assumption: Any, good: list[Any], bad: list[Any], found: str
) -> None:
    with TestPipeline("FnApiRunner") as p:
        passed, dead = (
            p
            | beam.Create([{"x": value} for value in [*good, *bad]], reshuffle=False)
            | "check" >> obs.Check(assumption).with_dead_letters()
        )
        assert_that(passed, equal_to([{"x": value} for value in good]))
        assert_dead_letters(dead, dead_letter(message=contains(found), times=len(bad)))


def test_several_fields_are_tested_together() -> None:
    check = obs.Check(obs.holds("leaves before it lands", operator.lt, "leaves", "lands"))
    (message,) = messages({"leaves": 9, "lands": 8}, {"leaves": 8, "lands": 9}, check=check)
    assert message == (
        "leaves before it lands: leaves is 9, lands is 8, expected 'leaves before it lands' to hold"
    )


def test_a_predicate_that_raises_is_an_assumption_broken_with_its_error_and_frames() -> None:
    def is_cheap(record: Any) -> bool:
        return bool(record["price"] / record["count"] < 5)

    names = ["is_cheap"]
    if sys.version_info >= (3, 11):  # before it a frame has a function's name without what that is in
        names.append("in test_a_predicate_that_raises")
    with TestPipeline("FnApiRunner") as p:
        _, dead = (
            p
            | beam.Create([{"price": 1, "count": 0}])
            | "check" >> obs.Check(obs.holds("cheap", is_cheap)).with_dead_letters()
        )
        assert_dead_letters(
            dead,
            dead_letter(
                message=contains("cheap: the record is {'price': 1", "(ZeroDivisionError: division by zero)"),
                traceback=contains(*names),
            ),
        )


@pytest.mark.parametrize(
    "record",
    [
        {"address": {"city": "Turku"}},
        beam.Row(address=beam.Row(city="Turku")),
        {"address": beam.Row(city="Turku")},
        beam.Row(address={"city": "Turku"}),
    ],
)
def test_fields_are_keys_and_attributes_also_inside_each_other(record: Any) -> None:
    assert messages(record, check=obs.Check(obs.one_of("address.city", ["Turku"]))) == []
    (message,) = messages(record, check=obs.Check(obs.one_of("address.city", ["Oulu"], name="a city")))
    assert message == "a city: address.city is 'Turku', expected one of 'Oulu'"


def test_a_position_in_a_pair_is_a_field() -> None:
    check = obs.Check(obs.between("1.fare", 0, 9), obs.of_type("0", str))
    assert messages(("key", {"fare": 10}), ("key", {"fare": 1}), check=check) == [
        "1.fare between: 1.fare is 10, expected 0 to 9"
    ]


def test_a_name_with_a_dot_is_given_as_a_tuple() -> None:
    record = {"Sepal.Length": 99}
    (message,) = messages(record, check=obs.Check(obs.between(("Sepal.Length",), 0, 9)))
    assert message == "Sepal.Length between: Sepal.Length is 99, expected 0 to 9"


def test_a_field_that_is_not_there_breaks_unless_it_may_be_missing() -> None:
    assert messages({"b": 1}, check=obs.Check(obs.between("a", 0, 1, allow_none=True))) == [
        "a between: a is missing, expected 0 to 1"
    ]
    lenient = obs.Check(obs.between("a", 0, 1, allow_missing=True))
    assert messages({"b": 1}, {"a": 1}, {"a": None}, {"a": 2}, check=lenient) == [
        "a between: a is None, expected 0 to 1",
        "a between: a is 2, expected 0 to 1",
    ]


def test_what_is_inside_none_is_none() -> None:
    check = obs.Check(obs.between("a.b", 0, 1, allow_none=True))
    assert messages({"a": None}, {"a": {"b": 1}}, check=check) == []
    assert messages({"a": None}, check=obs.Check(obs.not_null("a.b"))) == [
        "a.b not_null: a.b is None, expected a value"
    ]


def test_records_of_many_kinds_fit_a_schema() -> None:
    check = obs.Check(obs.fits_schema(TRIP))
    good = [{"fare": 1.0, "tip": None, "more": 1}, Trip(1.0), beam.Row(fare=1.0, tip=2.0)]
    (message,) = messages(*good, {"fare": "cheap"}, check=check)
    assert message.startswith(
        "fits_schema Trip: the record is {'fare': 'cheap'}, expected the Avro schema 'Trip' ("
    )
    assert "Trip.fare is <cheap> of type" in message
    assert messages({"fare": "x"}, check=obs.Check(obs.fits_schema(json.dumps(TRIP)))) != []


def test_a_long_value_is_cut() -> None:
    (message,) = messages({"a": "x" * 10_000}, check=obs.Check(obs.one_of("a", ["y"])))
    assert len(message) < 300


def test_counting_passes_all_records_on_and_counts_by_assumption() -> None:
    records = [{"a": value, "b": "x"} for value in range(10)] + [{"a": 0, "b": "y"}]
    with obs.Pipeline("FnApiRunner", name="counting") as p:
        checked = (
            p
            | beam.Create(records)
            | "window" >> beam.WindowInto(beam.window.FixedWindows(60))
            | "check"
            >> obs.Check(obs.between("a", 0, 6), obs.one_of("b", ["x"]), obs.not_null("a"), on_break="count")
        )
        assert_that(checked, equal_to(records))
    record = obs.Store().find("latest")
    assert record.end is not None
    assert record.end["checks"] == [
        {
            "stage": "check",
            "assumption": "a between",
            "broken": 3,
            "example": "a between: a is 7, expected 0 to 6",
        },
        {
            "stage": "check",
            "assumption": "b one_of",
            "broken": 1,
            "example": "b one_of: b is 'y', expected one of 'x'",
        },
    ]
    assert_metrics(p.result, stage="check", in_=11, out=11, dead=0, broken=4)
    assert_dead_letters(p.result)
    assert_balanced(p.result)


def test_counting_in_a_plain_pipeline_keeps_the_counter() -> None:
    with TestPipeline("FnApiRunner") as p:
        _ = (
            p
            | beam.Create([{"a": 1}, {"a": 2}])
            | "check" >> obs.Check(obs.between("a", 0, 1), on_break="count")
        )
    assert_metrics(p.result, stage="check", in_=2, out=2, broken=1)


def test_without_a_home_a_broken_assumption_fails_the_pipeline_as_itself() -> None:
    with (
        pytest.raises(Exception, match="a between: a is 2, expected 0 to 1"),
        beam.Pipeline("FnApiRunner") as p,
    ):
        _ = p | beam.Create([{"a": 2}]) | "check" >> obs.Check(obs.between("a", 0, 1))


def test_windows_and_timestamps_are_those_of_the_records() -> None:
    with TestPipeline("FnApiRunner") as p:
        times = (
            p
            | beam.Create([{"a": 1}])
            | "at" >> beam.Map(lambda record: TimestampedValue(record, 70))
            | "window" >> beam.WindowInto(beam.window.FixedWindows(60))
            | "check" >> obs.Check(obs.between("a", 0, 1), obs.unique("a"))
            | "look"
            >> beam.Map(
                lambda _, time=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam: (
                    int(time),
                    int(window.start),
                )
            )
        )
        assert_that(times, equal_to([(70, 60)]))


def test_the_payload_is_decodable_without_code() -> None:
    with TestPipeline("FnApiRunner") as p:
        _, dead = (
            p
            | beam.Create(["abc"]).with_output_types(str)
            | "check" >> obs.Check(obs.holds("short", lambda text: len(text) < 3)).with_dead_letters()
        )
        assert_dead_letters(dead, dead_letter(payload="abc", payload_coder="beam:coder:string_utf8:v1"))
    assert decode_payload(b"abc", "beam:coder:string_utf8:v1") == "abc"


def test_lineage_attributes_come_into_the_dead_letter() -> None:
    pathlib.Path("in.csv").write_text("a\n1\n7\n")
    with TestPipeline("FnApiRunner") as p:
        _, dead = (
            p
            | "read" >> obs.ReadFromCsv("in.csv", stamp=True)
            | "check" >> obs.Check(obs.one_of("a", ["1"]), obs.unique("a")).with_dead_letters()
        )
        assert_dead_letters(
            dead,
            dead_letter(position=4, source_uri=contains("in.csv"), message=contains("a is '7'")),
        )


@pytest.mark.parametrize("pickler", ["cloudpickle", "dill"])
def test_checks_are_pickled_with_all_kinds_of_assumptions(pickler: str) -> None:
    from apache_beam.internal import pickler as beam_pickler

    if pickler == "dill":
        pytest.importorskip("dill")
    from beam_obs.checks.check_records import CheckRecords

    check = CheckRecords(
        (
            obs.between("a", 0, 1),
            obs.one_of("a", [[1], [2]], name="lists"),
            obs.matches("b", "x+"),
            obs.of_type("a", int),
            obs.holds("always", lambda record: True),
            obs.fits_schema(TRIP, "c"),
        )
    )
    beam_pickler.set_library(pickler)
    try:
        copied = beam_pickler.loads(beam_pickler.dumps(check))
    finally:
        beam_pickler.set_library("default")
    with pytest.raises(obs.AssumptionBroken, match="lists: a is 1"):
        copied.process({"a": 1, "b": "x", "c": {"fare": 1.0}})


def test_the_error_is_pickled_even_with_values_that_cannot_be() -> None:
    (broken,) = obs.one_of("f", ["x"]).breaks({"f": lambda: None})
    error = obs.AssumptionBroken((broken,))
    copied = pickle.loads(pickle.dumps(error))
    assert str(copied) == str(error)
    assert copied.fingerprint_parts == ("f one_of",)


class Inverse(beam.PTransform):
    """A composite with a Check inside."""

    def expand(self, numbers: Any) -> Any:
        small = numbers | "small" >> obs.Check(
            obs.holds("small", lambda number: number < 5), obs.unique("real")
        )
        return small | "invert" >> beam.Map(lambda number: 1 // number)


def test_a_check_inside_a_guarded_composite_keeps_each_dead_letter_once() -> None:
    with obs.Pipeline("FnApiRunner", name="inside") as p:
        _ = p | beam.Create([0, 1, 1, 2, 3, 4, 9]) | "outer" >> obs.Stage(Inverse())
    assert_dead_letters(
        p.result,
        dead_letter(stage=like("^outer/.*small$"), payload=1),
        dead_letter(stage=like("^outer/.*small$"), payload=9),
        dead_letter(stage=like("^outer/.*invert$"), payload=0),
    )


# Misuse is refused when the pipeline is built.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: obs.Check(), "has no assumption"),
        (lambda: obs.Check(len), r'write obs.holds\("what is assumed", predicate\)'),  # type: ignore[arg-type]
        (lambda: obs.Check("a"), "is no assumption"),  # type: ignore[arg-type]
        (lambda: obs.Check(obs.not_null("a"), on_break="drop"), 'give "dead_letter" or "count"'),  # type: ignore[arg-type]
        (lambda: obs.Check(obs.between("a", 0), obs.between("a", 1)), "two assumptions named 'a between'"),
        (lambda: obs.Check(obs.unique("a"), obs.unique("b")), "Check behind it"),
        (lambda: obs.Check(obs.not_null("a"), dead_letters="x"), "obs.Check at .*test_check.py"),  # type: ignore[arg-type]
        (lambda: obs.Check(obs.not_null("a"), on_break="count").with_dead_letters(), "is no dead letter"),
        (lambda: obs.between("a"), "has no limit"),
        (lambda: obs.between("a", 2, 1), "nothing lies between"),
        (lambda: obs.between("a", 2, "x"), "int and str cannot be compared"),
        (lambda: obs.between("", 2), "names no field"),
        (lambda: obs.between(7, 2), "got 7 as a field: its name comes first"),  # type: ignore[arg-type]
        (lambda: obs.one_of("a", "abc"), "give a set, list or dict"),
        (lambda: obs.one_of("a", []), "no values"),
        (lambda: obs.matches("a", "("), "no regular expression"),
        (lambda: obs.of_type("a"), "give one class or several"),
        (lambda: obs.of_type("a", None), "allow_none=True for None"),  # type: ignore[arg-type]
        (lambda: obs.not_null(), "got no field"),
        (lambda: obs.unique(), "got no field"),
        (lambda: obs.holds("", bool), "say in words what is assumed"),
        (lambda: obs.holds("a", "b"), "give a function"),  # type: ignore[arg-type]
        (lambda: obs.fits_schema({"type": "recrod"}), "no Avro schema"),
    ],
)
def test_misuse_is_refused_when_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(obs.UsageError, match=message):
        make()


def test_a_check_without_a_label_is_refused() -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(obs.UsageError, match=r"the obs\.Check at .*test_check\.py:\d+ has no label"):
        _ = p | beam.Create([1]) | obs.Check(obs.not_null("a"))


@pytest.mark.parametrize(
    "records",
    [
        beam.Create([Flight("UA", 1, 2)]).with_output_types(Flight),
        beam.Create([Trip(1.0)]).with_output_types(Trip),
        beam.Create([beam.Row(a=1)]),
    ],
)
def test_a_field_that_a_typed_record_never_has_is_refused(records: Any) -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(obs.UsageError, match=r"no field 'dep_tme'.*: it has "):
        _ = p | records | "check" >> obs.Check(obs.between("dep_tme", 0, 2400))


def test_runtime_type_checks_of_beam_leave_a_check_alone() -> None:
    options = PipelineOptions(["--runtime_type_check"])
    with TestPipeline("FnApiRunner", options=options) as p:
        _, dead = (
            p
            | beam.Create([1, 2]).with_output_types(int)
            | "check" >> obs.Check(obs.holds("odd", lambda number: number % 2)).with_dead_letters()
        )
        assert_dead_letters(dead, dead_letter(payload=2))
