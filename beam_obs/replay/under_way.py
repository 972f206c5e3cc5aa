"""Which replay is under way: while it lasts, each pipeline that this process runs asks it what to do.

See `beam_obs.runs.observer`; most runs are no replay, and need no more than this file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from apache_beam.runners.runner import PipelineResult, PipelineState

if TYPE_CHECKING:
    from beam_obs.replay.replay import Replay

_UNDER_WAY: list[Replay] = []


@contextlib.contextmanager
def replaying(replay: Replay) -> Iterator[None]:
    """While it lasts, pipelines that are run are cut, and take what is replayed."""
    _UNDER_WAY.append(replay)
    try:
        yield
    finally:
        _UNDER_WAY.remove(replay)


def replay_under_way() -> Replay | None:
    """Returns the replay that pipelines are run for; None where they are run as they are."""
    return _UNDER_WAY[-1] if _UNDER_WAY else None


class NotRun(PipelineResult):  # type: ignore[misc, unused-ignore]
    """The result of a pipeline that has no part in a replay."""

    def __init__(self) -> None:
        super().__init__(PipelineState.DONE)

    def wait_until_finish(self, duration: Any = None) -> str:
        """Returns at once."""
        return str(PipelineState.DONE)

    def cancel(self) -> str:
        """Does nothing."""
        return str(PipelineState.DONE)
