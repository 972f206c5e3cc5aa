"""Engines that tests share: started once for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.flink.cluster import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Flink of two task managers."""
    with running_cluster(tmp_path_factory.mktemp("flink")) as started:
        yield started
