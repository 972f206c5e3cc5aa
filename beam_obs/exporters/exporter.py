"""What every exporter does: takes the numbers of runs, and sends them at its own pace."""

from __future__ import annotations

from typing import Protocol

from beam_obs.metrics.run_numbers import RunNumbers


class Exporter(Protocol):
    """Sends numbers of runs to one target; never slows or breaks a pipeline."""

    def export(self, numbers: RunNumbers) -> None:
        """Takes the newest numbers of a run, in place of those before; returns at once, raises nothing.

        Args:
          numbers: of one run; with `RunNumbers.is_final` its last ones.
        """

    def close(self, timeout: float) -> bool:
        """Sends what was not sent yet and ends; returns whether all was.

        Args:
          timeout: seconds that it may take.
        """
