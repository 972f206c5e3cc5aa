"""Pipelines run in this process, and what came out of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import DoOutputsTuple
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

from beam_obs.metrics.run_snapshot import StageCounts, read_snapshot
from beam_obs.records.dead_letter import DeadLetter

_GATHERED: dict[str, list[Any]] = {}
_NUMBERS = itertools.count()


class Emitted(NamedTuple):
    """An output with all that Beam says of it; times in microseconds, window and pane as text."""

    value: Any
    timestamp: int
    window: str
    pane: str


class Gather(beam.DoFn):
    def __init__(self, key: str) -> None:
        self._key = key

    def process(
        self,
        value: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> None:
        _GATHERED[self._key].append(Emitted(value, timestamp.micros, str(window), str(pane)))


class Outcome:
    """What a pipeline gave.

    Attributes:
      emitted: outputs by name: `main`, the user's tags, `dead`.
      types: element types by the same names.
    """

    def __init__(self, emitted: dict[str, list[Emitted]], types: dict[str, Any], result: Any) -> None:
        self.emitted = {name: sorted(found, key=repr) for name, found in emitted.items()}
        self.types = types
        self.result = result

    def values(self, name: str = "main") -> list[Any]:
        return [one.value for one in self.emitted[name]]

    @property
    def letters(self) -> list[DeadLetter]:
        return self.values("dead")

    @property
    def refused(self) -> list[str]:
        """The texts of the refused elements."""
        return sorted(letter.payload_text for letter in self.letters)

    @property
    def letter(self) -> DeadLetter:
        (letter,) = self.letters
        return letter

    def counts(self, stage: str = "step") -> StageCounts:
        return read_snapshot(self.result).stages[stage]


Build = Callable[[beam.Pipeline], Any]


def run(build: Build, *arguments: str, runner: Any = "FnApiRunner", pipeline: Any = None) -> Outcome:
    """Runs what `build` makes of a pipeline and returns what its results held.

    Args:
      build: returns a PCollection, tagged outputs, a dict of names to PCollections, or one of these with
        the dead letters.
      arguments: options of the pipeline.
      runner: its runner.
      pipeline: one to use instead.
    """
    if pipeline is None:
        pipeline = beam.Pipeline(runner, options=beam.options.pipeline_options.PipelineOptions(arguments))
    number = next(_NUMBERS)
    outputs = named(build(pipeline))
    for name, pcoll in outputs.items():
        _GATHERED[f"{number} {name}"] = []
        _ = pcoll | f"gather {name}" >> beam.ParDo(Gather(f"{number} {name}"))
    result = pipeline.run()
    result.wait_until_finish()
    gathered = {name: _GATHERED.pop(f"{number} {name}") for name in outputs}
    return Outcome(gathered, {name: pcoll.element_type for name, pcoll in outputs.items()}, result)


def run_in_bundles(build: Build, *arguments: str) -> Outcome:
    """Runs on the direct runner for streams, which works bundle by bundle and tries failed ones again."""
    return run(build, *arguments, runner=BundleBasedDirectRunner())


def named(made: Any) -> dict[str, Any]:
    if isinstance(made, dict):
        return made
    if isinstance(made, DoOutputsTuple):
        names = {tag: made[tag] for tag in made._tags}
        return {"main": made[made._main_tag], **names}
    if isinstance(made, tuple):
        result, letters = made
        return {**named(result), "dead": letters}
    return {"main": made}


def observed(transform: Any, **arguments: Any) -> Any:
    """A transform in a Stage labelled `step`, with its dead letters as an output."""
    from beam_obs.stages.stage import Stage

    return "step" >> Stage(transform, **arguments).with_dead_letters()


def through(elements: list[Any], transform: Any, *options: str, **arguments: Any) -> Outcome:
    """Runs a transform as an observed stage on a list of elements."""
    return run(lambda p: p | beam.Create(elements) | observed(transform, **arguments), *options)


def bare(elements: list[Any], transform: Any, *options: str) -> Outcome:
    """Runs a transform as it is on a list of elements."""
    return run(lambda p: p | beam.Create(elements) | "step" >> transform, *options)
