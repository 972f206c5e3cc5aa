"""A step with state that loses nothing."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.userstate import BagStateSpec


class Seen(beam.DoFn):
    """Gives each pair as it is, and keeps it in state."""

    SEEN = BagStateSpec("seen", beam.coders.PickleCoder())

    def process(self, pair: Any, seen: Any = beam.DoFn.StateParam(SEEN)) -> Any:  # noqa: B008
        list(seen.read())
        seen.add(pair)
        yield pair
