"""Whether the evidence of a run is there as it was written: its manifests, and the files that these name."""

from __future__ import annotations

from beam_obs.records.manifest import LOST, content_hash
from beam_obs.records.number_text import counted
from beam_obs.store.evidence import files_at_end, read_evidence
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def evidence_problems(store: Store, record: RunRecord) -> list[str]:
    """Returns what of a run's evidence is missing, damaged or was changed, as sentences.

    Reads all files of JSON. Those of rows, which manifests name, are looked for and not read.
    """
    evidence = read_evidence(store, record.folder, record.end)
    problems = list(evidence.problems)
    others = {name: digest for name, digest in files_at_end(record.end).items() if "manifest-" not in name}
    looked = store.files.look([f"{record.folder}/{name}" for name in others])
    for (name, digest), found in zip(others.items(), looked, strict=True):
        if found.content is None:
            problems.append(f"{name} {found.problem or 'is missing'}")
        elif content_hash(found.content).hexdigest() != digest:
            problems.append(f"{name} was changed since it was written")
    named = {name for name, manifest in evidence.by_file.items() if LOST not in manifest.details}
    gone = sorted(named.difference(store.files.names(record.folder)))
    if gone:
        more = f", and {counted(len(gone) - 1, 'more file')}" if len(gone) > 1 else ""
        problems.append(f"{gone[0]} is missing{more}")
    return problems
