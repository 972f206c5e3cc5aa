"""A failed run can be asked: which record of which file broke it, on any runner, at a step of any kind."""

from __future__ import annotations

import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

import beam_obs as obs
from beam_obs import lineage
from beam_obs.lineage.source_records import VERIFIED
from beam_obs.records.origin import Partition
from beam_obs.runs.failing_record import failing_record
from beam_obs.wrapper.exception_note import note_text, put_note
from tests.cli.test_commands import output

RUNNERS: dict[str, tuple[Any, list[str]]] = {
    "FnApiRunner": ("FnApiRunner", []),
    "bundles": (BundleBasedDirectRunner, []),
    "processes": ("FnApiRunner", ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]),
}


def parse(text: Any) -> int:
    return int(text["n"] if isinstance(text, dict) else text)


def fail(
    folder: pathlib.Path, read: Any, runner: str = "FnApiRunner", *options: str, **arguments: Any
) -> BaseException:
    made, given = RUNNERS[runner]
    asked = ["--obs_report=off", f"--obs_store={folder}/store", *given, *options]
    pipeline = obs.Pipeline(
        made if isinstance(made, str) else made(), PipelineOptions(asked), name="fails", **arguments
    )
    _ = pipeline | "read" >> read | "parse" >> beam.Map(parse)
    with pytest.raises(Exception) as raised:  # noqa: PT011
        pipeline.run().wait_until_finish()
    return raised.value


def store_of(folder: pathlib.Path) -> obs.Store:
    return obs.Store(str(folder / "store"))


def at_of(folder: pathlib.Path) -> Any:
    return store_of(folder).find("fails@latest").end["error"].get("at")  # type: ignore[index]


@pytest.fixture
def bad(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "bad.txt"
    file.write_text("1\n2\nthree\n4\n")
    return file


@pytest.mark.usefixtures("processes_as_workers")
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.slow
def test_the_line_that_broke_a_run_is_named_and_can_be_asked(runner: str, bad: pathlib.Path) -> None:
    error = fail(bad.parent, beam.io.ReadFromText(str(bad)), runner)

    (note,) = error.__notes__  # type: ignore[attr-defined,unused-ignore]
    assert note.startswith(f"beam_obs: in step 'parse', line 3 of {bad} (position 4, origin ")
    assert note.endswith("): 'three'")
    at = at_of(bad.parent)
    assert (at["step"], at["uri"], at["line"], at["record"]) == ("parse", str(bad), 3, "three")
    for target in (f"{bad}:3", at["origin"]):
        fate = lineage.fate(target, store=store_of(bad.parent))
        assert fate.certainty.kind == "not recorded"
        assert fate.into is not None
        assert fate.into.end.startswith("failed the run at step parse: ")
        assert "invalid literal for int() with base 10: 'three'" in fate.into.end
    why = lineage.why(at["origin"], store=store_of(bad.parent))
    (made_of,) = why.made_of
    assert isinstance(made_of, lineage.FromSource)
    assert (made_of.record.text, made_of.record.line, made_of.record.state) == ("three", 3, VERIFIED)
    assert any(one.startswith("failed the run at step parse") for one in why.notes)


def test_other_lines_of_the_file_are_not_recorded(bad: pathlib.Path) -> None:
    fail(bad.parent, beam.io.ReadFromText(str(bad)))

    fate = lineage.fate(f"{bad}:2", store=store_of(bad.parent))

    assert fate.certainty.text == "not recorded: the run is failed: what it did is not all committed"
    assert fate.into is not None
    assert fate.into.end == "no trace of it"


def test_the_report_and_the_commands_tell_it(bad: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail(bad.parent, obs.ReadFromText(str(bad)), "FnApiRunner", "--obs_report=text")

    # The report folds what is too long for a line, wherever a long path makes that be.
    told = "".join(capsys.readouterr().err.split())
    assert f"atstepparse:line3of{bad}".replace(" ", "") in told
    told = output(capsys, "fate", f"{bad}:3", "--store", store_of(bad.parent).uri)
    assert "failed the run at step parse: ValueError: invalid literal" in told


@pytest.mark.parametrize("kind", ["csv", "avro", "gz", "Create", "grouped"])
def test_records_of_every_kind_of_source_are_told(kind: str, tmp_path: pathlib.Path) -> None:
    rows = [{"n": "1"}, {"n": "three"}]
    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "string"}]}
    (tmp_path / "a.csv").write_text("n\n1\nthree\n")
    with beam.Pipeline("FnApiRunner") as p:
        (
            p
            | "avro" >> beam.Create(rows)
            | beam.io.WriteToAvro(str(tmp_path / "a.avro"), schema, shard_name_template="")
        )
        lines = p | "lines" >> beam.Create(["1\ntwo"])
        lines | beam.io.WriteToText(str(tmp_path / "a.gz"), shard_name_template="")
    reads = {
        "csv": (obs.ReadFromCsv(str(tmp_path / "a.csv")), 3, "three"),
        "avro": (beam.io.ReadFromAvro(str(tmp_path / "a.avro")), None, None),
        "gz": (beam.io.ReadFromText(str(tmp_path / "a.gz")), 2, "two"),
        "Create": (beam.Create(["1", "three"]), None, None),
        "grouped": (Grouped(), None, None),
    }

    read, line, record = reads[kind]
    fail(tmp_path, read)

    at = at_of(tmp_path)
    assert (at["step"], at["line"], at["record"]) == ("parse", line, record)
    fate = lineage.fate(at["origin"], store=store_of(tmp_path))
    assert fate.into is not None
    assert fate.into.end.startswith("failed the run at step parse")
    if kind == "avro":
        (made_of,) = lineage.why(at["origin"], store=store_of(tmp_path)).made_of
        assert isinstance(made_of, lineage.FromSource)
        assert made_of.record.text == '{"n": "three"}'


class Grouped(beam.PTransform):
    def expand(self, start: Any) -> Any:
        pairs = start | beam.Create([(0, "a"), (0, "b")])
        return pairs | beam.GroupByKey() | beam.MapTuple(lambda key, texts: "".join(sorted(texts)))


def test_a_run_that_redacts_keeps_no_line(bad: pathlib.Path) -> None:
    error = fail(bad.parent, beam.io.ReadFromText(str(bad)), redact=["name"])

    at = at_of(bad.parent)
    assert (at["line"], at["position"], at["record"]) == (3, 4, None)
    assert "three" not in error.__notes__[-1]  # type: ignore[attr-defined,unused-ignore]
    kept = b"".join(file.read_bytes() for file in (bad.parent / "store").rglob("*") if file.is_file())
    assert b"three" not in kept


def test_a_file_that_is_no_longer_the_one_that_was_read_is_not_shown(bad: pathlib.Path) -> None:
    partition = Partition("bad.txt", "12-of another day")
    note = note_text("parse", partition.origin(4))
    told = f", read by 'read' in 'bytes' from {str(bad)!r} of version '12-of another day'"
    error = KeyError(1)
    put_note(error, note + told)

    found = failing_record(error, {"read": "ReadFromText"})

    assert found is not None
    assert (found.line, found.record) == (None, None)
    assert (found.partition() or {})["name"] == "bad.txt"
    assert found.text.endswith(f"(position 4) of {bad}")
