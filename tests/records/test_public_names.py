"""What stores keep of our classes does not say where in the package they stand."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from typing import Any

import pytest
from apache_beam import coders

import beam_obs as obs
from beam_obs.records import public_names
from beam_obs.records.errors import BeamObsError
from beam_obs.records.payload import decode_payload, encode_payload
from beam_obs.wrapper.failure import class_name, failure_of

KEPT = [
    "AssumptionBroken",
    "ConversionError",
    "CorruptBlock",
    "DamagedCompression",
    "DeadRateExceeded",
    "EmptyFile",
    "EvidenceNotKept",
    "FileChanged",
    "FileTooLarge",
    "NoFilesFound",
    "NotAContainer",
    "NotJson",
    "BadMessage",
    "NotReadBack",
    "RefusedByService",
    "RefusedRecord",
    "TornRow",
    "UndecodableBytes",
    "WrongHeader",
]
"""Errors that stores name. One that is called otherwise makes every kind of refusal of it a new one."""


@pytest.mark.parametrize("name", KEPT)
def test_an_error_is_kept_by_the_name_that_it_is_found_under(name: str) -> None:
    assert class_name(getattr(obs, name)) == f"beam_obs.{name}"


PUBLIC = [
    kind
    for kind in (getattr(obs, name) for name in obs.__all__)
    if isinstance(kind, type) and (issubclass(kind, BeamObsError) or kind in (obs.File, obs.DeadLetter))
]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_a_traceback_and_a_pickle_name_an_error_as_users_do(kind: type) -> None:
    assert f"{kind.__module__}.{kind.__qualname__}" == f"beam_obs.{kind.__name__}"
    assert pickle.loads(pickle.dumps(kind)) is kind


def test_an_error_of_the_users_stays_theirs() -> None:
    class UsageError(obs.UsageError):
        """Of the program's own."""

    assert UsageError.__module__ == __name__


def test_no_two_errors_of_ours_are_kept_by_one_name() -> None:
    for module in pkgutil.walk_packages(obs.__path__, "beam_obs."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    names = [class_name(kind) for kind in subclasses(BeamObsError)]
    assert len(names) > 30
    assert sorted(names) == sorted(set(names))


def subclasses(kind: type) -> set[type]:
    ours = {one for one in kind.__subclasses__() if one.__module__.partition(".")[0] == "beam_obs"}
    return ours.union(*(subclasses(one) for one in ours))


def test_an_error_that_moved_gives_the_same_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = failure_of(obs.TornRow("2 columns, expected 3"), "read")
    monkeypatch.setattr(obs.TornRow, "__module__", "beam_obs.lines.bad_lines")
    assert failure_of(obs.TornRow("2 columns, expected 3"), "read") == before
    assert before.error_type == "beam_obs.TornRow"


FILE = obs.File("a.txt", "3-0f", b"abc")
PRIMITIVES = "python:FastPrimitivesCoder"


def test_a_file_as_a_record_is_pickled_by_its_public_name() -> None:
    payload, name = encode_payload(FILE, coders.FastPrimitivesCoder(), PRIMITIVES)
    assert b"whole_files" not in payload
    assert decode_payload(payload, name, trust_pickles=True) == FILE


@pytest.mark.parametrize("home", ["beam_obs.io.whole_files", "beam_obs.gone.whole_files", "beam_obs.io.gone"])
def test_a_record_pickled_by_a_module_that_is_no_more_is_read(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_names, "_FORMER_HOMES", (home,))
    of_now = pickle.dumps(FILE, protocol=0)
    assert b"cbeam_obs\n" in of_now
    payload = of_now.replace(b"cbeam_obs\n", f"c{home}\n".encode())
    for _ in range(2):
        found: Any = decode_payload(payload, "pickle", trust_pickles=True)
        assert found == FILE
