"""Numbers of runs written to Google Cloud Monitoring, within what its service takes.

https://cloud.google.com/monitoring/quotas
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from beam_obs.exporters.cloud_points import (
    PREFIX,
    CloudPoint,
    cloud_points,
    metric_descriptor,
    monitored_resource,
)
from beam_obs.exporters.sending import NotAccepted
from beam_obs.exporters.steady_refusals import SteadyRefusals
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra

try:
    from google.api_core.exceptions import FailedPrecondition, InvalidArgument, OutOfRange
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud.monitoring_v3 import MetricServiceClient, TimeSeries
except ImportError:
    raise MissingExtra("Google Cloud Monitoring", "gcp") from None

MOST_SERIES = 200
"""In one request."""

LEAST_MICROSECONDS = 10_000_000
"""From one point of a series to the next."""

OLDEST_MICROSECONDS = 25 * 3600 * 1_000_000
"""How old a point may be."""

_TIMEOUT_SECONDS = 5.0
_NEVER_TAKEN = (InvalidArgument, FailedPrecondition, OutOfRange)


class CloudMonitoring:
    """Writes time series to a project of Google Cloud.

    Args:
      project: its id.
      client: of the service; by default one with the credentials of the environment.
    """

    name = "cloud_monitoring"
    # What comes too early for a series is left to what follows, so that the end of a run waits for nothing.
    seconds = 0.0

    def __init__(self, project: str, client: MetricServiceClient | None = None) -> None:
        self.place = f"Cloud Monitoring of the project {project}"
        self._project = project
        self._client: Any = client
        self._described: dict[str, set[str]] | None = None
        """Names of the labels of each type of metric that the project has."""
        self._refusals = SteadyRefusals()
        self._written: dict[str, _Written] = {}
        """Of the newest run of each pipeline."""

    def send(self, numbers: RunNumbers) -> None:
        """Writes a point of each series that had none in the last ten seconds.

        The last one of a run is written at once, as of ten seconds after the one before: totals hold on.

        Raises:
          NotAccepted: the service refuses some of them.
          GoogleAPICallError: it is not reached, or has a fault of its own; when the same numbers are sent
            again, what was written is left out.
        """
        if numbers.at < time.time() * 1_000_000 - OLDEST_MICROSECONDS:
            raise NotAccepted("its numbers are more than 25 hours old")
        written = self._written.get(numbers.pipeline)
        if written is None or written.run != numbers.run:
            written = self._written[numbers.pipeline] = _Written(numbers.run)
        if _end_of(numbers, written.end) is None:
            return
        if self._client is None:
            self._client = _client()
        due = [
            (point, end)
            for point in cloud_points(self._refusals.of(numbers))
            if (end := _end_of(numbers, written.ends.get(point.key, written.end))) is not None
        ]
        refusals = self._describe([point for point, _ in due])
        resource = monitored_resource(numbers, self._project)
        for first in range(0, len(due), MOST_SERIES):
            batch = due[first : first + MOST_SERIES]
            refusals += self._write([point.time_series(resource, numbers.began, end) for point, end in batch])
            written.ends.update({point.key: end for point, end in batch})
        if due:
            written.end = max(end for _, end in due)
            written.ends.clear()
        if refusals:
            raise NotAccepted(refusals[0])

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            self._client.transport.close()

    def _describe(self, points: Sequence[CloudPoint]) -> list[str]:
        """Describes types of metrics, and labels, that the project does not have; returns what it refuses."""
        if self._described is None:
            ours = f'metric.type = starts_with("{PREFIX}")'
            found = self._client.list_metric_descriptors(
                request={"name": f"projects/{self._project}", "filter": ours}, timeout=_TIMEOUT_SECONDS
            )
            self._described = {one.type: {label.key for label in one.labels} for one in found}
        by_type: dict[str, list[CloudPoint]] = {}
        for point in points:
            by_type.setdefault(point.metric_type, []).append(point)
        refusals = []
        for metric_type, of_type in by_type.items():
            known = self._described.get(metric_type)
            labels = (known or set()).union(*(point.labels for point in of_type))
            if known == labels:
                continue
            try:
                self._client.create_metric_descriptor(
                    name=f"projects/{self._project}",
                    metric_descriptor=metric_descriptor(metric_type, of_type, labels),
                    timeout=_TIMEOUT_SECONDS,
                )
            except _NEVER_TAKEN as error:
                refusals.append(f"{metric_type}: {error.message}")
            self._described[metric_type] = labels
        return refusals

    def _write(self, series: list[TimeSeries]) -> list[str]:
        """Writes a point of each series; returns what the service refuses, which has taken the others."""
        try:
            self._client.create_time_series(
                name=f"projects/{self._project}", time_series=series, timeout=_TIMEOUT_SECONDS
            )
        except _NEVER_TAKEN as error:
            return [error.message]
        return []


@dataclasses.dataclass
class _Written:
    """What was written of a run.

    Args:
      run: its id.
      end: when the last point of its series was; None before there is any.
      ends: of series that are further, in a round that failed half way.
    """

    run: str
    end: int | None = None
    ends: dict[object, int] = dataclasses.field(default_factory=dict)


def _client() -> MetricServiceClient:
    try:
        return MetricServiceClient()
    except DefaultCredentialsError:
        # What the library says of it is long, and begins as a secret would.
        raise ConnectionError("the environment has no credentials for Google Cloud") from None


def _end_of(numbers: RunNumbers, last: int | None) -> int | None:
    """Returns when a point is to be, after the last of its series; None where it is too early for another."""
    earliest = numbers.at if last is None else max(numbers.at, last + LEAST_MICROSECONDS)
    return earliest if earliest == numbers.at or numbers.is_final else None
