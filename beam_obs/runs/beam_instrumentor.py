"""What `opentelemetry-instrument` loads: `obs.instrument()` for every pipeline of a program.

It runs before every program that is started so, also those without a pipeline: Apache Beam is not imported
here, but waited for.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from typing import Any

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from beam_obs.records.errors import BeamObsError

_LOGGER = logging.getLogger(__name__)


class BeamInstrumentor(BaseInstrumentor):
    """Observes every pipeline that a program makes, as `obs.instrument` does.

    ``instrument`` takes the arguments of `obs.instrument`: `name`, `store`, `redact`. ``uninstrument`` undoes
    it for pipelines that are made or run from then on.

    >>> BeamInstrumentor().instrumentation_dependencies()
    ('apache-beam >= 2.76',)
    """

    _handle: Any = None
    _arguments: dict[str, Any] | None = None
    _waits = False

    def instrumentation_dependencies(self) -> Collection[str]:
        """Returns what has to be installed."""
        return ("apache-beam >= 2.76",)

    def _instrument(self, **arguments: Any) -> None:
        self._arguments = arguments
        if not self._waits:
            self._waits = True
            wrapt.register_post_import_hook(lambda _: self._begin(), "apache_beam")
        else:
            self._begin()

    def _begin(self) -> None:
        """Instruments, now that Apache Beam is there; never fails a program that imports it."""
        if self._arguments is None or self._handle is not None or "apache_beam" not in sys.modules:
            return
        from beam_obs.runs.instrument import instrument

        try:
            self._handle = instrument(**self._arguments)
        except (BeamObsError, TypeError) as error:
            _LOGGER.warning("pipelines are not observed: %s", error)

    def _uninstrument(self, **_: Any) -> None:
        self._arguments = None
        if self._handle is not None:
            self._handle.uninstall()
            self._handle = None
