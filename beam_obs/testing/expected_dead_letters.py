"""`assert_dead_letters`: that a pipeline refused what it should, and nothing else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam import pvalue
from apache_beam.testing.util import assert_that

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.store.evidence import Standing, read_evidence
from beam_obs.store.kept_letters import kept_letters
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store
from beam_obs.testing.expected_and_found import numbered, table
from beam_obs.testing.matchers import DeadLetterMatcher, letter_line
from beam_obs.testing.observed_run import find_run

_SHOWN = 10


def assert_dead_letters(
    actual: Any,
    *expected: DeadLetterMatcher,
    others: bool = False,
    label: str | None = None,
    trust_pickles: bool = False,
) -> None:
    """Asserts that the dead letters are those expected, in any order; none, where none are given.

    Args:
      actual: where they are: the PCollection that `with_dead_letters` gives (they are then looked at when
        the pipeline runs, as by Beam's `assert_that`); the result of an `obs.Pipeline`; a `Store` or its
        folder (the newest run); the folder of an `obs.DeadLetters`; or dead letters themselves.
        Of a store or a folder only what is committed counts.
      expected: made by `dead_letter`; each stands for as many as its ``times``.
      others: whether there may be other dead letters too.
      label: of the step that is added for a PCollection.
      trust_pickles: whether payloads that were pickled are unpickled, which runs code that whoever wrote
        them has chosen; otherwise their text is compared. Those of a PCollection always are.

    Raises:
      AssertionError: they are not, with the difference.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> from apache_beam.testing.test_pipeline import TestPipeline
    >>> from beam_obs.testing import assert_dead_letters, dead_letter
    >>> with TestPipeline() as p:
    ...     numbers, dead = (
    ...         p
    ...         | beam.Create(["1", "x"])
    ...         | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
    ...     )
    ...     assert_dead_letters(dead, dead_letter(stage="parse", error_type=ValueError, payload="x"))
    """
    for matcher in expected:
        if not isinstance(matcher, DeadLetterMatcher):
            raise TypeError(f"expected dead letters are made by dead_letter(...), got {matcher!r}")
    if isinstance(actual, pvalue.PCollection):
        assert_that(
            actual,
            lambda letters: compare_dead_letters(letters, _trusting(expected, True), others),
            label=label or _unused_label(actual.pipeline),
        )
    else:
        compare_dead_letters(_letters(actual), _trusting(expected, trust_pickles), others)


def compare_dead_letters(
    found: Iterable[DeadLetter], expected: Sequence[DeadLetterMatcher], others: bool = False
) -> None:
    """Raises AssertionError where dead letters are not those expected."""
    letters = list(found)
    wanted = [matcher for matcher in expected for _ in range(matcher.times)]
    pairs = _pair(wanted, letters)
    missing = [wanted[at] for at in range(len(wanted)) if at not in pairs]
    surplus = [letters[at] for at in range(len(letters)) if at not in pairs.values()]
    if not missing and (others or not surplus):
        return
    counts = f"expected {len(wanted)}{' or more' if others else ''}, found {len(letters)}"
    parts = [f"dead letters are not as expected: {counts}, {len(pairs)} of them as expected"]
    if missing:
        parts.append("expected, but not found:\n" + _listed([repr(_one(matcher)) for matcher in missing]))
    if surplus and not others:
        parts.append("found, but not expected:\n" + _listed([letter_line(letter) for letter in surplus]))
    if missing and surplus:
        matcher, letter = min(
            itertools.product(missing[:_SHOWN], surplus[:100]),
            key=lambda pair: sum(not fits for *_, fits in pair[0].rows(pair[1])),
        )
        parts.append("nearest to each other:\n" + table(matcher.rows(letter)))
    raise AssertionError("\n".join(parts))


def _pair(wanted: list[DeadLetterMatcher], letters: list[DeadLetter]) -> dict[int, int]:
    """Returns the largest pairing of expected with found, each used once, by augmenting paths."""
    taken: dict[int, int] = {}

    def place(position: int, seen: set[int]) -> bool:
        for at, letter in enumerate(letters):
            if at in seen or not wanted[position].matches(letter):
                continue
            seen.add(at)
            if at not in taken or place(taken[at], seen):
                taken[at] = position
                return True
        return False

    for position in range(len(wanted)):
        place(position, set())
    return {position: at for at, position in taken.items()}


def _letters(actual: Any) -> list[DeadLetter]:
    if isinstance(actual, (str, os.PathLike)):
        folder = os.fspath(actual)
        store = Store(folder)
        if not store.count():
            evidence = read_evidence(store, "")
            problems = list(evidence.problems)
            files = list(kept_letters(store, "", evidence.committed, evidence.by_file))
            found = [letter for file in files for letter in file.letters]
            problems.extend(file.problem_so_far for file in files if file.problem_so_far)
            _refuse_damage(problems)
            return found
        actual = store
    if isinstance(actual, Iterable) and not isinstance(actual, Store):
        letters = list(actual)
        if all(isinstance(letter, DeadLetter) for letter in letters):
            return letters
    store, record = find_run(actual)
    lost: list[str] = []
    read = placed_letters(store, record, problems=lost)
    letters = [letter for letter, standing in read if standing is Standing.COMMITTED]
    _refuse_damage(lost)
    return letters


def _refuse_damage(problems: list[str]) -> None:
    if problems:
        raise AssertionError(f"dead letters are not all in the store: {'; '.join(problems)}")


def _trusting(expected: Sequence[DeadLetterMatcher], trust_pickles: bool) -> list[DeadLetterMatcher]:
    return [matcher.trusting(trust_pickles) for matcher in expected]


def _one(matcher: DeadLetterMatcher) -> DeadLetterMatcher:
    return DeadLetterMatcher(1, matcher.fields)


def _listed(lines: list[str]) -> str:
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return numbered([*lines[:_SHOWN], *more])


def _unused_label(pipeline: Any) -> str:
    for number in itertools.count(1):
        label = "assert_dead_letters" if number == 1 else f"assert_dead_letters {number}"
        if label not in pipeline.applied_labels:
            break
    return label
