"""Counts of refusals for targets that keep what they are told: those of a run all with types, or none."""

from __future__ import annotations

import dataclasses

from beam_obs.metrics import own_families as own
from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.numbers_of_run import ERROR_TYPE


class SteadyRefusals:
    """Sees to it that the refusals of a run are told in one way from its first numbers to its last."""

    def __init__(self) -> None:
        self._untyped: dict[str, str] = {}
        """Of each pipeline the newest run that had refusals of no known type while it lived."""

    def of(self, numbers: RunNumbers) -> RunNumbers:
        """Returns the numbers; without types of errors where they were, or may have been, told without.

        >>> steady = SteadyRefusals()
        >>> samples = (Sample("parse", {"error": "KeyError"}, 2), Sample("parse", {"error": "ValueError"}, 3))
        >>> final = RunNumbers("small", "1", 0, (own.own_family(own.RECORDS_DEAD, samples),), True)
        >>> [(one.labels["error"], one.value) for one in steady.of(final).families[0].samples]
        [('KeyError', 2), ('ValueError', 3)]
        >>> _ = steady.of(dataclasses.replace(final, is_final=False))
        >>> [(one.labels["error"], one.value) for one in steady.of(final).families[0].samples]
        [('', 5)]
        """
        family = numbers.family(own.RECORDS_DEAD)
        if family is None:
            return numbers
        if not numbers.is_final and any(sample.value for sample in family.samples):
            self._untyped[numbers.pipeline] = numbers.run
        if not numbers.is_taken_over and self._untyped.get(numbers.pipeline) != numbers.run:
            return numbers
        others = (one for one in numbers.families if one is not family)
        return dataclasses.replace(numbers, families=(*others, _without_types(family)))


def _without_types(family: Family) -> Family:
    by_step: dict[str, float] = {}
    for sample in family.samples:
        by_step[sample.step] = by_step.get(sample.step, 0) + (sample.value or 0)
    samples = (Sample(step, {ERROR_TYPE: ""}, value) for step, value in by_step.items())
    return dataclasses.replace(family, samples=tuple(samples))
