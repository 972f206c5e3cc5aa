"""What the place of a record rules out: aggregates that keep a sample, and cannot have it among the rest.

The weave knows which steps a source record comes to once at most. Of such a record a place in one group
says that it is in no other of that step, nor in any behind it; and what refused or filtered it, that it
went no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from beam_obs.lineage.answers import Into, MayBeIn, Refused
from beam_obs.lineage.step_graph import StepGraph


class SingleWays:
    """The single ways of the records of one source.

    Args:
      ways: label of a step -> labels of the sources each record of which comes to it once at most.
      source: label of the source.
      graph: the steps of the run.
    """

    def __init__(self, ways: Mapping[str, Sequence[str]], source: str, graph: StepGraph) -> None:
        self._steps = frozenset(step for step, sources in ways.items() if source in sources)
        self._graph = graph

    def remaining(
        self,
        samples: Iterable[MayBeIn],
        aggregates: Sequence[Into],
        letters: Sequence[Refused],
        filtered: Sequence[str],
    ) -> tuple[MayBeIn, ...]:
        """Returns the aggregates that may have a record among the contributors that they did not keep.

        Args:
          samples: aggregates that keep a sample.
          aggregates: those that name the record.
          letters: its dead letters.
          filtered: labels of steps that are noted to have given nothing of it.
        """
        ended = {label for label in (*(one.stage for one in letters), *filtered) if label in self._steps}
        placed = [one for one in aggregates if one.step in self._steps and one.kind == "aggregate"]
        return tuple(
            one
            for one in samples
            if one.step not in self._steps
            or not (
                any(self._is_elsewhere(one, place) for place in placed)
                or any(self._is_before(label, one.step) for label in ended)
            )
        )

    def _is_elsewhere(self, sample: MayBeIn, place: Into) -> bool:
        """Returns whether who is in one aggregate cannot be in another: of panes of one group it can."""
        if place.step == sample.step:
            return place.pane == sample.pane == 0 and place.origin != sample.origin
        return self._is_before(place.step, sample.step)

    def _is_before(self, label: str, other: str) -> bool:
        step, behind = self._graph.step_of(label), self._graph.step_of(other)
        # Within one step of the report the order is not known.
        return (
            step is not None
            and behind is not None
            and step != behind
            and step in self._graph.before_step(behind)
        )
