"""`beam-obs probe`: what it makes of answers of real servers that are right, wrong, late, endless or none."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import http.server
import ipaddress
import itertools
import json
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from beam_obs.alerts.probe import Probe
from beam_obs.cli.main import exit_code
from tests.patience import wait_until
from tests.programs import ROOT

Capture = pytest.CaptureFixture[str]
HEALTH = {"status": "ok", "age": 12, "late": False, "runs": [{"dead": 0}, {"dead": 3}], "a=b": "c=d"}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path that is asked for."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]] = []
    flaky = itertools.count()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append({"path": self.path, **dict(self.headers)})
        name = self.path.partition("?")[0].strip("/").replace("-", "_") or "health"
        getattr(self, f"answer_{name}")()

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for header, text in {"content_length": str(len(body)), **headers}.items():
            self.send_header(header.replace("_", "-"), text)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def answer_health(self) -> None:
        self.send(json.dumps(HEALTH).encode(), content_type="application/json")

    def answer_lines(self) -> None:
        self.send(b'{"status": "ok"}\n{"status": "down"}\n', content_type="application/x-ndjson")

    def answer_line(self) -> None:
        self.send(b'{"status": "ok"}\n', content_type="application/x-ndjson")

    def answer_no_lines(self) -> None:
        self.send(b"", content_type="application/x-ndjson; charset=utf-8")

    def answer_torn_lines(self) -> None:
        self.send(b'{"status": "ok"}\n{"stat', content_type="application/jsonl")

    def answer_untold_lines(self) -> None:
        self.send(b'{"status": "ok"}\n{"status": "down"}\n', content_type="text/plain")

    def answer_flaky(self) -> None:
        self.send(json.dumps({"status": "down" if next(self.flaky) == 1 else "ok"}).encode())

    def answer_page(self) -> None:
        self.send(b"<html>Sign in</html>", content_type="text/html")

    def answer_empty(self) -> None:
        self.send(b"")

    def answer_nan(self) -> None:
        self.send(b'{"age": NaN}')

    def answer_deep(self) -> None:
        self.send(b"[" * 100_000 + b"]" * 100_000)

    def answer_huge(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "10000000000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" " * 1_000_000)

    def answer_packed(self) -> None:
        self.send(gzip.compress(b"0" * 10_000_000), content_encoding="gzip")

    def answer_broken(self) -> None:
        self.send(b"{}", 503)

    def answer_torn(self) -> None:
        self.send(b'{"status"', content_length="100", connection="close")
        self.close_connection = True

    def answer_moved(self) -> None:
        self.send(b"", 302, location="/health")

    def answer_away(self) -> None:
        self.send(b"", 302, location=f"http://localhost:{self.server.server_address[1]}/health?secret=1")

    def answer_round(self) -> None:
        self.send(b"", 302, location="/round")

    def answer_silent(self) -> None:
        NEVER.wait(60)

    def answer_drip(self) -> None:
        with contextlib.suppress(OSError):
            for letter in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 3_000:
                self.wfile.write(bytes([letter]))
                time.sleep(0.02)


NEVER = threading.Event()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of those that went away."""


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    Handler.seen.clear()


def probe(capture: Capture, *arguments: str, code: int = 0) -> str:
    capture.readouterr()
    assert exit_code(["probe", *arguments]) == code
    printed = capture.readouterr()
    assert "Traceback" not in printed.err
    return printed.out + printed.err


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("$.status=ok", ""),
        ('$.status="ok"', ""),
        ("$.status", ""),
        ("$.age=12", ""),
        ("$.age=12.0", ""),
        ("$.late=false", ""),
        ("$['a=b']=c=d", ""),
        ("$.runs[0].dead=0", ""),
        ('$.runs[1]={"dead": 3}', ""),
        ("$.runs[?@.dead == 3].dead=3", ""),
        ("$.status=down", '$.status is "ok", expected "down"'),
        ('$.age="12"', '$.age is 12, expected "12"'),
        ("$.late=0", "$.late is false, expected 0"),
        ("$.runs[0].dead=false", "$.runs[0].dead is 0, expected false"),
        ("$.runs[*].dead=0", "$['runs'][1]['dead'], of $.runs[*].dead, is 3, expected 0"),
        ("$.stats=ok", 'nothing is at $.stats, expected "ok"'),
        ("$.runs[?@.dead > 3]", "nothing is at $.runs[?@.dead > 3]"),
    ],
)
def test_an_answer_is_held_against_what_is_expected(
    server: str, capsys: Capture, expected: str, said: str
) -> None:
    told = probe(capsys, f"{server}/health", "--expect", expected, code=1 if said else 0)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  ", told)
    assert ("  unexpected   200  " if said else "  ok           200  ") in told
    assert told.endswith(f"  {said}\n") if said else "  as expected: $" in told


