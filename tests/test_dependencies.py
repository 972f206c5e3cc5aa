"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import pathlib
import re
import sys
from collections.abc import Mapping

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = pathlib.Path(__file__).parent.parent
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = DECLARED["optional-dependencies"]
_OF_GOOGLE = {
    "google.cloud.dataflow_v1beta3": "google-cloud-dataflow-client",
    "google.cloud.monitoring_v3": "google-cloud-monitoring",
}
OURS = {"beam_obs", "pipelines", "benchmarks", "tests", "examples"}


def distribution(requirement: str) -> str:
    return re.split(r"[\s\[<>=!;~]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@functools.cache
def imports(folder: str) -> dict[str, set[str]]:
    """Returns the files of a folder by what they import from elsewhere: the first name, of Google's three."""
    found: dict[str, set[str]] = {}
    for path in sorted((PROJECT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                root = name.partition(".")[0]
                if root not in OURS and root not in sys.stdlib_module_names:
                    key = ".".join(name.split(".")[: 3 if root == "google" else 1])
                    found.setdefault(key, set()).add(str(path.relative_to(PROJECT)))
    return found


def distributions_of(module: str) -> set[str]:
    if module in _OF_GOOGLE:
        return {_OF_GOOGLE[module]}
    if module.startswith("google.") and not module.startswith("google.protobuf"):
        # They come with extras of Beam's, which ask for the versions that it works with.
        return {"apache-beam"}
    if module.startswith("google.protobuf"):
        return {"protobuf"}
    # What this Python does not need is not installed, and has the name of its module.
    found = _distributions().get(module.partition(".")[0], [module])
    return {name.lower().replace("_", "-") for name in found}


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def declared(*extras: str) -> set[str]:
    named = {distribution(one) for one in DECLARED["dependencies"]}
    for extra in extras:
        named |= {distribution(one) for one in EXTRAS[extra]}
    return named


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("beam_obs", [name for name in EXTRAS if name not in ("dev", "pipelines")]),
        ("pipelines", ["pipelines"]),
        ("benchmarks", list(EXTRAS)),
        ("tests", list(EXTRAS)),
    ],
)
@pytest.mark.slow
def test_what_is_imported_is_declared(folder: str, extras: list[str]) -> None:
    known = declared(*extras)
    undeclared = {
        module: sorted(files)[0]
        for module, files in imports(folder).items()
        if not distributions_of(module) & known
    }
    assert undeclared == {}


def test_what_is_declared_is_imported() -> None:
    used = {name for module in imports("beam_obs") for name in distributions_of(module)}
    named = declared(*(name for name in EXTRAS if name not in ("dev", "pipelines")))
    only_on_some_pythons = {"tomli"}
    assert named - used - only_on_some_pythons == set()
