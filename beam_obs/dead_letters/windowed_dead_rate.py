"""A share of refused records that fails the job, judged inside the pipeline, window by window.

An observed batch run is judged when it has ended and all is written (`beam_obs.runs.dead_rate`). A
stream has no end, and a plain `beam.Pipeline` nobody to look at it afterwards: there a step of the
pipeline compares, for each window, what a stage took with what it refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.transforms.trigger import DefaultTrigger
from apache_beam.transforms.window import GlobalWindows

from beam_obs.dead_letters.dead_letter_format import window_text
from beam_obs.records.errors import DeadRateExceeded, UsageError
from beam_obs.wrapper.role import EVIDENCE, Ours
from beam_obs.wrapper.untyped import Untyped, untyped

DEFAULT_MINIMUM = 100
"""Fewest records of a window for its share to be judged, where a Stage gives none of its own."""


class JudgeDeadRate(Ours):
    """Fails the job when a window's share of refused records is above a limit.

    Takes the pair of what a stage took, or of what a read gave, and what it refused.

    Args:
      stage: full label of the stage.
      limit: share allowed, 0 to 1.
      minimum: fewest records of a window for its share to be judged.
      takes_refused_too: whether what was refused is among what was taken.

    Raises:
      UsageError: the records are an unbounded PCollection in the global window without a trigger, so
        no window of theirs ever ends.
    """

    role = EVIDENCE

    def __init__(self, stage: str, limit: float, minimum: int, *, takes_refused_too: bool) -> None:
        super().__init__()
        self._takes_refused_too = takes_refused_too
        self._stage = stage
        self._limit = limit
        self._minimum = minimum

    def expand(self, both: Any) -> Any:
        """Gives nothing."""
        taken, refused = both
        windowing = taken.windowing
        unending = isinstance(windowing.windowfn, GlobalWindows) and isinstance(
            windowing.triggerfn, DefaultTrigger
        )
        if unending and not taken.is_bounded:
            raise UsageError(
                f"stage {self._stage!r} has max_dead_rate= and takes a stream in the global window, which "
                "never ends: apply beam.WindowInto before it, and each window is judged"
            )
        counts = (
            taken | "Taken" >> beam.Map(_one_taken),
            refused | "Refused" >> beam.Map(_one_refused if self._takes_refused_too else _one_more_refused),
        )
        return (
            counts
            | beam.Flatten()
            | "Count" >> beam.CombineGlobally(_SumPairs()).without_defaults()
            | "Judge" >> beam.ParDo(_Judge(self._stage, self._limit, self._minimum))
        )


@untyped
def _one_taken(_: Any) -> tuple[int, int]:
    return 1, 0


@untyped
def _one_refused(_: Any) -> tuple[int, int]:
    return 0, 1


@untyped
def _one_more_refused(_: Any) -> tuple[int, int]:
    return 1, 1


class _SumPairs(beam.CombineFn):
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add_input(self, accumulator: tuple[int, int], pair: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + pair[0], accumulator[1] + pair[1]

    def merge_accumulators(self, accumulators: Iterable[tuple[int, int]]) -> tuple[int, int]:
        taken, refused = zip(*accumulators, strict=True)
        return sum(taken), sum(refused)

    def extract_output(self, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator


class _Judge(Untyped, beam.DoFn):
    def __init__(self, stage: str, limit: float, minimum: int) -> None:
        self._stage = stage
        self._limit = limit
        self._minimum = minimum

    def process(self, counts: tuple[int, int], window: Any = beam.DoFn.WindowParam) -> None:
        taken, refused = counts
        if taken >= max(self._minimum, 1) and refused / taken > self._limit:
            where = window_text(window)
            stage = self._stage if where == "global" else f"{self._stage} in window {where}"
            raise DeadRateExceeded(stage, refused, taken, self._limit, ())
