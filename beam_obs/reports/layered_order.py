"""Which layer each box of a directed graph is in, and in which order they lie there: with few crossings.

The first two steps of a layered layout (Sugiyama, Tagawa and Toda 1981); `layered_layout` does the others.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

_SWEEPS = 12
_EXCHANGE_LIMIT = 2_000
"""Above so many places neighbours are not exchanged one by one: it takes longer than a look is worth."""


class LayerPlace:
    """A box, the label of a link, or where a link passes a layer.

    Args:
      row: which row it is in, from the top.
      left: room it takes left of its axis.
      right: room it takes right of its axis.
      height: its height.
      port_room: so far to either side of the axis links may enter and leave.
      is_box: whether it is one.
    """

    __slots__ = ("above", "below", "height", "is_box", "left", "port_room", "right", "row", "x")

    def __init__(
        self,
        row: int,
        left: float,
        right: float,
        height: float,
        port_room: float = 0.0,
        is_box: bool = False,
    ) -> None:
        self.row, self.left, self.right, self.height = row, left, right, height
        self.port_room, self.is_box, self.x = port_room, is_box, 0.0
        self.above: list[int] = []
        self.below: list[int] = []


def closing_circles(number: int, ends: Sequence[tuple[int, int]]) -> set[int]:
    """Returns which links, given as (source, target), to turn around so that no way leads back.

    >>> closing_circles(3, [(0, 1), (1, 2), (2, 0)])
    {2}
    """
    leaving: list[list[int]] = [[] for _ in range(number)]
    for position, (source, _) in enumerate(ends):
        leaving[source].append(position)
    closing: set[int] = set()
    state = [0] * number  # 1: on the way that is being followed, 2: done with
    for first in range(number):
        if state[first]:
            continue
        state[first] = 1
        way = [(first, iter(leaving[first]))]
        while way:
            box, left = way[-1]
            for position in left:
                target = ends[position][1]
                if state[target] == 1:
                    closing.add(position)
                elif state[target] == 0:
                    state[target] = 1
                    way.append((target, iter(leaving[target])))
                    break
            else:
                state[box] = 2
                way.pop()
    return closing


def layers_of(number: int, ends: Sequence[tuple[int, int]]) -> list[int]:
    """Returns each box's layer: as high as can be, but what only feeds something below is near to it."""
    above: list[list[int]] = [[] for _ in range(number)]
    below: list[list[int]] = [[] for _ in range(number)]
    for source, target in ends:
        below[source].append(target)
        above[target].append(source)
    layers = [0] * number
    waiting = [len(sources) for sources in above]
    order = [box for box in range(number) if not waiting[box]]
    for box in order:
        for target in below[box]:
            layers[target] = max(layers[target], layers[box] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    for box in reversed(order):
        feeds_only = len(below[box]) > len(above[box]) or (
            len(below[box]) == len(above[box]) and all(len(below[source]) == 1 for source in above[box])
        )
        if below[box] and feeds_only:
            layers[box] = min(layers[target] for target in below[box]) - 1
    return layers


def ordered(places: list[LayerPlace]) -> list[list[int]]:
    """Returns the places of each row from left to right, with few crossings of links."""
    best: list[list[int]] = []
    fewest = -1
    for downwards in (True, False):
        rows = _as_found(places, downwards)
        for sweep in range(_SWEEPS):
            _sort_by_neighbours(rows, places, downwards=sweep % 2 == 0)
            if len(places) <= _EXCHANGE_LIMIT:
                _exchange_neighbours(rows, places)
            crossings = sum(_crossings(*pair, places) for pair in itertools.pairwise(rows))
            if fewest < 0 or crossings < fewest:
                fewest, best = crossings, [list(row) for row in rows]
            if crossings == 0:
                break
    return best


def _as_found(places: list[LayerPlace], downwards: bool) -> list[list[int]]:
    """Returns rows in the order in which a walk along the links comes by."""
    rows: list[list[int]] = [[] for _ in range(max((place.row for place in places), default=-1) + 1)]
    seen: set[int] = set()
    starts = [
        number for number, place in enumerate(places) if not (place.above if downwards else place.below)
    ]
    for start in starts:
        stack = [start]
        while stack:
            number = stack.pop()
            if number not in seen:
                seen.add(number)
                rows[places[number].row].append(number)
                stack.extend(reversed(places[number].below if downwards else places[number].above))
    return rows


def _sort_by_neighbours(rows: list[list[int]], places: list[LayerPlace], downwards: bool) -> None:
    """Sorts each row by the mean position of the neighbours in the row before it."""
    position = {number: index for row in rows for index, number in enumerate(row)}
    for row in rows if downwards else reversed(rows):

        def mean(number: int) -> float:
            near = places[number].above if downwards else places[number].below
            return sum(position[other] for other in near) / len(near) if near else float(position[number])

        row.sort(key=mean)
        position.update((number, index) for index, number in enumerate(row))


def _exchange_neighbours(rows: list[list[int]], places: list[LayerPlace]) -> None:
    """Exchanges neighbours in a row where their links cross less the other way round."""
    position = {number: index for row in rows for index, number in enumerate(row)}

    def crossings(first: int, second: int) -> int:
        pairs = (
            (places[first].above, places[second].above),
            (places[first].below, places[second].below),
        )
        return sum(position[a] > position[b] for left, right in pairs for a in left for b in right)

    for row in rows:
        for index in range(len(row) - 1):
            first, second = row[index : index + 2]
            if crossings(second, first) < crossings(first, second):
                row[index : index + 2] = second, first
                position[first], position[second] = index + 1, index


def _crossings(upper: list[int], lower: list[int], places: list[LayerPlace]) -> int:
    """Returns how many pairs of links from a row to the next cross."""
    position = {number: index for index, number in enumerate(lower)}
    seen: list[int] = []
    crossings = 0
    for number in upper:
        ends = [position[other] for other in places[number].below]
        crossings += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
        for end in ends:
            bisect.insort(seen, end)
    return crossings
