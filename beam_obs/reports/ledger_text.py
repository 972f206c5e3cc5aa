"""What the ledger of a run says, in words: the same in commands, report and pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from beam_obs.lineage.answers import FromAggregate, FromSource
from beam_obs.records.number_text import amount_text, counted
from beam_obs.records.wording import clean
from beam_obs.reports.lineage_words import elements_text, source_place_text

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
    by_window = sum(bool(edge.get("by_window")) for edge in checked)
    which = "" if by_window == len(checked) else f" ({by_window:,} of {counted(len(checked), 'edge')})"
    text = "by origins: what each step gave is what the next took"
    text += f", in each window{which}" if by_window else ""
    open_edges = [edge_name(edge) for edge in edges if edge.get("reason") and not edge.get("within")]
    return f"{text}; not checked: {', '.join(open_edges)}" if open_edges else text


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
    """
    if edge.get("reason"):
        return f"not checked: {clean(edge['reason'])}"
    lost, added = edge.get("lost") or 0, edge.get("added") or 0
    amount = amount_text(lost, added)
    least = "at least " if amount and not edge.get("is_exact", True) else ""
    late = f"{edge['late']:,} dropped as late" if edge.get("late") else ""
    each = ", in each window" if edge.get("by_window") else ""
    found = f"{least}{amount}" if amount else "" if late else f"the same{each}"
    return ", ".join(filter(None, (found, late)))


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
    if isinstance(record, FromAggregate):
        return f"{origin}, {clean(record.step) or 'an aggregate'}{elements_text(record)}"
    if record is None or record.partition is None:
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
    """Returns a row for each edge: its ends, what was given, what was taken, what was found.

    An edge between parts of a step has one only where it does not hold.
    """
    return [
        (edge_name(edge), _number(edge.get("given")), _number(edge.get("taken")), found_text(edge))
        for edge in edges
        if not edge.get("within") or edge.get("lost") or edge.get("added")
    ]


def step_rows(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Returns a row for each step: its label, what came in, was passed on, filtered, refused, and left.

    Parts of a step have one together: what came into the first, and left the last of them.
    """
    return [
        (
            clean(f"{step['label']}{f' ({role})' if (role := step.get('role')) else ''}"),
            _number(step.get("in")),
            _number(step.get("passed_on")),
            _number(step["filtered"] if step.get("in") is not None else None),
            _number(step["dead"] if step.get("in") is not None else step["dead"] or None),
            _number(sum(step["out"].values()) if step.get("out") else None),
        )
        for step in _without_parts(steps)
    ]


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
