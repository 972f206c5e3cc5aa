"""What traces cost: an element that is not sampled, a span that is recorded, runs with a share of records.

    python -m benchmarks.traces [--rounds=5] [--records=10000] [--files=flights-2013-01.csv]

Ratios within one run of this program: of runs, CPU time of the process, with traces against without, on one
machine and in turn; of spans, against OpenTelemetry's own start and end with the same attributes, its batch
processor and an exporter that drops them. Memory is the peak of what Python holds, by tracemalloc, in runs
that are not timed.

A month of flights runs again and again in this process: a process of its own for each run differs from the
next one by more than the few percent that are looked for. In each round it runs without traces, twice with
them, and without: what drifts falls on both alike. What is there before a run is frozen, so that Python's
collector looks at what the run itself has made, as in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import pathlib
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import beam_obs as obs
from beam_obs.records.origin import Partition
from beam_obs.records.trace_settings import STORE, TraceSettings
from beam_obs.traces.sampling import threshold_of
from beam_obs.traces.step_tracer import StepTracer
from beam_obs.traces.traced_step import TracedStep
from beam_obs.traces.tracer import close_tracers
from beam_obs.wrapper.element_forms import WOVEN, packer
from beam_obs.wrapper.user_callable import user_callable
from beam_obs.wrapper.woven_step import WovenStep, one_to_one
from benchmarks.measure import in_turn, paired_difference, paired_ratio, process_seconds, without_warnings
from pipelines.flights import batch
from pipelines.flights.fetch_full_year import FULL_YEAR, fetch_full_year

TARGETS = {"a recorded span": 1.3, "1 % of flights": 1.03, "0 %, ns of an element": 10.0}
"""Most that each may be."""

_RUN = "01955a30-5f80-7abc-8def-0123456789ab"
_STEPS = 5


def settings_of(share: float) -> TraceSettings:
    """Returns how a run is traced whose spans go nowhere."""
    return TraceSettings(_RUN, "bench", None, STORE, False, threshold_of(share), 1, 1)


def process_of(share: float | None) -> Callable[[Any], Any]:
    """Returns the process function of a woven Map; None for one that is not traced."""
    called = user_callable(beam.Map(_same).fn)
    tracer = None if share is None else StepTracer(TracedStep("step", settings_of(share)))
    return one_to_one(called, WovenStep("step", WOVEN, WOVEN, packer(WOVEN, {}, None), None, tracer), False)


def _same(value: Any) -> Any:
    return value


def nanoseconds(process: Callable[[Any], Any], elements: list[Any]) -> float:
    """Returns the time of this thread for each element."""
    start = time.thread_time_ns()
    for element in elements:
        process(element)
    return (time.thread_time_ns() - start) / len(elements)


def span_costs(spans: int) -> dict[str, Callable[[], float]]:
    """Returns what measures a span of ours and one of the SDK's, in nanoseconds each."""
    origins = list(map(Partition("a", "1").origin, range(spans)))
    elements = [(origin, 1) for origin in origins]
    process, plain = process_of(1.0), process_of(None)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Dropping()))
    sdk = provider.get_tracer("bench")
    attributes = {
        "beam.step": "step",
        "beam.run_id": _RUN,
        "beam.origin": origins[0].hex(),
        "beam.bundle": "0123456789ab",
    }

    def of_sdk() -> float:
        start = time.thread_time_ns()
        for _ in elements:
            sdk.start_span("step", attributes=attributes).end()
        return (time.thread_time_ns() - start) / spans

    return {
        "span": lambda: nanoseconds(process, elements) - nanoseconds(plain, elements),
        "sdk": of_sdk,
    }


