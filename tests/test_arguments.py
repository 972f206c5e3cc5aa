"""An argument that several transforms have is spelt, meant and refused alike by all of them."""

from __future__ import annotations

import inspect
import pathlib
import re
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import CollectingErrorHandler, ErrorHandler
from apache_beam.transforms.window import FixedWindows

import beam_obs as obs

HERE = rf"{__file__}:\d+"
SCHEMA = {"type": "record", "name": "Trip", "fields": [{"name": "fare", "type": "double"}]}

Make = Callable[..., Any]


def _made(kind: Any, *first: Any, **keywords: Any) -> Make:
    return lambda **others: kind(*first, **keywords, **others)


STEPS: dict[str, Make] = {
    "Check": _made(obs.Check, obs.between("fare", 0)),
    "ReadFromAvro": _made(obs.ReadFromAvro, "in.avro"),
    "ReadFromCsv": _made(obs.ReadFromCsv, "in.csv"),
    "ReadFromJson": _made(obs.ReadFromJson, "in.jsonl"),
    "ReadFromParquet": _made(obs.ReadFromParquet, "in.parquet"),
    "ReadFromPubSub": _made(
        obs.ReadFromPubSub, subscription="projects/big-city/subscriptions/trips", decode=bytes.decode
    ),
    "ReadFromText": _made(obs.ReadFromText, "in.txt"),
    "ReadWholeFiles": _made(obs.ReadWholeFiles, "in.csv", max_bytes=1),
    "Sink": _made(obs.Sink, beam.io.WriteToText("sink", coder=beam.coders.BytesCoder())),
    "Source": _made(obs.Source, beam.Create([1])),
    "Stage": _made(obs.Stage, beam.Map(lambda record: 1 / record["fare"])),
    "Stamp": _made(obs.Stamp),
    "WindowInto": _made(obs.WindowInto, FixedWindows(60)),
    "WriteToAvro": _made(obs.WriteToAvro, "avro", SCHEMA),
    "WriteToBigQuery": _made(obs.WriteToBigQuery, "big-city:trips.all", schema="fare:FLOAT"),
    "WriteToJson": _made(obs.WriteToJson, "json"),
    "WriteToPubSub": _made(obs.WriteToPubSub, "projects/big-city/topics/trips"),
    "WriteToText": _made(obs.WriteToText, "text", coder=beam.coders.BytesCoder()),
}
SINKS_OF_DEAD_LETTERS = {"BigQueryRows", "PubSubMessages"}
"""They take what is a dead letter already."""
READS_INSIDE = {"ReadContinuously"}
"""They are put around a read, which has the arguments."""


def parameters(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(obs, name)).parameters)


def having(argument: str) -> list[str]:
    return [name for name in STEPS if argument in parameters(name)]


def test_every_public_transform_is_looked_at() -> None:
    transforms = {
        name
        for name in obs.__all__
        if isinstance(kind := getattr(obs, name), type) and issubclass(kind, beam.PTransform)
    }
    assert transforms == {*STEPS, *SINKS_OF_DEAD_LETTERS, *READS_INSIDE}


@pytest.mark.parametrize("name", STEPS)
def test_every_transform_takes_a_home_and_what_stays_out(name: str) -> None:
    found = parameters(name)
    assert found["dead_letters"].annotation == "DeadLetters | ErrorHandler | None"
    assert found["redact"].annotation == "Redact | None"
    for argument in ("dead_letters", "redact"):
        assert found[argument].kind is inspect.Parameter.KEYWORD_ONLY
        assert found[argument].default is None
    said = (
        "dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.\n"
    )
    assert said in (getattr(obs, name).__doc__ or "")
    assert callable(getattr(obs, name).with_dead_letters)


READS = [name for name in STEPS if name.startswith("Read")]
READS_OF_FILES = [name for name in READS if name != "ReadFromPubSub"]
WRITES = [name for name in STEPS if name.startswith("Write")]


@pytest.mark.parametrize(
    ("argument", "steps", "annotation", "default"),
    [
        ("stamp", [*READS, "Source"], "bool", False),
        ("stamp", WRITES, "bool | None", None),
        ("on_bad_file", READS_OF_FILES, "str", "dead_letter"),
        ("validate", READS_OF_FILES, "bool", True),
        ("max_dead_rate", [*STEPS], "float | None", None),
        ("max_dead_minimum", [*STEPS], "int | None", None),
        ("dataset", ["Source", "Sink"], "str | None", None),
    ],
)
def test_an_argument_that_recurs_is_the_same(
    argument: str, steps: list[str], annotation: str, default: Any
) -> None:
    for name in steps:
        found = parameters(name)[argument]
        assert (found.annotation, found.default) == (annotation, default)


def test_a_label_comes_from_the_pipe_only() -> None:
    assert having("label") == having("name") == []


WRONG = [
    ("dead_letters", "folder"),
    ("dead_letters", 3),
    ("dead_letters", obs.DeadLetters),
    ("redact", "fare"),
    ("redact", 3),
    ("redact", [1]),
    ("stamp", "no"),
    ("stamp", 1),
    ("partial", "no"),
    ("partial", None),
    ("validate", "no"),
    ("on_bad_file", "drop"),
    ("max_dead_rate", 2),
    ("max_dead_rate", "half"),
    ("max_dead_rate", True),
    ("max_dead_minimum", -1),
    ("min_bundle_size", -1),
    ("num_shards", -1),
]


