"""No form is taken on trust: whatever is changed on an edge of a woven pipeline is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import window

from beam_obs.weaving import units
from beam_obs.weaving.edge_check import MiswovenEdge, check_edges
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.units import Unit
from beam_obs.weaving.weave import weave_units
from beam_obs.wrapper.choosing_dofn import ChoosingDoFn
from beam_obs.wrapper.element_forms import (
    ACCUMULATED,
    GROUPED,
    KEYED,
    LISTED,
    MEMBERS,
    PLAIN,
    RESHUFFLED,
    ROWS,
    SEED,
    WOVEN,
)
from beam_obs.wrapper.step_tally import LEDGER_TAG
from tests.weaving.random_steps import InState


class Choosing(ChoosingDoFn):
    def choose(self, key: Any, members: Any, window: Any) -> Iterator[Any]:
        yield from members


def _proto() -> Any:
    """Returns a pipeline in which, when woven, there are PCollections of all forms."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pairs = pipeline | "make" >> beam.Create([(1, frozenset([1])), (2, frozenset([2]))])
    sums = pairs | "longest" >> beam.CombinePerKey(max)
    pairs | "beside" >> beam.CombinePerKey(lambda sets, others: max(sets), beam.pvalue.AsDict(sums))
    pairs | "group" >> beam.GroupByKey() | "values" >> beam.CombineValues(max)
    pairs | "all" >> beam.CombineGlobally(max)
    moved = pairs | "move" >> beam.Reshuffle()
    (moved, pairs) | "both" >> beam.Flatten() | "state" >> beam.ParDo(InState())
    pairs | "window" >> beam.WindowInto(window.FixedWindows(5)) | "by key" >> beam.GroupByKey()
    pairs | "batch" >> beam.BatchElements(min_batch_size=2, max_batch_size=3)
    pairs | "even" >> beam.Partition(lambda pair, _: pair[0] % 2, 2)
    pairs | "to choose of" >> beam.GroupByKey() | "choose" >> beam.ParDo(Choosing())
    return pipeline.to_runner_api()


SETTINGS = WeaveSettings(evidence="folder")
LOOM = weave_units(_proto(), SETTINGS)
FORMS = (PLAIN, SEED, WOVEN, KEYED, GROUPED, ACCUMULATED, MEMBERS, RESHUFFLED, LISTED)


def _edges() -> Iterator[tuple[str, str, str]]:
    """Gives step, tag and PCollection of all that leaves take."""
    for node_id, node in LOOM.graph.parts.transforms.items():
        if not node.subtransforms:
            for tag, pcoll in node.inputs.items():
                yield node_id, tag, pcoll


def _are_alike(one: str, other: str) -> bool:
    """Returns whether forms are of one shape, and only the step that takes them tells them apart."""
    return {one, other} in ({PLAIN, SEED}, {GROUPED, MEMBERS})


def _is_name_only(node: Any) -> bool:
    return set(node.outputs.values()) <= set(node.inputs.values())


def test_all_forms_are_there_and_right() -> None:
    assert {LOOM.form(pcoll) for pcoll in LOOM.graph.parts.pcollections} == set(FORMS)
    check_edges(LOOM)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.slow
def test_another_coder_on_any_edge_is_found(form: str) -> None:
    parts = LOOM.graph.parts
    pcolls = [pcoll for pcoll in parts.pcollections if LOOM.form(pcoll) == form]
    coders = sorted({pcoll.coder_id for pcoll in parts.pcollections.values()})
    for pcoll in pcolls:
        before = parts.pcollections[pcoll].coder_id
        for other in coders:
            if not LOOM.graph.same_coder(before, other):
                parts.pcollections[pcoll].coder_id = other
                with pytest.raises(MiswovenEdge):
                    check_edges(LOOM)
        parts.pcollections[pcoll].coder_id = before


def test_another_form_on_any_edge_is_found() -> None:
    for pcoll in LOOM.graph.parts.pcollections:
        before = LOOM.form(pcoll)
        for form in FORMS:
            if form != before and not _are_alike(form, before):
                LOOM.forms[pcoll] = form
                with pytest.raises(MiswovenEdge):
                    check_edges(LOOM)
        LOOM.forms[pcoll] = before


def test_a_step_that_takes_a_pcollection_of_another_form_is_found() -> None:
    for node_id, tag, before in _edges():
        node = LOOM.graph.node(node_id)
        if not _is_name_only(node):
            for other in _one_of_each_form(before):
                node.inputs[tag] = other
                with pytest.raises(MiswovenEdge):
                    check_edges(LOOM)
            node.inputs[tag] = before


def _one_of_each_form(before: str) -> Iterator[str]:
    """Gives a PCollection of each form that is another than that of `before`, the first and the last."""
    for form in FORMS:
        if form != LOOM.form(before) and not _are_alike(form, LOOM.form(before)):
            found = sorted(pcoll for pcoll in LOOM.graph.parts.pcollections if LOOM.form(pcoll) == form)
            yield from (found[0], found[-1])


def test_a_step_that_was_changed_and_does_not_say_what_it_takes_is_found() -> None:
    for node_id in list(LOOM.says):
        says = LOOM.says.pop(node_id)
        if {says.takes, says.gives} != {SEED} and LOOM.graph.node(node_id).inputs:
            with pytest.raises(MiswovenEdge):
                check_edges(LOOM)
        LOOM.says[node_id] = says


def test_a_composite_with_other_ends_than_its_parts_is_found() -> None:
    (node,) = [one for one in LOOM.graph.parts.transforms.values() if one.unique_name == "longest"]
    (tag,) = node.inputs
    before = node.inputs[tag]
    node.inputs[tag] = next(pcoll for pcoll in LOOM.graph.parts.pcollections if pcoll.endswith(ROWS))
    with pytest.raises(MiswovenEdge, match="'longest' has other ends than its parts"):
        check_edges(LOOM)
    node.inputs[tag] = before


def test_the_units_at_the_ends_of_a_wrong_edge_are_told() -> None:
    (pcoll,) = [
        pcoll
        for node in LOOM.graph.parts.transforms.values()
        if node.unique_name == "group/beam_obs:origins"
        for tag, pcoll in node.outputs.items()
        if tag not in (ROWS, LEDGER_TAG)
    ]
    before, LOOM.forms[pcoll] = LOOM.forms[pcoll], GROUPED
    with pytest.raises(MiswovenEdge) as found:
        check_edges(LOOM)
    LOOM.forms[pcoll] = before

    assert [LOOM.label(unit.node) for unit in found.value.units] == [
        "group",
        "values/ParDo(CombineValuesDoFn)",
    ]


@pytest.mark.parametrize("unit", [unit for unit in LOOM.units if unit.kind != units.NOTHING], ids=str)
def test_whichever_step_is_left_as_it_is_the_edges_are_right(unit: Unit) -> None:
    left = weave_units(_proto(), SETTINGS, {unit.node: "left"})

    assert set(left.report.opaque.values()) <= {"left", "its input has no origin"}
