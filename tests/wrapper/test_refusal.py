"""Elements that are hard to keep are kept all the same."""

from __future__ import annotations

import json
import pickle
import threading
from typing import Any, NamedTuple

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.records.payload import decode_payload
from tests.running import run, through


class Locked:
    """Cannot be pickled any more once it was locked."""

    def __init__(self, name: str) -> None:
        self.name = name

    def make_lock(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Locked({self.name!r})"


class Nameless(Locked):
    def __repr__(self) -> str:
        raise ValueError("no name")


class Attributes(dict):  # type: ignore[type-arg]
    """A dict with keys as attributes, as many programs have one."""

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getstate__(self) -> None:
        """Python 3.10 has none of its own, and would be sent to `__getattr__` for it."""


def refuse(element: Any) -> None:
    if isinstance(element, Locked):
        element.make_lock()
    if isinstance(element, list):
        element.append("no number")
    raise ValueError("refused")


def refused_after(make: Any) -> Any:
    """The dead letter of what `make` makes in the step before."""

    def build(p: beam.Pipeline) -> Any:
        made = p | beam.Create(["x"]) | "make" >> beam.Map(make).with_output_types(Any)
        return made | "step" >> obs.Stage(beam.Map(refuse)).with_dead_letters()

    return run(build).letter


def test_what_the_coder_refuses_is_pickled() -> None:
    def build(p: beam.Pipeline) -> Any:
        lists = (
            p | beam.Create([1]) | "make" >> beam.Map(lambda number: [number]).with_output_types(list[int])
        )
        return lists | "step" >> obs.Stage(beam.Map(refuse)).with_dead_letters()

    letter = run(build).letter
    assert (letter.payload_coder, pickle.loads(letter.payload)) == ("pickle", [1, "no number"])


def test_what_cannot_be_pickled_is_kept_as_its_repr() -> None:
    letter = refused_after(Locked)
    assert (letter.payload_coder, letter.payload) == ("repr", b"Locked('x')")
    assert letter.payload_text == "Locked('x')"


def test_what_has_no_repr_either_is_named_by_its_type() -> None:
    letter = refused_after(Nameless)
    assert letter.payload_text == "<Nameless: repr() raised ValueError>"


def test_an_element_that_raises_any_error_for_unknown_attributes_is_a_dead_letter() -> None:
    letter = refused_after(lambda text: Attributes(text=text))
    assert letter.error_message == "refused"
    assert decode_payload(letter.payload, letter.payload_coder, trust_pickles=True) == {"text": "x"}


@pytest.mark.parametrize(
    "attributes",
    [
        {"position": "not a number", "origin": 3, "source_uri": b"bytes"},
        {"position": True},
        {"nothing": "of ours"},
        "text",
        7,
    ],
    ids=repr,
)
def test_attributes_that_are_not_ours_do_no_harm(attributes: Any, tmp_path: Any) -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path)) as dead:
        records = p | beam.Create([{"a": 1, "_lineage": attributes}])
        _, letters = records | "output" >> obs.Stage(beam.Map(refuse)).with_dead_letters()
        _ = records | "file" >> obs.Stage(beam.Map(refuse), dead_letters=dead)
        _ = letters | beam.Map(lambda letter: json.dumps(letter.position))
    assert len(list(tmp_path.glob("*.avro"))) == 1


def test_attributes_that_a_source_stamped_are_those_of_the_dead_letter() -> None:
    stamped = {"origin": "ab" * 16, "source_uri": "gs://bucket/a.csv", "position": 2**40}
    letter = through([{"a": 1, "_lineage": stamped}], beam.Map(refuse)).letter
    assert (letter.origin, letter.source_uri, letter.position) == tuple(stamped.values())


@pytest.mark.slow
def test_a_huge_payload_is_kept_whole() -> None:
    letter = through(["é" * 5_000_000], beam.Map(refuse)).letter
    assert decode_payload(letter.payload, letter.payload_coder) == "é" * 5_000_000
    assert len(letter.payload_text.encode()) <= 4096


def test_values_that_were_grouped_are_kept() -> None:
    def build(p: beam.Pipeline) -> Any:
        grouped = p | beam.Create([("k", 1), ("k", 2)]) | beam.GroupByKey()
        return grouped | "step" >> obs.Stage(beam.Map(refuse)).with_dead_letters()

    letter = run(build).letter
    key, values = decode_payload(letter.payload, letter.payload_coder)
    assert (key, sorted(values)) == ("k", [1, 2])


class Row(NamedTuple):
    name: str
    number: int


def test_a_record_with_a_schema_is_kept() -> None:
    beam.coders.registry.register_coder(Row, beam.coders.RowCoder)

    def build(p: beam.Pipeline) -> Any:
        rows = p | beam.Create([Row("a", 1)]).with_output_types(Row)
        return rows | "step" >> obs.Stage(beam.Map(refuse)).with_dead_letters()

    letter = run(build).letter
    assert letter.payload_coder == "beam:coder:row:v1"
    assert letter.payload_text == "Row(name='a', number=1)"
