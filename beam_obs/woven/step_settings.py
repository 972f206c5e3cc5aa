"""How one step is woven: what the weave decides of it when it rewrites a pipeline."""

from __future__ import annotations

import dataclasses

from apache_beam.transforms.window import WindowFn

from beam_obs.records.ledger_rows import StepPoints
from beam_obs.records.run_context import RunContext
from beam_obs.traces.traced_step import TracedStep
from beam_obs.woven.source_origins import SourceOrigins
from beam_obs.wrapper.element_forms import Ends


@dataclasses.dataclass(frozen=True)
class WovenSettings:
    """How a step is woven.

    Args:
      label: full label of the step.
      takes: form of its elements.
      gives: form of its main output.
      tags: forms of its tagged outputs.
      limit: of contributors; None for all.
      source: how its outputs are stamped, where it takes an Impulse.
      window_fn: of its input, where that looks at elements.
      defaults_to_side: whether it is the step of a CombineGlobally that puts in the default, whose
        output comes from its side input.
      filtered_least: elements of which the step gives nothing are noted by a row to the tag `ROWS`, where
        the low 56 bits of their origin are at least this; None notes none.
      passes_summaries: whether an aggregate of Beam's own follows, so that what it gives when a bundle ends
        stands for several elements.
      keeps_batches: whether it gives lists of elements, those in which are counted.
      is_inference: whether it takes batches with the origins of their elements, and gives a result for each.
      run: that it is in, where there is one with a store.
      traced: how its records are traced; None where they are not.
      points: what of the step the ledger has; None where it has nothing.
    """

    label: str
    takes: str
    gives: str
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    source: SourceOrigins | None = None
    window_fn: WindowFn | None = None
    defaults_to_side: bool = False
    filtered_least: int | None = None
    passes_summaries: bool = False
    keeps_batches: bool = False
    is_inference: bool = False
    run: RunContext | None = None
    traced: TracedStep | None = None
    points: StepPoints | None = None

    @property
    def ends(self) -> Ends:
        """The forms of what the step takes and gives, but for side inputs."""
        return Ends(self.takes, self.gives, self.tags)
