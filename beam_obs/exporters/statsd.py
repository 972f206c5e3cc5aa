"""Numbers of runs by StatsD, with the tags of DogStatsD: what was counted since the last time, and gauges.

It is UDP: who does not listen is seldom noticed, and what is lost on the way is lost.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from beam_obs.exporters.flat_series import flat_series
from beam_obs.exporters.sent_totals import NewestSent, SentTotals, SeriesKey
from beam_obs.exporters.steady_refusals import SteadyRefusals
from beam_obs.exporters.targets import host_and_port
from beam_obs.metrics.families import NO_BOUND
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra
from beam_obs.traces.thread_log import kept_messages

try:
    from datadog.dogstatsd.base import DogStatsd
except ImportError:
    raise MissingExtra("StatsD", "statsd") from None

_TEXTS = {NO_BOUND: "inf"}
"""What a tag cannot hold."""


class Statsd:
    """Sends to a StatsD server.

    Args:
      address: its ``HOST:PORT``, of UDP.
    """

    name = "statsd"
    seconds = 0.0

    def __init__(self, address: str) -> None:
        self.place = f"the StatsD server at {address}"
        host, port = host_and_port(address)
        # With its own metrics it counts what it drops; at so long an interval it never sends them. The id of
        # a container would be taken for a part of the last tag where DogStatsD is not known.
        self._client = DogStatsd(
            host, port, telemetry_min_flush_interval=10**9, origin_detection_enabled=False
        )
        self._sent = NewestSent()
        self._refusals = SteadyRefusals()

    def send(self, numbers: RunNumbers) -> None:
        """Sends what changed of the totals of a run, and its gauges.

        Raises:
          ConnectionError: a packet could not be sent: the same changes are sent again.
        """
        numbers = self._refusals.of(numbers)
        before = self._sent.before(numbers, lambda nothing: statsd_lines(numbers, nothing)[1])
        lines, sent = statsd_lines(numbers, before)
        dropped = self._client.packets_dropped_writer
        with kept_messages("datadog.dogstatsd") as messages:
            with self._client as batch:
                for line in lines:
                    send = batch.increment if line.is_change else batch.gauge
                    send(line.name, line.value, tags=list(line.tags))
            if self._client.packets_dropped_writer > dropped:
                raise ConnectionError(messages[0] if messages else "a packet could not be sent")
        self._look_for_answers()
        self._sent.keep(numbers, sent)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close_socket()

    def _look_for_answers(self) -> None:
        """Raises an error where a machine has answered that nobody listens at the port."""
        sent_by = self._client.socket
        error = sent_by.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if sent_by is not None else 0
        if error:
            raise ConnectionError(error, os.strerror(error))


class StatsdLine(NamedTuple):
    """A line of StatsD.

    Args:
      name: of the metric.
      value: how much a counter went up, or what a gauge is.
      tags: as ``name:value``.
      is_change: whether it is of a counter.
    """

    name: str
    value: float
    tags: tuple[str, ...]
    is_change: bool


def statsd_lines(numbers: RunNumbers, before: SentTotals) -> tuple[list[StatsdLine], SentTotals]:
    """Returns the lines that tell the numbers of a run, and what was sent of it when they are.

    Args:
      numbers: of the run.
      before: what was sent of it.

    >>> from beam_obs.metrics.families import Family, Sample
    >>> def numbers(rows, load):
    ...     rows = Family("rows_total", "counter", (Sample("use", value=rows),))
    ...     return RunNumbers("small", "1", 0, (rows, Family("load", "gauge", (Sample("use", value=load),))))
    >>> lines, sent = statsd_lines(numbers(3, 0.5), SentTotals(0, {}))
    >>> lines, _ = statsd_lines(numbers(5, 0.25), sent)
    >>> [(line.name, line.value) for line in lines], lines[0].tags
    ([('rows_total', 2), ('load', 0.25)], ('pipeline:small', 'stage:use'))
    """
    lines: list[StatsdLine] = []
    totals: dict[SeriesKey, tuple[float]] = {}
    for family in numbers.families:
        for sample in family.samples:
            for name, labels, value, is_total in flat_series(numbers, family, sample):
                tags = tuple(f"{label}:{_TEXTS.get(text, text)}" for label, text in labels.items())
                if is_total:
                    totals[name, tags] = (value,)
                    change = value - before.totals.get((name, tags), (0,))[0]
                    if change:
                        lines.append(StatsdLine(name, change, tags, True))
                    continue
                if value < 0:
                    # Where tags are not known, a gauge with a sign is a change of it.
                    lines.append(StatsdLine(name, 0, tags, False))
                lines.append(StatsdLine(name, value, tags, False))
    return lines, SentTotals(numbers.at, totals)
