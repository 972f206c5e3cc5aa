"""beam_obs makes Apache Beam pipelines explain themselves: `import beam_obs as obs`.

    put it on     Pipeline, instrument, or the command `beam-obs run`; set by ObservabilityOptions
    steps         Stage, Source, Sink around any of Beam's, with a Retry; WindowInto, to keep the late;
                  Canary through a stream; Stamp, current_origin for lineage
    assumptions   Check of between, fits_schema, holds, matches, not_null, of_type, one_of, unique
    reads         ReadFromText, ReadFromCsv, ReadFromJson, ReadFromAvro, ReadFromParquet, ReadWholeFiles,
                  ReadContinuously of any of these, ReadFromPubSub
    writes        WriteToText, WriteToJson, WriteToAvro, WriteToBigQuery, WriteToPubSub
    dead letters  DeadLetters to AvroFiles, JsonLines, BigQueryRows, PubSubMessages; read_dead_letters
    runs          Store; on the command line `beam-obs runs`, `show`, `diff`, `serve`, `site`, `prune`
    lineage       beam_obs.lineage: why, fate, sources, affected
    traces        continue_trace, trace_headers for headers of Kafka
    logs          JsonLogFormatter, TextLogFormatter
    numbers       counter, gauge, histogram, summary for code of your own
    errors        BeamObsError, UsageError; of a bad record BadInput, of a bad file BadFile
    your tests    beam_obs.testing: assert_dead_letters, assert_metrics, assert_balanced

`help(obs.Stage)` tells of one of them. Names are imported on first use, so that reading a store never waits
for Apache Beam.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from beam_obs.records.lazy_names import LazyNames
from beam_obs.records.shown_in_notebooks import show_in_notebooks_by

_NAMES = LazyNames(globals())
__all__ = _NAMES.all


class _Retired(NamedTuple):
    """A name that goes.

    Args:
      new: what to write instead.
      gone: the release, major and minor, that takes the old name away.
    """

    new: str
    gone: tuple[int, int]


_RETIRED = {"ReadAllFiles": _Retired("ReadWholeFiles", (0, 2))}
"""Names that are no more, or will not be; see docs/releasing.md."""


def _retired(name: str) -> Any:
    """Returns what a retired name stands for, with a warning, until the release that takes it away.

    Raises:
      AttributeError: that release is there; says what to write instead.
    """
    new, gone = _RETIRED[name]
    release = tuple(int(part) for part in _version().split(".")[:2])
    said = f"{__name__}.{name} is {__name__}.{new} now: the old name"
    gone_text = ".".join(map(str, gone))
    if release >= gone:
        raise AttributeError(f"{said} went with release {gone_text}", name=name)
    warnings.warn(f"{said} goes with release {gone_text}", DeprecationWarning, stacklevel=3)
    return _NAMES.find(new)


def _version() -> str:
    import importlib.metadata  # few ask, and it takes longer than all else here

    return importlib.metadata.version("beam-obs")


def _html_of(shown: Any) -> str | None:
    from beam_obs.reports.notebook_html import html_of  # a notebook asks, and nobody else

    return html_of(shown)


show_in_notebooks_by(_html_of)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    return _retired(name) if name in _RETIRED else _NAMES.find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
