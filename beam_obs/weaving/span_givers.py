"""Which steps made the last spans that the elements of a PCollection have: the parents of the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from beam_obs.weaving import units
from beam_obs.wrapper.element_forms import KEYED, MEMBERS, WOVEN

if TYPE_CHECKING:
    from beam_obs.weaving.units import Unit
    from beam_obs.weaving.weave_state import WeaveState

_PASSING_ON = units.RESHUFFLES | {units.FLATTEN, units.WINDOW}
_MAKING_NEW = frozenset({units.GROUP, units.COMBINE, units.COMBINE_BY_HAND})
"""Behind these elements may have origins of which nothing was known before."""


class SpanGivers(NamedTuple):
    """The steps and sources that made the last spans of a PCollection's elements.

    Args:
      steps: labels.
      sources: labels.
      passed: labels of what all of the elements have passed, in order.
    """

    steps: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    passed: tuple[str, ...] = ()


def note_span_givers(weave: WeaveState, unit: Unit) -> None:
    """Notes them for what a unit gives, before it is woven."""
    if weave.settings.traces is None:
        return
    graph = weave.graph
    taken = graph.taken_from_outside(unit.node)
    label = weave.shown_label(unit.node)
    if unit.kind in _PASSING_ON:
        givers = _together([weave.span_givers[pcoll] for pcoll in taken if pcoll in weave.span_givers])
    elif not any(weave.form(pcoll) in (WOVEN, KEYED, MEMBERS) for pcoll in taken):
        label = units.source_label(graph, unit.node)
        givers = SpanGivers(sources=frozenset({label}), passed=(label,))
    else:
        before = [weave.span_givers[pcoll] for pcoll in taken if pcoll in weave.span_givers]
        passed = () if unit.kind in _MAKING_NEW else _together(before).passed
        givers = SpanGivers(steps=frozenset({label}), passed=(*passed, label))
    for pcoll in graph.given_outside(unit.node):
        weave.span_givers[pcoll] = givers


def _together(before: list[SpanGivers]) -> SpanGivers:
    """Returns what holds of elements that come from several PCollections."""
    passed = [
        labels[0]
        for labels in zip(*(one.passed for one in before), strict=False)
        if all(label == labels[0] for label in labels)
    ]
    return SpanGivers(
        frozenset().union(*(one.steps for one in before)),
        frozenset().union(*(one.sources for one in before)),
        tuple(passed),
    )
