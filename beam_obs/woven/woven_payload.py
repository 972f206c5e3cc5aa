"""What the portable form of a woven ParDo holds in place of the user's payload."""

from __future__ import annotations

from typing import Any

from apache_beam.internal import pickler

from beam_obs.woven.step_settings import WovenSettings
from beam_obs.woven.woven_dofn import WovenDoFn


class WovenPayload:
    """A ParDo's payload that holds the user's own bytes; unpickled it is what Beam expects of a payload.

    Args:
      payload: the user's DoFn, arguments and so on, as Beam pickled them.
      settings: of the step.
    """

    def __init__(self, payload: bytes, settings: WovenSettings) -> None:
        self._payload = payload
        self._settings = settings

    def __reduce__(self) -> Any:
        return (load_woven, (self._payload, self._settings))


def load_woven(payload: bytes, settings: WovenSettings) -> tuple[Any, ...]:
    """Returns Beam's tuple of a DoFn and its arguments, with the woven DoFn in it."""
    dofn, args, kwargs, *rest = pickler.loads(payload)
    return (WovenDoFn(dofn, args, kwargs, settings), args, kwargs, *rest)
