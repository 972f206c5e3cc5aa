"""The image of the templates: a worker that its `boot` starts runs the flights, woven, as no root."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import beam_obs as obs
from tests.engines.image import NAME, buildah, is_built
from tests.engines.prism import prism_options

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = pathlib.Path(__file__).parents[2]
DATA = PROJECT / "pipelines" / "flights" / "data"


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """A container of the image."""
    if not is_built():
        pytest.skip("the image of the templates is not built: make image (it needs Debian and root)")
    made = subprocess.run(buildah("from", NAME), capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield made
    finally:
        subprocess.run(buildah("rm", made), stdout=subprocess.DEVNULL, check=False)


def said_in(container: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        buildah("run", "--network=none", container, "--", *command),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_image_has_what_runs_and_nothing_that_builds(container: str) -> None:
    said = said_in(
        container,
        "sh",
        "-c",
        "id -u; command -v gcc cc make git || echo none; python -m pip check; beam-obs --version; "
        "python -c 'import beam_obs, pipelines.schedule.batch as b; print(b.__file__)'; "
        "echo $BEAM_OBS_PROGRAM",
    ).stdout.splitlines()
    assert said[:3] == ["10001", "none", "No broken requirements found."]
    assert said[3].startswith("beam-obs, version")
    assert said[4:] == ["/template/pipelines/schedule/batch.py", "pipelines.flights.batch"]
    assert "No id provided" in said_in(container, "/opt/apache/beam/boot").stderr
    assert (
        "Google's base image alone"
        in said_in(container, "/opt/google/dataflow/python_template_launcher").stderr
    )


@contextlib.contextmanager
def workers_of(container: str, shared: pathlib.Path) -> Iterator[int]:
    """Runs what starts workers by the image's `boot`, as a runner asks for them; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pool = ["python", "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    process = subprocess.Popen(
        buildah(
            "run", f"--volume={shared}:{shared}", container, "--",
            *pool, "--container_executable=/opt/apache/beam/boot",
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None, "what starts workers has ended"
            assert time.monotonic() < until, "what starts workers does not answer"
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _answers(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


def test_a_worker_of_the_image_runs_the_flights(container: str, tmp_path: pathlib.Path) -> None:
    options = [one for one in prism_options() if not one.startswith("--environment_type")]
    # The worker is another user, in a root folder of its own.
    for folder in (*tmp_path.parents, tmp_path):
        if folder.is_relative_to(tmp_path.parents[1]):
            folder.chmod(0o777)
    shutil.copytree(DATA, tmp_path / "data")
    rows = (tmp_path / "data" / "flights-2013-01.csv").read_text().splitlines(keepends=True)[:1001]
    (tmp_path / "flights.csv").write_text("".join(rows))
    before = os.umask(0)
    try:
        with workers_of(container, tmp_path) as port:
            done = subprocess.run(
                [
                    sys.executable, "-c", "from pipelines.flights.batch import main; main()",
                    f"--input={tmp_path / 'flights.csv'}", f"--reference={tmp_path / 'data'}",
                    f"--output={tmp_path / 'out'}", f"--obs_store={tmp_path / 'store'}",
                    "--runner=PrismRunner", *options,
                    "--environment_type=EXTERNAL", f"--environment_config=localhost:{port}",
                ],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )  # fmt: skip
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr[-3000:]
    (record,) = obs.Store(str(tmp_path / "store")).runs()
    assert record.status == "done"
    written = list(tmp_path.glob("out-flights*"))
    assert written
    assert {path.stat().st_uid for path in written} == {10001}
