"""beam_obs makes Apache Beam pipelines explain themselves: `import beam_obs as obs`.

Names are imported on first use, so that reading a store never waits for Apache Beam.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_obs.io.avro_sink import WriteToAvro as WriteToAvro
    from beam_obs.io.csv_source import ReadFromCsv as ReadFromCsv
    from beam_obs.io.json_sink import WriteToJson as WriteToJson
    from beam_obs.io.text_sink import WriteToText as WriteToText
    from beam_obs.io.text_source import ReadFromText as ReadFromText
    from beam_obs.records.errors import BeamObsError as BeamObsError
    from beam_obs.records.errors import MissingExtra as MissingExtra
    from beam_obs.records.errors import RefusedRecord as RefusedRecord
    from beam_obs.records.errors import UsageError as UsageError
    from beam_obs.runs.dead_rate import DeadRateExceeded as DeadRateExceeded
    from beam_obs.runs.instrument import instrument as instrument
    from beam_obs.runs.options import ObservabilityOptions as ObservabilityOptions
    from beam_obs.runs.pipeline import Pipeline as Pipeline
    from beam_obs.runs.reach import StoreOutOfReach as StoreOutOfReach
    from beam_obs.runs.store import RunNotFound as RunNotFound
    from beam_obs.runs.store import Store as Store
    from beam_obs.runs.store import StoreNotWritable as StoreNotWritable
    from beam_obs.stages.dead_letters import AvroFiles as AvroFiles
    from beam_obs.stages.dead_letters import DeadLetters as DeadLetters
    from beam_obs.stages.dead_letters import JsonLines as JsonLines
    from beam_obs.stages.stage import Stage as Stage

_HOMES = {
    "AvroFiles": "stages.dead_letters",
    "BeamObsError": "records.errors",
    "DeadLetters": "stages.dead_letters",
    "DeadRateExceeded": "runs.dead_rate",
    "JsonLines": "stages.dead_letters",
    "MissingExtra": "records.errors",
    "ObservabilityOptions": "runs.options",
    "Pipeline": "runs.pipeline",
    "ReadFromCsv": "io.csv_source",
    "ReadFromText": "io.text_source",
    "RefusedRecord": "records.errors",
    "RunNotFound": "runs.store",
    "Stage": "stages.stage",
    "Store": "runs.store",
    "StoreNotWritable": "runs.store",
    "StoreOutOfReach": "runs.reach",
    "UsageError": "records.errors",
    "WriteToAvro": "io.avro_sink",
    "WriteToJson": "io.json_sink",
    "WriteToText": "io.text_sink",
    "instrument": "runs.instrument",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
