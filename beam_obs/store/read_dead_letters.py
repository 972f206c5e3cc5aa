"""Dead letters read back, from a folder of one's own or from a run."""

from __future__ import annotations

import os
from collections.abc import Iterator

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.evidence import Standing, read_evidence
from beam_obs.store.kept_letters import kept_letters
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import RunNotFound, Store, store_at


def read_dead_letters(
    where: str | os.PathLike[str],
    *,
    store: Store | str | os.PathLike[str] | None = None,
    stage: str | None = None,
) -> Iterator[DeadLetter]:
    """Gives the dead letters that count: those of bundles that were committed.

    Args:
      where: the folder of an `obs.DeadLetters`, on any filesystem of Beam; or a run, as the commands take it:
        its id, the beginning of one, ``latest`` or ``PIPELINE@latest``.
      store: the store of the run, or its folder; by default that of the commands.
      stage: full label of the stage that refused them; None for all.

    Raises:
      RunNotFound: there is neither such a folder nor such a run. A folder that nothing was refused to is not
        made; on an object store that is no error.
      UsageError: it is neither a folder of dead letters nor the name of a run.
      BeamObsError: some are missing or damaged; raised behind those that can be read. Or a filesystem fails.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters("refused") as home:
    ...     _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=home)
    >>> [letter.payload_text for letter in obs.read_dead_letters("refused")]
    ['x']
    """
    if not isinstance(where, (str, os.PathLike)) or not os.fspath(where):
        raise UsageError(
            f"read_dead_letters got {where!r}: give a folder of dead letters, or a run as 'latest'"
        )
    name = os.fspath(where)
    problems: list[str] = []
    if "://" in name or os.path.isdir(name):
        yield from _of_folder(name, stage, problems)
    else:
        yield from _of_run(name, store_at(store), stage, problems)
    if problems:
        raise BeamObsError(f"dead letters of {name!r} are not all there: {'; '.join(problems)}")


def _of_folder(name: str, stage: str | None, problems: list[str]) -> Iterator[DeadLetter]:
    folder = Store(name)
    if folder.local and os.path.isdir(os.path.join(folder.uri, "runs")):
        raise UsageError(
            f"{name!r} is a store: name a run of it, read_dead_letters('latest', store=obs.Store({name!r}))"
        )
    try:
        evidence = read_evidence(folder, "")
    except OSError as error:  # Beam's own among them
        raise BeamObsError(f"{name!r} cannot be read: {error}") from error
    problems += evidence.problems
    for file in kept_letters(folder, "", evidence.committed, evidence.by_file):
        yield from file.wanted(WantedLetters(stage))
        problems += [file.problem_so_far] if file.problem_so_far else []


def _of_run(name: str, store: Store, stage: str | None, problems: list[str]) -> Iterator[DeadLetter]:
    try:
        record = store.find(name)
    except RunNotFound as error:
        message = f"there is no folder {name!r} (one that nothing was refused to is not made), and {error}"
        raise RunNotFound(message, error.candidates) from None
    for letter, standing in placed_letters(store, record, WantedLetters(stage), problems):
        if standing is Standing.COMMITTED:
            yield letter
