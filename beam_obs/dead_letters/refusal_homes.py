"""Who gets what a step refuses: its own output, its own home, the Stage or Source around it, the run."""

from __future__ import annotations

from typing import Any

from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters, KeepRefusals
from beam_obs.records.run_context import Observation


class RefusalHomes:
    """Where the refusals of one step go.

    What a step inside another's composite refuses goes to the outer one, and comes to the run through it.

    Args:
      observation: what is known of the pipeline.
      own: the home that the user gave the step, or None. An error handler takes them as an output.
      as_output: whether the step gives its dead letters as an output.
    """

    def __init__(
        self, observation: Observation, own: DeadLetters | ErrorHandler | None, as_output: bool
    ) -> None:
        self._observation = observation
        self.gives_letters = as_output or isinstance(own, ErrorHandler)
        """Whether the step makes dead letters of its refusals itself, and gives them on."""
        of_run = None if observation.enclosing is not None else observation.dead_letters
        named = (("DeadLetters", own), ("Evidence", of_run))
        self._homes = [(name, home) for name, home in named if isinstance(home, DeadLetters)]
        self.keep_refusals = bool(self._homes) or self.gives_letters or observation.enclosing is not None
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
