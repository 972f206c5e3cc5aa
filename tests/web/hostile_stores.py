"""Stores that mean harm, made from a real one: all that people wrote in it becomes an attack."""

from __future__ import annotations

import json
import pathlib
import random
import re
import shutil
from collections.abc import Callable
from typing import Any

import fastavro

from beam_obs.records.manifest import content_hash, short_hash
from tests.chance import chance

ATTACKS = {
    "markup": (
        "</script><script>alert(1)</script>\"'` onmouseover=alert(1) x='\" autofocus onfocus=alert(1) "
        "<svg onload=alert(1)><img src=x onerror=alert(1)>javascript:alert(1)//data:text/html,<b>"
        "{{12345679*9}}{% raw %}${12345679*9}<%= 12345679*9 %>"
    ),
    "characters": (
        "\0\x07\x1b[31m\x1b]0;owned\x07\x7f\x85\x9b31m\u2028\r\n\u202egpj.exe\u202c\u2066\u200f\u200b\ufeff"
        "\ud800\udfff \udc00"
    ),
    "path": "../../../../etc/passwd?a=b&c=d#e%2f%00//evil.example/" + "é/x" * 67,
}
"""Name -> what is put behind each text."""

_BOUND = re.compile(
    r"[0-9a-f]{8,32}|[0-9a-f-]{36}(\.[0-9a-f]+\.[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|[a-z_]+-.*\.(avro|json)"
)
"""Hashes, ids, times and names of files of evidence: readers leave out what they do not fit."""

_KEPT = {"status", "kind", "digest", "positions", "version", "format", "machine", "counts_from", "portable"}
"""Fields of few values."""


class HostileText:
    """Changes texts, each one the same way wherever it is, so that what belongs together still does.

    Args:
      attack: what is put behind each.
    """

    def __init__(self, attack: str) -> None:
        self._attack = attack

    def of(self, value: Any, field: str = "") -> Any:
        """Returns a value with all texts in it changed."""
        if isinstance(value, dict):
            return {self._name(name): self.of(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self.of(one, field) for one in value]
        if not isinstance(value, str) or field in _KEPT or _BOUND.fullmatch(value):
            return value
        return value + self._attack

    def _name(self, name: str) -> str:
        known = re.fullmatch(r"[a-z_0-9]+|inf", name) and name not in LABELS
        return name if known or _BOUND.fullmatch(name) else name + self._attack


LABELS = {"read", "parse", "total", "text", "write"}
"""Labels of steps of `tests.web.stored_pipelines`, which are names of fields in places."""


def hostile_store(
    real: pathlib.Path, folder: pathlib.Path, change: Callable[[str, Any], Any], attack: str = ""
) -> None:
    """Makes a store of one pipeline from another, with all it says changed.

    Args:
      real: root of a store.
      folder: root of the new one.
      change: is given the place of a file, as ``0/end.json`` of the first run, and what it holds, and
        returns what it shall hold.
      attack: what the name of the pipeline ends in, as far as it can be a folder's.
    """
    pipeline = "orders" + re.sub("[\0/\ud800-\udfff]", "", attack)[:60]
    # Ids of runs sort as the runs began.
    for number, run in enumerate(sorted((real / "runs" / "orders").iterdir())):
        own = folder / "runs" / pipeline / run.name
        shutil.copytree(run, own)
        digests: dict[str, str] = {}
        for file in sorted(own.glob("dead_letters-*.avro")):
            _change_letters(file, f"{number}/{file.name}", change)
            digests[file.name] = content_hash(file.read_bytes()).hexdigest()
        for file in sorted(own.glob("*.json")):
            real_value = json.loads(file.read_text())
            for manifest in real_value.get("manifests") or ():
                if manifest["file"] in digests:
                    size = (own / manifest["file"]).stat().st_size
                    manifest["details"].update(file_digest=digests[manifest["file"]], file_bytes=size)
            for name in ("seal", "sealed", "files"):
                real_value.pop(name, None)
            changed = json.dumps(change(f"{number}/{file.name}", real_value)).encode()
            file.unlink()
            name = f"manifest-{short_hash(changed)}.json" if file.name.startswith("manifest") else file.name
            (own / name).write_bytes(changed)


def make_running(store: pathlib.Path) -> None:
    """Makes the newest run of a hostile store one that has not ended."""
    newest = max((folder for folder in (store / "runs").glob("*/*")), key=lambda folder: folder.name)
    end = json.loads((newest / "end.json").read_text())
    (newest / "end.json").unlink()
    live = {"at": "2026-11-29T02:27:24.000000Z", **end}
    live["history"] = [{"seconds": float(at), "in": 20 * at, "dead": 1} for at in range(4)]
    (newest / "live.json").write_text(json.dumps(live))


def _change_letters(file: pathlib.Path, place: str, change: Callable[[str, Any], Any]) -> None:
    with file.open("rb") as opened:
        reader = fastavro.reader(opened)
        rows: list[Any] = [change(place, row) for row in reader]
        schema = reader.writer_schema
    assert schema is not None
    for row in rows:  # a string of Avro is UTF-8
        for name, value in row.items():
            if isinstance(value, str):
                row[name] = value.encode("utf-8", "replace").decode()
    with file.open("wb") as opened:
        fastavro.writer(opened, schema, rows)


ODD_VALUES: list[Any] = [
    None,
    "",
    "<script>alert(1)</script>",
    -1,
    0,
    2**63 - 1,
    -(2**63),
    2**70,
    1e300,
    -1.5,
    float("nan"),
    True,
    [],
    {},
    [None, "a", {"label": None}],
    {"a": {"b": [1]}},
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
]


class OddValues:
    """Puts values of other types, or none at all, where there were others: at the same places each time.

    Args:
      seed: of chance.
      share: of the values that are replaced.
    """

    def __init__(self, seed: int, share: float) -> None:
        self._seed = seed
        self._share = share

    def of(self, file: str, value: Any) -> Any:
        """Returns what a file holds with some of the values in it replaced.

        Args:
          file: its place.
          value: what it holds.
        """
        # Files of a kind are told apart by the step that committed them: their own names are random.
        step = (value.get("commit") or {}).get("step", "")
        return self._of(value, f"{self._seed} {_without_ids(file)} {step}")

    def _of(self, value: Any, place: str) -> Any:
        if isinstance(value, dict):
            found = {}
            for name, one in value.items():
                within = f"{place}/{_without_ids(name)}"
                own = chance(within)
                if own.random() >= self._share / 4:
                    found[name] = self._other(one, within, own)
            return found
        if isinstance(value, list):
            places = [f"{place}/{at}" for at in range(len(value))]
            return [self._other(one, at, chance(at)) for one, at in zip(value, places, strict=True)]
        return value

    def _other(self, value: Any, place: str, own: random.Random) -> Any:
        return own.choice(ODD_VALUES) if own.random() < self._share else self._of(value, place)


def _without_ids(name: str) -> str:
    return re.sub(r"[0-9a-f]{8}[0-9a-f-]*", "", name)
