"""Numbers of runs as lines of JSON, one for each sample: for jq, Vector, Fluent Bit and the like."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
from collections.abc import Iterator

from beam_obs.exporters.flat_series import labels_of
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.run_record import time_text

STANDARD_OUTPUT = "-"

_SINCE_1970 = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class JsonNumbers:
    """Appends lines to a file, which is opened for each run's numbers anew: it may be moved away meanwhile.

    Args:
      path: of the file; ``-`` for standard output.
    """

    name = "json_lines"
    seconds = 0.0

    def __init__(self, path: str) -> None:
        self.place = "standard output" if path == STANDARD_OUTPUT else f"the file {path}"
        self._path = path

    def send(self, numbers: RunNumbers) -> None:
        """Writes the lines of a run's numbers, all at once."""
        text = "".join(f"{line}\n" for line in json_lines(numbers))
        if self._path == STANDARD_OUTPUT:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        with open(_opened(self._path), "wb", buffering=0) as file:
            left = memoryview(text.encode())
            while left:
                left = left[file.write(left) :]

    def close(self) -> None:
        """Does nothing: all is written."""


def json_lines(numbers: RunNumbers) -> Iterator[str]:
    """Yields a line for each sample of a run's numbers.

    >>> from beam_obs.metrics.families import Family, Sample
    >>> rows = Family("rows_total", "counter", (Sample("use", {"kind": "odd"}, value=3),))
    >>> for line in json_lines(RunNumbers("small", "0198", 1_767_323_045_000_000, (rows,), is_final=True)):
    ...     print(line)
    {"time": "2026-01-02T03:04:05.000000Z", "run": "0198", "final": true, "name": "rows_total",
     "kind": "counter", "labels": {"pipeline": "small", "stage": "use", "kind": "odd"}, "value": 3}
    """
    time = time_text(_SINCE_1970 + datetime.timedelta(microseconds=numbers.at))
    told = {"time": time, "run": numbers.run, "final": numbers.is_final}
    for family in numbers.families:
        for sample in family.samples:
            values = {name: value for name, value in vars(sample).items() if value is not None}
            of_sample = {**values, "labels": labels_of(numbers, sample)}
            del of_sample["step"]
            # What is no finite number is none in JSON either.
            with contextlib.suppress(ValueError):
                yield json.dumps(
                    {**told, "name": family.name, "kind": family.kind, **of_sample}, allow_nan=False
                )


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
