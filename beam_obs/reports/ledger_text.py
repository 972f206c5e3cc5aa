"""What the ledger of a run says, in words: the same in commands, report and pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beam_obs.records.number_text import amount_text, counted
from beam_obs.records.weave_report import SOURCE
from beam_obs.records.wording import clean
from beam_obs.reports.letter_text import time_text
from beam_obs.reports.lineage_words import elements_text, source_place_text
from beam_obs.store.step_counts import StepCounts

if TYPE_CHECKING:
    from beam_obs.lineage.answers import FromAggregate, FromSource

_OF_NO_ORIGIN = "0" * 32
NOT_KNOWN = "a record of unknown origin"


def ledger_text(ledger: Mapping[str, Any] | None) -> str:
    """Returns what a ledger found, in one line.

    Args:
      ledger: as in ``end.json``; None of a run of before there was one.

    >>> ledger_text({"holds": True, "edges": [{"from": ["a"], "to": "b", "given": 3, "taken": 3}]})
    'by origins: what each step gave is what the next took'
    >>> ledger_text({"holds": None, "unchecked": "the run has no lineage", "edges": []})
    'not checked by origins: the run has no lineage'
    """
    if ledger is None:
        return "not checked by origins: the run is of a release without a ledger"
    edges = ledger.get("edges") or ()
    checked = [edge for edge in edges if not edge.get("reason")]
    if ledger.get("unchecked") or not checked:
        return f"not checked by origins: {clean(ledger.get('unchecked') or 'no edge could be')}"
    broken = broken_edges(ledger)
    if broken:
        return f"by origins: {counted(len(broken), 'edge')} broken"
    checked = shown_edges(checked)
    by_window = sum(bool(edge.get("by_window")) for edge in checked)
    which = "" if by_window == len(checked) else f" ({by_window:,} of {counted(len(checked), 'edge')})"
    text = "by origins: what each step gave is what the next took"
    text += f", in each window{which}" if by_window else ""
    open_edges = [edge_name(edge) for edge in edges if edge.get("reason") and not edge.get("within")]
    return f"{text}; not checked: {', '.join(open_edges)}" if open_edges else text


def live_ledger_text(ledger: Mapping[str, Any]) -> str:
    """Returns what the ledger of a run that has not ended found so far, in one line.

    Args:
      ledger: as in ``live.json``.

    >>> whole, held = {"from": ["b"], "to": "c", "reason": "no"}, {"from": ["a"], "to": "b", "until": 60.0}
    >>> live_ledger_text({"edges": [held, whole]})
    'so far by origins: what each step gave is what the next took, in windows that are over (1 of 2 edges)'
    >>> live_ledger_text({"edges": [whole]})
    'so far nothing was checked by origins: no window is known to be over'
    """
    edges = shown_edges(ledger.get("edges") or ())
    checked = [edge for edge in edges if not edge.get("reason")]
    if not checked:
        return "so far nothing was checked by origins: no window is known to be over"
    which = f"in windows that are over ({len(checked):,} of {counted(len(edges), 'edge')})"
    broken = broken_edges(ledger)
    if broken:
        return f"so far by origins: {counted(len(broken), 'edge')} broken, {which}"
    return f"so far by origins: what each step gave is what the next took, {which}"


def shown_edges(edges: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the edges that are told, and counted: between parts of a step only where one does not hold."""
    return [edge for edge in edges if not edge.get("within") or edge.get("lost") or edge.get("added")]


