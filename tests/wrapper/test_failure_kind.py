"""What makes two failures one kind: it stays over edits of a function and over records."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.wrapper.failure import failure_of
from tests.running import run, through

PARSE = """
class BadCarrier(ValueError):
    def __init__(self, carrier):
        super().__init__(f"no carrier {carrier} is known")

def parse(text="x"):
    if text.startswith("row "):
        raise ValueError(f"cannot parse {text!r} of {text}")
    if text.startswith("column "):
        raise ValueError("cannot take %s apart" % text)
    if text.startswith("carrier "):
        raise BadCarrier(text)
    if text.startswith("name "):
        raise LookupError(text)
    row = {text: 1}
    if "," in text:
        return row[text + "!"]
    if "age" in text:
        return row["age"]
    number = int(text)
    return 1 / number
"""


def compiled(source: str, path: str = "parse.py", name: str = "parse") -> Any:
    scope: dict[str, Any] = {"__name__": "parse"}
    exec(compile(textwrap.dedent(source), path, "exec"), scope)
    return scope[name]


def kind(function: Any, *arguments: Any, stage: str = "s") -> str:
    with pytest.raises((ValueError, LookupError, ZeroDivisionError)) as caught:
        function(*arguments)
    # As in a pipeline, where the first of the user's frames is that of the step's function.
    return failure_of(caught.value.with_traceback(caught.tb.tb_next), stage).fingerprint


@pytest.mark.parametrize("text", ["x", "0", "row ZZ", "carrier ZZ", "a,b", "the age"])
def test_an_edit_of_the_function_keeps_its_kinds(text: str) -> None:
    here = kind(compiled(PARSE, "/home/one/app/parse.py"), text)
    edited = PARSE.replace("number = int(text)", "# a comment\n    number = int(text)  # and another")
    edited = edited.replace("row = {text: 1}", "row = {}; row[text] = [1]").replace(
        "1 / number", "2 / number"
    )
    edited = edited.replace("def parse", "import os\n\ndef parse_text")
    assert kind(compiled(edited, "/srv/other/app/reading.py", "parse_text"), text) == here


def test_kinds_of_a_function_stay_apart() -> None:
    parse = compiled(PARSE)
    texts = ["x", "0", "row 1", "column 1", "carrier 1", "name 1", "a,b", "the age"]
    found = {kind(parse, text) for text in texts} | {kind(parse, "x", stage="another")}
    assert len(found) == len(texts) + 1


@pytest.mark.parametrize(
    "texts",
    [
        ("x", "it's", "12:30", 'say "no"'),
        ("row a", "row some words as they come", "row it's 5 o'clock, isn't it", "row "),
        ("column a", "column that is long"),
        ("carrier ZZ", "carrier of whom nobody knows"),
        ("a,b", "b,'c'", "many, words"),
    ],
)
def test_a_kind_does_not_depend_on_the_record(texts: tuple[str, ...]) -> None:
    parse = compiled(PARSE)
    assert len({kind(parse, text) for text in texts}) == 1


def test_a_field_that_the_code_names_is_a_kind_of_its_own() -> None:
    def age(row: dict[str, int]) -> int:
        return row["age"] + row["size"]

    assert kind(age, {"size": 1}) != kind(age, {"age": 1})
    assert kind(age, {"size": 1}) == kind(age, {})


def test_a_helper_that_fails_is_told_from_another_but_not_the_function_of_the_step() -> None:
    source = """
    def first(text): return int(text)
    def second(text): return int(text)
    def parse(text): return first(text)
    """
    first = kind(compiled(source), "x")
    assert first != kind(compiled(source.replace("return first", "return second")), "x")
    assert first != kind(compiled(source, name="first"), "x")
    assert kind(compiled(source, name="first"), "x") == kind(compiled(source, name="second"), "x")
    assert first == kind(lambda text: compiled(source)(text), "x")


def test_a_kind_does_not_depend_on_lines_of_a_library() -> None:
    folder = json.__file__.rsplit("/", 1)[0]
    user = compiled("def parse(library):\n    library()\n", "app.py")
    library = compiled("def load():\n    raise ValueError\n", f"{folder}/loading.py", "load")
    newer = compiled("\n\n\ndef load():\n    pass\n    raise ValueError\n", f"{folder}/loading.py", "load")
    assert kind(user, library) == kind(user, newer)


def test_a_library_called_as_the_function_itself_has_kinds_too() -> None:
    first = through(["{"], beam.Map(json.loads)).letter
    second = through(["{{"], beam.Map(json.loads)).letter
    assert first.fingerprint == second.fingerprint != through(["x"], beam.Map(int)).letter.fingerprint


def test_errors_of_ours_have_the_names_by_which_they_are_public() -> None:
    check = "check" >> obs.Check(obs.between("age", 0, 150)).with_dead_letters()
    letter = run(lambda p: p | beam.Create([{"age": 200}]) | check).letter
    assert letter.error_type == "beam_obs.AssumptionBroken"
