"""An update of a running job: which steps have new names, and what cannot be taken over.

Two portable pipelines are compared, that of the job and the new one, both as they were submitted. A step that
has gone and one that is new are the same under another name where they are made alike and stand behind the
same steps; where several are, none is taken for another: that would give a step the state of another.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from beam_obs.records.wording import clean

_GROUPS = (
    "beam:transform:group_by_key:v1",
    "beam:transform:combine_per_key:v1",
    "beam:transform:reshuffle:v1",
)
_PAR_DO = "beam:transform:pardo:v1"
_MOST_NAMED = 8
_EVIDENCE = re.compile(r"^beam_obs |/Evidence/")


@dataclasses.dataclass(frozen=True)
class Incompatibility:
    """Something of a running job that the new pipeline cannot take over.

    Args:
      step: its name in the running job.
      reason: what is different, as a clause.
      way_out: what to do about it.
    """

    step: str
    reason: str
    way_out: str

    def __str__(self) -> str:
        return f"{clean(self.step)}: {self.reason}; {self.way_out}"


@dataclasses.dataclass(frozen=True)
class UpdatePlan:
    """How a running job is replaced by a new pipeline.

    Args:
      mapping: old names of steps -> new ones.
      incompatibilities: what stands in the way.
    """

    mapping: Mapping[str, str]
    incompatibilities: tuple[Incompatibility, ...]

    def lines(self) -> list[str]:
        """Returns what a person reads before it is sent."""
        renamed = [f"{clean(old)} -> {clean(new)}" for old, new in self.mapping.items()]
        return [*renamed, *map(str, self.incompatibilities)]


class _Graph:
    """A portable pipeline, by the names of its steps."""

    def __init__(self, proto: Any) -> None:
        from beam_obs.weaving.weave import is_woven

        self.parts = proto.components
        self.names = {id_: step.unique_name for id_, step in self.parts.transforms.items()}
        steps = [step for step in self.parts.transforms.values() if step.unique_name]
        # A map of protocol buffers has another order in each process.
        self.steps = {step.unique_name: step for step in sorted(steps, key=lambda step: step.unique_name)}
        self.parents = {
            self.names[inner]: step.unique_name
            for step in self.parts.transforms.values()
            for inner in step.subtransforms
            if inner in self.names
        }
        self.producers: dict[str, str] = {}
        for name in sorted(self.steps, key=len):  # the innermost has the last word
            for pcoll in self.steps[name].outputs.values():
                self.producers[pcoll] = name
        self.is_woven = is_woven(proto)

    def keepers(self) -> Iterator[str]:
        """Yields the names of steps that keep something while the job runs: state, timers, groups."""
        for name, step in self.steps.items():
            if step.spec.urn in _GROUPS or self.state_of(step):
                yield name

    def state_of(self, step: Any) -> dict[str, str]:
        """Returns the states and timers of a step, each as a text that differs where they do."""
        if step.spec.urn != _PAR_DO:
            return {}
        from apache_beam.portability.api import beam_runner_api_pb2 as api

        payload = api.ParDoPayload.FromString(step.spec.payload)
        found = {}
        for name, spec in payload.state_specs.items():
            kind = spec.WhichOneof("spec")
            inner = getattr(spec, kind) if kind else None
            coders = [
                self.coder(getattr(inner, field.name))
                for field, _ in (inner.ListFields() if inner is not None else ())
                if field.name.endswith("coder_id")
            ]
            found[name] = f"{kind} of {', '.join(coders)}"
        for name, timer in payload.timer_family_specs.items():
            found[name] = f"timer in {timer.time_domain}"
        return found

    def taken(self, step: Any) -> str:
        """Returns the coder of what a step takes, written out."""
        return ", ".join(
            self.coder(self.parts.pcollections[pcoll].coder_id) for _, pcoll in sorted(step.inputs.items())
        )

    def coder(self, id_: str, depth: int = 0) -> str:
        """Returns a coder by its kind and parts."""
        if id_ not in self.parts.coders or depth > 16:
            return "?"
        coder = self.parts.coders[id_]
        kind = coder.spec.urn.removeprefix("beam:coder:").rpartition(":v")[0] or coder.spec.urn
        if coder.spec.payload:  # a schema, or a coder of Python's own
            kind = f"{kind} {hashlib.blake2b(coder.spec.payload, digest_size=4).hexdigest()}"
        parts = ", ".join(self.coder(part, depth + 1) for part in coder.component_coder_ids)
        return f"{kind}<{parts}>" if parts else kind

    def windowing(self, step: Any) -> bytes:
        """Returns the windows in which a step takes elements, as they are encoded."""
        found = b""
        for _, pcoll in sorted(step.inputs.items()):
            id_ = self.parts.pcollections[pcoll].windowing_strategy_id
            strategy = self.parts.windowing_strategies[id_]
            found += strategy.window_fn.SerializeToString(deterministic=True)
            found += strategy.trigger.SerializeToString(deterministic=True)
        return found

    def made_alike(self, name: str) -> tuple[Any, ...]:
        """Returns how a step is made, the same under another name: its parts by their relative names."""
        inner = [
            (other[len(name) :], step.spec.urn)
            for other, step in self.steps.items()
            if other == name or other.startswith(f"{name}/")
        ]
        return tuple(sorted(inner))

    def above(self, name: str) -> frozenset[str]:
        """Returns the steps whose outputs a step takes."""
        producers = (self.producers.get(pcoll) for pcoll in self.steps[name].inputs.values())
        return frozenset(one for one in producers if one is not None)


def plan_update(old: Any, new: Any) -> UpdatePlan:
    """Returns how the job of one portable pipeline is replaced by another.

    Args:
      old: ``beam_runner_api_pb2.Pipeline`` of the job that runs.
      new: that of the pipeline which replaces it.
    """
    before, after = _Graph(old), _Graph(new)
    mapping = _renamed(before, after)
    found = [
        one for name in before.keepers() for one in _taken_over(name, _mapped(name, mapping), before, after)
    ]
    return UpdatePlan(mapping, tuple(_with_lineage(before, after, found)))


def _renamed(before: _Graph, after: _Graph) -> dict[str, str]:
    """Returns the outermost steps that have another name, by their old ones."""
    gone, come = _outermost(before, after), _outermost(after, before)
    found: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for name in [one for one in gone if one not in found]:
            alike = [
                other
                for other in come
                if other not in found.values()
                and after.made_alike(other) == before.made_alike(name)
                and _mapped(before.parents.get(name, ""), found) == after.parents.get(other, "")
                and {_mapped(one, found) for one in before.above(name)} == set(after.above(other))
            ]
            same = [
                one
                for one in gone
                if one not in found
                and before.made_alike(one) == before.made_alike(name)
                and before.above(one) == before.above(name)
            ]
            if len(alike) == 1 and len(same) == 1:
                found[name] = alike[0]
                changed = True
    return found


def _outermost(graph: _Graph, other: _Graph) -> list[str]:
    missing = {name for name in graph.steps if name not in other.steps}
    return [name for name in graph.steps if name in missing and graph.parents.get(name) not in missing]


def _mapped(name: str, mapping: Mapping[str, str]) -> str:
    """Returns the new name of a step; of one inside of a step that has a new name, too."""
    for old, new in mapping.items():
        if name == old or name.startswith(f"{old}/"):
            return new + name[len(old) :]
    return name


def _taken_over(old: str, new: str, before: _Graph, after: _Graph) -> Iterator[Incompatibility]:
    was, now = before.steps[old], after.steps.get(new)
    if now is None:
        what = "keeps state" if before.state_of(was) else "groups elements"
        way_out = "keep it under its name, or drain the job and launch the new one beside it"
        yield Incompatibility(
            old, f"the running job has this step, which {what}, and the new one has not", way_out
        )
        return
    drained = "drain the job and launch the new one in its place"
    if before.taken(was) != after.taken(now):
        reason = f"its elements were encoded as {before.taken(was)}, and are as {after.taken(now)}"
        yield Incompatibility(old, reason, drained)
    elif before.windowing(was) != after.windowing(now):
        yield Incompatibility(old, "its windows or triggers are others", drained)
    state_then, state_now = before.state_of(was), after.state_of(now)
    for name, kind in state_then.items():
        if state_now.get(name) != kind:
            told = state_now.get(name, "none")
            yield Incompatibility(old, f"its state {name!r} was a {kind}, and is {told}", drained)


def _with_lineage(before: _Graph, after: _Graph, found: list[Incompatibility]) -> list[Incompatibility]:
    """Returns what stands in the way, that of lineage as one: it changes the coder of each shuffle."""
    if before.is_woven == after.is_woven:
        return found
    of_coders = [one for one in found if one.reason.startswith("its elements were encoded")]
    if not of_coders:
        return found
    steps = _users_own([one.step for one in of_coders])
    shown = ", ".join(map(clean, steps[:_MOST_NAMED]))
    more = f" and {len(steps) - _MOST_NAMED} more" if len(steps) > _MOST_NAMED else ""
    now = "carries no lineage and the new one does"
    told = now if after.is_woven else "carries lineage and the new one does not"
    reason = f"the running job {told}, which changes how elements are encoded at"
    carry = "let the new one carry lineage (an observed pipeline, without --obs_lineage=off)"
    switch = "give the new one --obs_lineage=off" if after.is_woven else carry
    way_out = f"{switch}, or drain the job and launch the new one in its place"
    whole = Incompatibility("lineage", f"{reason} {shown}{more}", way_out)
    # Steps that keep evidence come and go with lineage.
    others = [one for one in found if one not in of_coders and not _EVIDENCE.search(one.step)]
    return [whole, *others]


def _users_own(steps: list[str]) -> list[str]:
    """Returns the outermost of steps, those that keep evidence last: they are none of the user's."""
    outermost = [one for one in steps if not any(one.startswith(f"{other}/") for other in steps)]
    return sorted(outermost, key=lambda step: _EVIDENCE.search(step) is not None)
