"""How a run is traced, as its workers are told: the settings travel with each step."""

from __future__ import annotations

import dataclasses

STORE = "store"
OTLP = "otlp"


@dataclasses.dataclass(frozen=True)
class TraceSettings:
    """How a run is traced.

    Args:
      run: id of the run.
      pipeline: its name, which is the service's where no variable gives another.
      folder: of the run in its store, where spans are kept that no backend takes; None for nowhere.
      target: where spans go where a process has no provider of its own: ``store`` or ``otlp``.
      takes_users_provider: whether the provider of spans that a process has set up itself is taken first.
      threshold: of the low 56 bits of a sampled origin; 2^56 samples none.
      thresholds: the same for single steps, by label, that have their own.
      trace_id: of the run's own trace.
      span_id: of the run's own span, the parent of what is told of its bundles.
      endpoint: where OTLP goes; None for what a worker's own variables say.
      protocol: of OTLP: ``http/protobuf`` or ``grpc``; None for what a worker's own variables say.
      keeps_messages: whether messages and tracebacks of errors may be kept: they may hold values.
    """

    run: str
    pipeline: str
    folder: str | None
    target: str
    takes_users_provider: bool
    threshold: int
    trace_id: int
    span_id: int
    thresholds: tuple[tuple[str, int], ...] = ()
    endpoint: str | None = None
    protocol: str | None = None
    keeps_messages: bool = True

    def threshold_at(self, label: str) -> int:
        """Returns the threshold that holds at a step: that of the innermost label that has its own.

        Args:
          label: full label of the step.
        """
        found, longest = self.threshold, -1
        for step, threshold in self.thresholds:
            if len(step) > longest and (label == step or label.startswith(f"{step}/")):
                found, longest = threshold, len(step)
        return found
