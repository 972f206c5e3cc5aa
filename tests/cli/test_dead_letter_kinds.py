"""Dead letters by kind: of one run, and what is new, recurring and gone against the run before."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.store.kinds_of_refusal import pipeline_kinds
from beam_obs.store.store import Store

LIST = ("dead-letters", "list")


class Missing(ValueError):
    pass


def parse(text: str) -> int:
    if text == "":
        raise Missing("nothing")
    return int(text)


def invert(number: int) -> float:
    return 1 / number


def run(*texts: str, name: str = "numbers") -> str:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off", "--obs_max_dead_rate=1"], name=name) as p:
        numbers = p | beam.Create(list(texts)) | "parse" >> obs.Stage(beam.Map(parse))
        numbers | "invert" >> obs.Stage(beam.Map(invert))
    return Store().find("latest").id


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert exit_code(list(arguments)) == 0
    return capsys.readouterr().out


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output(capsys, *arguments, "--json").splitlines()]


def add_run(id: str, status: str, kinds: list[dict[str, Any]] | None, **more: Any) -> None:
    """Adds a run to the store, with the kinds that its end tells."""
    folder = f"runs/numbers/{id}"
    start = {"id": id, "started": "2026-01-02T03:04:05.000000Z"}
    Store().files.write(f"{folder}/start.json", json.dumps(start).encode())
    if kinds is not None:
        end = {
            "status": status,
            "finished": "2026-01-02T03:05:05.000000Z",
            "counts_from": "result",
            "dead_letters": {"count": sum(kind["count"] for kind in kinds), "by_fingerprint": kinds},
            **more,
        }
        Store().files.write(f"{folder}/end.json", json.dumps(end).encode())


def kind(fingerprint: str, first: int, count: int = 1, stage: str = "parse") -> dict[str, Any]:
    return {
        "stage": stage,
        "fingerprint": fingerprint,
        "count": count,
        "first": first,
        "last": first + 5_000_000,
        "error_type": "builtins.ValueError",
        "error_message": "bad \x1b[31m",
        "payload_text": "x",
        "source_uri": "a.csv",
        "position": 12_345,
        "id": "0193aaaa-0001-7000-8000-000000000000.abc.0",
    }


def states(name: str = "numbers") -> dict[str, str]:
    return {change.kind["fingerprint"]: change.state for change in pipeline_kinds(Store(), name).changes}


def test_a_run_is_listed_by_kind_the_commonest_first(capsys: pytest.CaptureFixture[str]) -> None:
    run("a", "b", "c", "", "0", "1")
    kinds = lines(capsys, *LIST, "latest")
    assert [(one["stage"], one["count"]) for one in kinds] == [("parse", 3), ("invert", 1), ("parse", 1)]
    assert all(one["first"] <= one["last"] for one in kinds)
    text = output(capsys, *LIST, "latest")
    assert "done, 5 dead: 3 kinds in 2 stages" in text
    assert "ValueError: invalid literal" in text
    assert f"e.g. {kinds[0]['id'][:13]}." in text
    example = text.partition("e.g. ")[2].split()[0]
    assert "invalid literal" in output(capsys, "dead-letters", "show", example)


def test_kinds_are_filtered_by_stage_and_letters_by_fingerprint(capsys: pytest.CaptureFixture[str]) -> None:
    run("a", "b", "0")
    (inverted,) = lines(capsys, *LIST, "latest", "--stage", "invert")
    assert "ZeroDivisionError" in inverted["error_type"]
    letters = lines(capsys, *LIST, "latest", "--fingerprint", inverted["fingerprint"])
    assert [letter["payload_text"] for letter in letters] == ["0"]
    assert "and 1 more kind" in output(capsys, *LIST, "latest", "--limit", "1")


def test_the_newest_run_is_held_against_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    first = run("a", "", "1")
    run("a", "b", "1")
    newest = run("a", "0")
    found = {(one["state"], one["stage"]): one for one in lines(capsys, *LIST, "--pipeline", "numbers")}
    assert set(found) == {("new", "invert"), ("recurring", "parse")}
    recurring, new = found["recurring", "parse"], found["new", "invert"]
    assert (recurring["before"], recurring["after"], recurring["since_run"]) == (2, 1, first)
    assert (new["before"], new["after"], new["since_run"]) == (0, 1, newest)
    text = output(capsys, *LIST, "--pipeline", "numbers")
    assert "2 → 1" in text
    assert f"in run {first[:13]}" in text


def test_a_kind_that_came_back_is_new_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for number, kinds in enumerate(([kind("aa", 1_000_000)], [], [kind("aa", 90_000_000)])):
        add_run(f"0193aaaa-000{number}-7000-8000-000000000000", "done", kinds)
    (change,) = lines(capsys, *LIST, "--pipeline", "numbers")
    assert (change["state"], change["came_back"], change["since"]) == ("new", True, 1_000_000)
    assert "came back: first seen 1970-01-01 00:00:01" in output(capsys, *LIST, "--pipeline", "numbers")


def test_kinds_of_an_earlier_release_are_known_again_by_their_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = {**kind("old", 1_000_000, 3), "error_type": "ValueError", "error_message": "invalid literal: 'x'"}
    torn = {**kind("torn", 2_000_000), "error_type": "beam_obs.records.bad_input.TornRow"}
    add_run("0193aaaa-0001-7000-8000-000000000000", "done", [old, torn, kind("gone", 1_000_000)])
    of_now = {"fingerprint_version": 2, "first": 9_000_000, "last": 9_000_000}
    new = {**old, "fingerprint": "new", "error_message": "invalid literal: 'y'", **of_now}
    torn = {**torn, "fingerprint": "torn again", "error_type": "beam_obs.TornRow", **of_now}
    add_run("0193aaaa-0002-7000-8000-000000000000", "done", [new, torn])
    found = {one["fingerprint"]: one for one in lines(capsys, *LIST, "--pipeline", "numbers")}
    assert {name: one["state"] for name, one in found.items()} == {
        "new": "recurring",
        "torn again": "recurring",
        "gone": "gone",
    }
    assert (found["new"]["before"], found["new"]["since"]) == (3, 1_000_000)


def test_runs_that_say_nothing_about_what_is_gone_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    add_run("0193aaaa-0001-7000-8000-000000000000", "done", [kind("aa", 1), kind("bb", 1)])
    add_run("0193aaaa-0002-7000-8000-000000000000", "cancelled", [])
    add_run("0193aaaa-0003-7000-8000-000000000000", "failed", [], counts_from=None)
    add_run("0193aaaa-0004-7000-8000-000000000000", "failed", [kind("bb", 9), kind("cc", 9)])
    add_run("0193aaaa-0005-7000-8000-000000000000", "", None)
    assert states() == {"aa": "gone", "bb": "recurring", "cc": "new"}
    text = output(capsys, *LIST, "--pipeline", "numbers")
    assert "left out: 3 runs" in text
    assert "\x1b" not in text
    assert "a.csv at 12,345" in text


def test_a_kind_may_be_gone_because_nothing_reached_its_stage(capsys: pytest.CaptureFixture[str]) -> None:
    add_run("0193aaaa-0001-7000-8000-000000000000", "done", [kind("aa", 1)])
    stages = [{"label": "parse", "in": 0}]
    add_run("0193aaaa-0002-7000-8000-000000000000", "done", [], stages=stages)
    assert lines(capsys, *LIST, "--pipeline", "numbers")[0]["reached"] is False
    assert "took no record" in output(capsys, *LIST, "--pipeline", "numbers")


def test_the_first_run_of_a_pipeline_has_only_new_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    run("a")
    text = output(capsys, *LIST, "--pipeline", "numbers")
    assert "none: every kind is new" in text
    run("1", name="clean")
    assert "no dead letters" in output(capsys, *LIST, "--pipeline", "clean")


def test_a_pipeline_without_a_finished_run_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    add_run("0193aaaa-0005-7000-8000-000000000000", "", None)
    assert exit_code([*LIST, "--pipeline", "numbers"]) == 1
    assert "1 run, none of which has finished" in capsys.readouterr().err


def test_kinds_of_a_run_that_did_not_end_are_read_from_its_letters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("a", "b")
    record = Store().find("latest")
    (pathlib.Path(".beam_obs") / record.folder / "end.json").unlink()
    assert [one["count"] for one in lines(capsys, *LIST, "latest")] == [2]