@pytest.mark.parametrize(
    ("path", "result", "said"),
    [
        ("page", "unreadable", "no JSON (text/html)"),
        ("empty", "unreadable", "no JSON (of no type)"),
        ("nan", "unreadable", "NaN is no JSON"),
        ("deep", "unreadable", "recursion"),
        ("huge", "unreadable", "longer than 16.0 MB"),
        ("packed", "unreadable", "packed by gzip"),
        ("broken", "status", "503 Service Unavailable"),
        ("torn", "unreachable", "IncompleteRead"),
        ("moved?token=hunter2", "status", "redirected to http://127.0.0.1:"),
        ("away", "status", "/health\n"),
    ],
)
def test_an_answer_that_is_none(server: str, capsys: Capture, path: str, result: str, said: str) -> None:
    told = probe(capsys, f"{server}/{path}", "--expect", "$.status=ok", code=1)
    assert f" UTC  {result} " in told
    assert said in told
    assert "hunter2" not in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("path", "expected", "said"),
    [
        ("lines", "$[0].status=ok", ""),
        ("lines", "$[*].status=ok", '$[1][\'status\'], of $[*].status, is "down", expected "ok"'),
        ("lines", "$.status=ok", 'nothing is at $.status, expected "ok"'),
        ("line", "$.status=ok", ""),
        ("no-lines", "$[0]", "nothing is at $[0]"),
        ("torn-lines", "$[0].status=ok", "no JSON (application/jsonl): line 2: "),
        ("untold-lines", "$[0].status=ok", "no JSON (text/plain): Extra data"),
    ],
)
def test_lines_of_json_are_a_list_where_there_are_several(
    server: str, capsys: Capture, path: str, expected: str, said: str
) -> None:
    told = probe(capsys, f"{server}/{path}", "--expect", expected, code=1 if said else 0)
    assert said in told
    assert ("  ok  " in told) == (not said)


