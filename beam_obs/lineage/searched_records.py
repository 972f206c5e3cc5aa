"""Records found by their text, over runs: those that were refused, and those that were written.

Of what was written a run keeps digests, not the text: a whole record is found, not a part of one.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import NamedTuple

from beam_obs.lineage.given_records import given_records
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.evidence import Standing
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store

MOST_OF_RUN = 5
"""Dead letters of one run that are given."""


class RefusedMatch(NamedTuple):
    """A refused record.

    Args:
      run: that refused it.
      letter: its dead letter.
    """

    run: RunRecord
    letter: DeadLetter


class WrittenMatch(NamedTuple):
    """A record that entered a sink.

    Args:
      run: that wrote it.
      sink: label of the sink.
      origin: of the record, 32 hex digits.
    """

    run: RunRecord
    sink: str
    origin: str


def refused_with_text(store: Store, run: RunRecord, text: str) -> list[RefusedMatch]:
    """Returns the first dead letters of a run whose records have a text in them.

    Args:
      store: the store.
      run: the run.
      text: as people read it, or among the record's own bytes as UTF-8.
    """
    found = placed_letters(store, run, WantedLetters(text=text))
    counting = (letter for letter, standing in found if standing is not Standing.SUPERSEDED)
    return [RefusedMatch(run, letter) for letter in itertools.islice(counting, MOST_OF_RUN)]


def written_as(store: Store, runs: Iterable[RunRecord], text: str, until: float) -> list[WrittenMatch]:
    """Returns the records that runs have written with exactly this content.

    Args:
      store: the store.
      runs: the runs.
      text: the whole record, as it was written or as JSON.
      until: by `time.monotonic`, when no further run is looked at.
    """
    digests = [
        digest
        for record in given_records("", text.encode("utf-8", "surrogatepass"))
        for digest in record.digests
    ]
    found: list[WrittenMatch] = []
    for run in runs:
        if time.monotonic() >= until:
            break
        rows = RunEvidence(store, run).origins_of(digests, None)
        found.extend(WrittenMatch(run, sink, origin.hex()) for sink, origin in dict.fromkeys(rows) if origin)
    return found
