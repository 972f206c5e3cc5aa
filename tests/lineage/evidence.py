"""Runs written by hand: evidence as the weave writes it, of whatever lineage a test wants."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
from typing import Any

from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.records.contributors import gather
from beam_obs.records.lineage_rows import (
    DERIVATION_SCHEMA,
    FILTERED_SCHEMA,
    OUTPUT_BYTES,
    OUTPUT_SCHEMA,
    derivation_row,
    filtered_row,
    output_row,
)
from beam_obs.records.origin import Partition, derived_origin
from beam_obs.records.record_content import output_digest
from beam_obs.records.run_id import new_run_id
from beam_obs.store.store import Store
from beam_obs.weaving.encoded_rows import EncodedRows


@dataclasses.dataclass
class WrittenRun:
    """A run of which a test writes the evidence.

    Args:
      root: of the store.
      limit: contributors that are kept of an aggregate.
    """

    root: pathlib.Path
    limit: int | None = 1024
    partitions: list[Partition] = dataclasses.field(default_factory=list)
    derivations: dict[str, list[bytes]] = dataclasses.field(default_factory=dict)
    outputs: dict[str, list[bytes]] = dataclasses.field(default_factory=dict)
    filtered: list[bytes] = dataclasses.field(default_factory=list)
    end: dict[str, Any] = dataclasses.field(default_factory=dict)
    lineage: dict[str, Any] = dataclasses.field(default_factory=dict)

    def aggregate(self, step: str, key: str, provenances: list[bytes]) -> bytes:
        """Adds the derivation of an aggregate; returns its origin."""
        child = derived_origin(step, key.encode(), b"", 0)
        self.derivations.setdefault(step, []).append(
            derivation_row(child, "aggregate", gather(provenances, self.limit), key)
        )
        return child

    def write(self, sink: str, origin: bytes, content: bytes) -> None:
        """Adds a record to the index of a sink."""
        self.outputs.setdefault(sink, []).append(output_row(output_digest(content), origin))

    def filter(self, step: str, origin: bytes) -> None:
        """Notes that a step gave nothing of an element."""
        self.filtered.append(filtered_row(step, origin))

    def finish(self) -> RunEvidence:
        """Writes the run, and returns what reads it."""
        run = new_run_id()
        folder = self.root / "runs" / "written" / run
        folder.mkdir(parents=True)
        (folder / "start.json").write_text(
            json.dumps({"id": run, "started": "2026-01-02T03:04:05.000000Z", "code": {"version": "abc"}})
        )
        manifests = [
            *self._files(folder, "derivations", "derivations", DERIVATION_SCHEMA, self.derivations, None),
            *self._files(folder, "outputs", "output_index", OUTPUT_SCHEMA, self.outputs, OUTPUT_BYTES),
            *self._files(folder, "filtered", "filtered", FILTERED_SCHEMA, {"": self.filtered}, None),
        ]
        (folder / "manifest-1.json").write_text(json.dumps({"manifests": manifests}))
        partitions = [
            {
                "code": f"{one.code:08x}",
                "name": one.name,
                "version": one.version,
                "located": one.located,
                "wide": one.wide,
                "positions": "bytes",
                "uri": f"/nowhere/{one.name}" if one.located else None,
                "source": "read",
            }
            for one in self.partitions
        ]
        (folder / "partitions.json").write_text(json.dumps({"partitions": partitions}))
        lineage = {"woven": 3, "opaque": {}, "text": "", "limit": self.limit, "output_share": 1.0}
        end = {"status": "done", "finished": "2026-01-02T03:05:05.000000Z", "steps": [], "stages": []}
        (folder / "end.json").write_text(json.dumps(end | {"lineage": lineage | self.lineage} | self.end))
        store = Store(str(self.root))
        return RunEvidence(store, store.find(run))

    def _files(
        self,
        folder: pathlib.Path,
        name: str,
        kind: str,
        schema: Any,
        rows_by_step: dict[str, list[bytes]],
        row_bytes: int | None,
    ) -> list[dict[str, Any]]:
        manifests = []
        for number, (step, rows) in enumerate(rows_by_step.items()):
            if not rows:
                continue
            file = io.BytesIO()
            writer = EncodedRows(schema, kind, step, row_bytes, None, file)
            for row in rows:
                writer.write(row)
            manifest = writer.close()
            path = folder / f"{name}-{number}.avro"
            path.write_bytes(file.getvalue())
            manifests.append(dataclasses.asdict(manifest) | {"file": path.name})
        return manifests
