"""Dead letters read back, from a folder of one's own or from a run."""

from __future__ import annotations

import os
from collections.abc import Iterator

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError
from beam_obs.runs.evidence import Standing, read_evidence, read_letters
from beam_obs.runs.source_places import placed_letters
from beam_obs.runs.store import Store


def read_dead_letters(
    where: str | os.PathLike[str], *, store: Store | None = None, stage: str | None = None
) -> Iterator[DeadLetter]:
    """Gives the dead letters that count: those of bundles that were committed.

    Args:
      where: the folder of an `obs.DeadLetters`, on any filesystem of Beam; or a run, as the commands take it:
        its id, the beginning of one, ``latest`` or ``PIPELINE@latest``.
      store: the store of the run; by default that of the commands.
      stage: full label of the stage that refused them; None for all.

    Raises:
      RunNotFound: there is neither such a folder nor such a run.
      BeamObsError: some are missing or damaged; raised behind those that can be read.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters("refused") as home:
    ...     _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=home)
    >>> [letter.payload_text for letter in obs.read_dead_letters("refused")]
    ['x']
    """
    name = os.fspath(where)
    if "://" in name or os.path.isdir(name):
        folder = Store(name)
        evidence = read_evidence(folder, "")
        problems = list(evidence.problems)
        for file in evidence.committed:
            letters, problem = read_letters(folder, "", file, evidence.by_file[file])
            yield from (letter for letter in letters if stage in (None, letter.stage))
            problems += [problem] if problem else []
    else:
        of_run = store or Store()
        problems = []
        for letter, standing in placed_letters(of_run, of_run.find(name), stage, problems=problems):
            if standing is Standing.COMMITTED:
                yield letter
    if problems:
        raise BeamObsError(f"dead letters of {name!r} are not all there: {'; '.join(problems)}")