def test_counters_are_written_to_a_folder_that_is_there(
    server: str, capsys: Capture, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "node_exportr" / "probe.prom"
    assert f"there is no folder {file.parent}" in "".join(
        probe(capsys, f"{server}/health", "--textfile", str(file), code=2).split("\n")
    )
    assert not file.parent.exists()


def test_without_expectations_an_answer_need_not_be_json(server: str, capsys: Capture) -> None:
    assert "  ok           200  " in probe(capsys, f"{server}/page")


def test_redirects_are_followed_where_it_is_said(server: str, capsys: Capture) -> None:
    follow = ("--follow-redirects", "--expect", "$.status=ok", "--header", "X-Key: hunter2")
    probe(capsys, f"{server}/moved", *follow)
    assert [one.get("X-Key") for one in Handler.seen] == ["hunter2", "hunter2"]
    Handler.seen.clear()
    probe(capsys, f"{server}/away", *follow)
    assert [one.get("X-Key") for one in Handler.seen] == ["hunter2", None]
    assert "redirected more than 5 times" in probe(capsys, f"{server}/round", *follow, code=1)


@pytest.mark.parametrize("path", ["silent", "drip"])
def test_a_server_that_is_slow_is_given_up(server: str, capsys: Capture, path: str) -> None:
    began = time.monotonic()
    told = probe(capsys, f"{server}/{path}", "--timeout", "1s", code=1)
    assert "unreachable" in told
    assert "answer within 1 s" in told
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_requests_that_do_not_end_do_not_pile_up(server: str) -> None:
    # Longer than a letter takes on a busy machine: a wait for one that is over ends its request.
    slow = Probe(f"{server}/drip", timeout_seconds=1)
    told = [slow.attempt().text for _ in range(10)]
    assert told[7] == "no whole answer within 1 s"
    assert told[8:] == ["not asked: 8 earlier requests have not ended"] * 2


def test_a_server_that_is_not_there(capsys: Capture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = probe(capsys, f"http://user:hunter2@127.0.0.1:{port}/?key=hunter2", code=1)
    assert "unreachable" in told
    assert "Connection refused" in told
    assert "hunter2" not in told
    assert "unreachable" in probe(capsys, "http://nowhere.invalid/", code=1)


def test_a_certificate_that_nobody_vouches_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as address:
        told = probe(capsys, f"{address}/health", code=1)
        assert "unreachable" in told
        assert "TLS: " in told
        assert "certificate verify failed: self-signed certificate" in told.replace(
            "self signed", "self-signed"
        )
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        probe(capsys, f"{address}/health", "--expect", "$.status=ok")


def self_signed(folder: pathlib.Path) -> pathlib.Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.slow
def test_several_attempts_are_counted_and_one_that_fails_fails_all(server: str, capsys: Capture) -> None:
    Handler.flaky = itertools.count()
    asked = (f"{server}/flaky?key=1", "--expect", "$.status=ok", "--times", "3", "--every", "1s")
    began = time.monotonic()
    told = probe(capsys, *asked, "--textfile", "probe.prom", code=1).splitlines()
    assert 2 <= time.monotonic() - began < 30
    assert [line.split()[3] for line in told[:3]] == ["ok", "unexpected", "ok"]
    assert told[3] == "3 attempts, 1 failed"
    text = pathlib.Path("probe.prom").read_text()
    url = f'url="{server}/flaky"'
    assert f'beam_obs_probe_attempts_total{{pipeline="",result="ok",{url}}} 2.0' in text
    assert f'beam_obs_probe_attempts_total{{pipeline="",result="unexpected",{url}}} 1.0' in text
    assert f'beam_obs_probe_attempts_total{{pipeline="",result="unreachable",{url}}} 0.0' in text
    assert f'beam_obs_probe_success{{pipeline="",{url}}} 1.0' in text
    (last,) = [json.loads(line) for line in probe(capsys, *asked[:3], "--json").splitlines()]
    assert (last["result"], last["status"], last["url"]) == ("ok", 200, f"{server}/flaky")


def test_a_probe_without_end_shows_its_counters_until_it_is_interrupted(server: str) -> None:
    command = [sys.executable, "-m", "beam_obs.cli", "probe", f"{server}/health", "--every", "1s"]
    running = subprocess.Popen(
        [*command, "--prometheus-port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stderr is not None
        (metrics,) = re.findall(r"http\S+", running.stderr.readline())
        assert "  ok  " in running.stdout.readline()
        wait_until("told", lambda: 'result="ok"' in read(metrics) and "success" in read(metrics))
        assert "  ok  " in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=10)
        assert running.returncode == 130
        assert re.search(r"\d attempts, 0 failed", rest[0])
        assert "Traceback" not in rest[1]
    finally:
        running.kill()
        running.communicate()


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["localhost:8099"], "expected an address"),
        (["ftp://localhost"], "expected an address"),
        (["http://localhost:99999"], "Port out of range"),
        (["http://localhost/a b"], "expected an address"),
        (["http://x", "--expect", "status=ok"], "expected JSONPATH=VALUE, e.g. '$.status=ok'"),
        (["http://x", "--expect", ""], "expected JSONPATH=VALUE"),
        (["http://x", "--expect", "$.a[=1"], "expected JSONPATH=VALUE"),
        (["http://x", "--every", "30"], "expected a number and a unit"),
        (["http://x", "--every", "0s"], "expected more than nothing"),
        (["http://x", "--timeout", "0s"], "expected more than nothing"),
        (["http://x", "--times", "0"], "0 is not in the range"),
        (["http://x", "--header", "X-Key"], "expected a name, a colon and a value"),
        (["http://x", "--header", "X: a\r\nY: b"], "expected a name, a colon and a value"),
        (["http://x", "--textfile", "probe.txt"], "files that end in .prom"),
        (["http://x", "--prometheus-port", "x"], "expected a port or HOST:PORT"),
    ],
)
def test_wrong_usage_says_what_to_write(capsys: Capture, arguments: list[str], said: str) -> None:
    assert said in probe(capsys, *arguments, code=2)
