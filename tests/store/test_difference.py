"""Two runs side by side: what differs, and where it began."""

from __future__ import annotations

import json
import pathlib

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.store.difference import RunDifference, compare_runs
from beam_obs.store.store import Store

ROWS = ["name,age\n", *(f"name{number},{number}\n" for number in range(40))]


def parse(row: dict[str, str]) -> tuple[str, int]:
    return row["name"], int(row["age"])


def run(
    rows: list[str], oldest: int = 50, years: int = 1, extra: bool = False, argv: tuple[str, ...] = ()
) -> None:
    pathlib.Path("people.csv").write_text("".join(rows))
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off", *argv], name="people") as p:
        limits = p | "limits" >> beam.Create([oldest])
        people = p | "read" >> obs.ReadFromCsv("people.csv") | "parse" >> obs.Stage(beam.Map(parse))
        young = people | "young" >> obs.Stage(
            beam.Filter(lambda pair, oldest: pair[1] < oldest, beam.pvalue.AsSingleton(limits))
        )
        if extra:
            young = young | "same again" >> beam.Map(lambda pair: pair)
        aged = young | "age" >> obs.Stage(beam.Map(lambda pair: {"name": pair[0], "age": pair[1] + years}))
        aged | "write" >> obs.WriteToJson("out/people")


def difference() -> RunDifference:
    store = Store()
    return compare_runs(store, store.find("people@latest~1"), store.find("people@latest"))


def first(found: RunDifference) -> dict[str, tuple[str, ...]]:
    return {step.label: step.own for step in found.first}


def states(found: RunDifference) -> dict[str, str]:
    return {step.label: step.state for step in found.steps}


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert exit_code(["diff", "latest~1", "latest"]) == 0
    text = capsys.readouterr().out
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "\x1b" not in text
    return text


@pytest.mark.slow
def test_two_runs_of_the_same_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    run(ROWS)
    run(ROWS)
    found = difference()
    assert found.first == ()
    assert set(states(found).values()) == {"same"}
    assert [dataset.state for dataset in (*found.inputs, *found.outputs)] == ["same", "same"]
    text = shown(capsys)
    assert "Every step has the same counts, with the same code and options." in text
    assert "Outputs  the same (1)" in text


@pytest.mark.slow
def test_another_input_is_where_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    run(ROWS)
    run([*ROWS, "late,x\n", "later,41\n"])
    found = difference()
    assert first(found) == {"read": ("files: 1 changed, 0 the same",)}
    (dataset,) = found.inputs
    assert (dataset.state, dataset.records) == ("changed", (40, 42))
    assert dataset.files[0]["bytes"][0] < dataset.files[0]["bytes"][1]
    assert [(kind.state, kind.after) for kind in found.kinds] == [("new", 1)]
    assert {step.label: step.own for step in found.steps}["parse"] == (
        "passes on 97.6% of its records, before 100.0%",
        "refuses 2.4% of its records, before 0.0%",
        "1 kind of refusal new",
    )
    text = shown(capsys)
    assert "40 → 42 records +5.0%" in text
    assert "~ people.csv" in text
    assert "Changed of its own further downstream" in text


@pytest.mark.slow
def test_other_values_of_a_side_input_are_where_it_begins() -> None:
    run(ROWS)
    run(ROWS, oldest=10)
    found = difference()
    assert list(first(found)) == ["limits"]
    own = {step.label: step.own for step in found.steps}
    assert own["young"][0] == "passes on 25.0% of its records, before 100.0%"
    assert states(found)["parse"] == "same"
    assert states(found)["age"] == "changed"


def test_the_step_whose_code_took_other_values_is_first_though_the_counts_are_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(ROWS)
    run(ROWS, years=2)
    ((label, (reason,)),) = first(difference()).items()
    assert (label, reason.partition(":")[0]) == ("age", "it was given other values")
    assert "40 records" in shown(capsys)


def test_another_digest_is_a_change_where_no_code_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    for years in (1, 2):
        run(ROWS, years=years)
        file = pathlib.Path(".beam_obs") / Store().find("latest").folder / "start.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"step_code": None}))
    assert first(difference()) == {"write": ("as many records, with another digest",)}


PROGRAM = """
import apache_beam as beam, beam_obs as obs

def parse(text):
    pass
    return int(text)

with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="people") as p:
    numbers = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(parse))
    numbers | beam.Map(lambda number: {"n": number}) | "write" >> obs.WriteToJson("out/numbers")
"""


def run_program(text: str) -> None:
    exec(compile(text, "job.py", "exec"), {"__name__": "job"})


def test_a_comment_changes_no_step_and_no_kind_of_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    run_program(PROGRAM)
    run_program(PROGRAM.replace("pass", "# a comment\n\n    pass"))
    found = difference()
    assert set(states(found).values()) == {"same"}
    assert [kind.state for kind in found.kinds] == ["recurring"]
    assert {step.code for step in found.steps} == {"same"}


def test_a_changed_expression_names_its_step(capsys: pytest.CaptureFixture[str]) -> None:
    run_program(PROGRAM)
    run_program(PROGRAM.replace("pass", "# a comment").replace("int(text)", "int(text) * 2"))
    found = difference()
    assert first(found) == {"parse": ("its code changed",)}
    assert [kind.state for kind in found.kinds] == ["recurring"]
    assert "parse  its code changed" in shown(capsys)


@pytest.mark.slow
def test_new_and_gone_steps_are_told_in_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    run(ROWS)
    run(ROWS, extra=True)
    assert states(difference())["same again"] == "new"
    assert list(first(difference())) == ["same again"]
    run(ROWS, argv=("--obs_sample_rate=7",))
    found = difference()
    assert states(found)["same again"] == "gone"
    labels = [step.label for step in found.steps]
    assert labels.index("young") < labels.index("same again") < labels.index("age")
    assert found.options == {"obs_sample_rate": (None, 7)}
    assert "obs_sample_rate  not given → 7" in shown(capsys)


def test_runs_without_counts_are_compared_by_what_they_have(capsys: pytest.CaptureFixture[str]) -> None:
    run(ROWS)
    folder = "runs/people/ffffffff-0000-7000-8000-000000000000"
    start = {"started": "2026-01-02T03:04:05.000000Z", "options": {"n": 1}, "code": {"version": "abc"}}
    Store().files.write(f"{folder}/start.json", json.dumps(start).encode())
    found = difference()
    assert found.steps == ()
    assert "the run after has none" in shown(capsys)


def test_it_is_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    run(ROWS)
    run(ROWS[:-1])
    capsys.readouterr()
    assert exit_code(["diff", "people@latest~1", "people@latest", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["first"] == ["read"]
    counts = {step["label"]: step["counts"] for step in told["steps"]}
    assert counts["write"]["in"] == [40, 39]
    assert told["inputs"][0]["files"][0]["state"] == "changed"
    assert told["before"]["id"] < told["after"]["id"]
