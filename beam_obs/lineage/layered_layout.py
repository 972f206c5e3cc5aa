"""Where the boxes and lines of a directed graph go: in layers from the top down, after Sugiyama.

Each box has a layer below all that it comes after. A line that crosses layers has a place of its own in each,
and so has its label: nothing overlaps, whatever the graph. Geometry only: nothing here knows what is drawn.
The steps are those of Sugiyama, Tagawa and Toda (1981): layers, order within them, coordinates.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Sequence

_SIDE_BY_SIDE = 14.0
_LEAST_GAP = 13.0
_GREATEST_GAP = 70.0
_LABEL_HEIGHT = 16.0
_PORT_STEP = 18.0
_ORDER_SWEEPS = 12
_PLACE_SWEEPS = 16
_EXCHANGE_LIMIT = 3_000
"""Above so many places neighbours are not exchanged one by one: it takes longer than a look is worth."""


@dataclasses.dataclass(frozen=True)
class Box:
    """What is to be placed.

    Args:
      left: room it takes left of its axis, where lines enter and leave.
      right: room it takes right of its axis.
      height: its height.
      port_room: so far to either side of the axis lines may enter and leave.
    """

    left: float
    right: float
    height: float
    port_room: float = 0.0


@dataclasses.dataclass(frozen=True)
class Link:
    """A line from one box to another, each given by its place among the boxes; a label is right of it."""

    source: int
    target: int
    label_width: float = 0.0


@dataclasses.dataclass(frozen=True)
class Route:
    """The way of a line: straight down along each run (x, from y, to y), and in a curve to the next.

    Args:
      runs: at least two.
      label: where the label begins: x, and the y of its middle.
    """

    runs: tuple[tuple[float, float, float], ...]
    label: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where everything goes: of each box its axis and its top, of each link its route."""

    boxes: tuple[tuple[float, float], ...]
    routes: tuple[Route, ...]
    width: float
    height: float


