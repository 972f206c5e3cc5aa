"""The steps and sources that made the last spans of a PCollection's elements."""

from __future__ import annotations

from typing import NamedTuple


class SpanGivers(NamedTuple):
    """The steps and sources that made the last spans of a PCollection's elements.

    Args:
      steps: labels.
      sources: labels.
      passed: labels of what all of the elements have passed, in order, as ids of spans have them.
      roots: ids of the steps at the beginning of all ways to it.
      are_many: whether several elements may have one origin.
    """

    steps: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    passed: tuple[str, ...] = ()
    roots: frozenset[str] = frozenset()
    are_many: bool = False


def together(before: list[SpanGivers]) -> SpanGivers:
    """Returns what holds of elements that come from several PCollections."""
    if len(before) == 1:
        return before[0]
    passed = [
        labels[0]
        for labels in zip(*(one.passed for one in before), strict=False)
        if all(label == labels[0] for label in labels)
    ]
    roots = [root for one in before for root in one.roots]
    return SpanGivers(
        frozenset().union(*(one.steps for one in before)),
        frozenset().union(*(one.sources for one in before)),
        tuple(passed),
        frozenset(roots),
        any(one.are_many for one in before) or len(set(roots)) < len(roots),
    )
