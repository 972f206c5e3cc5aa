"""A composite of Beam's own, or of ours, is one row wherever people see steps, and no step of it is lost."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.dataframe.convert import to_dataframe
from apache_beam.ml.inference.base import ModelHandler, RunInference

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.reports.console import console_for
from beam_obs.reports.marked_graph import marked_graph
from beam_obs.reports.run_report import render_report
from beam_obs.store.difference import compare_runs
from beam_obs.store.folding import folded
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store
from beam_obs.testing import assert_metrics

QUIET = "--obs_report=off"
LINES = ["the rose is red", "the violet is blue", "sugar is sweet"]
SCHEMA = {"type": "record", "name": "Line", "fields": [{"name": "text", "type": "string"}]}

Build = Callable[[Any], Any]


def run_of(build: Build, runner: str = "FnApiRunner", *options: str) -> RunRecord:
    """Runs what is built on three lines; returns the run."""
    with obs.Pipeline(runner, argv=[QUIET, *options], name="folded") as p:
        build(p | "lines" >> beam.Create(LINES))
    return Store().find("folded@latest")


def rows(record: RunRecord, all_steps: bool = False) -> dict[str, tuple[int | None, int | None]]:
    """Returns what each row of a run took and gave."""
    return {step.label: (step.taken, step.given) for step in marked_graph(record, all_steps).steps}


def text_of(record: RunRecord, all_steps: bool = False) -> str:
    """Returns the report of a run."""
    file = io.StringIO()
    console_for(file).print(render_report(record, Store(), all_steps=all_steps))
    return file.getvalue()


def line_of(text: str, label: str) -> list[str]:
    """Returns the words of the last line of a report that begins with a label."""
    lines = [line.lstrip("\u25c6 ") for line in text.splitlines()]
    return [line.removeprefix(label).split() for line in lines if line.startswith(f"{label} ")][-1]


class Doubles(ModelHandler[str, str, Any]):
    """Doubles texts, and cannot do so with those of violets."""

    def load_model(self) -> Any:
        return lambda text: text * 2

    def run_inference(self, batch: Sequence[str], model: Any, inference_args: Any = None) -> Any:
        if any("violet" in text for text in batch):
            raise ValueError("no violets")
        return [model(text) for text in batch]


class Clean(beam.PTransform):
    """Takes lines apart, and writes them aside."""

    def expand(self, lines: Any) -> Any:
        words = lines | "words" >> beam.FlatMap(str.split)
        words | "aside" >> beam.io.WriteToText("aside")
        return words | "distinct" >> beam.Distinct()


@pytest.mark.parametrize("runner", ["FnApiRunner", "DirectRunner"])
@pytest.mark.parametrize(
    "write",
    [
        lambda lines: lines | "write" >> beam.io.WriteToText("out"),
        lambda lines: lines | "write" >> obs.WriteToText("out"),
        lambda lines: lines | "write" >> obs.Sink(beam.io.WriteToText("out")),
        lambda lines: lines | "write" >> obs.Stage(beam.io.WriteToText("out")),
        lambda lines: lines | "dicts" >> beam.Map(as_dict) | "write" >> beam.io.WriteToAvro("out", SCHEMA),
        lambda lines: lines | "dicts" >> beam.Map(as_dict) | "write" >> obs.WriteToAvro("out", SCHEMA),
    ],
    ids=["of Beam", "of ours", "in a Sink", "in a Stage", "Avro", "Avro of ours"],
)
def test_a_write_of_files_is_one_row_that_gives_the_records_it_wrote(write: Build, runner: str) -> None:
    record = run_of(write, runner)

    assert [label for label in rows(record) if label.startswith("write")] == ["write"]
    assert rows(record)["write"] == (3, 3)
    assert line_of(text_of(record), "write")[:3] == ["out", "3", "records"]
    assert (record.end or {})["balance"]["broken"] == []


def test_outputs_say_of_how_many_files_a_write_is() -> None:
    record = run_of(lambda lines: lines | "write" >> beam.io.WriteToText("out", num_shards=2))

    assert rows(record)["write"] == (3, 3)
    assert line_of(text_of(record), "write") == ["out", "3", "records", "2", "files"]


def as_dict(line: str) -> dict[str, str]:
    return {"text": line}


def test_a_users_composite_is_told_by_its_parts_and_what_is_beams_in_it_is_one_row_each() -> None:
    record = run_of(lambda lines: lines | "clean" >> Clean() | "top" >> beam.combiners.Top.Of(2))

    assert rows(record) == {
        "lines": (None, 3),
        "clean/words": (3, 11),
        "clean/aside": (11, 11),
        "clean/distinct": (11, 8),
        "top": (8, 1),
    }
    assert (record.end or {})["balance"]["holds"] is True


@pytest.mark.parametrize("is_in_a_stage", [False, True])
@pytest.mark.parametrize(
    ("transform", "counts"),
    [
        (beam.Distinct(), (3, 3)),
        (beam.combiners.Count.PerElement(), (3, 3)),
        (beam.combiners.Count.Globally(), (3, 1)),
        (beam.combiners.Top.Of(2), (3, 1)),
        (beam.combiners.Sample.FixedSizeGlobally(1), (3, 1)),
        (beam.Reshuffle(), (3, 3)),
        (beam.GroupBy(len), (3, 3)),
        (RunInference(Doubles()), (3, 3)),
    ],
    ids=["Distinct", "PerElement", "Globally", "Top", "Sample", "Reshuffle", "GroupBy", "RunInference"],
)
def test_a_composite_of_beams_own_is_one_row_in_a_stage_or_not(
    transform: Any, counts: tuple[int, int], is_in_a_stage: bool
) -> None:
    lines = ["a", "bb", "ccc"]
    with obs.Pipeline("FnApiRunner", argv=[QUIET], name="folded") as p:
        applied = obs.Stage(transform) if is_in_a_stage else transform
        p | "lines" >> beam.Create(lines) | "it" >> applied
    record = Store().find("folded@latest")

    assert rows(record) == {"lines": (None, 3), "it": counts}


def test_a_row_tells_which_part_of_it_refused_a_record() -> None:
    record = run_of(lambda lines: lines | "infer" >> obs.Stage(RunInference(Doubles())))

    assert rows(record) == {"lines": (None, 3), "infer": (3, 2)}
    (step,) = [step for step in marked_graph(record).steps if step.label == "infer"]
    assert (step.is_stage, step.dead) == (True, 1)
    assert step.parts == ("1 refused in RunInference/BeamML_RunInference",)
    text = text_of(record)
    assert line_of(text, "infer")[:4] == ["3", "2", "1", "0"]
    assert "1  infer " in text
    assert "RunInference/BeamML_RunInference" in text


def test_all_steps_are_there_for_who_asks() -> None:
    record = run_of(lambda lines: lines | "infer" >> obs.Stage(RunInference(Doubles())))

    parts = ["infer/RunInference/BatchElements", "infer/RunInference/BeamML_RunInference"]
    assert list(rows(record, all_steps=True)) == ["lines", *parts]
    assert [step["label"] for step in (record.end or {})["steps"]] == ["lines", *parts]
    assert "BatchElements" in text_of(record, all_steps=True)
    assert "BatchElements" not in text_of(record)


def test_between_rows_are_the_edges_of_their_steps() -> None:
    record = run_of(
        lambda lines: lines | "write" >> obs.Sink(beam.io.WriteToText("out")) | "names" >> beam.Map(str)
    )

    edges = {(edge.source, edge.target): edge.count for edge in marked_graph(record).edges}
    assert edges == {("lines", "write"): 3, ("write", "names"): 1}


def test_of_a_write_that_did_not_end_well_nobody_says_what_it_wrote() -> None:
    def fail(line: str) -> str:
        raise ValueError(line)

    with pytest.raises(ValueError, match="the rose"):
        run_of(lambda lines: (lines | beam.io.WriteToText("out"), lines | beam.Map(fail)))
    record = Store().find("folded@latest")

    assert rows(record).get("WriteToText", (None, None))[1] is None
    assert "3 records" not in text_of(record)


def test_a_write_of_frames_gives_no_count_for_it_takes_no_records() -> None:
    def build(lines: Any) -> None:
        rows = lines | "rows" >> beam.Map(lambda line: beam.Row(text=str(line)))
        to_dataframe(rows, label="lines of text").to_csv("frame.csv")

    record = run_of(build)

    (write,) = [label for label in rows(record) if label.startswith("WriteToPandas")]
    assert rows(record)[write][1] is None
    assert [one["records"] for one in folded(record.end or {})["outputs"]] == [None]


def test_a_users_write_that_is_beams_but_for_its_name_is_a_write() -> None:
    class OurWrite(beam.io.WriteToText):
        pass

    assert rows(run_of(lambda lines: lines | "write" >> OurWrite("out")))["write"] == (3, 3)


@pytest.mark.parametrize("of_beam", [True, False])
def test_a_read_in_a_source_is_one_input_and_says_where_it_read(of_beam: bool) -> None:
    with open("lines.txt", "w") as file:
        file.write("\n".join(LINES))
    read = beam.io.ReadFromText("lines.txt") if of_beam else obs.ReadFromText("lines.txt")
    with obs.Pipeline("FnApiRunner", argv=[QUIET], name="folded") as p:
        p | "poem" >> obs.Source(read)
    record = Store().find("folded@latest")

    assert [(one["name"], one["records"]) for one in (record.end or {})["inputs"]] == [("poem", 3)]
    inputs = text_of(record).partition("Inputs\n")[2].splitlines()
    assert inputs[0].split()[0] == "poem"
    assert inputs[0].split()[1].endswith("lines.txt")
    assert not inputs[1]


def test_two_runs_are_compared_by_row() -> None:
    def build(lines: Any) -> Any:
        return lines | "infer" >> obs.Stage(RunInference(Doubles())) | "write" >> beam.io.WriteToText("out")

    before = run_of(build)
    with obs.Pipeline("FnApiRunner", argv=[QUIET], name="folded") as p:
        build(p | "lines" >> beam.Create(LINES[:2]))
    found = compare_runs(Store(), before, Store().find("folded@latest"))

    counts = {step.label: (step.counts["in"], step.counts["out"]) for step in found.steps[1:]}
    assert counts == {"infer": ((3, 2), (2, 1)), "write": ((2, 1), (2, 1))}
    assert [kind.kind["stage"] for kind in found.kinds] == ["infer"]
    assert [output.records for output in found.outputs] == [(2, 1)]


def test_a_row_has_counts_for_tests_and_so_has_the_stage_in_it() -> None:
    run_of(lambda lines: lines | "infer" >> obs.Stage(RunInference(Doubles())))

    assert_metrics(Store(), stage="infer", in_=3, out=2, dead=1)
    assert_metrics(Store(), stage="infer/RunInference/BeamML_RunInference", out=2, dead=1)


def test_dead_letters_are_found_by_the_label_of_their_row(capsys: pytest.CaptureFixture[str]) -> None:
    run_of(lambda lines: lines | "infer" >> obs.Stage(RunInference(Doubles())))

    assert exit_code(["dead-letters", "list", "latest", "--stage", "infer"]) == 0
    assert "infer, in RunInference/BeamML_RunInference" in capsys.readouterr().out
    assert exit_code(["dead-letters", "list", "latest", "--stage", "infer", "--letters"]) == 0
    assert "ValueError: no violets" in capsys.readouterr().out
    assert exit_code(["dead-letters", "list", "latest", "--stage", "inf"]) == 1


def test_commands_tell_all_steps_apart(capsys: pytest.CaptureFixture[str]) -> None:
    run_of(lambda lines: lines | "infer" >> obs.Stage(RunInference(Doubles())))

    assert exit_code(["show", "latest"]) == 0
    assert "BatchElements" not in capsys.readouterr().out
    assert exit_code(["show", "latest", "--all-steps"]) == 0
    assert "infer/RunInference/BatchElements" in capsys.readouterr().out
    assert exit_code(["graph", "latest", "--output", "-"]) == 0
    assert "BatchElements" not in capsys.readouterr().out
    assert exit_code(["graph", "latest", "--output", "-", "--all-steps"]) == 0
    assert 'data-step="infer/RunInference/BatchElements"' in capsys.readouterr().out


# Runs of releases that did not note what is one row.


def old_end() -> dict[str, Any]:
    labels = ["trips", "write/Observed", "write/WriteToText/Write/WriteImpl"]
    labels += [
        "infer/RunInference/BatchElements",
        "infer/RunInference/BeamML_RunInference",
        "x/BatchElements",
    ]
    befores = {"trips": [], labels[1]: ["trips"], labels[2]: [labels[1]], labels[3]: ["trips"]}
    befores |= {labels[4]: [labels[3]], labels[5]: [labels[4]]}
    counts = [(None, 9), (9, 9), (9, 1), (9, 4), (4, 8), (8, 2)]
    return {
        "status": "done",
        "steps": [
            {"label": label, "is_stage": False, "in": taken, "out": given, "after": befores[label]}
            for label, (taken, given) in zip(labels, counts, strict=True)
        ],
        "outputs": [{"label": "write", "name": "write", "uri": "write", "records": None, "files": []}],
        "lineage": {"sinks": [{"label": "write", "uri": "out/trips", "stamped": False}]},
    }


def test_an_old_run_is_folded_as_far_as_it_tells() -> None:
    end = folded(old_end())

    assert [(step["label"], step["in"], step["out"], step["after"]) for step in end["steps"]] == [
        ("trips", None, 9, []),
        ("write", 9, 9, ["trips"]),
        ("infer", 9, 8, ["trips"]),
        ("x/BatchElements", 8, 2, ["infer"]),
    ]
    (output,) = end["outputs"]
    assert (output["uri"], output["records"]) == ("out/trips", 9)


def test_of_an_old_write_to_a_service_nobody_says_what_it_wrote() -> None:
    old = old_end()
    old["steps"] = [{"label": "write", "in": 9, "out": None, "after": []}]
    end = folded(old)

    assert [(step["in"], step["out"]) for step in end["steps"]] == [(9, None)]
    assert end["outputs"][0]["records"] is None
