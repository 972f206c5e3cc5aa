"""How often a probe looked and what came of it, as families of metrics."""

from __future__ import annotations

import collections

from beam_obs.alerts.probe import RESULTS, Attempt
from beam_obs.metrics import own_families as own
from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.run_record import parse_time

_RESULT, _URL = "result", "url"


class ProbeCounters:
    """Counts the attempts of one probe.

    Args:
      url: that it looks at, as it may be shown.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._counts: collections.Counter[str] = collections.Counter(dict.fromkeys(RESULTS, 0))
        self._last: Attempt | None = None

    @property
    def count(self) -> int:
        """Number of attempts."""
        return self._counts.total()

    @property
    def failed(self) -> int:
        """Number of attempts that were not as expected."""
        return self.count - self._counts[RESULTS[0]]

    def add(self, attempt: Attempt) -> None:
        """Counts an attempt."""
        self._counts[attempt.result] += 1
        self._last = attempt

    def families(self) -> tuple[Family, ...]:
        """Returns what was counted."""
        attempts = [
            Sample("", {_URL: self._url, _RESULT: result}, value=count)
            for result, count in self._counts.items()
        ]
        found = [own.own_family(own.PROBE_ATTEMPTS, attempts)]
        if self._last is not None:
            of_last = {_URL: self._url}
            found += [
                own.own_family(own.PROBE_SUCCESS, [Sample("", of_last, value=int(self._last.is_ok))]),
                own.own_family(own.PROBE_DURATION, [Sample("", of_last, value=self._last.seconds)]),
            ]
        return tuple(found)

    def numbers(self) -> RunNumbers:
        """Returns what was counted as exporters take it: of no pipeline and no run."""
        at = 0 if self._last is None else int(parse_time(self._last.at).timestamp() * 1_000_000)
        return RunNumbers("", "", at, self.families())
