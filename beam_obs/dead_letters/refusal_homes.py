"""Who gets what a step refuses: its own output, its own home, the Stage or Source around it, the run."""

from __future__ import annotations

from typing import Any

from beam_obs.dead_letters.homes import DeadLetters, KeepRefusals
from beam_obs.records.run_context import Observation


class RefusalHomes:
    """Where the refusals of one step go.

    What a step inside another's composite refuses goes to the outer one, and comes to the run through it.

    Args:
      observation: what is known of the pipeline.
      own: the home that the user gave the step, or None.
      as_output: whether the step gives its dead letters as an output.
    """

    def __init__(self, observation: Observation, own: DeadLetters | None, as_output: bool) -> None:
        self._observation = observation
        of_run = None if observation.enclosing is not None else observation.dead_letters
        named = (("DeadLetters", own), ("Evidence", of_run))
        self._homes = [(name, home) for name, home in named if home is not None]
        self.keep_refusals = bool(self._homes) or as_output or observation.enclosing is not None
        """Whether refusals have a home; if not, they are raised."""

    def keep(self, refusals: Any, step: str, suffix: str = "") -> None:
        """Brings refusals to their homes, but for the output, which the step gives itself.

        Args:
          refusals: PCollection of `Refusal`.
          step: full label of the step that refused them.
          suffix: what tells the labels of what is applied from those for other refusals.
        """
        if self._observation.enclosing is not None:
            self._observation.enclosing.append((refusals, step))
        for name, home in self._homes:
            _ = refusals | f"{name}{suffix}" >> KeepRefusals(home, step, self._observation.context)
