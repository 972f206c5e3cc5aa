"""The steps between two places of a run's graph: those that every way passes, and where ways part."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

_MOST_BRANCHES = 8


@dataclasses.dataclass(frozen=True)
class PathPart:
    """A part of the way from one step to another.

    Args:
      branches: one, the label of a step that all ways pass; or several of which it is one, each with its
        steps in order, none for a way that goes straight on.
      more: whether there are more branches than are listed.

    >>> PathPart((("parse",),)).text, PathPart((("a", "b"), ())).text
    ('parse', 'one of (a > b | straight on)')
    """

    branches: tuple[tuple[str, ...], ...]
    more: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether all ways pass it."""
        return len(self.branches) == 1

    @property
    def text(self) -> str:
        """The part in one line."""
        if self.is_certain:
            return " > ".join(self.branches[0])
        told = [" > ".join(branch) or "straight on" for branch in self.branches]
        return f"one of ({' | '.join(told)}{' | ...' if self.more else ''})"

    def to_json(self) -> dict[str, Any]:
        """Returns the part as JSON-able values."""
        if self.is_certain:
            return {"step": self.branches[0][0]}
        return {"one_of": [list(branch) for branch in self.branches], "more": self.more}


class StepGraph:
    """The steps of a run and what follows what.

    Args:
      end: ``end.json`` of the run; None before it has ended.
    """

    def __init__(self, end: dict[str, Any] | None) -> None:
        self.steps: dict[str, dict[str, Any]] = {step["label"]: step for step in (end or {}).get("steps", ())}
        self._order = {label: number for number, label in enumerate(self.steps)}
        self.after: dict[str, list[str]] = {label: [] for label in self.steps}
        self.before: dict[str, list[str]] = {label: [] for label in self.steps}
        self._beside: dict[str, list[str]] = {}
        for edge in (end or {}).get("edges") or ():
            if edge.get("side"):
                self._beside.setdefault(edge["from"], []).append(edge["to"])
        # Within a step, and of what gives a main input too, the edges do not tell.
        for maker, readers in (((end or {}).get("lineage") or {}).get("side_reads") or {}).items():
            source = self.step_of(maker)
            targets = [step for step in map(self.step_of, readers) if step is not None]
            if source is not None:
                self._beside.setdefault(source, []).extend(targets)
        for source, target in self._edges(end or {}):
            if source in self.steps and target in self.steps and target not in self.after[source]:
                self.after[source].append(target)
                self.before[target].append(source)

    def _edges(self, end: dict[str, Any]) -> Iterable[tuple[str, str]]:
        if end.get("edges"):
            return [(edge["from"], edge["to"]) for edge in end["edges"] if not edge.get("side")]
        return [(source, label) for label, step in self.steps.items() for source in step.get("after") or ()]

    def step_of(self, label: str) -> str | None:
        """Returns the step of the report that a step is, or is a part of."""
        while label:
            if label in self.steps:
                return label
            label = label.rpartition("/")[0]
        return None

    def behind(self, label: str) -> tuple[str, ...]:
        """Returns the steps that elements may reach from a step, in order; the step itself is left out."""
        start = self.step_of(label)
        return () if start is None else self._reached(start, False)

    def readers_beside(self, label: str) -> tuple[str, ...]:
        """Returns the steps that may read what a step gives, or what is made of it, as a side input."""
        start = self.step_of(label)
        steps = () if start is None else (start, *self.behind(start))
        return tuple(dict.fromkeys(reader for step in steps for reader in self._beside.get(step, ())))

    def before_step(self, label: str) -> tuple[str, ...]:
        """Returns the steps whose elements may reach a step, in order; the step itself is left out."""
        start = self.step_of(label)
        return () if start is None else self._reached(start, True)

    @functools.lru_cache(maxsize=1024)  # noqa: B019 - lives as long as a command
    def _reached(self, start: str, is_backward: bool) -> tuple[str, ...]:
        edges = self.before if is_backward else self.after
        seen, todo = set(), list(edges[start])
        while todo:
            step = todo.pop()
            if step not in seen:
                seen.add(step)
                todo.extend(edges[step])
        return tuple(sorted(seen, key=self._order.__getitem__))

    @functools.lru_cache(maxsize=1024)  # noqa: B019
    def between(self, first: str, last: str) -> tuple[PathPart, ...]:
        """Returns the way from one step to another, both of them in it; nothing where none is known."""
        start, end = self.step_of(first), self.step_of(last)
        if start is None or end is None:
            return ()
        if start == end:
            return (PathPart(((start,),)),)
        on_the_way = (set(self._reached(start, False)) & set(self._reached(end, True))) | {start, end}
        if end not in self._reached(start, False):
            return ()
        order = self._sorted(on_the_way)
        from_start = dict.fromkeys(order, 0) | {start: 1}
        for step in order:
            for following in self.after[step]:
                if following in on_the_way:
                    from_start[following] += from_start[step]
        to_end = dict.fromkeys(order, 0) | {end: 1}
        for step in reversed(order):
            for preceding in self.before[step]:
                if preceding in on_the_way:
                    to_end[preceding] += to_end[step]
        shared = [step for step in order if from_start[step] * to_end[step] == from_start[end]]
        parts: list[PathPart] = []
        for number, here in enumerate(shared):
            parts.append(PathPart(((here,),)))
            if number + 1 < len(shared):
                branches = self._branches(here, shared[number + 1], on_the_way)
                if branches != [()]:
                    shown = tuple(branches[:_MOST_BRANCHES])
                    parts.append(PathPart(shown, more=len(branches) > _MOST_BRANCHES))
        return tuple(parts)

    def _sorted(self, steps: set[str]) -> list[str]:
        """Sorts steps so that each comes after those that it takes from."""
        done: dict[str, None] = {}

        def add(step: str) -> None:
            stack = [(step, False)]
            while stack:
                here, is_ready = stack.pop()
                if is_ready:
                    done[here] = None
                elif here not in done:
                    stack.append((here, True))
                    stack.extend((one, False) for one in self.before[here] if one in steps)

        for step in sorted(steps, key=self._order.__getitem__):
            add(step)
        return list(done)

    def _branches(self, first: str, last: str, steps: set[str]) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        todo: list[tuple[str, tuple[str, ...]]] = [(first, ())]
        while todo and len(found) <= _MOST_BRANCHES:
            here, passed = todo.pop()
            for following in reversed(self.after[here]):
                if following == last:
                    found.append(passed)
                elif following in steps:
                    todo.append((following, (*passed, following)))
        return sorted(found, key=lambda branch: not branch)
