"""What of a store is written out as files: the newest runs, and a few dead letters of each kind."""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Sequence

from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.evidence import Standing
from beam_obs.store.kinds_of_refusal import dead_letters_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store

MOST_KINDS = 50
"""Kinds of refusal of a run whose dead letters are written: the commonest."""

_CHOOSE_AMONG_WRITTEN = {"label", "stage", "fingerprint", "run", "step"}
"""Parameters of addresses; all others ask for more than what is written."""


class StoreOfOne(Store):
    """A store as far as it is of one pipeline.

    Args:
      store: the store.
      pipeline: name of the pipeline.
    """

    def __init__(self, store: Store, pipeline: str) -> None:
        super().__init__(store.uri)
        self._pipeline = pipeline

    def ids(self, pipeline: str | None = None) -> list[tuple[str, str]]:
        """Returns the runs of the pipeline as (id, pipeline), newest first; none of another."""
        return super().ids(self._pipeline) if pipeline in (None, self._pipeline) else []


class SiteExtent:
    """What is written.

    Args:
      store: the store.
      runs: the runs, newest first.
      letters_of_kind: at most so many dead letters of each kind in each run.

    Attributes:
      refused: id of a run -> its dead letters, as its end has them.
    """

    def __init__(self, store: Store, runs: Sequence[RunRecord], letters_of_kind: int) -> None:
        self.runs = runs
        self._ids = {run.id for run in runs}
        of_pipeline: dict[str, list[str]] = {}
        for run in runs:
            of_pipeline.setdefault(run.pipeline, []).append(run.id)
        self._pipelines = of_pipeline.keys()
        self._neighbours = {
            (earlier, later) for ids in of_pipeline.values() for later, earlier in itertools.pairwise(ids)
        }
        self.refused = {run.id: dead_letters_of(store, run) for run in runs}
        self._letters: set[str] = set()
        self._origins: set[str] = set()
        for run in runs:
            self._take_letters(store, run, letters_of_kind)

    def _take_letters(self, store: Store, run: RunRecord, letters_of_kind: int) -> None:
        kinds = self.refused[run.id].get("by_fingerprint") or ()
        for kind in kinds[:MOST_KINDS]:
            wanted = WantedLetters(kind["stage"], kind["fingerprint"])
            counting = (
                letter
                for letter, standing in placed_letters(store, run, wanted)
                if standing is Standing.COMMITTED
            )
            chosen = [(one.id, one.origin) for one in itertools.islice(counting, letters_of_kind)]
            if letters_of_kind:  # pages show the example of a kind beside its count
                chosen.append((kind["id"], kind.get("origin")))
            self._letters.update(id for id, _ in chosen)
            self._origins.update(origin for _, origin in chosen if origin)

    def has(self, address: str) -> bool:
        """Whether the page is written that has this address on a server at the root."""
        path, _, query = address.partition("?")
        given = dict(urllib.parse.parse_qsl(query))
        if not given.keys() <= _CHOOSE_AMONG_WRITTEN or ("run" in given and given["run"] not in self._ids):
            return False
        match [urllib.parse.unquote(part) for part in path.split("/")[1:]]:
            case [""]:
                return True
            case ["pipelines", name, *_]:
                return name in self._pipelines
            case ["runs", run, *_]:
                return run in self._ids
            case ["dead-letters", letter]:
                return letter in self._letters
            case ["records", origin]:
                return origin in self._origins
            case ["differences", earlier, later]:
                return (earlier, later) in self._neighbours
        return False
