"""A job whose launcher has ended is watched by its job service, here Beam's own of this process."""

from __future__ import annotations

import json
import pathlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.local_job_service import LocalJobServicer
from click.testing import CliRunner, Result

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.cli.main import exit_code
from beam_obs.runs import portable_job, watched_job
from beam_obs.runs.known_pipeline import read_known_pipeline

GO_ON = threading.Event()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Beam's job service, on a port of its own."""
    service = LocalJobServicer(str(tmp_path_factory.mktemp("staging")))
    yield f"localhost:{service.start_grpc_server(0)}"
    service.stop()


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_job, "LIVE_SECONDS", 0.05)
    GO_ON.clear()


def wait(count: int) -> int:
    assert GO_ON.wait(60)
    return count


def fail(count: int) -> int:
    raise ValueError("a step that fails")


def submit(endpoint: str, last: Any = wait, *options: str) -> Any:
    """Submits a job, and leaves it as a program does that ends without waiting; returns its run."""
    argv = [
        "--runner=PortableRunner",
        f"--job_endpoint={endpoint}",
        "--environment_type=beam:env:embedded_python:v1",
        "--obs_report=off",
        *options,
    ]
    pathlib.Path("in.txt").write_text("1\nx\n3\n")
    p = obs.Pipeline(argv=argv, name="left")
    numbers = p | "read" >> obs.ReadFromText("in.txt") | "parse" >> obs.Stage(beam.Map(int))
    sums = numbers | "key" >> beam.Map(lambda number: (number % 2, number)) | "sum" >> beam.CombinePerKey(sum)
    texts = sums | "last" >> beam.MapTuple(lambda key, total: f"{key} {last(total)}")
    _ = texts | "write" >> obs.WriteToText("out")
    result: Any = p.run()
    result.beam_obs_run.left()
    return result.beam_obs_run.record


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, list(arguments))


@pytest.mark.slow
def test_a_job_is_watched_to_its_end_which_is_what_its_launcher_would_have_written(endpoint: str) -> None:
    run = submit(endpoint)
    (left,) = obs.Store().runs()
    threading.Timer(0.5, GO_ON.set).start()

    watched = ask("watch", "latest")

    assert left.status == "submitted"
    assert watched.exit_code == 0, watched.output
    assert f"{run.id[:13]}  submitted" in watched.output
    assert "left  done, 1 dead" in watched.output
    (record,) = obs.Store().runs()
    end = record.end or {}
    assert (record.problems, record.job_id) == ((), left.job_id)
    assert {stage["label"]: stage["dead"] for stage in end["stages"]} == {"read": 0, "parse": 1, "write": 0}
    assert end["balance"]["holds"] is True
    assert [output["records"] for output in end["outputs"]] == [1]
    files = {file.name for file in pathlib.Path(".beam_obs", record.folder).iterdir()}
    assert not files & {"live.json", "heartbeat.json", "pipeline.json"}
    why = ask("why", "out-00000-of-00001:1")
    assert "answer    complete" in why.output
    assert "in.txt" in why.output
    assert ask("watch", "latest").exit_code == 0


def test_a_job_that_failed_ends_with_its_error_and_exit_code_1(endpoint: str) -> None:
    submit(endpoint, fail)

    watched = ask("watch", "latest")

    assert watched.exit_code == 1
    assert "left  failed" in watched.output
    assert "a step that fails" in watched.output


def test_a_stage_that_refuses_too_much_fails_the_run_as_its_launcher_would_have(endpoint: str) -> None:
    GO_ON.set()
    submit(endpoint, wait, "--obs_max_dead_rate=0.1", "--obs_max_dead_minimum=1")

    watched = ask("watch", "latest")

    assert watched.exit_code == 1
    assert "DeadRateExceeded" in watched.output


def test_an_error_shows_no_values_where_they_are_to_stay_out_of_the_store(endpoint: str) -> None:
    submit(endpoint, fail, "--obs_payload=none")

    watched = ask("watch", "latest")

    assert "left  failed" in watched.output
    (record,) = obs.Store().runs()
    assert "[redacted]" in (record.end or {})["error"]["message"]
    assert "a step that fails" not in json.dumps(record.end)


def test_a_job_of_which_nothing_was_kept_still_gets_its_status(endpoint: str) -> None:
    GO_ON.set()
    run = submit(endpoint)
    pathlib.Path(".beam_obs", run.folder, "pipeline.json").write_bytes(b"[]")

    watched = ask("watch", "latest")

    assert watched.exit_code == 0, watched.output
    assert "left  done" in watched.output


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("which", ["nobody answers", "another job service"])
def test_a_job_that_cannot_be_reached_is_one_clear_error(
    endpoint: str,
    which: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: pathlib.Path,
) -> None:
    monkeypatch.setattr(portable_job, "_CONNECT_SECONDS", 0.5)
    GO_ON.set()
    run = submit(endpoint)
    other = LocalJobServicer(str(tmp_path))
    port = unused_port() if which == "nobody answers" else other.start_grpc_server(0)

    code = exit_code(["watch", "latest", "--job-endpoint", f"localhost:{port}"])

    if which != "nobody answers":
        other.stop()
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 1
    assert line.startswith(f"beam-obs: run {run.id} cannot be watched: ")
    assert f"localhost:{port}" in line


def test_a_run_that_was_not_submitted_is_not_watched(capsys: pytest.CaptureFixture[str]) -> None:
    run = pathlib.Path(".beam_obs", "runs", "numbers", "0193aaaa-1111-7000-8000-000000000001")
    run.mkdir(parents=True)
    start = {"started": "2026-01-02T03:04:05.000000Z", "runner": "FnApiRunner"}
    (run / "start.json").write_text(json.dumps(start))

    assert exit_code(["watch", "latest", "--job-endpoint", "localhost:1"]) == 1
    assert "it is lost, not submitted" in capsys.readouterr().err
    beat = {"outlives_launcher": True, "left": True, "job_id": "1"}
    (run / "heartbeat.json").write_text(json.dumps(beat))
    assert exit_code(["watch", "latest"]) == 1
    assert "--job-endpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b'{"graph": {"steps": [{"label": 1}, {"label": "a", "outputs": {"x": []}}], "edges": [[]]}}',
        b'{"woven": {"sources": [{"label": "a", "partition": {"name": "n"}}], "sinks": [7]}}',
        b'{"labels": [], "dead_rates": {"a": {"share": "x"}}, "inputs": [{"name": "n"}], "stages": {"a": 1}}',
        b'{"max_dead_rate": null, "max_dead_minimum": "x", "graph": [], "woven": 3}',
        b"{}",
    ],
)
def test_damage_in_what_is_kept_of_a_pipeline_is_left_out(content: bytes) -> None:
    known = read_known_pipeline(content)
    assert known.kinds == {}
    assert known.graph is None or [step.label for step in known.graph.steps] == ["a"]


def test_what_is_kept_of_a_pipeline_is_read_as_it_was(endpoint: str) -> None:
    GO_ON.set()
    run = submit(endpoint)
    content = json.loads(pathlib.Path(".beam_obs", run.folder, "pipeline.json").read_bytes())

    known = read_known_pipeline(json.dumps(content).encode())

    assert json.loads(json.dumps(known.to_json())) == content
    assert known.graph is not None
    assert known.woven is not None
    assert {edge.producer for edge in known.graph.edges} >= {"read", "parse", "key", "sum", "last"}
