"""Where the boxes and lines of a directed graph go: in layers from the top down, after Sugiyama.

Each box has a layer below all that it comes after. A line that crosses layers has a place of its own in each,
and so has its label: nothing overlaps, whatever the graph. Geometry only: nothing here knows what is drawn.
The steps are those of Sugiyama, Tagawa and Toda (1981): layers, order within them, coordinates.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from beam_obs.reports.layered_order import LayerPlace, closing_circles, layers_of, ordered

_SIDE_BY_SIDE = 14.0
_LEAST_GAP = 13.0
_GREATEST_GAP = 70.0
_LABEL_HEIGHT = 16.0
_PORT_STEP = 18.0
_LEAST_SWEEPS, _MOST_SWEEPS, _SWEPT_PLACES = 9, 48, 60_000
"""Of large graphs the lines are a bit less straight, for the sake of time."""


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
    upwards = closing_circles(len(boxes), [(link.source, link.target) for link in links])
    ends = [
        (link.target, link.source) if position in upwards else (link.source, link.target)
        for position, link in enumerate(links)
    ]
    layers = layers_of(len(boxes), ends)
    places, chains = _places(boxes, links, ends, layers)
    rows = ordered(places)
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


_Tie = tuple[LayerPlace, float, float]
"""A neighbour, how far aside of it to be, and how much."""


def _places(
    boxes: Sequence[Box], links: Sequence[Link], ends: Sequence[tuple[int, int]], layers: Sequence[int]
) -> tuple[list[LayerPlace], list[list[int]]]:
    """Returns the boxes and what links need between them, and the places along each link.

    Boxes are in even rows; the odd rows between them have the labels.
    """
    places = [
        LayerPlace(2 * layer, box.left, box.right, box.height, box.port_room, is_box=True)
        for box, layer in zip(boxes, layers, strict=True)
    ]
    chains = []
    for link, (source, target) in zip(links, ends, strict=True):
        chain = [source]
        for row in range(places[source].row + 1, places[target].row):
            is_label = len(chain) == 1
            chain.append(len(places))
            if is_label:
                places.append(LayerPlace(row, 4.0, 6.0 + link.label_width, _LABEL_HEIGHT))
            else:
                places.append(LayerPlace(row, _SIDE_BY_SIDE / 4, _SIDE_BY_SIDE / 4, 0.0))
        chain.append(target)
        for upper, lower in itertools.pairwise(chain):
            places[upper].below.append(lower)
            places[lower].above.append(upper)
        chains.append(chain)
    return places, chains


def _place_across(
    rows: list[list[int]], places: list[LayerPlace], ports: dict[tuple[int, int], float]
) -> None:
    """Gives each place its x: near to its neighbours above and below, and clear of those beside it."""
    for row in rows:
        edge = 0.0
        for number in row:
            places[number].x = edge + places[number].left
            edge = places[number].x + places[number].right + _SIDE_BY_SIDE
    above = [_ties(number, place.above, places, ports) for number, place in enumerate(places)]
    below = [_ties(number, place.below, places, ports) for number, place in enumerate(places)]
    sweeps = min(_MOST_SWEEPS, max(_LEAST_SWEEPS, _SWEPT_PLACES // max(len(places), 1)))
    for sweep in range(sweeps):
        between_both = sweep >= sweeps * 2 // 3
        if sweep % 2 == 0:
            for row in rows:
                _settle(row, places, above, below, between_both)
        else:
            for row in reversed(rows):
                _settle(row, places, below, above, between_both)


def _ports(rows: list[list[int]], places: list[LayerPlace]) -> dict[tuple[int, int], float]:
    """Returns how far from a box's axis its link to a neighbour begins or ends, by (box, neighbour)."""
    position = {number: index for row in rows for index, number in enumerate(row)}
    ports: dict[tuple[int, int], float] = {}
    for number, place in enumerate(places):
        for near in (place.above, place.below):
            step = min(_PORT_STEP, 2 * place.port_room / max(len(near) - 1, 1))
            for index, other in enumerate(sorted(near, key=position.__getitem__)):
                ports[number, other] = (index - (len(near) - 1) / 2) * step
    return ports


def _ties(
    number: int, near: list[int], places: list[LayerPlace], ports: dict[tuple[int, int], float]
) -> list[_Tie]:
    place = places[number]
    return [
        (places[other], ports[other, number] - ports[number, other], _pull(place, places[other]))
        for other in near
    ]


def _pull(one: LayerPlace, other: LayerPlace) -> float:
    """Returns how much two places want to be in line: within a long link before all."""
    if not one.is_box and not other.is_box:
        return 8.0
    upper, lower = (one, other) if one.row < other.row else (other, one)
    return 2.0 if len(upper.below) == 1 and len(lower.above) == 1 else 1.0


def _settle(
    row: list[int],
    places: list[LayerPlace],
    behind: list[list[_Tie]],
    ahead: list[list[_Tie]],
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
        pulled = [(other.x + shift, pull) for other, shift, pull in behind[number]]
        aim = _mean(pulled, otherwise=place.x)
        if between_both:
            pulled += [(other.x + shift, pull) for other, shift, pull in ahead[number]]
            aim = _middle(pulled, nearest_to=aim)
        offsets.append(offset)
        wanted.append(aim - offset)
        # What has no say stays about where it is.
        weights.append(sum([pull for _, pull in pulled]) or 0.01)
    for number, offset, x in zip(row, offsets, _nondecreasing(wanted, weights), strict=True):
        places[number].x = x + offset


def _mean(weighted: list[tuple[float, float]], otherwise: float) -> float:
    if len(weighted) == 1:
        return weighted[0][0]
    weight = sum([weight for _, weight in weighted])
    return sum([value * weight for value, weight in weighted]) / weight if weight else otherwise


def _middle(weighted: list[tuple[float, float]], nearest_to: float) -> float:
    """Returns the weighted median.

    >>> _middle([(1.0, 1.0), (2.0, 1.0), (9.0, 1.0)], 0.0), _middle([(1.0, 1.0), (9.0, 1.0)], 4.0)
    (2.0, 4.0)
    """
    half = sum([weight for _, weight in weighted]) / 2
    ranked = sorted(weighted)
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


def _place_down(rows: list[list[int]], places: list[LayerPlace]) -> list[tuple[float, float]]:
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
    places: list[LayerPlace],
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
