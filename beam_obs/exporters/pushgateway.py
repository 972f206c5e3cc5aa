"""Numbers of runs that ended, pushed to a Pushgateway: a batch job is gone before it could be scraped."""

from __future__ import annotations

from beam_obs.exporters.last_success import split_last_success
from beam_obs.exporters.prometheus_text import PIPELINE, metrics_of_run
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra
from beam_obs.records.secrets import redact_text

try:
    from prometheus_client import push_to_gateway
except ImportError:
    raise MissingExtra("the Pushgateway", "prometheus") from None

JOB = "beam_obs"
LAST_SUCCESS_JOB = "beam_obs_last_success"
"""The numbers of a run replace those of the run before; when that succeeded stands in a group of its own."""

_TIMEOUT_SECONDS = 5.0


class Pushgateway:
    """Pushes the last numbers of each run, in a group for each pipeline.

    Args:
      address: of the Pushgateway.
    """

    name = "pushgateway"
    seconds = 0.0

    def __init__(self, address: str) -> None:
        self._address = address
        self.place = f"the Pushgateway at {redact_text(address)}"

    def send(self, numbers: RunNumbers) -> None:
        """Pushes the numbers of a run that has ended; of one that lives, nothing."""
        if not numbers.is_final:
            return
        of_run, success = split_last_success(numbers)
        self._push(JOB, of_run)
        if success is not None:
            self._push(LAST_SUCCESS_JOB, success)

    def close(self) -> None:
        """Does nothing: each push is a request of its own."""

    def _push(self, job: str, numbers: RunNumbers) -> None:
        push_to_gateway(
            self._address,
            job,
            metrics_of_run(numbers),
            grouping_key={PIPELINE: numbers.pipeline},
            timeout=_TIMEOUT_SECONDS,
        )
