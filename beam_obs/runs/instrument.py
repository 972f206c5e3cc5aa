"""`instrument`: every `beam.Pipeline` made from now on is an observed one.

Three methods of `beam.Pipeline` are put around: making one attaches the same observer that an
`obs.Pipeline` has, running it goes through that observer. Copies that Beam makes of a pipeline
while it runs are left alone.

It may be called while another module of ours is being imported, as soon as that has imported Apache Beam: so
nothing of ours is imported here before a pipeline is made.
"""

from __future__ import annotations

import functools
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_obs.store.store import Store
    from beam_obs.wrapper.redaction import Redact

_ATTRIBUTE = "_beam_obs_observer"
_METHODS = ("__init__", "run", "__exit__")


class Instrumentation:
    """What `instrument` gives: ends with `uninstall`, or with its ``with`` block."""

    _installed: list[Instrumentation] = []

    def __init__(self, name: str | None, store: str | None, redact: Redact | None = None) -> None:
        self.name = name
        self.store = store
        self.redact = redact
        self._originals: dict[str, Any] = {}

    def __enter__(self) -> Instrumentation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.uninstall()

    def uninstall(self) -> None:
        """Leaves alone every pipeline that is made or run from now on."""
        if self in self._installed:
            self._installed.remove(self)
        if not self._installed and _ORIGINALS:
            import apache_beam as beam

            for method in _METHODS:
                setattr(beam.Pipeline, method, _ORIGINALS.pop(method))


_ORIGINALS: dict[str, Any] = {}


def instrument(
    name: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    *,
    redact: Redact | None = None,
) -> Instrumentation:
    """Observes every `beam.Pipeline` made from now on, as if each were an `obs.Pipeline`.

    The innermost call counts where there are several. Options of a pipeline go before the arguments, and so
    do those of an `obs.Pipeline` for itself.

    Args:
      name: name of the pipelines in the store; by default that of the program.
      store: root of the store, or a `Store`; see `Pipeline`.
      redact: what is left out of dead letters: names of fields, or a function; see `Pipeline`.

    Returns:
      A handle whose `uninstall` ends it; also a context manager.

    Raises:
      UsageError: `redact` is neither names nor a function, or `name` or `store` cannot be one.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with obs.instrument(name="example"), beam.Pipeline("FnApiRunner", argv=["--obs_report=off"]) as p:
    ...     _ = p | beam.Create([1, 2])
    >>> obs.Store().find("example@latest").status
    'done'
    """
    import apache_beam  # noqa: F401 - `opentelemetry-instrument` waits for it, and comes first

    if redact is not None:
        from beam_obs.wrapper.redaction import redaction_of

        redaction_of(redact)
    if name is not None:
        from beam_obs.runs.observer import checked_name

        checked_name(name)
    root = None
    if store is not None:
        from beam_obs.store.store import given_root

        root = given_root(store)
    handle = Instrumentation(name, root, redact)
    if not _ORIGINALS:
        _install()
    Instrumentation._installed.append(handle)
    return handle


def _install() -> None:
    import apache_beam as beam

    for method in _METHODS:
        _ORIGINALS[method] = getattr(beam.Pipeline, method)
    made, run, left = (_ORIGINALS[method] for method in _METHODS)

    @functools.wraps(made)
    def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:
        from beam_obs.runs.observer import Observer, running_observer

        made(self, *arguments, **keywords)
        if (
            running_observer() is None
            and not getattr(self, "_observes_itself", False)
            and Instrumentation._installed
        ):
            handle = Instrumentation._installed[-1]
            setattr(self, _ATTRIBUTE, Observer(self, handle.name, handle.store, handle.redact))

    @functools.wraps(run)
    def run_observed(self: Any, *arguments: Any, **keywords: Any) -> Any:
        from beam_obs.runs.observer import running_observer

        observer = getattr(self, _ATTRIBUTE, None)
        if observer is None:
            outer = running_observer()
            if outer is not None:
                outer.executed = self
            return run(self, *arguments, **keywords)
        return observer.run(lambda: run(self, *arguments, **keywords))

    @functools.wraps(left)
    def __exit__(self: Any, exc_type: Any, exc_val: Any, exc_tb: Any) -> Any:
        observer = getattr(self, _ATTRIBUTE, None)
        if observer is not None and exc_val is not None:
            observer.abandoned(exc_val)
        return left(self, exc_type, exc_val, exc_tb)

    for method, replacement in zip(_METHODS, (__init__, run_observed, __exit__), strict=True):
        setattr(beam.Pipeline, method, replacement)
