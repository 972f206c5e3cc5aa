"""What lists and histories of runs say of one: far less than its record, so that thousands can be kept."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from beam_obs.store.folding import folded
from beam_obs.store.records_told import records_told
from beam_obs.store.run_record import RunRecord

_OF_KIND = (
    "stage",
    "fingerprint",
    "fingerprint_version",
    "error_type",
    "error_message",
    "count",
    "first",
    "last",
)
"""What tells kinds apart, and how often and when each was seen; no example of a record."""


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """One run in few words.

    Args:
      id: id of the run.
      pipeline: name of its pipeline.
      status: as in `RunRecord.status`.
      status_text: the status, with what was refused wherever anything was.
      started: when, as the store keeps times.
      seconds: how long it took; None before it has ended.
      refused: number of dead letters.
      taken: how many records came in; None where nobody counted.
      written: how many records its outputs have, in all; None where any of them is not known.
      code: version of its code.
      is_balanced: whether its balance holds; None where that is not known.
      is_finished: whether it is done, or failed with counts: what is not in it is gone.
      kinds: its kinds of refusal as in ``end.json``, without their examples.
      has_problems: whether something of its files is missing, damaged or was changed.
      is_streaming: whether it was launched as a stream, which has no end of its own.
    """

    id: str
    pipeline: str
    status: str
    status_text: str
    started: str
    seconds: float | None
    refused: int
    taken: int | None
    written: int | None
    code: str | None
    is_balanced: bool | None
    is_finished: bool
    kinds: tuple[dict[str, Any], ...]
    has_problems: bool
    is_streaming: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether it has an end."""
        return self.seconds is not None

    @property
    def is_success(self) -> bool:
        """Whether it is done."""
        return self.status == "done"


def summary_of(record: RunRecord) -> RunSummary:
    """Returns what lists say of a run."""
    known = record.last_known
    balance = (record.end or {}).get("balance") or {}
    return RunSummary(
        id=record.id,
        pipeline=sys.intern(record.pipeline),
        status=sys.intern(record.status),
        status_text=sys.intern(record.status_text),
        started=record.start["started"],
        seconds=record.seconds,
        refused=record.refused,
        taken=_taken(known),
        written=_written(record.end or {}),
        code=(record.start.get("code") or {}).get("version"),
        is_balanced=balance.get("holds"),
        is_finished=is_finished(record),
        kinds=tuple(
            {name: _interned(kind.get(name)) for name in _OF_KIND}
            for kind in (known.get("dead_letters") or {}).get("by_fingerprint") or ()
        ),
        has_problems=bool(record.problems),
        is_streaming=bool((record.start.get("options") or {}).get("streaming")),
    )


def is_finished(record: RunRecord) -> bool:
    """Whether a run is done, or failed with counts.

    One that was cancelled, or could not be built, says nothing about what is gone.
    """
    end = record.end
    return end is not None and end.get("status") in ("done", "failed") and end.get("counts_from") is not None


def _taken(known: Mapping[str, Any]) -> int | None:
    return None if known.get("counts_from") is None else records_told(known)["in"]


def _written(end: Mapping[str, Any]) -> int | None:
    outputs = end.get("outputs") or ()
    if any(output.get("records") is None for output in outputs):  # of Beam's own writes the steps may tell
        outputs = folded(end)["outputs"]
    records = [output.get("records") for output in outputs]
    return sum(records) if records and None not in records else None


def _interned(value: Any) -> Any:
    return sys.intern(value) if type(value) is str else value
