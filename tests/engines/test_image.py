"""The image of the templates: its program, and a worker that its `boot` starts run the flights as no root."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

import beam_obs as obs
from tests.engines.image import NAME, buildah, is_built
from tests.engines.prism import prism_options
from tests.patience import PATIENCE_SECONDS

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(1200)]

PROJECT = pathlib.Path(__file__).parents[2]
DATA = PROJECT / "pipelines" / "flights" / "data"


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """A container of the image."""
    if not is_built():
        pytest.skip(
            "there is no image of the templates as they are now: make image (it needs Debian and root)"
        )
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
        until = time.monotonic() + PATIENCE_SECONDS
        while not _answers(port):
            assert process.poll() is None, "what starts workers has ended"
            assert time.monotonic() < until, "what starts workers does not answer"
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def _answers(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


def test_launcher_and_worker_of_the_image_run_the_flights(container: str, tmp_path: pathlib.Path) -> None:
    (prism,) = [one for one in prism_options() if one.startswith("--prism_location")]
    # They do not see where it is installed.
    shutil.copy2(prism.partition("=")[2], tmp_path / "prism")
    rows = (DATA / "flights-2013-01.csv").read_text().splitlines(keepends=True)[:1001]
    (tmp_path / "flights.csv").write_text("".join(rows))
    # Both are another user, in a root folder of their own.
    tmp_path.chmod(0o777)
    with workers_of(container, tmp_path) as port:
        done = subprocess.run(
            buildah(
                "run", f"--volume={tmp_path}:{tmp_path}", container, "--",
                "python", "/template/launch.py", f"--input={tmp_path / 'flights.csv'}",
                f"--output={tmp_path / 'out'}", f"--obs_store={tmp_path / 'store'}",
                "--runner=PrismRunner", f"--prism_location={tmp_path / 'prism'}",
                "--environment_type=EXTERNAL", f"--environment_config=localhost:{port}",
            ),
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (record,) = obs.Store(str(tmp_path / "store")).runs()
    assert record.status == "done"
    assert record.end is not None
    written = list(tmp_path.glob("out-flights*"))
    assert written
    assert {path.stat().st_uid for path in written} == {10001}