class _Dropping(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def run(records: int, *arguments: str) -> None:
    """Runs a pipeline of several steps and an aggregate, woven, with these options."""
    with tempfile.TemporaryDirectory() as folder:
        options = PipelineOptions(
            ["--runner=FnApiRunner", "--obs_report=off", f"--obs_store={folder}", *arguments]
        )
        with obs.Pipeline(options=options, name="bench") as pipeline:
            numbers = pipeline | beam.Create(list(range(records)), reshuffle=False)
            for step in range(_STEPS):
                numbers = numbers | f"step {step}" >> beam.Map(_worked)
            _ = numbers | beam.WithKeys(lambda number: number % 100) | beam.CombinePerKey(sum)


def _worked(number: int) -> int:
    for _ in range(20):
        number = number * 3 % 1_000_003
    return number


def peak_megabytes(records: int, *arguments: str) -> float:
    """Returns the most that Python held during a run."""
    tracemalloc.start()
    try:
        run(records, *arguments)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


RUNS = {"off": ["--obs_traces=off"], "0 %": ["--obs_trace_share=0"], "100 %": ["--obs_trace_share=1"]}
FLIGHTS = {"off": ["--obs_traces=off"], "1 %": ["--obs_trace_share=0.01"]}


def flights_seconds(files: str, options: list[str], data: pathlib.Path = FULL_YEAR) -> float:
    """Returns the CPU time of some of a year's files of flights, with lineage."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--runner=FnApiRunner", f"--input={data / files}", f"--reference={data}"]
        kept = [f"--output={folder}/flights", f"--obs_store={folder}/store", "--obs_report=off"]
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return process_seconds(partial(batch.main, [*arguments, *kept, *options]))


def flights_ratios(files: str, rounds: int, progress: Callable[[str], object]) -> list[float]:
    """Returns, of each round, the CPU time of flights with traces of 1 % over that without."""
    ratios = []
    for number in range(rounds + 1):
        seconds = {"off": 0.0, "1 %": 0.0}
        for name in ("off", "1 %", "1 %", "off"):
            progress(f"flights, round {number} of {rounds}: {name}" if number else f"warm-up: {name}")
            seconds[name] += flights_seconds(files, FLIGHTS[name])
        ratios.append(seconds["1 %"] / seconds["off"])
    return ratios[1:]


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints; returns 0, since figures of one machine fail nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--elements", type=int, default=200_000)
    parser.add_argument("--flights-rounds", type=int, default=8, help="0 leaves flights out")
    parser.add_argument("--files", default="flights-2013-01.csv", help="of flights; default: %(default)s")
    given = parser.parse_args(arguments)
    if given.flights_rounds:
        fetch_full_year()

    def progress(text: str) -> None:
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)

    elements = [(Partition("a", "1").origin(n), n) for n in range(given.elements)]
    unsampled = [one for one in elements if one[0][9] < 0xF0]
    functions = {"off": process_of(None), "0 %": process_of(0.0), "1 %": process_of(0.01)}
    of_elements = in_turn(
        {name: partial(nanoseconds, process, unsampled) for name, process in functions.items()},
        given.rounds,
        progress,
    )
    of_spans = in_turn(span_costs(max(100, given.elements // 20)), given.rounds, progress)
    with without_warnings():
        of_runs = in_turn(
            {
                name: partial(process_seconds, partial(run, given.records, *options))
                for name, options in RUNS.items()
            },
            given.rounds,
            progress,
        )
        if given.flights_rounds:
            of_flights = flights_ratios(given.files, given.flights_rounds, progress)
        peaks = {name: peak_megabytes(given.records, *options) for name, options in RUNS.items()}
    close_tracers(_RUN)
    print(file=sys.stderr)
    print("an element that is not sampled, of a woven Map of nothing")
    for name in ("0 %", "1 %"):
        target = f"  (target {TARGETS['0 %, ns of an element']:.0f})" if name == "0 %" else ""
        print(f"  {name:<6} {paired_difference(of_elements, name, 'off'):+8.1f} ns{target}")
    print("a recorded span against the SDK's own start and end")
    ratio = paired_ratio(of_spans, "span", "sdk")
    middle = sorted(of_spans["span"])[len(of_spans["span"]) // 2]
    print(f"  {ratio:.2f} x  ({middle / 1000:.1f} us; target {TARGETS['a recorded span']})")
    print(
        f"a run of {given.records:,} records, {_STEPS} steps and a combine, against the same without traces"
    )
    for name in ("0 %", "100 %"):
        more = peaks[name] - peaks["off"]
        print(f"  {name:<6} {paired_ratio(of_runs, name, 'off'):8.3f} x CPU, {more:+8.1f} MB at most")
    if given.flights_rounds:
        print(f"flights of {given.files}, against the same without traces")
        ratio = statistics.median(of_flights)
        rounds = f"rounds {min(of_flights):.3f} to {max(of_flights):.3f}"
        print(f"  1 %    {ratio:8.3f} x CPU  (target {TARGETS['1 % of flights']}; {rounds})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
