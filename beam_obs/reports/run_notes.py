"""What is to be said of a run's counts, in lines: whether they add up, how they were taken, what was lost."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from beam_obs.records.number_text import counted
from beam_obs.records.wording import bytes_text, clean
from beam_obs.reports.balance_text import balance_text, dropped_texts, late_texts, unchecked_texts
from beam_obs.reports.ledger_text import broken_edges, example_lines, ledger_text, live_ledger_text

MUCH_MEMORY = 0.9
"""Share of the memory that a worker can have, from which on it is said."""

_MOST_NAMED = 4
GOOD, BAD, DOUBTFUL, QUIET = "good", "bad", "doubt", "quiet"


class RunNote(NamedTuple):
    """A line about a run.

    Args:
      text: the line.
      tone: how it is meant: ``good``, ``bad``, ``doubt`` or ``quiet``.
      is_detail: whether it says more of the line before it.
    """

    text: str
    tone: str
    is_detail: bool = False


def balance_notes(end: Mapping[str, Any], names: bool = True) -> list[RunNote]:
    """Returns whether a run adds up, each check that did not hold, and what was not checked.

    Args:
      end: content of ``end.json``, folded.
      names: whether the first records that are lost or too many are named.

    >>> balance_notes({"counts_from": "result", "balance": {"holds": True, "checked": 2}})[0].text
    'balanced: every record is accounted for (2 checks of counts)'
    """
    balance = end.get("balance") or {}
    dropped = [RunNote(text, DOUBTFUL, True) for text in dropped_texts(balance)]
    dropped.extend(RunNote(text, QUIET, True) for text in late_texts(balance))
    if end.get("counts_from") is None:
        return [RunNote(clean(balance.get("unchecked") or "no counts"), DOUBTFUL), *dropped]
    tone = {True: GOOD, False: BAD, None: QUIET}[balance.get("holds")]
    return [
        RunNote(balance_text(balance), tone),
        *(RunNote(clean(line["text"]), BAD, True) for line in balance.get("broken") or ()),
        *_ledger_notes(end.get("ledger"), _MOST_NAMED if names else 0),
        *dropped,
        *(RunNote(text, QUIET, True) for text in unchecked_texts(balance)),
    ]


def _ledger_notes(ledger: Mapping[str, Any] | None, most: int) -> list[RunNote]:
    """Returns what sums of origins say, and the first records that they name."""
    if ledger is None or ledger.get("holds") is None:
        return []
    tone = QUIET if ledger["holds"] else BAD
    named = [line for edge in broken_edges(ledger) for line in example_lines(edge, {})]
    return [
        RunNote(ledger_text(ledger), tone, True),
        *(RunNote(line, BAD, True) for line in named[:most]),
    ]


def so_far_notes(live: Mapping[str, Any]) -> list[RunNote]:
    """Returns what is known of windows that are over, of a run that has not ended.

    Args:
      live: content of ``live.json``.
    """
    ledger = live.get("ledger")
    if not ledger:
        return []
    broken = [edge["text"] for edge in broken_edges(ledger)]
    tone = {True: GOOD, False: BAD, None: QUIET}[ledger.get("holds")]
    return [
        RunNote(live_ledger_text(ledger), tone),
        *(RunNote(clean(text), BAD, True) for text in broken),
    ]


def count_notes(end: Mapping[str, Any]) -> list[RunNote]:
    """Returns what carries lineage, and what is odd of how the counts were taken.

    Args:
      end: content of ``end.json``, folded; without counts there is nothing to be said.
    """
    notes: list[RunNote] = []
    if end.get("counts_from") is None:
        return notes
    lineage = end.get("lineage")
    if lineage:
        notes.append(RunNote(clean(lineage["text"]), DOUBTFUL if lineage["opaque"] else QUIET))
    if end.get("counts_from") == "live":
        # A job may end well on a runner that loses counts.
        why = "the runner lost some of its own" if end.get("status") == "done" else "none was committed"
        text = f"counts are live: looked at in this process when the run ended, {why}"
        notes.append(RunNote(text, DOUBTFUL))
    notes.extend(
        RunNote(f"{clean(stage['label'])} tried records again {counted(stage['retried'], 'time')}", QUIET)
        for stage in end.get("stages") or []
        if stage.get("retried")
    )
    errors = sum(stage.get("internal_errors", 0) for stage in end.get("stages") or [])
    if errors:
        text = (
            f"{counted(errors, 'error')} of beam_obs itself {'was' if errors == 1 else 'were'} swallowed; "
            "no record was lost"
        )
        notes.append(RunNote(text, DOUBTFUL))
    return notes


def telemetry_notes(known: Mapping[str, Any]) -> list[RunNote]:
    """Returns what was lost of a run's traces and logs.

    Args:
      known: content of ``end.json`` or ``live.json``.

    >>> telemetry_notes({"telemetry": {"telemetry_lost": 7}})[0].text
    '7 spans or log lines reached nobody: where they were sent did not take them, or they were too many'
    """
    told = known.get("telemetry") or {}
    lost, ignored = told.get("telemetry_lost") or 0, told.get("traceparents_ignored") or 0
    notes = []
    if lost:
        text = f"{lost:,} {'span or log line' if lost == 1 else 'spans or log lines'} reached nobody"
        why = "where they were sent did not take them, or they were too many"
        notes.append(RunNote(f"{text}: {why}", DOUBTFUL))
    if ignored:
        trace = "it is in a trace of its own" if ignored == 1 else "they are in traces of their own"
        text = f"{counted(ignored, 'record')} came with a malformed traceparent, which was ignored: {trace}"
        notes.append(RunNote(text, DOUBTFUL))
    return notes


def _version_notes(workers: Sequence[Mapping[str, Any]]) -> list[RunNote]:
    """Returns what is of other versions on workers than where the run was launched."""
    found = collections.Counter(
        (name, *versions)
        for worker in workers
        for name, versions in (worker.get("differs") or {}).items()
        if len(versions) == 2
    )
    return [
        RunNote(
            f"{counted(number, 'worker')} had {clean(name)} {clean(here)}, the launcher had {clean(was)}",
            DOUBTFUL,
        )
        for (name, was, here), number in sorted(found.items())
    ]


def worker_notes(known: Mapping[str, Any]) -> list[RunNote]:
    """Returns what is notable of a run's worker processes: little memory left, bundles that failed, versions
    that are not those of the launcher.

    Args:
      known: content of ``end.json`` or ``live.json``.

    >>> full = {"worker": "host:7", "memory_bytes": 752e6, "memory_limit_bytes": 808e6, "bundles_failed": 0}
    >>> worker_notes({"workers": [full]})[0].text
    'worker host:7 had 752 MB of the 808 MB that it could have, when it was last looked at'
    """
    workers = known.get("workers") or ()
    notes = []
    for worker in workers:
        used, limit = worker["memory_bytes"], worker["memory_limit_bytes"]
        if used is not None and limit and used >= MUCH_MEMORY * limit:
            text = (
                f"worker {clean(worker['worker'])} had {bytes_text(used)} of the {bytes_text(limit)} "
                "that it could have, when it was last looked at"
            )
            notes.append(RunNote(text, BAD))
    notes.extend(_version_notes(workers))
    failed = sum(worker["bundles_failed"] for worker in workers)
    if failed and known.get("status") == "done":
        notes.append(
            RunNote(f"{counted(failed, 'bundle')} failed, and what was in them was tried again", QUIET)
        )
    return notes
