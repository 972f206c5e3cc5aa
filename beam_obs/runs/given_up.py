"""Whether the direct runner has given a stream up: it tells only those who wait for the end."""

from __future__ import annotations

import contextlib
from typing import Any

from apache_beam.runners.direct.direct_runner import DirectPipelineResult


def failure_of_stream(result: Any) -> BaseException | None:
    """Returns what a bundle failed by, as often as it is tried; None where all goes well, or nobody knows.

    Whoever waits for the end is told all the same.

    Args:
      result: of the pipeline.
    """
    if not isinstance(result, DirectPipelineResult):
        return None
    with contextlib.suppress(Exception):
        updates = result._executor._executor.visible_updates
        told = updates.poll()
        if told is not None:
            updates.offer(told)
            failure: BaseException | None = told.exception
            return failure
    return None
