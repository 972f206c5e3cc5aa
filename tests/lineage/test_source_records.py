"""A source record is verified where the file is the one that was read, in a process that goes on too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs import lineage

READS = {"of Beam": beam.io.ReadFromText, "of ours": obs.ReadFromText}


def copy(folder: Path, read: Any, name: str, look: Any = str) -> None:
    """Writes the records of a read to a file, one a line."""
    options = PipelineOptions([f"--obs_store={folder / 'store'}", "--obs_report=off", "--obs_lineage=strict"])
    with obs.Pipeline("FnApiRunner", options, name=name) as p:
        texts = p | "read" >> read | "look" >> beam.Map(look)
        _ = texts | beam.io.WriteToText(str(folder / name), shard_name_template="")


def source_of(folder: Path, output: str) -> lineage.SourceRecord:
    """Returns what is said of the source record that an output was made of."""
    (made_of,) = lineage.why(str(folder / output), store=obs.Store(str(folder / "store"))).made_of
    assert isinstance(made_of, lineage.FromSource)
    return made_of.record


@pytest.mark.parametrize("kind", READS)
def test_a_file_that_was_written_again_between_two_runs_is_read_as_it_is_then(
    tmp_path: Path, kind: str
) -> None:
    source = tmp_path / "in.txt"
    for name, text in (("first", "one\ntwo\n"), ("second", "1\n2\n3\nfour\n")):
        source.write_text(text)
        copy(tmp_path, READS[kind](str(source)), name)

    found = source_of(tmp_path, "second:4")
    assert (found.state, found.text, found.line) == (lineage.VERIFIED, "four", 4)
    assert source_of(tmp_path, "first:2").state == lineage.CHANGED
    source.write_text("one\ntwo\n")
    assert source_of(tmp_path, "second:2").state == lineage.CHANGED
    found = source_of(tmp_path, "first:2")
    assert (found.state, found.text, found.line) == (lineage.VERIFIED, "two", 2)


@pytest.mark.parametrize("kind", READS)
def test_a_file_that_is_written_to_while_it_is_read_is_not_verified(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\ntwo\n")

    def write_to_it(line: str) -> str:
        with source.open("a") as file:
            file.write("three\n")
        source.write_text("one\ntwo\n")
        return line

    copy(tmp_path, READS[kind](str(source)), "out", write_to_it)

    found = source_of(tmp_path, "out:2")
    assert found.state == lineage.UNVERIFIED
    assert (
        found.note == f"{source} was written to while it was read: what was read of it is not known for sure"
    )
    assert found.text is None


def test_a_file_of_blocks_is_read_by_its_own_header(tmp_path: Path) -> None:
    source = tmp_path / "in.avro"
    for field in ("one", "other"):
        schema = {"type": "record", "name": "Row", "fields": [{"name": field, "type": "string"}]}
        with source.open("wb") as file:
            fastavro.writer(file, schema, [{field: "x"}])
        copy(tmp_path, beam.io.ReadFromAvro(str(source)), field)

        found = source_of(tmp_path, f"{field}:1")
        assert (found.state, found.text) == (lineage.VERIFIED, f'{{"{field}": "x"}}')
