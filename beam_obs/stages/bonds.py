"""What ties the code of a step to its bundle, so that a Stage cannot treat each record alone."""

from __future__ import annotations

from typing import NamedTuple

import apache_beam as beam
from apache_beam.transforms.core import ParDo, get_function_arguments


class Bonds(NamedTuple):
    """Why something cannot be done with a step, by what ties the step to its bundle.

    Args:
      restriction: it is splittable.
      state: it has state or timers.
      batches: it takes many elements at a time.
      finalizer: it registers with the end of the bundle.
    """

    restriction: str
    state: str
    batches: str
    finalizer: str

    def of(self, pardo: ParDo) -> str | None:
        """Returns why it cannot be done with a step; None where nothing ties the step.

        >>> import apache_beam as beam
        >>> Bonds("it is splittable", "it has state", "", "").of(beam.Map(str.upper)) is None
        True
        """
        signature = pardo._signature
        if signature.is_splittable_dofn():
            return self.restriction
        if signature.is_stateful_dofn():
            return self.state
        if pardo.fn._process_batch_defined:
            return self.batches
        return self.finalizer if asks_for(pardo, beam.DoFn.BundleFinalizerParam) else None


def asks_for(pardo: ParDo, *parameters: object) -> bool:
    """Returns whether `process` of a step has any of Beam's parameters."""
    _, defaults = get_function_arguments(pardo.fn, "process")
    # Some are classes as they are, contexts are objects of them.
    return any(
        default is one or (isinstance(one, type) and isinstance(default, one))
        for default in defaults
        for one in parameters
    )
