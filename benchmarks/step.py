"""What one step costs, in a loop through Beam's own invoker: `python -m benchmarks.step`.

No pipeline is run: a thousand elements at a time go through a step as its runner has it, bare, in a Stage,
with lineage and with both, in turn. A slice takes a millisecond, so that the fastest ones stand apart from
what else a machine does, where whole pipelines (`benchmarks.stage`, `benchmarks.weave`) are slowed by it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.runners import common
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.records.run_context import ObservationSettings, RunContext
from beam_obs.wrapper.counted_process import counted_process
from beam_obs.wrapper.element_forms import WOVEN, packer
from beam_obs.wrapper.guard import Guard, GuardSettings
from beam_obs.wrapper.user_callable import user_callable
from beam_obs.wrapper.woven_step import WovenStep, one_to_one
from benchmarks.stage import KINDS, TaggingDoFn, transform

SLICES = 1_000
ELEMENTS = 1_000
WAYS = ("bare", "Stage", "lineage", "both")
ORIGIN = b"\x01" * 16


class Nowhere(common.Receiver):
    """Takes what a step gives."""

    def receive(self, windowed_value: Any) -> None:
        """Lets it go."""


class AStep(beam.DoFn):
    """Is given the process function to measure."""

    def process(self, element: Any) -> Any:
        """Stands for it."""


def process_of(kind: str, way: str) -> Callable[[Any], Any]:
    """Returns the process function of a step of one of `KINDS` in one of `WAYS`."""
    dofn = TaggingDoFn() if kind == "tagged" else transform(kind, None).fn
    if way == "bare":
        process: Callable[[Any], Any] = dofn.process
        return process
    called = user_callable(dofn)
    step = None if way == "Stage" else WovenStep("step", WOVEN, WOVEN, packer(WOVEN, {}, None))
    if way == "lineage":
        assert step is not None
        return one_to_one(called, step, False)
    guard = Guard(GuardSettings("step", RunContext("step", "run"), ObservationSettings()))
    return counted_process(called, guard, False, step).process


def slice_of(kind: str, way: str) -> Callable[[], float]:
    """Returns what runs a slice and gives its nanoseconds an element."""
    step = AStep()
    step.process = process_of(kind, way)  # type: ignore[assignment,method-assign]
    runner = common.DoFnRunner(
        step,
        args=[],
        kwargs={},
        side_inputs=[],
        windowing=Windowing(GlobalWindows()),
        tagged_receivers=dict.fromkeys((None, "tens"), Nowhere()),
        step_name="step",
        operation_name="step",
    )
    windows = [GlobalWindow()]
    is_woven = way in ("lineage", "both")
    elements = [WindowedValue((ORIGIN, n) if is_woven else n, 0, windows) for n in range(ELEMENTS)]
    process = runner.process

    def run() -> float:
        start = time.perf_counter_ns()
        for element in elements:
            process(element)
        return (time.perf_counter_ns() - start) / ELEMENTS

    return run


def main(argv: list[str] | None = None) -> int:
    """Prints what each way adds."""
    parser = argparse.ArgumentParser(description="Measure what one step costs in a Stage and with lineage.")
    parser.add_argument("kinds", nargs="*", help="of steps; all that have no side input by default")
    parser.add_argument("--slices", type=int, default=SLICES, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    print("nanoseconds an element: bare, and what each way adds to it; of the fastest slices and, in")
    print("brackets, of the slowest among the fastest twentieth\n")
    print(f"  {'':<12}{'bare':>12}{'Stage':>14}{'lineage':>14}{'both':>14}")
    for kind in arguments.kinds or [kind for kind in KINDS if kind != "side input"]:
        runs = {way: slice_of(kind, way) for way in WAYS}
        samples: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(arguments.slices):
            shift = number % len(WAYS)
            for way in WAYS[shift:] + WAYS[:shift]:
                samples[way].append(runs[way]())
        fast = {way: (min(taken), statistics.quantiles(taken, n=20)[0]) for way, taken in samples.items()}
        shown = [f"{fast['bare'][0]:.0f} ({fast['bare'][1]:.0f})"]
        for way in WAYS[1:]:
            added = [one - bare for one, bare in zip(fast[way], fast["bare"], strict=True)]
            shown.append(f"{added[0]:+.0f} ({added[1]:+.0f})")
        print(f"  {kind:<12}{shown[0]:>12}{shown[1]:>14}{shown[2]:>14}{shown[3]:>14}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
