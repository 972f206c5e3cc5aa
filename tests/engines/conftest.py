"""Engines that tests share: started once for all of them."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.engines.flink.cluster import Cluster, running_cluster
from tests.engines.prism import running_prism


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Flink of two task managers."""
    with running_cluster(tmp_path_factory.mktemp("flink")) as started:
        yield started


@pytest.fixture
def prism(tmp_path: pathlib.Path) -> Iterator[list[str]]:
    """Options of a pipeline on a Prism whose workers are processes of their own."""
    with running_prism(tmp_path) as options:
        yield options
