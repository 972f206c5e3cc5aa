"""Numbers of runs as lines of JSON, in a file and on standard output."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from beam_obs.exporters.json_lines import JsonNumbers
from beam_obs.exporters.sending import SendingExporter
from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from tests.exporters.conftest import PROGRAM
from tests.exporters.end_json import buckets_of, refusals_of, series, totals_of


def counted(rows: float, final: bool = False) -> RunNumbers:
    return RunNumbers(
        "small", "1", 0, (Family("rows_total", "counter", (Sample("use", value=rows),)),), final
    )


def lines(path: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_numbers_of_a_run_are_as_the_store_has_them(
    tmp_path: pathlib.Path, numbers: RunNumbers, store_of_numbers: pathlib.Path
) -> None:
    JsonNumbers(str(tmp_path / "numbers.jsonl")).send(numbers)

    written = lines(tmp_path / "numbers.jsonl")
    assert {(line["run"], line["labels"].pop("pipeline")) for line in written} == {(numbers.run, "numbers")}
    assert all(line["final"] for line in written)
    values = {series(line["name"], **line["labels"]): line for line in written}
    for key, total in {**totals_of(store_of_numbers), **refusals_of(store_of_numbers)}.items():
        assert values[key]["value"] == total
    for key, buckets in buckets_of(store_of_numbers).items():
        assert values[key]["buckets"] == buckets
    (wait,) = [line for line in written if line["name"] == "wait_seconds"]
    assert (wait["kind"], wait["count"], wait["sum"]) == ("summary", 200, pytest.approx(1990))
    assert wait["quantiles"].keys() == {"0.5", "0.99"}


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: pathlib.Path) -> None:
    target = JsonNumbers(str(tmp_path / "numbers.jsonl"))
    target.send(counted(1))
    target.send(counted(2))
    (tmp_path / "numbers.jsonl").rename(tmp_path / "numbers.jsonl.1")
    target.send(counted(3))

    assert [line["value"] for line in lines(tmp_path / "numbers.jsonl.1")] == [1, 2]
    assert [line["value"] for line in lines(tmp_path / "numbers.jsonl")] == [3]


def test_what_is_no_number_is_left_out_and_texts_stay_in_their_line(tmp_path: pathlib.Path) -> None:
    samples = (Sample("a\nb", {"error": 'x"\u2028\ud800'}, value=1), Sample("use", value=float("nan")))
    numbers = RunNumbers("small", "1", 0, (Family("rows_total", "counter", samples),))
    JsonNumbers(str(tmp_path / "numbers.jsonl")).send(numbers)

    (line,) = lines(tmp_path / "numbers.jsonl")
    assert (line["labels"]["stage"], line["value"]) == ("a\nb", 1)


def test_a_folder_that_is_not_there_is_said_once_and_tried_again(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = SendingExporter(JsonNumbers(str(tmp_path / "none" / "numbers.jsonl")))
    exporter.export(counted(1, final=True))
    assert not exporter.close(10)
    assert exporter.dropped("1") == 1
    assert "No such file or directory" in caplog.text


def test_a_pipe_that_nobody_reads_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    exporter = SendingExporter(JsonNumbers(str(tmp_path / "pipe")))
    exporter.export(counted(1, final=True))
    assert not exporter.close(0.2)
    assert exporter.dropped("1") == 1
    with open(tmp_path / "pipe"):  # so that its thread ends
        pass


def test_a_program_writes_them_to_standard_output(run_program: Callable[..., tuple[int, str, str]]) -> None:
    options = ["--runner=FnApiRunner", "--obs_json_lines=-", "--obs_store=store", "--obs_report=off"]
    code, output, errors = run_program(PROGRAM, *options)
    assert code == 0, errors

    final = [line for line in map(json.loads, output.splitlines()) if line["final"]]
    for line in final:
        del line["labels"]["pipeline"]
    values = {series(line["name"], **line["labels"]): line.get("value") for line in final}
    store = pathlib.Path("store").absolute()
    totals = {**totals_of(store), **refusals_of(store)}
    assert {key: values[key] for key in totals} == totals


def test_jq_reads_them(tmp_path: pathlib.Path, numbers: RunNumbers) -> None:
    jq = shutil.which("jq")
    if jq is None:
        pytest.skip("jq is not installed: apt-get install jq")
    path = tmp_path / "numbers.jsonl"
    JsonNumbers(str(path)).send(numbers)
    question = 'select(.name == "beam_obs_records_dead_total") | [.labels.stage, .value] | @csv'
    done = subprocess.run(
        [jq, "--raw-output", question, str(path)], check=True, capture_output=True, text=True
    )
    assert done.stdout == '"parse",3\n'
