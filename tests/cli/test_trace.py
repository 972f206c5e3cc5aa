"""`beam-obs trace`: the way of a record, from the spans in its run's folder."""

from __future__ import annotations

import json
import pathlib
from xml.etree import ElementTree

import apache_beam as beam
import pytest
from opentelemetry import trace

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.records.span_rows import SpanRow, file_of_spans
from beam_obs.testing import RetryingRunner
from tests.shared_runs import made_once
from tests.traces.traced_runs import run_traced


def of_cities(pipeline: beam.Pipeline) -> None:
    lines = pipeline | "read" >> beam.io.ReadFromText("fares.csv")
    fares = lines | "parse" >> obs.Stage(beam.Map(parse))
    means = (
        fares
        | "by city" >> beam.CombinePerKey(sum)
        | "as text" >> beam.MapTuple(lambda city, fare: f"{city} {fare}")
    )
    _ = means | "write" >> beam.io.WriteToText("sums", num_shards=1, shard_name_template="")


def parse(line: str) -> tuple[str, float]:
    city, fare = line.split(",")
    return city, float(fare)


def write(folder: pathlib.Path) -> None:
    (folder / "fares.csv").write_text("rome,1\nrome,2\noslo,x\noslo,4\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_traced(pathlib.Path(".beam_obs"), of_cities)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder in which a traced run has read and written."""
    found = made_once(tmp_path_factory, "traced-fares", write)
    monkeypatch.chdir(found)
    return found


def test_a_line_of_a_source_is_followed_into_its_aggregate(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["trace", "fares.csv:1"]) == 0

    printed = capsys.readouterr().out
    order = [printed.index(name) for name in ("position 0", "parse", "into 00000000", "by city", "as text")]
    assert order == sorted(order)
    assert "contributors 2" in printed
    assert "+-" not in printed


def test_a_refused_line_shows_its_exception_and_dead_letter(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (letter,) = obs.read_dead_letters("latest")

    assert exit_code(["trace", str(letter.origin)]) == 0

    printed = capsys.readouterr().out
    assert "ValueError: could not convert string to float: 'x'" in printed
    assert f"dead letter id {letter.id}" in printed


def test_a_line_of_an_output_is_asked_for_as_why_does(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (folder / "sums").read_text().splitlines()

    assert exit_code(["trace", f"sums:{lines.index('rome 3.0') + 1}", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    (aggregate,) = told["spans"]
    assert (aggregate["name"], len(aggregate["links"])) == ("by city", 2)
    assert [child["name"] for child in aggregate["children"]] == ["as text"]


def test_equal_elements_of_one_origin_in_several_bundles_are_not_told_as_a_bundle_tried_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    workers = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")

    def build(pipeline: beam.Pipeline) -> None:
        many = pipeline | beam.Create([20]) | "many" >> beam.FlatMap(lambda count: [7] * count)
        _ = many | beam.Reshuffle() | "each" >> beam.Map(str)

    spans = run_traced(pathlib.Path(".beam_obs"), build, "--obs_trace_share=1", *workers)

    assert exit_code(["trace", str(spans[0].attributes["beam.origin"])]) == 0

    printed = capsys.readouterr().out
    assert "made 2 times: a bundle was tried again, or several had elements of it" in printed


def test_spans_of_user_code_are_those_of_the_last_try(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([7], reshuffle=False) | "step" >> beam.Map(inside)

    spans = run_traced(pathlib.Path(".beam_obs"), build, "--obs_trace_share=1", runner=RetryingRunner())

    assert exit_code(["trace", str(spans[0].attributes["beam.origin"])]) == 0
    printed = capsys.readouterr().out
    assert "made 2 times" in printed
    assert printed.count("inside") == 1


def inside(number: int) -> int:
    with trace.get_tracer("of the user").start_as_current_span("inside"):
        return number


def test_times_are_told_from_the_first_span_whatever_the_clocks_of_workers_say(
    folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = "0f" * 16
    spans = [
        SpanRow(origin, "1" * 16, "read", 5_000_000, 6_000_000, attributes={"beam.origin": origin}),
        SpanRow(origin, "2" * 16, "step", 1_000_000, 2_000_000, "1" * 16, attributes={"beam.origin": origin}),
    ]
    store = tmp_path / "store"
    run_traced(store, of_cities)
    (run,) = store.glob("runs/*/*")
    (run / "traces-0123456789abcdef.jsonl").write_bytes(file_of_spans(spans))

    assert exit_code(["trace", origin, "--store", str(store)]) == 0

    printed = capsys.readouterr().out
    assert "read  +4.0 ms" in printed
    assert "step  +0.0 µs" in printed


def test_a_picture_has_a_row_for_each_span(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["trace", "fares.csv:1", "--svg"]) == 0

    picture = ElementTree.fromstring(capsys.readouterr().out)
    steps = [row.get("data-step") for row in picture.iter() if row.get("data-step")]
    assert steps[1:] == ["parse", "by city", "as text", "write"]


def test_the_address_in_a_backend_comes_from_the_option_or_the_file(
    folder: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert exit_code(["trace", "fares.csv:1", "--trace-url", "http://jaeger/trace/{trace_id}"]) == 0

    printed = capsys.readouterr().out
    origin = printed.split()[1]
    assert f"http://jaeger/trace/{origin}\n" in printed

    (tmp_path / "beam_obs.toml").write_text('trace_url = "http://tempo/{trace_id}"\n')
    monkeypatch.chdir(tmp_path)
    assert exit_code(["trace", origin, "--store", str(folder / ".beam_obs"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["url"] == f"http://tempo/{origin}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fares.csv:1", "--trace-url", "jaeger"], "give an address with {trace_id} in it"),
        (["fares.csv:1", "--json", "--svg"], "give one of them"),
        (["fares.csv:0"], "counted from 1"),
        ([""], "found an empty text, expected an origin of 32 hex digits"),
        ([" "], "found an empty text"),
        (["1234abcd"], "'1234abcd' has 8 hex digits, expected an origin of 32"),
        (["fares.csv"], "say which, fares.csv:N; `beam-obs why fares.csv --match FIELD=VALUE` finds one"),
        (["fares.csv:x"], "found 'x', expected the number of a line or record, from 1"),
    ],
)
def test_wrong_usage_is_said(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert exit_code(["trace", *arguments]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fares.csv:1", "--run", "nope"], "no run 'nope' in the store"),
        (["fares.csv:99"], "has 4 lines, and no line 99"),
        (["nofile:1"], "no run in the store .beam_obs says that it read nofile"),
        (["sums:99"], "sums has 2 lines, and no line 99"),
        (["f" * 32, "--svg"], "there are no spans to draw: no run of the store"),
        (["fares.csv:1", "--store", "nowhere"], "no store at"),
    ],
)
def test_what_is_not_there_is_said(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert exit_code(["trace", *arguments]) == 1
    assert expected in capsys.readouterr().err


@pytest.mark.slow
def test_why_there_are_no_spans_is_said(
    folder: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for share, reason in (("--obs_traces=off", "was not traced"), ("--obs_trace_share=0", "is traced is 0 ")):
        store = tmp_path / share
        run_traced(store, of_cities, share)

        assert exit_code(["trace", "fares.csv:1", "--store", str(store)]) == 0

        assert reason in capsys.readouterr().out
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    run_traced(tmp_path / "sent", of_cities, "--obs_traces=otlp")
    assert exit_code(["trace", "fares.csv:1", "--store", str(tmp_path / "sent")]) == 0
    told = capsys.readouterr().out
    assert "not kept here, but sent to a backend" in told
    assert "of the spans and log lines of the run reached nobody" in told
    assert exit_code(["trace", "f" * 32]) == 0
    assert "knows the origin" in capsys.readouterr().out


def test_damaged_files_of_spans_are_told(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    store = tmp_path / "store"
    run_traced(store, of_cities)
    (run,) = store.glob("runs/*/*")
    whole = b"".join(file.read_bytes() for file in run.glob("traces-*.jsonl"))
    (run / "traces-0123456789abcdef.jsonl").write_bytes(whole[: len(whole) // 2])

    assert exit_code(["trace", "fares.csv:1", "--store", str(store)]) == 0

    printed = capsys.readouterr().out
    assert "traces-0123456789abcdef.jsonl is damaged" in printed
    assert "parse" in printed
