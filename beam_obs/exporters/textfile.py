"""Numbers of runs as files for the textfile collector of node_exporter."""

from __future__ import annotations

import os

from beam_obs.exporters.last_success import split_last_success
from beam_obs.exporters.prometheus_text import metrics_of_run
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra

try:
    from prometheus_client import write_to_textfile
except ImportError:
    raise MissingExtra("the textfile collector", "prometheus") from None


class Textfile:
    """Writes a file for each pipeline, each time whole and at once.

    Args:
      folder: that of the collector; made where it is not there.
    """

    name = "textfile"
    seconds = 5.0

    def __init__(self, folder: str) -> None:
        self._folder = os.path.abspath(os.path.expanduser(folder))
        self.place = f"the folder {folder}"

    def send(self, numbers: RunNumbers) -> None:
        """Writes the numbers of a run in place of those of its pipeline so far."""
        of_run, success = split_last_success(numbers)
        self._write(f"beam_obs_{numbers.pipeline}.prom", of_run)
        if success is not None:
            self._write(f"beam_obs_{numbers.pipeline}.last_success.prom", success)

    def close(self) -> None:
        """Does nothing: the files stay."""

    def _write(self, name: str, numbers: RunNumbers) -> None:
        os.makedirs(self._folder, exist_ok=True)
        write_to_textfile(os.path.join(self._folder, name), metrics_of_run(numbers))
