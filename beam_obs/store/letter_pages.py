"""Dead letters of a run a page at a time: each page begins at a row, and what is before that is not read.

Rows are counted through all files of a run, in the order in which `dead_letters` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.wanted_letters import ALL_LETTERS, WantedLetters
from beam_obs.store.evidence import Evidence, Standing, read_evidence
from beam_obs.store.kept_letters import KeptLetters, kept_letters
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import with_places
from beam_obs.store.store import Store

PAGE_LETTERS = 50


class LetterPage(NamedTuple):
    """Some dead letters of a run, one behind the other.

    Args:
      letters: each with whether it counts.
      next: row that the letters behind these are looked for from; None where there are none.
      problems: what is missing or damaged of the files that were read.
    """

    letters: tuple[tuple[DeadLetter, Standing], ...]
    next: int | None
    problems: tuple[str, ...]


def letter_page(
    store: Store,
    record: RunRecord,
    wanted: WantedLetters = ALL_LETTERS,
    first: int = 0,
    most: int = PAGE_LETTERS,
) -> LetterPage:
    """Returns the first wanted dead letters of a run from a row on, each with its place in its source.

    Args:
      store: the store.
      record: the run.
      wanted: which.
      first: row that is looked from, 0 or the `next` of a page with the same `wanted`.
      most: letters of a page.
    """
    evidence = read_evidence(store, record.folder, record.end)
    problems = list(evidence.problems)
    standings = dict(evidence.dead_letter_files)
    found: list[tuple[DeadLetter, Standing]] = []
    following: int | None = None
    for start, file in _files_from(store, record, evidence, first):
        for row, letter in file.numbered(wanted, max(0, first - start)):
            if len(found) == most:
                following = start + row
                break
            found.append((letter, standings[file.name]))
        problems.extend([file.problem_so_far] if file.problem_so_far else [])
        if following is not None:
            break
    return LetterPage(tuple(with_places(store, record, found)), following, tuple(problems))


def _files_from(
    store: Store, record: RunRecord, evidence: Evidence, first: int
) -> Iterator[tuple[int, KeptLetters]]:
    """Gives the files of a run that have rows from `first` on, each with the number of its own first row."""
    start = 0
    names = [name for name, _ in evidence.dead_letter_files]
    named = evidence.by_file
    while names and names[0] in named and start + named[names[0]].count <= first:
        start += named[names.pop(0)].count
    for file in kept_letters(store, record.folder, names, named):
        manifest = named.get(file.name)
        rows = file.letters.rows if manifest is None else manifest.count
        if start + rows > first:
            yield start, file
        start += rows
