"""A value that is redacted is in no file of the store, whichever way it could have come there."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.store.evidence import dead_letters

RUNNER = "FnApiRunner"
SECRET = "ada@example.org"
ROWS = [{"name": "Ada", "email": SECRET, "age": "x"}, {"name": "Bob", "email": "b@example.org", "age": "3"}]


def parse(row: dict[str, str]) -> int:
    if not row["age"].isdigit():
        raise ValueError(f"no age in {row}: mail {row['email']}")
    return int(row["age"])


def without_email(row: dict[str, str]) -> dict[str, str]:
    return {**row, "email": "hidden"}


def build(pipeline: beam.Pipeline) -> None:
    rows = pipeline | "rows" >> beam.Create(ROWS)
    rows | "parse" >> obs.Stage(beam.Map(parse))
    rows | "check" >> obs.Check(obs.matches("email", "b@.*"))
    rows | "count" >> obs.Check(obs.matches("email", "b@.*"), on_break="count")
    lines = ["name,email,age", f"Ada,{SECRET},x", f"Torn,{SECRET}"]
    pathlib.Path("people.csv").write_text("\n".join(lines) + "\n")
    pipeline | "read" >> obs.ReadFromCsv("people.csv") | "parse read" >> obs.Stage(beam.Map(parse))


def stored_bytes(name: str) -> bytes:
    """All that the store has of the latest run, Avro also as its values."""
    folder = pathlib.Path(".beam_obs") / obs.Store().find(f"{name}@latest").folder
    found = b""
    for path in folder.rglob("*"):
        content = path.read_bytes()
        found += content
        if path.suffix == ".avro":
            rows: list[Any] = list(fastavro.reader(io.BytesIO(content)))
            found += b"".join(repr(row).encode() + row.get("payload", b"") for row in rows)
    assert b"manifests" in found
    return found


def letters(name: str) -> list[DeadLetter]:
    return [letter for letter, _ in dead_letters(obs.Store(), obs.Store().find(f"{name}@latest"))]


def test_without_redaction_the_value_is_everywhere() -> None:
    with obs.Pipeline(RUNNER, argv=["--obs_report=off"], name="whole") as p:
        build(p)
    assert stored_bytes("whole").count(SECRET.encode()) > 10
    assert not any(letter.redacted for letter in letters("whole"))


@pytest.mark.parametrize(
    ("argv", "redact"),
    [
        (["--obs_redact=email"], None),
        (["--obs_redact=age, email"], None),
        ([], ["email"]),
        ([], without_email),
        (["--obs_redact=email"], ["name"]),
        (["--obs_redact=email"], dict),
        (["--obs_payload=redacted"], None),
        (["--obs_payload=none"], None),
        (["--obs_payload=none"], ["name"]),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_a_redacted_value_is_in_no_file_of_the_store(argv: list[str], redact: Any) -> None:
    with obs.Pipeline(RUNNER, argv=["--obs_report=off", *argv], name="redacted", redact=redact) as p:
        build(p)
    assert SECRET.encode() not in stored_bytes("redacted")
    found = letters("redacted")
    assert {letter.stage for letter in found} == {"parse", "check", "read", "parse read"}
    assert all(letter.redacted for letter in found)
    if argv == ["--obs_payload=none"]:
        assert all(letter.payload == b"" for letter in found)


def test_a_failing_run_keeps_the_step_but_not_the_values_of_its_error() -> None:
    pipeline = obs.Pipeline(RUNNER, argv=["--obs_report=off"], name="failing", redact=["email"])
    build(pipeline)
    pipeline | "again" >> beam.Create(ROWS) | "unguarded" >> beam.Map(parse)
    with pytest.raises(ValueError, match=SECRET):
        pipeline.run()
    end = obs.Store().find("failing@latest").end
    assert end is not None
    assert end["error"]["type"] == "ValueError"
    assert "unguarded" in end["error"]["message"]
    folder = pathlib.Path(".beam_obs") / obs.Store().find("failing@latest").folder
    assert SECRET.encode() not in (folder / "end.json").read_bytes()


def test_too_many_refusals_say_what_kinds_without_the_values() -> None:
    argv = ["--obs_report=off", "--obs_max_dead_rate=0.1", "--obs_max_dead_minimum=1", "--obs_redact=email"]
    pipeline = obs.Pipeline(RUNNER, argv=argv, name="refused")
    build(pipeline)
    with pytest.raises(obs.DeadRateExceeded, match=r"\[redacted\]"):
        pipeline.run()
    assert SECRET.encode() not in stored_bytes("refused")


def test_instrument_redacts_plain_pipelines() -> None:
    options = PipelineOptions(["--obs_report=off"])
    with (
        obs.instrument(name="plain", redact=["email"]),
        beam.Pipeline(RUNNER, options=options) as p,
    ):
        build(p)
    assert SECRET.encode() not in stored_bytes("plain")


def test_fields_are_given_as_a_keyword_too() -> None:
    options = PipelineOptions(obs_redact=["email", "age"], obs_report="off")
    with obs.Pipeline(RUNNER, options=options, name="keyword") as p:
        build(p)
    assert SECRET.encode() not in stored_bytes("keyword")


@pytest.mark.parametrize("make", [obs.Pipeline, obs.instrument])
@pytest.mark.parametrize("wrong", ["email", 3, ["email", 3]])
def test_what_is_no_redaction_is_refused_when_the_pipeline_is_made(
    make: Callable[..., Any], wrong: Any
) -> None:
    with pytest.raises(obs.UsageError, match="redact="):
        make(redact=wrong)


@pytest.mark.parametrize(
    "option", [{"obs_payload": "some"}, {"obs_redact": "email,,age"}, {"obs_redact": ""}]
)
def test_wrong_options_are_refused_when_the_pipeline_is_made(option: dict[str, str]) -> None:
    with pytest.raises(obs.UsageError, match=next(iter(option))):
        obs.Pipeline(RUNNER, options=PipelineOptions(**option))


def test_a_redacted_letter_says_that_it_is_not_the_whole_record(capsys: pytest.CaptureFixture[str]) -> None:
    with obs.Pipeline(RUNNER, argv=["--obs_report=off"], name="shown", redact=["email"]) as p:
        build(p)
    for letter in letters("shown"):
        capsys.readouterr()
        assert exit_code(["dead-letters", "show", letter.id]) == 0
        shown = capsys.readouterr().out
        assert "it is not the whole record" in shown
        assert SECRET not in shown
