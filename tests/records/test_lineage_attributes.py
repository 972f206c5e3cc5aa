from __future__ import annotations

import datetime
import io

import fastavro

from beam_obs.records.lineage_attributes import LINEAGE_AVRO_FIELD, LineageAttributes, utc_now


def test_attributes_are_a_nested_avro_record() -> None:
    schema = {"type": "record", "name": "Row", "fields": [{"name": "a", "type": "int"}, LINEAGE_AVRO_FIELD]}
    attributes: LineageAttributes = {
        "origin": "0" * 31 + "1",
        "run": "r",
        "pipeline": "p",
        "code": "c",
        "source_uri": "a.csv",
        "source_version": "1",
        "position": 7,
        "stamped_at": utc_now(),
    }
    file = io.BytesIO()
    fastavro.writer(file, schema, [{"a": 1, "_lineage": attributes}, {"a": 2}])
    file.seek(0)

    assert list(fastavro.reader(file)) == [{"a": 1, "_lineage": attributes}, {"a": 2, "_lineage": None}]


def test_the_time_is_utc_and_iso_8601() -> None:
    now = datetime.datetime.fromisoformat(utc_now().replace("Z", "+00:00"))

    assert abs(datetime.datetime.now(datetime.timezone.utc) - now) < datetime.timedelta(seconds=5)