def broken_edges(ledger: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Returns the edges of a ledger that do not hold."""
    return [edge for edge in (ledger or {}).get("edges") or () if edge.get("lost") or edge.get("added")]


def edge_name(edge: Mapping[str, Any]) -> str:
    """Returns both ends of an edge.

    >>> edge_name({"from": ["read", "more"], "to": "parse"})
    'read + more -> parse'
    >>> edge_name({"from": ["write"], "to": "write"})
    'within write'
    """
    if list(edge["from"]) == [edge["to"]]:
        return clean(f"within {edge['to']}")
    return clean(f"{' + '.join(edge['from'])} -> {edge['to']}")


def found_text(edge: Mapping[str, Any]) -> str:
    """Returns what was found of an edge.

    >>> found_text({"lost": 2, "added": 1, "is_exact": False})
    'at least 2 lost, 1 too many'
    >>> found_text({"given": 2, "taken": 2, "whole": "it is in the global window"})
    'the same, not by window: it is in the global window'
    >>> found_text({"given": 2, "taken": 2, "by_window": True, "until": 60.0, "open": 1})
    'the same, in each window until 1970-01-01T00:01:00Z; 1 window open'
    """
    if edge.get("reason"):
        return f"not checked: {clean(edge['reason'])}"
    lost, added = edge.get("lost") or 0, edge.get("added") or 0
    amount = amount_text(lost, added)
    least = "at least " if amount and not edge.get("is_exact", True) else ""
    late = f"{edge['late']:,} dropped as late" if edge.get("late") else ""
    each = ", in each window" if edge.get("by_window") else ""
    found = f"{least}{amount}" if amount else "" if late else f"the same{each}"
    if edge.get("until") is not None and edge.get("by_window"):
        each = f"{each} until {time_text(int(edge['until'] * 1_000_000))}"
        found = f"{amount}, looked at{each}" if amount else f"the same{each}"
    found += f"; {counted(edge['open'], 'window')} open" if edge.get("open") else ""
    whole = f"not by window: {clean(edge['whole'])}" if edge.get("whole") else ""
    return ", ".join(filter(None, (found, late, whole)))


def window_lines(edge: Mapping[str, Any]) -> Iterator[str]:
    """Gives a line for each window that something is lost in, or too many.

    >>> list(window_lines({"windows": [{"window": "[0.0, 10.0)", "lost": 2, "added": 0}]}))
    ['window [0.0, 10.0): 2 lost']
    """
    for found in edge.get("windows") or ():
        yield f"window {clean(found['window'])}: {amount_text(found['lost'], found['added'])}"


def example_lines(
    edge: Mapping[str, Any], records: Mapping[str, FromSource | FromAggregate]
) -> Iterator[str]:
    """Gives a line for each record that an edge names.

    Args:
      edge: as in ``end.json``.
      records: by origin, where they came from.
    """
    for example in edge.get("examples") or ():
        what = "lost" if example["times"] > 0 else "too many"
        window = f", window {clean(example['window'])}" if example.get("window") else ""
        yield f"{what}{window}: {_record_text(example['origin'], records.get(example['origin']))}"


def _record_text(origin: str, record: FromSource | FromAggregate | None) -> str:
    if origin == _OF_NO_ORIGIN:
        return NOT_KNOWN
    if record is None:
        return origin
    from beam_obs.lineage.answers import FromAggregate

    if isinstance(record, FromAggregate):
        return f"{origin}, {clean(record.step) or 'an aggregate'}{elements_text(record)}"
    if record.partition is None:
        return origin
    place = source_place_text(record.partition, record.position, record.record)
    text = f": {clean(record.record.text)}" if record.record.text is not None else ""
    return f"{origin}, {place}{text}"


def examples_of(ledger: Mapping[str, Any] | None) -> list[str]:
    """Returns the origins that a ledger names, each once."""
    return list(
        dict.fromkeys(
            example["origin"]
            for edge in broken_edges(ledger)
            for example in edge.get("examples") or ()
            if example["origin"] != _OF_NO_ORIGIN
        )
    )


def edge_rows(edges: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Returns a row for each edge that is told: its ends, what was given, what was taken, what was found."""
    return [
        (edge_name(edge), _number(edge.get("given")), _number(edge.get("taken")), found_text(edge))
        for edge in shown_edges(edges)
    ]


def step_rows(steps: Sequence[Mapping[str, Any]], counts: Mapping[str, StepCounts]) -> list[tuple[str, ...]]:
    """Returns a row for each step: its label, what came in, was passed on, filtered, refused, and left.

    Args:
      steps: of the ledger. Parts of a step have one row together.
      counts: of the run's report, by label; where it says nothing the ledger does.
    """
    return [
        _step_row(step, counts.get(step["label"], StepCounts(None, None))) for step in _without_parts(steps)
    ]


def _step_row(step: Mapping[str, Any], counts: StepCounts) -> tuple[str, ...]:
    role, told = step.get("role"), step.get("in")
    taken = told if counts.taken is None else counts.taken
    given = sum(step["out"].values()) if step.get("out") else None
    # Of what the ledger does not see enter it does not know what became.
    is_known = told is not None and told == taken
    return (
        clean(f"{step['label']}{f' ({role})' if role else ''}"),
        _number(None if role == SOURCE else taken),
        _number(step.get("passed_on") if is_known else None),
        _number(step["filtered"] if is_known else None),
        _number(step["dead"] if is_known else step["dead"] or None),
        _number(given if counts.given is None else counts.given),
    )


def _without_parts(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    wholes = {step["label"] for step in steps if not step.get("within")}
    found: dict[str, dict[str, Any]] = {}
    for step in steps:
        whole = step.get("within")
        if not whole:
            found[f"{step['label']} {step.get('role') or ''}"] = dict(step)
        elif whole not in wholes:
            first = found.setdefault(whole, {**step, "label": whole, "role": ""})
            first.update(out=step["out"], passed_on=None, filtered=None, dead=first["dead"] or step["dead"])
    return list(found.values())


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
