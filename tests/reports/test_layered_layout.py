"""The layout of a graph: nothing lies on anything else, whatever the graph."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from beam_obs.reports.layered_layout import Box, Layout, Link, lay_out

Rectangle = tuple[float, float, float, float]

BOXES = st.builds(
    lambda half, aside, height: Box(half, half + aside, height, half - 5),
    st.floats(10, 150),
    st.floats(0, 120),
    st.floats(20, 70),
)


@st.composite
def graphs(draw: st.DrawFn, circles: bool = False) -> tuple[list[Box], list[Link]]:
    boxes = draw(st.lists(BOXES, min_size=1, max_size=14))
    places = st.integers(0, len(boxes) - 1)
    pairs = draw(st.lists(st.tuples(places, places), max_size=28))
    links = [
        Link(*(pair if circles else sorted(pair)), draw(st.sampled_from([0.0, 30.0, 80.0])))
        for pair in pairs
        if pair[0] != pair[1]
    ]
    return boxes, links


def rectangles(boxes: list[Box], layout: Layout) -> list[Rectangle]:
    return [
        (axis - box.left, top, axis + box.right, top + box.height)
        for box, (axis, top) in zip(boxes, layout.boxes, strict=True)
    ]


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return all(one[side] < other[side + 2] - 1e-6 and other[side] < one[side + 2] - 1e-6 for side in (0, 1))


@settings(deadline=None)
@given(graphs())
def test_no_two_boxes_or_labels_overlap(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    layout = lay_out(boxes, links)
    labels = [
        (x, y - 7, x + link.label_width, y + 7)
        for link, (x, y) in zip(links, (route.label for route in layout.routes), strict=True)
        if link.label_width
    ]
    taken = rectangles(boxes, layout) + labels
    assert not [pair for pair in itertools.combinations(taken, 2) if overlap(*pair)]
    assert all(
        left >= -1e-6 and top >= -1e-6 and right <= layout.width + 1e-6 and bottom <= layout.height + 1e-6
        for left, top, right, bottom in taken
    )


@settings(deadline=None)
@given(graphs(circles=True))
def test_no_line_passes_through_a_box(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    layout = lay_out(boxes, links)
    taken = rectangles(boxes, layout)
    for route in layout.routes:
        straight = [(x, min(begin, end), x, max(begin, end)) for x, begin, end in route.runs]
        curves = [
            (min(one[0], other[0]), min(one[2], other[1]), max(one[0], other[0]), max(one[2], other[1]))
            for one, other in itertools.pairwise(route.runs)
        ]
        assert not [pair for pair in itertools.product(straight + curves, taken) if overlap(*pair)]


@settings(deadline=None)
@given(graphs())
def test_each_line_runs_down_from_the_foot_of_one_box_to_the_top_of_the_other(
    graph: tuple[list[Box], list[Link]],
) -> None:
    boxes, links = graph
    layout = lay_out(boxes, links)
    for link, route in zip(links, layout.routes, strict=True):
        heights = [y for _, begin, end in route.runs for y in (begin, end)]
        assert heights == sorted(heights)
        for box, (x, y) in (
            (link.source, (route.runs[0][0], heights[0] - boxes[link.source].height)),
            (link.target, (route.runs[-1][0], heights[-1])),
        ):
            axis, top = layout.boxes[box]
            assert abs(x - axis) <= boxes[box].port_room + 1e-6
            assert abs(y - top) < 1e-6


def test_what_closes_a_circle_runs_upwards() -> None:
    box = Box(10, 10, 20)
    layout = lay_out([box, box], [Link(0, 1), Link(1, 0)])
    down, up = (route.runs[-1][1] - route.runs[0][1] for route in layout.routes)
    assert down > 0 > up


def test_a_chain_is_a_straight_line() -> None:
    boxes = [Box(20 + 7 * (number % 5), 30, 30, 20) for number in range(60)]
    layout = lay_out(boxes, [Link(number, number + 1, 40) for number in range(59)])
    assert len({round(axis, 3) for axis, _ in layout.boxes}) == 1


def test_branches_do_not_cross_where_they_need_not() -> None:
    box = Box(10, 10, 20, 8)
    # 0 to 1, 2, 3, and each of these to a box of its own, which come in the opposite order.
    layout = lay_out([box] * 7, [*(Link(0, end) for end in (1, 2, 3)), Link(1, 6), Link(2, 5), Link(3, 4)])
    upper, lower = ([layout.boxes[number][0] for number in row] for row in ((1, 2, 3), (6, 5, 4)))
    assert sorted(range(3), key=upper.__getitem__) == sorted(range(3), key=lower.__getitem__)


def test_what_only_feeds_a_later_step_is_right_above_it() -> None:
    box = Box(10, 10, 20, 8)
    layout = lay_out([box] * 6, [Link(0, 1), Link(1, 2), Link(2, 3), Link(4, 5), Link(5, 3)])
    assert layout.boxes[5][1] == layout.boxes[2][1]
    assert layout.boxes[4][1] == layout.boxes[1][1]


def test_the_same_graph_is_laid_out_alike() -> None:
    boxes = [Box(20, 30, 30, 10)] * 9
    links = [Link(0, number) for number in range(1, 8)] + [Link(number, 8) for number in range(1, 8)]
    assert lay_out(boxes, links) == lay_out(boxes, links)


def test_nothing_takes_no_room() -> None:
    assert lay_out([], []) == Layout((), (), 0.0, 0.0)
