"""The steps that an end tells, without what closes a circle: elements only go on, and readers walk along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def drop_circles(end: dict[str, Any], problems: list[str]) -> None:
    """Takes edges that close a circle out of ``end.json``.

    Args:
      end: its content, of the form that is read; changed.
      problems: where it is noted that there were any.

    >>> end = {"edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]}
    >>> drop_circles(end, [])
    >>> end["edges"]
    [{'from': 'a', 'to': 'b'}]
    """
    steps, edges = end.get("steps") or [], end.get("edges") or []
    pairs = [(edge["from"], edge["to"]) for edge in edges]
    pairs += [(source, step["label"]) for step in steps for source in step.get("after") or ()]
    closing = set(_closing(pairs))
    if not closing:
        return
    problems.append("its steps go round in a circle")
    if edges:
        end["edges"] = [edge for edge in edges if (edge["from"], edge["to"]) not in closing]
    for step in steps:
        if step.get("after"):
            step["after"] = [source for source in step["after"] if (source, step["label"]) not in closing]


def _closing(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Gives the pairs that lead back to where a walk has come from."""
    after: dict[str, dict[str, None]] = {}
    for source, target in pairs:
        after.setdefault(source, {})[target] = None
    done: set[str] = set()
    for first in after:
        on_the_way = {first: iter(after[first])} if first not in done else {}
        while on_the_way:
            here = next(reversed(on_the_way))
            for following in on_the_way[here]:
                if following in on_the_way:
                    yield here, following
                elif following not in done:
                    on_the_way[following] = iter(after.get(following, ()))
                    break
            else:
                done.add(here)
                del on_the_way[here]