@pytest.mark.parametrize(("argument", "wrong"), WRONG)
def test_what_is_wrong_is_told_alike_by_all(argument: str, wrong: Any) -> None:
    said = set()
    for name in having(argument):
        with pytest.raises(obs.UsageError, match=HERE) as raised:
            STEPS[name](**{argument: wrong})
        text = re.sub(HERE, "HERE", str(raised.value)).replace(f"obs.{name} ", "obs.STEP ")
        assert f"{argument}=" in text
        said.add(text)
    assert len(said) == 1


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    "home", [obs.DeadLetters("folder"), CollectingErrorHandler()], ids=["ours", "Beam's"]
)
def test_two_homes_are_refused_by_all(name: str, home: Any) -> None:
    said = rf"^obs\.{name} at {HERE} has dead_letters= and with_dead_letters\(\): give one of them"
    with pytest.raises(obs.UsageError, match=said):
        STEPS[name](dead_letters=home).with_dead_letters()


class Told(beam.PTransform):  # type: ignore[misc]
    """Gives the step of each dead letter, below the composite that it is in."""

    def expand(self, letters: Any) -> Any:
        return letters | beam.Map(lambda letter: letter.stage.split("/")[1])


IN_FILES = {
    "ReadFromCsv": ("in.csv", b"fare\n1,2\n"),
    "ReadFromJson": ("in.jsonl", b"torn\n"),
    "ReadFromText": ("in.txt", b"\xff\n"),
    "ReadFromAvro": ("in.avro", b"no container"),
    "ReadFromParquet": ("in.parquet", b"no container"),
}
RECORDS: dict[str, Any] = {
    "Check": {"fare": -1},
    "Sink": "text",
    "Stage": {"fare": 0},
    "Stamp": 5,
    "WriteToAvro": {"fare": "none"},
    "WriteToJson": {"fare": 1j},
    "WriteToText": "text",
}
RUN = sorted({*IN_FILES, *RECORDS, "ReadWholeFiles"})


def refused_by_all(pipeline: Any, **arguments: Any) -> dict[str, Any]:
    return {name: refused_by(name, pipeline, **arguments) for name in RUN}


def refused_by(name: str, pipeline: Any, **arguments: Any) -> Any:
    for file, content in IN_FILES.values():
        pathlib.Path(file).write_bytes(content)
    start: Any = pipeline
    if name in RECORDS:
        start = pipeline | f"of {name}" >> beam.Create([RECORDS[name]]).with_output_types(Any)
    step = STEPS[name](**arguments)
    return start | name >> (step if "dead_letters" in arguments else step.with_dead_letters())


@pytest.mark.parametrize("name", RUN)
def test_each_step_is_held_to_a_limit_of_its_own(name: str) -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = refused_by(name, p, max_dead_rate=0.5, max_dead_minimum=1)
    with pytest.raises(
        Exception, match=rf"'{name}\b.*' refused 1 of 1 record \(100.0%\), more than the 50.0%"
    ):
        p.run().wait_until_finish()


@pytest.mark.slow
def test_each_step_gives_its_dead_letters_to_any_kind_of_home() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        as_outputs = p | "outputs" >> beam.ptransform_fn(_letters_of_outputs)()
        with ErrorHandler(Told()) as beams:
            results = p | "beams" >> beam.ptransform_fn(refused_by_all)(dead_letters=beams)
        assert not any(isinstance(result, tuple) for result in results.values())
        with obs.DeadLetters(Told()) as ours:
            _ = p | "ours" >> beam.ptransform_fn(refused_by_all)(dead_letters=ours)
        for label, letters in (("outputs", as_outputs), ("beams", beams.output()), ("ours", ours.result)):
            assert_that(letters, equal_to(RUN), label=f"check {label}")


def _letters_of_outputs(pipeline: Any) -> Any:
    pairs = refused_by_all(pipeline)
    return tuple(dead for _, dead in pairs.values()) | beam.Flatten() | Told()


@pytest.mark.slow
def test_what_is_to_stay_out_stays_out_of_all() -> None:
    kept = {}
    for folder, redact in (("whole", None), ("redacted", ["fare"])):
        with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(folder) as home:
            _ = refused_by_all(p, dead_letters=home, redact=redact)
        letters = obs.read_dead_letters(folder)
        kept[folder] = {letter.stage.partition("/")[0]: letter.payload_text for letter in letters}
    assert sorted(kept["whole"]) == sorted(kept["redacted"]) == RUN
    assert [name for name in RUN if kept["whole"][name] == kept["redacted"][name]] == []


@pytest.mark.parametrize("name", ["WriteToBigQuery", "WriteToPubSub"])
def test_a_write_to_a_service_gives_an_error_handler_all_its_dead_letters_at_once(name: str) -> None:
    p = beam.Pipeline()
    handler = CollectingErrorHandler()
    records = p | beam.Create([{"fare": 1.5}]) if name == "WriteToBigQuery" else p | beam.Create([b"trip"])
    result = records | name >> STEPS[name](dead_letters=handler)
    assert not isinstance(result, tuple) or hasattr(result, "_fields")
    (letters,) = handler._error_pcolls
    assert letters.element_type is obs.DeadLetter