def lay_out(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Returns where boxes and links go.

    A link that closes a circle runs upwards.

    Args:
      boxes: what to place, in an order that is kept where nothing speaks against it.
      links: between two different boxes each; two of the same boxes may have several.

    >>> lay_out([Box(10, 10, 20), Box(10, 10, 20)], [Link(0, 1)]).boxes
    ((10.0, 0.0), (10.0, 62.0))
    """
    upwards = _closing_circles(len(boxes), links)
    ends = [
        (link.target, link.source) if position in upwards else (link.source, link.target)
        for position, link in enumerate(links)
    ]
    layers = _layers(len(boxes), ends)
    places, chains = _places(boxes, links, ends, layers)
    rows = _ordered(places)
    ports = _ports(rows, places)
    _place_across(rows, places, ports)
    tops = _place_down(rows, places)
    shift = min((place.x - place.left for place in places), default=0.0)
    for place in places:
        place.x -= shift
    routes = [
        _route(chain, places, ports, tops, reverse=position in upwards)
        for position, chain in enumerate(chains)
    ]
    return Layout(
        tuple((places[number].x, tops[places[number].row][0]) for number in range(len(boxes))),
        tuple(routes),
        max((place.x + place.right for place in places), default=0.0),
        tops[-1][1] if tops else 0.0,
    )


class _Place:
    """A box, the label of a link, or where a link passes a layer."""

    __slots__ = ("above", "below", "height", "is_box", "left", "port_room", "right", "row", "x")

    def __init__(self, box: Box, row: int, is_box: bool = False) -> None:
        self.left, self.right, self.height, self.port_room = box.left, box.right, box.height, box.port_room
        self.row, self.is_box, self.x = row, is_box, 0.0
        self.above: list[int] = []
        self.below: list[int] = []


def _closing_circles(number: int, links: Sequence[Link]) -> set[int]:
    """Returns which links to turn around so that no way leads back to where it began."""
    leaving: list[list[int]] = [[] for _ in range(number)]
    for position, link in enumerate(links):
        leaving[link.source].append(position)
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
                target = links[position].target
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


def _layers(number: int, ends: Sequence[tuple[int, int]]) -> list[int]:
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


def _places(
    boxes: Sequence[Box], links: Sequence[Link], ends: Sequence[tuple[int, int]], layers: Sequence[int]
) -> tuple[list[_Place], list[list[int]]]:
    """Returns the boxes and what links need between them, and the places along each link.

    Boxes are in even rows; the odd rows between them have the labels.
    """
    places = [_Place(box, 2 * layer, is_box=True) for box, layer in zip(boxes, layers, strict=True)]
    passing = Box(_SIDE_BY_SIDE / 4, _SIDE_BY_SIDE / 4, 0.0)
    chains = []
    for link, (source, target) in zip(links, ends, strict=True):
        chain = [source]
        for row in range(places[source].row + 1, places[target].row):
            has_label = len(chain) == 1
            room = Box(4.0, 6.0 + link.label_width, _LABEL_HEIGHT) if has_label else passing
            chain.append(len(places))
            places.append(_Place(room, row))
        chain.append(target)
        for upper, lower in itertools.pairwise(chain):
            places[upper].below.append(lower)
            places[lower].above.append(upper)
        chains.append(chain)
    return places, chains


def _ordered(places: list[_Place]) -> list[list[int]]:
    """Returns the places of each row from left to right, with few crossings of links."""
    best: list[list[int]] = []
    fewest = -1
    for downwards in (True, False):
        rows = _as_found(places, downwards)
        for sweep in range(_ORDER_SWEEPS):
            _sort_by_neighbours(rows, places, downwards=sweep % 2 == 0)
            if len(places) <= _EXCHANGE_LIMIT:
                _exchange_neighbours(rows, places)
            crossings = sum(_crossings(*pair, places) for pair in itertools.pairwise(rows))
            if fewest < 0 or crossings < fewest:
                fewest, best = crossings, [list(row) for row in rows]
            if crossings == 0:
                break
    return best


def _as_found(places: list[_Place], downwards: bool) -> list[list[int]]:
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


def _sort_by_neighbours(rows: list[list[int]], places: list[_Place], downwards: bool) -> None:
    """Sorts each row by the mean position of the neighbours in the row before it."""
    position = {number: index for row in rows for index, number in enumerate(row)}
    for row in rows if downwards else reversed(rows):

        def mean(number: int) -> float:
            near = places[number].above if downwards else places[number].below
            return sum(position[other] for other in near) / len(near) if near else float(position[number])

        row.sort(key=mean)
        position.update((number, index) for index, number in enumerate(row))


def _exchange_neighbours(rows: list[list[int]], places: list[_Place]) -> None:
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


def _crossings(upper: list[int], lower: list[int], places: list[_Place]) -> int:
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


def _place_across(rows: list[list[int]], places: list[_Place], ports: dict[tuple[int, int], float]) -> None:
    """Gives each place its x: near to its neighbours above and below, and clear of those beside it."""
    for row in rows:
        edge = 0.0
        for number in row:
            places[number].x = edge + places[number].left
            edge = places[number].x + places[number].right + _SIDE_BY_SIDE
    for sweep in range(3 * _PLACE_SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            _settle(row, places, ports, downwards, between_both=sweep >= 2 * _PLACE_SWEEPS)


def _ports(rows: list[list[int]], places: list[_Place]) -> dict[tuple[int, int], float]:
    """Returns how far from a box's axis its link to a neighbour begins or ends, by (box, neighbour)."""
    position = {number: index for row in rows for index, number in enumerate(row)}
    ports: dict[tuple[int, int], float] = {}
    for number, place in enumerate(places):
        for near in (place.above, place.below):
            step = min(_PORT_STEP, 2 * place.port_room / max(len(near) - 1, 1))
            for index, other in enumerate(sorted(near, key=position.__getitem__)):
                ports[number, other] = (index - (len(near) - 1) / 2) * step
    return ports


def _settle(
    row: list[int],
    places: list[_Place],
    ports: dict[tuple[int, int], float],
    downwards: bool,
    between_both: bool,
) -> None:
    """Moves a row's places to where their neighbours want them, as nearly as their order and room allow.

    That is the mean of those in the row that the sweep comes from; or the median of those on both sides,
    and of several medians the one nearest to where the sweep comes from: so lines get straight.
    """
    offsets, wanted, weights = [], [], []
    offset = 0.0
    for index, number in enumerate(row):
        place = places[number]
        if index:
            offset += places[row[index - 1]].right + _SIDE_BY_SIDE + place.left
        behind, ahead = (place.above, place.below) if downwards else (place.below, place.above)
        near = behind + ahead if between_both else behind
        targets = [places[other].x + ports[other, number] - ports[number, other] for other in near]
        pulls = [_pull(place, places[other]) for other in near]
        aim = _mean(targets[: len(behind)], pulls[: len(behind)], otherwise=place.x)
        if between_both:
            aim = _middle(targets, pulls, nearest_to=aim)
        offsets.append(offset)
        wanted.append(aim - offset)
        # What has no say stays about where it is.
        weights.append(sum(pulls) or 0.01)
    for number, offset, x in zip(row, offsets, _nondecreasing(wanted, weights), strict=True):
        places[number].x = x + offset


def _pull(one: _Place, other: _Place) -> float:
    """Returns how much two places want to be in line: within a long link before all."""
    if not one.is_box and not other.is_box:
        return 8.0
    upper, lower = (one, other) if one.row < other.row else (other, one)
    return 2.0 if len(upper.below) == 1 and len(lower.above) == 1 else 1.0


def _mean(values: Sequence[float], weights: Sequence[float], otherwise: float) -> float:
    weight = sum(weights)
    return sum(map(float.__mul__, weights, values)) / weight if weight else otherwise


def _middle(values: Sequence[float], weights: Sequence[float], nearest_to: float) -> float:
    """Returns the weighted median.

    >>> _middle([1.0, 2.0, 9.0], [1.0, 1.0, 1.0], 0.0), _middle([1.0, 9.0], [1.0, 1.0], 4.0)
    (2.0, 4.0)
    """
    half = sum(weights) / 2
    ranked = sorted(zip(values, weights, strict=True))
    passed = 0.0
    for index, (value, weight) in enumerate(ranked):
        passed += weight
        if passed > half:
            return value
        if passed == half:
            return min(max(nearest_to, value), ranked[index + 1][0])
    return nearest_to


def _nondecreasing(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Returns the nondecreasing numbers nearest to others by weighted squares: pools adjacent violators.

    >>> _nondecreasing([1.0, 4.0, 2.0], [1.0, 1.0, 1.0])
    [1.0, 3.0, 3.0]
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights, strict=True):
        number = 1
        while pools and pools[-1][0] > value:
            of_pool, pool_weight, pool_number = pools.pop()
            value = (value * weight + of_pool * pool_weight) / (weight + pool_weight)
            weight += pool_weight
            number += pool_number
        pools.append((value, weight, number))
    return [value for value, _, number in pools for _ in range(number)]


def _place_down(rows: list[list[int]], places: list[_Place]) -> list[tuple[float, float]]:
    """Returns top and bottom of each row; between two there is more room where a link goes far aside."""
    tops: list[tuple[float, float]] = []
    top = 0.0
    for row in rows:
        bottom = top + max((places[number].height for number in row), default=0.0)
        tops.append((top, bottom))
        aside = max(
            (abs(places[number].x - places[other].x) for number in row for other in places[number].below),
            default=0.0,
        )
        top = bottom + min(_LEAST_GAP + 0.18 * aside, _GREATEST_GAP)
    return tops


def _route(
    chain: list[int],
    places: list[_Place],
    ports: dict[tuple[int, int], float],
    tops: list[tuple[float, float]],
    reverse: bool,
) -> Route:
    first, last = places[chain[0]], places[chain[-1]]
    begin = first.x + ports[chain[0], chain[1]]
    end = last.x + ports[chain[-1], chain[-2]]
    runs = [
        (begin, tops[first.row][0] + first.height, tops[first.row][1]),
        *((places[number].x, *tops[places[number].row]) for number in chain[1:-1]),
        (end, tops[last.row][0], tops[last.row][0]),
    ]
    label_x, label_top, label_bottom = runs[1]
    if reverse:
        runs = [(x, lower, upper) for x, upper, lower in reversed(runs)]
    return Route(tuple(runs), (label_x + 5.0, (label_top + label_bottom) / 2))
