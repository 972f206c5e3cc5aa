"""What became of the canaries of a stream, in lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from beam_obs.metrics.canary_names import CANARIES_ARRIVED, CANARIES_SENT, CANARIES_WRONG, CANARY_LATENCY
from beam_obs.metrics.families import bucket_quantile
from beam_obs.records.wording import clean
from beam_obs.reports.run_notes import BAD, QUIET, RunNote


def canary_notes(known: Mapping[str, Any]) -> list[RunNote]:
    """Returns what became of each canary, at each step where it leaves.

    Args:
      known: content of ``end.json`` or ``live.json``.

    >>> told = {"canaries_sent_total": ("in", 3), "canaries_arrived_total": ("out", 2)}
    >>> families = [
    ...     {"name": name, "samples": [{"step": step, "labels": {"canary": "trips"}, "value": value}]}
    ...     for name, (step, value) in told.items()
    ... ]
    >>> canary_notes({"status": "done", "instruments": {"families": families}})[0].text
    'canary trips: 3 sent, 2 arrived at out, 1 missing'
    """
    sent: dict[str, int] = {}
    for name, _, sample in _samples(known, f"{CANARIES_SENT}_total"):
        sent[name] = sent.get(name, 0) + int(sample.get("value") or 0)
    arrived = {(name, step): sample for name, step, sample in _samples(known, f"{CANARIES_ARRIVED}_total")}
    wrong = {(name, step): sample for name, step, sample in _samples(known, f"{CANARIES_WRONG}_total")}
    times = {(name, step): sample for name, step, sample in _samples(known, CANARY_LATENCY)}
    is_live = known.get("status") is None
    notes = []
    for name, number in sorted(sent.items()):
        places = sorted(place for place in arrived if place[0] == name) or [(name, "")]
        for place in places:
            came, bad = (int((one.get(place) or {}).get("value") or 0) for one in (arrived, wrong))
            notes.append(_note(name, place[1], number, came, bad, times.get(place) or {}, is_live))
    return notes


def _samples(known: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Gives the canary, the step and the sample of each series of an instrument."""
    for family in (known.get("instruments") or {}).get("families") or ():
        if family["name"] == name:
            for sample in family["samples"]:
                yield (sample.get("labels") or {}).get("canary", ""), sample["step"], sample


def _note(
    name: str, step: str, sent: int, arrived: int, wrong: int, latency: Mapping[str, Any], is_live: bool
) -> RunNote:
    parts = [f"{sent:,} sent", f"{arrived:,} arrived"]
    if step:
        parts[1] += f" at {clean(step)}"
    if latency.get("buckets"):
        quantiles = (bucket_quantile(latency["buckets"], share) for share in (0.5, 0.99))
        parts[1] += " (p50 ~{}, p99 ~{})".format(
            *("?" if one is None else f"{one:.3g} s" for one in quantiles)
        )
    if wrong:
        parts.append(f"{wrong:,} wrong")
    missing = sent - arrived
    if missing > 0:
        parts.append(f"{missing:,} {'under way or missing' if is_live else 'missing'}")
    bad = wrong or (missing > 0 and not is_live)
    return RunNote(f"canary {clean(name)}: {', '.join(parts)}", BAD if bad else QUIET)
