"""Servers that speak as object stores do, on free ports of this machine, stopped by their process."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.engines.install import FAKE_GCS, program
from tests.patience import PATIENCE_SECONDS

_ONE_BY_ONE = """
from apache_beam.io.gcp import gcsio


def copy_batch(self, pairs):
    return [(source, target, self.copy(source, target)) for source, target in pairs]


def delete_batch(self, paths):
    return [(path, self.delete(path)) for path in paths]


gcsio.GcsIO.copy_batch, gcsio.GcsIO.delete_batch = copy_batch, delete_batch
"""
"""What a program does for Beam's file sinks: the emulator cannot read batches of Google's client."""

_AS_NOBODY = """
from apache_beam.internal.gcp import auth

auth._Credentials._credentials_init = True
"""
"""The same for Beam's reads and writes: else each program looks half a minute for credentials."""


class ObjectStore(NamedTuple):
    """A server with a bucket of the name ``bucket``.

    Args:
      uri: of the bucket.
      options: that lead to the server, of pipelines and commands.
      environment: variables that lead to it.
      preamble: what a program has to do before its pipeline for Beam to work with the server.
    """

    uri: str
    options: list[str]
    environment: dict[str, str]
    preamble: str = ""


@contextlib.contextmanager
def running_s3() -> Iterator[ObjectStore]:
    """Gives a server of S3: moto's."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto's server is not installed: make install")
    import boto3

    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port):
        endpoint = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="bucket")
        options = [
            f"--s3_endpoint_url={endpoint}",
            "--s3_access_key_id=key",
            "--s3_secret_access_key=secret",
            "--s3_region_name=us-east-1",
        ]
        yield ObjectStore("s3://bucket", options, {})


@contextlib.contextmanager
def running_gcs() -> Iterator[ObjectStore]:
    """Gives a server of Google Cloud Storage: fake-gcs-server."""
    found = program(FAKE_GCS, "fake-gcs-server")
    if found is None:
        pytest.skip("fake-gcs-server is not installed: make engines (it needs Go)")
    import requests

    port = free_port()
    where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    with running([found, "-backend", "memory", *where], port):
        endpoint = f"http://127.0.0.1:{port}"
        requests.post(f"{endpoint}/storage/v1/b", json={"name": "bucket"}, timeout=30).raise_for_status()
        environment = {"STORAGE_EMULATOR_HOST": endpoint}
        yield ObjectStore("gs://bucket", [], environment, _AS_NOBODY + _ONE_BY_ONE)


def free_port() -> int:
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[None]:
    """Runs a server while it lasts; it listens when the block begins."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"{command[0]} (process {process.pid}, port {port}) did not start")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
