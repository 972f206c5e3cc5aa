"""A Flink cluster on this machine: a job manager, two task managers, and Beam's job server before them.

Both task managers give their workers the same ids, and a pool keeps one worker of an id. So each task manager
has a pool of its own: all go to `localhost`, which in the mount namespace of each is another address of this
machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.engines.install import FLINK
from tests.patience import PATIENCE_SECONDS

_PROJECT = pathlib.Path(__file__).parents[3]
_POOL = pathlib.Path(__file__).with_name("pool.py")
_TASK_MANAGERS = (1, 2)
_ENDS_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""Also when the tests are killed. By no Python in a fork, which threads of gRPC end now and then."""
_OPENED = ("lang", "util", "nio", "net", "io", "time", "util.concurrent")
_OPENS = [
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
]
_CONFIGURATION = """\
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: 2
taskmanager.cpu.cores: 1.0
taskmanager.memory.task.heap.size: 512m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.network.min: 512m
taskmanager.memory.network.max: 512m
taskmanager.memory.managed.size: 256m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
cluster.evenly-spread-out-slots: true
heartbeat.timeout: 8000
heartbeat.interval: 1000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 5
restart-strategy.fixed-delay.delay: 1 s
parallelism.default: 2
taskmanager.resource-id: {name}
io.tmp.dirs: {folder}/tmp-{name}
"""


class Cluster:
    """A cluster whose parts are processes of this one, in a folder of their own.

    Args:
      folder: an empty folder, for configuration and logs.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._rpc, self._rest, self._jobs, self._workers = _free_ports(4)

    def start(self) -> None:
        """Starts every part, and waits until the cluster takes jobs."""
        self._start_java(
            "job manager", "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        )
        for number in _TASK_MANAGERS:
            address = _address(number)
            self._start(f"pool {number}", [sys.executable, str(_POOL), address, str(self._workers)])
            self.start_task_manager(number)
        self._start_java(
            "job server",
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            f"--flink-master=127.0.0.1:{self._rest}",
            "--job-host=127.0.0.1",
            f"--job-port={self._jobs}",
            "--artifact-port=0",
            "--expansion-port=0",
            f"--artifacts-dir={self.folder}/artifacts",
        )
        self._wait_until("has two task managers", lambda: b'"taskmanagers":2' in self._asked("overview"))
        self._wait_until("takes jobs", lambda: _is_open(self._jobs))

    @property
    def options(self) -> list[str]:
        """Options of a pipeline that runs on the cluster, on both task managers."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=127.0.0.1:{self._jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{self._workers}",
            "--parallelism=2",
        ]

    def start_task_manager(self, number: int) -> None:
        """Starts one of the task managers, 1 or 2."""
        hosts = self.folder / f"hosts-{number}"
        hosts.write_text(f"{_address(number)} localhost\n")
        self._start_java(
            f"task manager {number}",
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            inside=["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"],
        )

    def kill_task_manager(self, number: int) -> None:
        """Ends a task manager as a machine that is lost does: its workers go on for a while."""
        process = self._processes.pop(f"task manager {number}")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def kill_workers(self, number: int) -> int:
        """Ends, at once, the workers of a task manager, which goes on itself; returns how many."""
        pool = self._processes[f"pool {number}"].pid
        threads = pathlib.Path(f"/proc/{pool}/task").iterdir()
        workers = [int(pid) for one in threads for pid in (one / "children").read_text().split()]
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        return len(workers)

    def failures(self) -> int:
        """Returns how many failures Flink knows of, of all jobs."""
        jobs = json.loads(self._asked("jobs"))["jobs"]
        told = (json.loads(self._asked(f"jobs/{job['id']}/exceptions")) for job in jobs)
        return sum(len(one["exceptionHistory"]["entries"]) for one in told)

    def states(self) -> list[str]:
        """Returns the states that Flink gives of all jobs, such as ``RUNNING`` and ``CANCELED``."""
        return [str(job["status"]) for job in json.loads(self._asked("jobs"))["jobs"]]

    def stop(self) -> None:
        """Ends every part, with the workers that it has started."""
        for process in reversed(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def _start_java(self, name: str, program: str, *arguments: str, inside: list[str] | None = None) -> None:
        configuration = self.folder / name.replace(" ", "-")
        configuration.mkdir(exist_ok=True)
        text = _CONFIGURATION.format(
            rpc=self._rpc, rest=self._rest, name=configuration.name, folder=self.folder
        )
        (configuration / "config.yaml").write_text(text)
        given = arguments or ("--configDir", str(configuration))
        java = [
            "java",
            "-Xmx768m",
            "-XX:MaxDirectMemorySize=900m",
            *_OPENS,
            "-cp",
            f"{FLINK.path}/*",
            program,
            *given,
        ]
        self._start(name, [*(inside or ()), *java])

    def _start(self, name: str, command: list[str]) -> None:
        environment = dict(os.environ)
        # The pool starts its workers as `python`, and they import what was pickled by name.
        environment["PATH"] = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        paths = [str(_PROJECT), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        with (self.folder / f"{name.replace(' ', '-')}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*_ENDS_WITH_ITS_PARENT, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )

    def _asked(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._rest}/{path}", timeout=5) as answer:
            return bytes(answer.read())

    def _wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"the {name} ended: {self._log_of(name)}")
            with contextlib.suppress(OSError):
                if holds():
                    return
            time.sleep(0.3)
        raise RuntimeError(
            f"Flink's cluster did not start in {PATIENCE_SECONDS:g} s (it never {what}): {self.folder}"
        )

    def _log_of(self, name: str) -> str:
        return (self.folder / f"{name.replace(' ', '-')}.log").read_text(errors="replace")[-2000:]


def what_is_missing() -> str | None:
    """Returns what a cluster needs and is not here, with what would install it; None where all is."""
    if shutil.which("java") is None:
        return "Java is not installed (apt install default-jre-headless): Flink needs it"
    if not any(FLINK.path.glob("flink-runtime-*.jar")):
        return "Flink is not installed: make engines (it needs Java and Maven)"
    if None in (shutil.which("unshare"), shutil.which("setpriv")) or os.geteuid() != 0:
        return "Flink's task managers need unshare and setpriv (util-linux), and root, for mount namespaces"
    return None


@contextlib.contextmanager
def running_cluster(folder: pathlib.Path) -> Iterator[Cluster]:
    """Gives a cluster that takes jobs; skips the test where it cannot be started.

    Args:
      folder: an empty folder, for configuration and logs.
    """
    if missing := what_is_missing():
        pytest.skip(missing)
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _address(task_manager: int) -> str:
    return f"127.0.0.{task_manager + 1}"


def _is_open(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
