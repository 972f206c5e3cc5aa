"""The state of a weave under way: the form of each PCollection, and how a step gets the form it wants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import Coder, coders
from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.pipeline_context import PipelineContext
from google.protobuf import wrappers_pb2  # type: ignore[import-untyped, unused-ignore]

from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.contributors import NO_SOURCE, UNKNOWN
from beam_obs.records.ledger_rows import LEDGER, StepPoints, Terms
from beam_obs.records.origin import RANDOM_BITS
from beam_obs.records.weave_report import NO_ORIGIN, WeaveReport
from beam_obs.traces.traced_step import TracedStep
from beam_obs.weaving import units
from beam_obs.weaving.par_do import ParDoFacts, facts_of
from beam_obs.weaving.portable_graph import KV_URN, PAR_DO_URN, PortableGraph
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.span_givers import SpanGivers
from beam_obs.weaving.step_names import StepNames
from beam_obs.weaving.units import Unit, find_units
from beam_obs.woven.aggregate_origins import Aggregate
from beam_obs.woven.inserted_steps import ConvertDoFn
from beam_obs.wrapper.element_forms import KEYED, PLAIN, ROWS, SEED, WOVEN, Ends

DERIVATIONS = "derivations"
OUTPUTS = "outputs"
FILTERED = "filtered"
INPUTS = "inputs"
"""Rows of this kind are manifests already."""
WINDOW_COUNTS = "windows"
ANY_CODER = "woven_any"
_CONVERTED = frozenset({PLAIN, SEED, WOVEN, KEYED})


class LedgerInput(NamedTuple):
    """What the ledger has of the input of a step.

    Args:
      label: of the step.
      terms: what it takes.
      pcoll: of which PCollection.
      obstacle: why it cannot be held against what is given, or empty.
      may_drop: whether the step drops what comes too late for its window.
      in_each_window: whether an element counts in each window that it is in.
    """

    label: str
    terms: Terms
    pcoll: str
    obstacle: str = ""
    may_drop: bool = False
    in_each_window: bool = False


class LedgerOutput(NamedTuple):
    """What the ledger has of a PCollection.

    Args:
      label: of the step that gives it.
      terms: what that gives.
      in_each_window: whether an element counts in each window that it is in.
    """

    label: str
    terms: Terms
    in_each_window: bool = False


class WeaveState:
    """A pipeline while it is woven.

    Args:
      proto: the pipeline; it is changed in place.
      settings: how to weave.
      left: ids of the units that are left as they are.
    """

    def __init__(
        self, proto: api.Pipeline, settings: WeaveSettings, left: Collection[str] = frozenset()
    ) -> None:
        self.original = api.Pipeline()
        self.original.CopyFrom(proto)
        self.settings = settings
        self.left = left
        self.graph = PortableGraph(proto)
        self.report = WeaveReport()
        self.context = PipelineContext(self.original.components)
        self.plain_coder = {
            name: pcoll.coder_id for name, pcoll in self.original.components.pcollections.items()
        }
        self.tags = {
            pcoll: tag
            for leaf in set(self.graph.producers.values())
            for tag, pcoll in self.graph.node(leaf).outputs.items()
        }
        """By which output of its step a PCollection left."""
        self.forms: dict[str, str] = {}
        self.says: dict[str, Ends] = {}
        """What steps of the weave's own making say that they take and give."""
        self.moved: dict[str, str] = {}
        """By PCollection inside of a reshuffle, the form of the elements that it moves."""
        self.unsealed: dict[str, str] = {}
        """Coders of woven values of which runners do not see the parts, and the same with their parts."""
        self.rows: list[tuple[str, str, str]] = []
        """Evidence: its kind, the label of the step, the PCollection of rows."""
        self.makers_of_rows: dict[str, tuple[str, Any]] = {}
        """By PCollection of rows, the step of the weave's own making that makes it, and its DoFn."""
        self.units = find_units(self.graph)
        self.unit_of = {leaf: unit for unit in self.units for leaf in self.graph.leaves(unit.node)}
        self._units = {unit.node: unit for unit in self.units} | self.unit_of
        self.written: set[str] = set()
        """PCollections that sinks give, names of files and the like: nobody expects origins of them."""
        self.shown_sources: frozenset[str] = frozenset()
        """Steps inside of composites of Beam's that start what the user sees as records."""
        self.counted_before: dict[str, str] = {}
        """By step that groups, the one before it that counts by window."""
        self.passing: set[str] = set()
        """Steps of the weave's own making that give each element once."""
        self.taken_by: dict[str, LedgerInput] = {}
        """Steps of which the ledger has what they take."""
        self.given_to: dict[str, LedgerOutput] = {}
        """PCollections that steps of which the ledger has what they give make."""
        self.windows_told: dict[str, int] = {}
        """PCollections, by the first point of the step that tells in which windows their elements are."""
        self.windowing_steps: set[str] = set()
        """Steps of the weave's own that stand for a WindowInto."""
        self._points = 1
        self.ends: dict[str, str] = {}
        """Steps that nobody takes from, and what they take."""
        self._facts: dict[str, ParDoFacts] = {}
        self._converted: dict[tuple[str, str, str], str] = {}
        self._names = StepNames()
        self.span_givers: dict[str, SpanGivers] = {}
        """Which steps made the last spans of the elements of a PCollection."""
        self.met_roots: frozenset[str] = frozenset()
        """Steps at the beginning of ways that meet others in a Flatten."""
        self.reads_messages = any(
            name in told.lower()
            for node_id, node in proto.components.transforms.items()
            for told in (node.spec.urn, self.graph.python_type(node_id))
            for name in ("pubsub", "kafka")
        )
        """Whether records may come with a trace of their own."""
        self.wants_key = self._who_wants_keys()

    def facts(self, node_id: str) -> ParDoFacts:
        """Returns what is to be known of a ParDo."""
        if node_id not in self._facts:
            self._facts[node_id] = facts_of(self.graph.node(node_id))
        return self._facts[node_id]

    # Notes for the report.

    def label(self, node_id: str) -> str:
        """Returns the full label of a step."""
        return str(self.graph.node(node_id).unique_name)

    def shown_label(self, node_id: str) -> str:
        """Returns the label by which a person knows a step: that of the Stage, of the ParDo with tags, or of
        the CombineValues."""
        parent = self.graph.parents.get(node_id)
        if parent is not None and self.graph.python_type(parent) in units.OF_ONE_PAR_DO:
            node_id = parent
        return self.label(node_id).removesuffix(f"/{INNER_LEAF}")

    def note_woven(self, node_id: str) -> None:
        """Notes that a step carries lineage."""
        self.report.woven.append(self.label(node_id))

    def note_opaque(self, node_id: str, reason: str) -> None:
        """Notes that a step does not, and why."""
        self.report.opaque[self.label(node_id)] = reason

    def note_no_origin(self, node_id: str) -> None:
        """Notes that what a step takes has no origin, unless a sink gave it."""
        graph = self.graph
        plain = [pcoll for pcoll in graph.taken_from_outside(node_id) if self.form(pcoll) == PLAIN]
        if plain and all(pcoll in self.written for pcoll in plain):
            for leaf in graph.leaves(node_id):
                self.written.update(graph.node(leaf).outputs.values())
        else:
            self.note_opaque(node_id, NO_ORIGIN)

    def traced_step(self, label: str, taken: str) -> TracedStep | None:
        """Returns how the records of a step are traced; None where they are not.

        Args:
          label: of the step, as spans have it.
          taken: the PCollection that it takes.
        """
        traces = self.settings.traces
        if traces is None:
            return None
        givers = self.span_givers.get(taken, SpanGivers())
        common = givers.passed[-1] if givers.passed else ""
        return TracedStep(
            label,
            traces,
            tuple(sorted(givers.steps)),
            tuple(sorted(givers.sources)),
            common,
            self.reads_messages,
            has_many=givers.are_many,
        )

    @property
    def indexes_outputs(self) -> bool:
        """Whether records that end are noted."""
        return self.settings.evidence is not None and self.settings.output_share > 0

    @property
    def filtered_least(self) -> int | None:
        """Of what origins it is noted that a step gave nothing: the least of their low 56 bits."""
        share = self.settings.filtered_share
        if self.settings.evidence is None or share <= 0:
            return None
        return int((1.0 - share) * 2**RANDOM_BITS)

    # Forms.

    def form(self, pcoll: str) -> str:
        """Returns the form of a PCollection."""
        return self.forms.get(pcoll, PLAIN)

    def is_woven(self, pcoll: str) -> bool:
        """Returns whether the elements of a PCollection have provenances."""
        return self.form(pcoll) in (WOVEN, KEYED)

    def form_for(self, pcoll: str) -> str:
        """Returns the form that the steps behind a PCollection want."""
        return KEYED if self.wants_key.get(pcoll) else WOVEN

    def set_form(self, pcoll: str, form: str) -> None:
        """Gives a PCollection a form, and the coder of the form."""
        self.forms[pcoll] = form
        if form in (WOVEN, KEYED):
            self.graph.parts.pcollections[pcoll].coder_id = self.coder_in(form, self.plain_coder[pcoll])

    def coder_in(self, form: str, coder: str) -> str:
        """Returns the coder of elements in a form, whose plain coder is `coder`."""
        graph = self.graph
        if form == WOVEN:
            return graph.coder(KV_URN, [graph.bytes_coder, coder])
        if form == KEYED:
            pair = graph.kv(coder)
            assert pair is not None, "only pairs have a keyed form"
            # A runner puts a length before a value that it does not know. Put before the whole, it is as
            # long, and spares the runner to take the pair apart, which cost as much as all the rest; and
            # where it knows the value, to hold each pair as three objects until its group is there.
            woven = self._sealed(graph.coder(KV_URN, [graph.bytes_coder, pair[1]]), pair[1])
            return graph.coder(KV_URN, [pair[0], woven])
        return coder

    def _sealed(self, woven: str, coder: str) -> str:
        """Returns the coder of the same bytes of which no runner sees the parts.

        It is one of its own, without components: Prism gives a worker no coder that is behind one which it
        does not look into.
        """
        name = f"woven_sealed_{coder}"
        found = self.graph.parts.coders[name]
        if not found.spec.urn:
            whole = coders.TupleCoder((coders.BytesCoder(), self.coder_object(coder)))
            found.spec.urn = python_urns.PICKLED_CODER
            content = wrappers_pb2.BytesValue(value=coders.serialize_coder(whole))
            found.spec.payload = content.SerializeToString()
            self.unsealed[name] = woven
        return name

    def only_evidence_takes(self, pcoll: str) -> bool:
        """Returns whether all that takes a PCollection keeps evidence of it."""
        leaves = self.graph.consumers.get(pcoll, ())
        return bool(leaves) and all(self.unit_of[leaf].kind == units.OURS for leaf in leaves)

    def only_inference_takes(self, pcoll: str) -> bool:
        """Returns whether nothing but RunInference's step takes the lists of a PCollection, as elements."""
        return self._only_for(pcoll, lambda facts: facts.is_inference)

    def takers_choose(self, pcoll: str) -> bool:
        """Returns whether all that takes the groups of a PCollection gives results for single values."""
        return self._only_for(pcoll, lambda facts: facts.chooses and facts.obstacle is None)

    def _only_for(self, pcoll: str, are_such: Callable[[ParDoFacts], bool]) -> bool:
        """Returns whether a PCollection is taken, as elements, by ParDos of a kind only."""
        leaves = self.graph.consumers.get(pcoll, ())
        takers = [leaf for leaf in leaves if self.unit_of[leaf].kind != units.NOTHING]
        return bool(takers) and all(
            self.unit_of[leaf].kind == units.PAR_DO
            and leaf not in self.left
            and are_such(self.facts(leaf))
            and pcoll
            not in [self.graph.node(leaf).inputs[tag] for tag in self.facts(leaf).payload.side_inputs]
            for leaf in takers
        )

    def new_pcollection(self, like: str, suffix: str, form: str) -> str:
        """Adds a PCollection of the same elements in a form."""
        name = self.graph.add_pcollection(like, suffix, self.coder_in(form, self.plain_coder[like]))
        self.plain_coder[name] = self.plain_coder[like]
        self.forms[name] = form
        return name

    def can_be_keyed(self, pcoll: str) -> bool:
        """Returns whether the elements of a PCollection are pairs by its coder."""
        return self.graph.kv(self.plain_coder[pcoll]) is not None

    def needed(self, pcoll: str, form: str, unit_node: str) -> str:
        """Returns a PCollection of the same elements in the form that a unit needs; adds a step before it."""
        given = self.form(pcoll)
        is_lost = given == form == WOVEN and self._is_lost_beside(pcoll, unit_node)
        if (given == form and not is_lost) or (form == PLAIN and given == SEED):
            return pcoll
        key = (pcoll, form, unit_node)
        if key not in self._converted:
            if given not in _CONVERTED:
                raise ValueError(f"{self.label(unit_node)!r} cannot take {form} of what is {given}")
            made = self.new_pcollection(pcoll, f"{form}_for_{unit_node}", form)
            takes, provenance = (PLAIN, NO_SOURCE) if given == SEED else (given, UNKNOWN)
            converts = self.insert_dofn(
                unit_node,
                self._names.once(f"{self.label(unit_node)}/beam_obs:{form}"),
                ConvertDoFn(takes, form, provenance),
                pcoll,
                {"None": made},
                before=True,
            )
            if takes not in (PLAIN, SEED):
                self.passing.add(converts)
            self._converted[key] = made
        return self._converted[key]

    def _is_lost_beside(self, pcoll: str, unit_node: str) -> bool:
        """Returns whether a PCollection is a side input, and comes from a step that gives more than it.

        The bundle-based direct runner makes a view of the first only that such a step gives.
        """
        node = self.graph.node(unit_node)
        if (
            self.settings.fuses_steps
            or node.spec.urn != PAR_DO_URN
            or all(node.inputs[tag] != pcoll for tag in self.facts(unit_node).payload.side_inputs)
        ):
            return False
        return any(
            len(step.outputs) > 1 and not step.subtransforms and pcoll in step.outputs.values()
            for step in self.graph.parts.transforms.values()
        )

    # New steps.

    def insert_dofn(
        self,
        beside: str,
        name: str,
        dofn: Any,
        taken: str,
        outputs: dict[str, str],
        before: bool = False,
    ) -> str:
        """Puts a ParDo before or behind a step; returns its id."""
        made = self.graph.insert(beside, name, par_do_spec(dofn), {"None": taken}, outputs, before=before)
        self.says[made] = dofn.ends
        self.makers_of_rows.update(dict.fromkeys(outputs.values(), (made, dofn)))
        if beside in self._units:
            self._units[made] = self._units[beside]
        return made

    def unit_at(self, node_id: str) -> Unit | None:
        """Returns the unit that a step is of, also one that the weave put in."""
        return self._units.get(node_id)

    def rows_of(self, pcoll: str, kind: str, label: str) -> str:
        """Adds a PCollection for the rows of evidence that a step makes beside `pcoll`."""
        name = self.graph.add_pcollection(pcoll, ROWS, self.graph.bytes_coder)
        self.plain_coder[name] = self.graph.bytes_coder
        self.forms[name] = PLAIN
        self.rows.append((kind, label, name))
        return name

    @property
    def keeps_ledger(self) -> bool:
        """Whether steps count what passes them."""
        return self.settings.evidence is not None and self.settings.keeps_ledger

    def new_points(self, tags: Iterable[str] = ()) -> StepPoints:
        """Returns the points of a step."""
        points = StepPoints(self._points, tuple(tags))
        self._points += points.number
        return points

    def ledger_rows(self, like: str, label: str) -> str:
        """Adds a PCollection for the rows of the ledger that a step makes, under their key; they are of
        bundles, which have no window."""
        rows = self.rows_of(like, LEDGER, label)
        keyed = self.graph.coder(KV_URN, [self.graph.bytes_coder] * 2)
        self.graph.parts.pcollections[rows].coder_id = self.plain_coder[rows] = keyed
        self.put_in_global_window(rows)
        return rows

    def put_in_global_window(self, pcoll: str) -> None:
        """Says that the elements of a PCollection are in the global window, as those of every Impulse are."""
        for strategy in sorted(self.graph.parts.windowing_strategies):
            if self.context.windowing_strategies.get_by_id(strategy).is_default():
                self.graph.parts.pcollections[pcoll].windowing_strategy_id = strategy
                return

    def coder_object(self, coder: str) -> Coder:
        """Returns a coder of the pipeline as it was."""
        return self.context.coders.get_by_id(coder)

    def any_coder(self) -> str:
        """Returns a coder for whatever Python can pickle."""
        if ANY_CODER not in self.graph.parts.coders:
            self.graph.parts.coders[ANY_CODER].CopyFrom(
                coders.FastPrimitivesCoder().to_runner_api(self.context)
            )
        return ANY_CODER

    def takes_anything(self, coder: str) -> bool:
        """Returns whether a coder of the pipeline as it was is one for whatever Python can pickle."""
        return type(self.coder_object(coder)) in (coders.FastPrimitivesCoder, coders.PickleCoder)

    def windowing(self, pcoll: str) -> Any:
        """Returns the windowing of a PCollection."""
        strategy = self.graph.parts.pcollections[pcoll].windowing_strategy_id
        return self.context.windowing_strategies.get_by_id(strategy)

    def aggregate(self, node_id: str, taken: str, given: str) -> Aggregate:
        """Returns what makes the origins of the aggregates that a step makes of the pairs that it takes."""
        pair = self.graph.kv(self.plain_coder[taken])
        assert pair is not None
        windowing = self.windowing(given)
        return Aggregate(
            self.label(node_id),
            self.coder_object(pair[0]),
            windowing.windowfn.get_window_coder(),
            windowing.is_default() and self.windowing(taken).is_default(),
            self.settings.limit,
            self.settings.keeps_keys,
            self.traced_step(self.shown_label(node_id), taken),
        )

    # What steps behind a PCollection want.

    def _who_wants_keys(self) -> dict[str, bool]:
        """Returns the PCollections each of whose takers needs the key outside."""
        wants: dict[str, bool] = {}
        for unit in reversed(self.units):
            graph = self.graph
            for pcoll in {
                pcoll for leaf in graph.leaves(unit.node) for pcoll in graph.node(leaf).outputs.values()
            }:
                takers = [
                    (self.unit_of[leaf], leaf)
                    for leaf in graph.consumers.get(pcoll, ())
                    if self.unit_of[leaf].node != unit.node and self.unit_of[leaf].kind != units.NOTHING
                ]
                wants[pcoll] = (
                    bool(takers)
                    and self.can_be_keyed(pcoll)
                    and all(self._wants_key(taker, leaf, pcoll, wants) for taker, leaf in takers)
                )
        return wants

    def _wants_key(self, taker: Unit, leaf: str, pcoll: str, wants: dict[str, bool]) -> bool:
        node = self.graph.node(leaf)
        if taker.kind in (units.GROUP, units.COMBINE, units.RESHUFFLE_PER_KEY):
            return True
        if taker.kind == units.COMBINE_BY_HAND:
            return pcoll in self.graph.taken_from_outside(taker.node)
        if taker.kind == units.PAR_DO:
            facts = self.facts(leaf)
            beside = set(facts.payload.side_inputs)
            if any(taken == pcoll and tag in beside for tag, taken in node.inputs.items()):
                return False
            return facts.is_stateful and facts.obstacle is None
        if taker.kind in (units.FLATTEN, units.WINDOW, units.RESHUFFLE, units.TELL_LATE):
            outputs = self.graph.node(taker.node).outputs.values()
            return any(wants.get(output, False) for output in outputs)
        return False


def par_do_spec(dofn: beam.DoFn) -> api.FunctionSpec:
    """Returns the proto of a ParDo of a DoFn without arguments."""
    payload = api.ParDoPayload(
        do_fn=api.FunctionSpec(
            urn=python_urns.PICKLED_DOFN_INFO, payload=pickler.dumps((dofn, (), {}, None, None))
        )
    )
    return api.FunctionSpec(urn=PAR_DO_URN, payload=payload.SerializeToString())
