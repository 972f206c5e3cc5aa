"""`python -m benchmarks.remote_store`: how long commands take, cold, on 100 runs in S3; 3 s is allowed.

The server is moto's, a process of this machine: what it needs of the processors is in the times, the way to a
cloud is not. Every command also imports Beam and boto3; how long that takes alone is told beside.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import boto3

import beam_obs as obs
from benchmarks.store import commands_on, make_store, slowest

LIMIT_SECONDS = 3.0

_KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
_OPTIONS = ["--s3_access_key_id=key", "--s3_secret_access_key=secret", "--s3_region_name=us-east-1"]


def start_server() -> tuple[subprocess.Popen[bytes], str]:
    """Starts a server of S3; returns its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process, f"http://127.0.0.1:{port}"
        time.sleep(0.2)
    process.terminate()
    raise RuntimeError("moto's server did not start: make install")


def upload(root: pathlib.Path, endpoint: str) -> None:
    """Copies a store into the bucket ``bucket``, which is made."""
    client = boto3.client("s3", endpoint_url=endpoint, **_KEYS)
    client.create_bucket(Bucket="bucket")
    for path in root.rglob("*"):
        if path.is_file():
            key = f"store/{path.relative_to(root).as_posix()}"
            client.put_object(Bucket="bucket", Key=key, Body=path.read_bytes())


def import_seconds() -> float:
    """Returns how long a process takes that imports Beam's filesystem of S3 and does nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import apache_beam.io.aws.s3filesystem"], check=True)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    process, endpoint = start_server()
    try:
        with tempfile.TemporaryDirectory() as folder:
            make_store(pathlib.Path(folder), arguments.runs)
            upload(pathlib.Path(folder), endpoint)
            commands = commands_on(obs.Store(folder))
        where = ["--store", "s3://bucket/store", f"--s3_endpoint_url={endpoint}", *_OPTIONS]
        worst = slowest(commands, where, arguments.repeats)
        alone = statistics.median(import_seconds() for _ in range(arguments.repeats))
        print(f"{alone:6.2f} s  of each for importing Beam and boto3")
    finally:
        process.terminate()
        process.wait(timeout=20)
    print(f"{worst:6.2f} s  the slowest, of {LIMIT_SECONDS} s allowed, on {arguments.runs:,} runs")
    return int(worst > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
