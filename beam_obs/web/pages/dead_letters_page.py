"""Dead letters of a run: their kinds with an example of each, and the letters, a page at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from beam_obs.metrics.names import is_within
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.records.wording import letters_beside, moment_text
from beam_obs.reports.letter_text import place_text
from beam_obs.reports.run_so_far import with_refusals
from beam_obs.reports.store_argument import store_argument
from beam_obs.store.evidence import Standing
from beam_obs.store.kinds_of_refusal import dead_letters_of
from beam_obs.store.letter_pages import PAGE_LETTERS, letter_page
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import beginning_of
from beam_obs.web.bounded_text import BoundedText, bounded
from beam_obs.web.page import Page
from beam_obs.web.stored_runs import StoredRuns

_KINDS_SHOWN = 50


@dataclasses.dataclass(frozen=True)
class KindRow:
    """A kind of refusal as one row.

    Args:
      count: letters of it.
      stage: that refused them.
      fingerprint: of the kind.
      error_type: full name of the exception's class.
      message: of the example.
      example: the record of the example.
      example_id: id of the example.
    """

    count: int
    stage: str
    fingerprint: str
    error_type: str
    message: BoundedText
    example: BoundedText
    example_id: str


@dataclasses.dataclass(frozen=True)
class LetterRow:
    """A dead letter as one row.

    Args:
      id: its id.
      own_id: what it has behind that of the run.
      stage: that refused it.
      error_type: name of the exception's class.
      message: of the exception.
      record: that was refused.
      place: where it lies in its source; empty where that is not known.
      refused: when.
      standing: whether it counts, where it does not; else empty.
    """

    id: str
    own_id: str
    stage: str
    error_type: str
    message: BoundedText
    record: BoundedText
    place: str
    refused: str
    standing: str


def dead_letters_page(runs: StoredRuns, selector: str, query: Mapping[str, str]) -> Page:
    """Returns the page of the dead letters of a run.

    Args:
      runs: of the store.
      selector: of the run.
      query: ``stage`` and ``fingerprint`` of which, ``text`` that their records have, and ``page``, the row
        that is looked from.

    Raises:
      RunNotFound: there is no such run.
    """
    record = runs.find(selector)
    refused = _refused(runs.store, record)
    stage = query.get("stage") or None
    fingerprint = beginning_of(query.get("fingerprint", ""))
    text = query.get("text", "")
    first = _row(query.get("page", ""))
    kinds = [
        kind
        for kind in refused["by_fingerprint"]
        if (stage is None or is_within(kind["stage"], stage)) and kind["fingerprint"].startswith(fingerprint)
    ]
    found = letter_page(runs.store, record, _wanted(refused, stage, fingerprint, text), first)
    return Page(
        "dead_letters.html",
        f"Dead letters of {record.pipeline} {record.id}",
        {
            "run": record,
            "count": refused["count"],
            "beside": letters_beside(refused, record.status),
            "stage": stage,
            "stages": sorted(refused["by_stage"], key=lambda one: (-refused["by_stage"][one], one)),
            "by_stage": refused["by_stage"],
            "fingerprint": fingerprint,
            "text": text,
            "kinds": [_kind_row(kind) for kind in kinds[:_KINDS_SHOWN]],
            "kinds_are_known": bool(refused["by_fingerprint"]) or not refused["count"],
            "more_kinds": max(0, len(kinds) - _KINDS_SHOWN),
            "of_kinds": sum(kind["count"] for kind in kinds),
            "letters": [_letter_row(letter, standing) for letter, standing in found.letters],
            "first": first,
            "next": found.next,
            "page_letters": PAGE_LETTERS,
            "commands": [
                f"beam-obs dead-letters list {record.id}{store_argument(runs.store)}",
                f"beam-obs dead-letters list {record.id} --letters{store_argument(runs.store)}",
            ],
            "problems": [*record.problems, *found.problems],
        },
    )


def _refused(store: Store, record: RunRecord) -> Mapping[str, Any]:
    """Returns what a run refused; of one that has not ended the kinds only where letters are few."""
    if record.end is not None:
        return dead_letters_of(store, record)
    so_far = with_refusals(record, store).live or {}
    return so_far.get("dead_letters") or {"count": record.refused, "by_stage": {}, "by_fingerprint": []}


def _wanted(refused: Mapping[str, Any], stage: str | None, fingerprint: str, text: str) -> WantedLetters:
    stages = None
    if stage is not None:
        known = {**refused["by_stage"], **(refused.get("in_files") or {})}
        stages = tuple(one for one in known if is_within(one, stage)) or (stage,)
    return WantedLetters(fingerprint=fingerprint, text=text, stages=stages)


def _row(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 18 else 0


def _kind_row(kind: Mapping[str, Any]) -> KindRow:
    return KindRow(
        kind["count"],
        kind["stage"],
        kind["fingerprint"],
        kind["error_type"],
        bounded(kind["error_message"]),
        bounded(kind.get("payload_text") or ""),
        kind["id"],
    )


def _letter_row(letter: DeadLetter, standing: Standing) -> LetterRow:
    return LetterRow(
        letter.id,
        letter.id.partition(".")[2] or letter.id,
        letter.stage,
        bounded(letter.error_type.rpartition(".")[2]).text,
        bounded(letter.error_message),
        bounded(letter.payload_text),
        bounded(place_text(letter)).text,
        f"{moment_text(letter.failed_at)} UTC",
        "" if standing is Standing.COMMITTED else standing.value,
    )
