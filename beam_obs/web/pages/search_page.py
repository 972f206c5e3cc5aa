"""Search: one field for whatever is at hand. What is but one thing is led to; several are listed by kind."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from beam_obs.lineage.backward import as_origin
from beam_obs.lineage.searched_records import RefusedMatch, WrittenMatch, refused_with_text, written_as
from beam_obs.records.errors import BeamObsError
from beam_obs.records.number_text import counted
from beam_obs.store.found_letter import find_letter
from beam_obs.store.run_summary import RunSummary
from beam_obs.store.unknown_name import beginning_of, nearest_names
from beam_obs.web.page import Elsewhere, Page
from beam_obs.web.rendering import moment
from beam_obs.web.run_bars import SHOWN_RUNS
from beam_obs.web.stored_runs import RunId, StoredRuns

SECONDS = 2.0
"""For so long texts are looked for."""
MOST_LETTERS = 200_000
"""A run that refused more is not looked through: that is left to whoever asks for it alone."""
_MOST_SHOWN = 20
_MOST_RECORDS = 50
_LONGEST = 2_000

_RUN = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")
_LETTER = re.compile(r"[0-9a-f][0-9a-f-]{3,35}\.[0-9a-f.]+")
_PLACE = re.compile(r"(?:\S*/\S*|\S+\.\w{1,10}(?:-\d+-of-\d+)?|\S+-\d+-of-\d+):[1-9]\d{0,14}")
"""A file and the number of a line or record in it."""


@dataclasses.dataclass
class SearchResult:
    """What was found.

    Args:
      runs: whose ids begin so.
      pipelines: that have the text in their names.
      kinds: of refusal, each with the newest run that has it.
      refused: records that were refused, and have the text in them.
      written: records that were written, and are the text.
      too_many: runs whose dead letters are too many to look through.
      told: how far texts were looked for.
    """

    runs: list[RunSummary] = dataclasses.field(default_factory=list)
    pipelines: list[str] = dataclasses.field(default_factory=list)
    kinds: list[tuple[RunSummary, dict[str, Any]]] = dataclasses.field(default_factory=list)
    refused: list[RefusedMatch] = dataclasses.field(default_factory=list)
    written: list[WrittenMatch] = dataclasses.field(default_factory=list)
    too_many: list[RunSummary] = dataclasses.field(default_factory=list)
    told: str = ""

    @property
    def count(self) -> int:
        """How many hits there are."""
        found = (self.runs, self.pipelines, self.kinds, self.refused, self.written)
        return sum(len(of_kind) for of_kind in found)


def search_page(runs: StoredRuns, text: str) -> Page | Elsewhere:
    """Returns what a text leads to: a page, where it means one thing only; else what it may mean.

    Raises:
      StoreNotFound: there is no store.
    """
    asked = text.strip()[:_LONGEST]
    ids = runs.ids_by_pipeline()
    if not asked:
        return Page("search.html", "Search", {"query": "", "found": None, "nearest": []})
    there = _one_thing(runs, ids, asked)
    if there is not None:
        return there
    found = _Search(runs, ids, asked).result()
    only = _only(found)
    if only is not None:
        return only
    values = {
        "query": asked,
        "found": found,
        "nearest": [] if found.count else nearest_names(asked, list(ids)),
        "most": _MOST_SHOWN,
    }
    return Page("search.html", f"Search: {asked[:60]}", values)


def _one_thing(runs: StoredRuns, ids: dict[str, list[RunId]], asked: str) -> Elsewhere | None:
    """Returns where a text leads by its form alone."""
    if asked in ids:
        return Elsewhere(lambda links: links.pipeline(asked))
    begins = beginning_of(asked)
    if as_origin(asked) is not None:
        return Elsewhere(lambda links: links.record(asked.lower()))
    if _LETTER.fullmatch(begins) and any(run.startswith(begins.partition(".")[0]) for run, _ in runs.ids()):
        try:
            letter = find_letter(runs.store, begins).letter.id
        except BeamObsError:
            return None
        return Elsewhere(lambda links: links.dead_letter(letter))
    if _RUN.fullmatch(begins):
        meant = [run for run, _ in runs.ids() if run.startswith(begins)]
        if len(meant) == 1:
            return Elsewhere(lambda links: links.run(meant[0]))
    if _PLACE.fullmatch(asked):
        return Elsewhere(lambda links: links.record_at(asked))
    return None


def _only(found: SearchResult) -> Elsewhere | None:
    """Returns where the only hit is; None where there are none or several, or there may be more."""
    if found.count != 1 or found.too_many:
        return None
    if found.runs:
        run = found.runs[0].id
        return Elsewhere(lambda links: links.run(run))
    if found.pipelines:
        name = found.pipelines[0]
        return Elsewhere(lambda links: links.pipeline(name))
    if found.kinds:
        having, kind = found.kinds[0]
        return Elsewhere(lambda links: links.dead_letters(having.id, kind["stage"], kind["fingerprint"]))
    if found.refused:
        letter = found.refused[0].letter.id
        return Elsewhere(lambda links: links.dead_letter(letter))
    written = found.written[0]
    return Elsewhere(lambda links: links.record(written.origin, written.run.id))


class _Search:
    def __init__(self, runs: StoredRuns, ids: dict[str, list[RunId]], asked: str) -> None:
        self._runs = runs
        self._ids = ids
        self._asked = asked
        self._until = time.monotonic() + SECONDS

    def result(self) -> SearchResult:
        folded = self._asked.casefold()
        found = SearchResult(pipelines=[name for name in self._ids if folded in name.casefold()])
        begins = beginning_of(self._asked)
        if _RUN.fullmatch(begins):
            meant = [one for one in self._runs.ids() if one[0].startswith(begins)][: _MOST_SHOWN + 1]
            known = self._runs.summaries(meant)
            found.runs = [known[run] for run, _ in meant]
        newest = list(self._newest_by_turns())
        known = self._runs.summaries(newest, self._until - SECONDS * 3 / 4)
        summaries = [known[run] for run, _ in newest if run in known]
        found.kinds = self._kinds(summaries, folded)
        self._find_records(found, summaries, len(newest))
        return found

    def _newest_by_turns(self) -> Iterator[RunId]:
        for at in range(SHOWN_RUNS):
            yield from (ids[at] for ids in self._ids.values() if at < len(ids))

    def _kinds(self, summaries: Sequence[RunSummary], folded: str) -> list[tuple[RunSummary, dict[str, Any]]]:
        found: dict[tuple[str, str, str], tuple[RunSummary, dict[str, Any]]] = {}
        for run in summaries:
            for kind in run.kinds:
                told = f"{kind['error_type']}: {kind['error_message']}".casefold()
                if folded in told or kind["fingerprint"].startswith(folded):
                    found.setdefault((run.pipeline, kind["stage"], kind["fingerprint"]), (run, kind))
        return list(found.values())

    def _find_records(self, found: SearchResult, summaries: Sequence[RunSummary], count: int) -> None:
        store = self._runs.store
        newest = {run.pipeline: run for run in reversed(summaries)}
        written_by = (
            self._runs.read([(run.id, run.pipeline)])[0] for run in newest.values() if run.has_ended
        )
        # Half of the time is left to those that were refused, which a part of the text finds.
        found.written = written_as(store, written_by, self._asked, self._until - SECONDS / 2)
        refusing = [run for run in summaries if run.refused]
        looked_at: list[RunSummary] = []
        for run in refusing:
            if time.monotonic() >= self._until or len(found.refused) >= _MOST_RECORDS:
                break
            if run.refused > MOST_LETTERS:
                found.too_many.append(run)
                continue
            (record,) = self._runs.read([(run.id, run.pipeline)])
            found.refused.extend(refused_with_text(store, record, self._asked))
            looked_at.append(run)
        found.told = self._told(looked_at, len(refusing), count - len(summaries))

    def _told(self, looked_at: Sequence[RunSummary], refusing: int, unread: int) -> str:
        """Returns how far texts were looked for, in a sentence."""
        if not looked_at and not refusing and not unread:
            return f"None of the newest {SHOWN_RUNS} runs of each pipeline has dead letters to look through."
        told = f"Looked through the dead letters of {counted(len(looked_at), 'run')}"
        if looked_at:
            told += f", back to {moment(min(run.started for run in looked_at))}"
        told += f", of the newest {SHOWN_RUNS} runs of each pipeline; a part of a record's text finds it."
        left = refusing - len(looked_at) + unread
        return f"{told} {counted(left, 'run')} more could be looked through." if left > 0 else told
