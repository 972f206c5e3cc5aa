"""A program that knows nothing of beam_obs, started by `opentelemetry-instrument`."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import apache_beam as beam
import pytest

import beam_obs as obs

pytest.importorskip("opentelemetry.instrumentation", reason="pip install 'beam_obs[otel]'")
from beam_obs.runs.beam_instrumentor import BeamInstrumentor
from tests.logs.signals_receiver import Signals, receiving_signals, texts_of

COMMAND = pathlib.Path(sys.executable).with_name("opentelemetry-instrument")
PROGRAM = """
import logging

import apache_beam as beam

LOGGER = logging.getLogger("app")


def parse(line):
    LOGGER.warning("parsing %s", line)
    return int(line)


with beam.Pipeline("FnApiRunner") as p:
    _ = p | "lines" >> beam.Create(["1", "2"], reshuffle=False) | "parse" >> beam.Map(parse) | beam.Map(print)
"""


def instrumented(
    *arguments: str, address: str = "", by: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Runs a program by `opentelemetry-instrument`, as a user does, with variables alone."""
    distros = importlib.metadata.entry_points(group="opentelemetry_distro")
    if not COMMAND.exists() or not list(distros):
        pytest.skip("opentelemetry-instrument has no distro: pip install opentelemetry-distro")
    variables = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    variables |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_SERVICE_NAME": "trips",
        "PYTHONPATH": str(pathlib.Path(obs.__file__).parents[1]),
    }
    return subprocess.run(
        [str(COMMAND), by, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Signals:
    """What the program sends, once for all tests of it."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM)
    before = os.getcwd()
    os.chdir(folder)
    try:
        with receiving_signals() as received:
            done = instrumented("program.py", address=received.address)
            assert sorted(done.stdout.split()) == ["1", "2"]
            assert done.returncode == 0, done.stderr
            assert obs.Store(str(folder / ".beam_obs")).find("program@latest").status == "done"
    finally:
        os.chdir(before)
    return received


def test_it_gives_spans_of_each_record(signals: Signals) -> None:
    parsed = [span for span in signals.spans if span.name == "parse"]
    assert len(parsed) == 2
    assert {span.trace_id.hex() for span in parsed} == {texts_of(span)["beam.origin"] for span in parsed}


def test_it_gives_counts(signals: Signals) -> None:
    (taken,) = [metric for metric in signals.metrics if metric.name == "beam_obs_records_in_total"]
    counts = {texts_of(point)["stage"]: point.as_int for point in taken.sum.data_points}
    assert counts["parse"] == 2


def test_it_gives_logs_that_say_what_they_are_about(signals: Signals) -> None:
    spans = {span.trace_id: span.span_id for span in signals.spans if span.name == "parse"}
    logged = [one for one in signals.logs if one[1].body.string_value.startswith("parsing")]
    assert sorted(record.body.string_value for _, record in logged) == ["parsing 1", "parsing 2"]
    for service, record in logged:
        assert service == "trips"
        assert texts_of(record)["beam_obs_step"] == "parse"
        assert spans[record.trace_id] == record.span_id


def test_a_program_without_a_pipeline_does_not_wait_for_beam() -> None:
    done = instrumented("-c", "import sys; print('apache_beam' in sys.modules, 'beam_obs' in sys.modules)")
    assert (done.returncode, done.stdout.strip()) == (0, "False True"), done.stderr


@pytest.mark.slow
def test_what_is_run_by_beam_obs_run_is_observed_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = instrumented("run", "program.py", by=str(COMMAND.with_name("beam-obs")))
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["1", "2"]
    assert len(obs.Store(str(tmp_path / ".beam_obs")).runs("program")) == 1


@pytest.mark.parametrize("first", ["Pipeline", "Store", "instrument"])
@pytest.mark.slow
def test_a_program_may_import_anything_of_beam_obs_before_beam(first: str) -> None:
    """The import of Beam is what is waited for, and comes in the midst of one of ours."""
    code = f"""
from beam_obs.runs.beam_instrumentor import BeamInstrumentor
BeamInstrumentor().instrument()
from beam_obs import {first}
import apache_beam as beam
print(hasattr(beam.Pipeline.run, "__wrapped__"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def test_in_code_it_can_be_undone() -> None:
    def run() -> int:
        with beam.Pipeline("FnApiRunner", argv=["--obs_report=off"]) as p:
            _ = p | beam.Create([1])
        return len(obs.Store().runs("in-code")) if pathlib.Path(".beam_obs").exists() else 0

    instrumentor = BeamInstrumentor()
    assert run() == 0
    instrumentor.instrument(name="in-code")
    try:
        assert run() == 1
    finally:
        instrumentor.uninstrument()
    assert run() == 1
    instrumentor.instrument(name="in-code")
    instrumentor.uninstrument()
    assert run() == 1


def test_a_wrong_argument_does_not_fail_the_program(caplog: pytest.LogCaptureFixture) -> None:
    instrumentor = BeamInstrumentor()
    instrumentor.instrument(name="a/b")
    try:
        assert "pipelines are not observed: a pipeline cannot be named 'a/b'" in caplog.text
    finally:
        instrumentor.uninstrument()
