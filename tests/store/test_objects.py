"""Stores on object stores that cannot be reached: what is said, and no traceback. No server is needed."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, S3Options

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.lineage import opened_files
from beam_obs.store import objects
from beam_obs.store.filesystems import EMULATOR_VARIABLE, reach_filesystems_by
from beam_obs.store.out_of_reach import why_gcs, why_s3

KEYS = ("--s3_access_key_id=key", "--s3_secret_access_key=secret", "--s3_region_name=us-east-1")


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No credentials of this machine, no client of an earlier test, one attempt."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", EMULATOR_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(objects, "_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(objects, "_CLIENTS", {})
    before = FileSystems._pipeline_options
    FileSystems.set_options(None)
    yield
    FileSystems.set_options(before)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a port of this machine that nobody listens on."""
    with socket.socket() as held:  # bound, so that nobody else gets it, and not listening
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert exit_code(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


@pytest.mark.parametrize("command", [("runs",), ("show", "latest"), ("prune", "--older-than", "1d")])
def test_an_s3_that_is_down_is_named(
    command: tuple[str, ...], silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--store", "s3://bucket/store", f"--s3_endpoint_url={silent}", *KEYS)
    assert f"{silent} (--s3_endpoint_url) does not answer" in said(capsys, *command, *where)


def test_s3_without_credentials_says_how_to_give_them(
    silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, "runs", "--store", "s3://bucket/store", f"--s3_endpoint_url={silent}", KEYS[2])
    assert "no credentials for S3" in told
    assert "--s3_access_key_id" in told


def test_an_endpoint_that_is_no_url_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "runs", "--store", "s3://bucket/store", "--s3_endpoint_url=localhost:9000", *KEYS)
    assert "--s3_endpoint_url is 'localhost:9000'; give a URL: http://HOST:PORT" in told


def test_a_misspelt_option_of_a_filesystem_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "runs", "--store", "s3://bucket/store", "--s3_endpoint_ur=http://localhost:1")
    assert "there is no option 's3_endpoint_ur'; did you mean s3_endpoint_url?" in told


def test_a_cloud_storage_that_is_down_is_told(
    silent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(EMULATOR_VARIABLE, silent)
    told = said(capsys, "runs", "--store", "gs://bucket/store")
    assert "gs://bucket/store/runs/: Google Cloud Storage does not answer: " in told


def test_cloud_storage_without_credentials_says_how_to_give_them(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "runs", "--store", "gs://bucket/store")
    assert "no credentials for Google Cloud Storage" in told
    assert "gcloud auth application-default login" in told


@pytest.mark.parametrize(
    ("module", "store", "extra"),
    [("google.cloud.storage.retry", "gs://bucket/store", "gcp"), ("boto3", "s3://bucket/store", "aws")],
)
def test_a_missing_client_names_the_extra(
    module: str, store: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert f"pip install 'beam_obs[{extra}]'" in said(capsys, "runs", "--store", store)


def test_a_command_on_s3_does_not_wait_for_beam(silent: str) -> None:
    program = (
        "import sys; from beam_obs.cli.main import exit_code; "
        f"exit_code(['runs', '--store=s3://bucket/store', '--s3_endpoint_url={silent}', *{KEYS!r}]); "
        "print('botocore' in sys.modules, 'apache_beam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "does not answer" in done.stderr
    assert done.stdout.split() == ["True", "False"]


def test_options_that_a_pipeline_has_set_hold_for_its_store(silent: str) -> None:
    FileSystems.set_options(PipelineOptions([f"--s3_endpoint_url={silent}", *KEYS]))
    with pytest.raises(objects.OutOfReach, match=f"{silent} .*does not answer"):
        obs.Store("s3://bucket/store").runs()


def test_files_that_a_run_has_read_are_asked_for_with_the_options_of_the_command(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def state_of(uri: str) -> None:  # Beam's filesystem would try again for minutes
        asked.append(FileSystems._pipeline_options.view_as(S3Options).s3_endpoint_url)

    monkeypatch.setattr(opened_files, "state_of", state_of)
    reach_filesystems_by([f"--s3_endpoint_url={silent}", *KEYS])
    with pytest.raises(opened_files.FileGone):
        opened_files.present_state("s3://bucket/in.csv")
    reach_filesystems_by([])
    assert asked == [silent]


def test_a_filesystem_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Beam has no filesystem of this kind" in said(capsys, "runs", "--store", "ftp://host/store")


def test_a_store_that_is_down_stops_the_launch(silent: str) -> None:
    argv = ["--obs_store=s3://bucket/store", f"--s3_endpoint_url={silent}", *KEYS]
    with (
        pytest.raises(obs.StoreNotWritable, match=r"cannot be written: .* does not answer"),
        obs.Pipeline("FnApiRunner", argv=argv, name="numbers"),
    ):
        pass


class Answer(Exception):
    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self.code = status


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchBucket", 404, "there is no bucket 'mine'"),
        ("SignatureDoesNotMatch", 403, "S3 does not accept these credentials (SignatureDoesNotMatch)"),
        ("AccessDenied", 403, "S3 refuses access to the bucket 'mine' (AccessDenied)"),
        ("PermanentRedirect", 301, "the bucket 'mine' is of another region"),
    ],
)
def test_what_s3_answers_is_told_in_words(code: str, status: int, expected: str) -> None:
    assert why_s3(Answer(code, status), "mine", None).startswith(expected)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, "there is no bucket 'mine'"),
        (401, "no credentials for Google Cloud Storage that hold"),
        (403, "Google Cloud Storage refuses access to the bucket 'mine'"),
    ],
)
def test_what_cloud_storage_answers_is_told_in_words(status: int, expected: str) -> None:
    assert why_gcs(Answer("", status), "mine").startswith(expected)
