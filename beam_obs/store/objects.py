"""Objects by their URI, as a store reads and writes them: those of S3 and Google Cloud Storage by one client
for the process, all others by Beam's filesystems.

Beam's own filesystems of these two make a client in each call and ask for an object thrice to read it once,
which costs a command on 100 runs minutes. How a client is made, from options and surroundings, is Beam's way.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, cast

from beam_obs.records.errors import BeamObsError, MissingExtra
from beam_obs.store.filesystems import (
    asks_without_credentials,
    filesystems,
    options_already_set,
    s3_settings,
)
from beam_obs.store.out_of_reach import why_gcs, why_s3
from beam_obs.store.s3_settings import S3Settings, make_s3_client, settings_of_options

AT_ONCE = 10
"""Requests that are under way at once: both clients keep ten connections."""

_THERE_IS_ONE = ("PreconditionFailed", "ConditionalRequestConflict")
"""What S3 answers to a write of a new object where there is one, or another is being written."""

_PATIENCE_SECONDS = 20.0
"""How long a request to Google Cloud Storage is tried again; two minutes, as by default, look like a hang."""


class OutOfReach(BeamObsError, OSError):
    """An object cannot be reached: its server does not answer, or refuses.

    Args:
      uri: of the object, or what the objects that were asked for begin with.
      reason: what is wrong, and where it is one of the usual things, what to do.
    """

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"{uri}: {reason}")
        self.uri = uri
        self.reason = reason


class Listed(NamedTuple):
    """A file of a folder.

    Args:
      path: relative to the folder; its URI where objects are listed.
      size: bytes.
      modified: when it was last written to, in seconds since the epoch; None where that is not known.
    """

    path: str
    size: int
    modified: float | None


class Objects(Protocol):
    """What a store asks of a filesystem that is not this machine's. What goes wrong is an `OutOfReach`."""

    def read(self, uri: str) -> bytes | None:
        """Returns an object's content, or None where there is no such object."""

    def write(self, uri: str, content: bytes) -> None:
        """Writes an object whole, in place of any there was."""

    def write_new(self, uri: str, content: bytes) -> bool:
        """Writes an object whole unless there is one; returns whether what is there is now this content."""

    def exists(self, uri: str) -> bool:
        """Whether there is such an object."""

    def listed(self, start: str) -> list[Listed]:
        """Returns each object whose URI begins so; `start` ends with ``/``."""

    def delete(self, uris: list[str]) -> None:
        """Removes objects, where there are any."""

    def delete_empty_folder(self, uri: str) -> None:
        """Removes a folder that has nothing in it any more, of a filesystem that keeps folders."""


def objects_of(uri: str) -> Objects:
    """Returns access to the objects of the filesystem that a URI is of.

    Raises:
      MissingExtra: its client is not installed.
    """
    scheme = uri.partition("://")[0].lower()
    if scheme not in _KINDS:
        return _BEAM
    with _LOCK:  # threads that all begin with a client of their own would cost more than they save
        made_from = _options_of(scheme)
        kept = _CLIENTS.get(scheme)
        if kept is None or kept.made_from != made_from:
            kept = _CLIENTS[scheme] = _Kept(made_from, _KINDS[scheme](made_from))
        return kept.objects


def _options_of(scheme: str) -> Any:
    """Returns what a client is made from: each pipeline of the process may have set other options."""
    options = options_already_set()
    if options is None and scheme == "s3" and (settings := s3_settings()) is not None:
        return settings
    if options is None:
        options = filesystems()._pipeline_options
    return settings_of_options(options) if scheme == "s3" else options


class BeamObjects:
    """Files of any filesystem that Beam knows, one call of Beam's each."""

    def read(self, uri: str) -> bytes | None:
        with _told(uri, _why_beam):
            if not filesystems().exists(uri):
                return None
            with filesystems().open(uri, compression_type="uncompressed") as file:
                return cast(bytes, file.read())

    def write(self, uri: str, content: bytes) -> None:
        with _told(uri, _why_beam):
            with contextlib.suppress(OSError):  # the folder is there, or the filesystem has none
                filesystems().mkdirs(uri.rpartition("/")[0])
            with filesystems().create(uri, compression_type="uncompressed") as file:
                file.write(content)

    def write_new(self, uri: str, content: bytes) -> bool:
        # Beam has no such write: of two who look in the same instant both write.
        if self.exists(uri):
            return False
        self.write(uri, content)
        return True

    def exists(self, uri: str) -> bool:
        with _told(uri, _why_beam):
            return bool(filesystems().exists(uri))

    def listed(self, start: str) -> list[Listed]:
        with _told(start, _why_beam):
            found = filesystems().match([f"{start}**"])[0].metadata_list
            return [Listed(one.path, one.size_in_bytes, one.last_updated_in_seconds or None) for one in found]

    def delete(self, uris: list[str]) -> None:
        with _told(uris[0], _why_beam):
            there = [uri for uri in uris if filesystems().exists(uri)]
            if there:
                filesystems().delete(there)

    def delete_empty_folder(self, uri: str) -> None:
        self.delete([uri])


class S3Objects:
    """Objects of S3, and of stores that speak as it does.

    Args:
      settings: endpoint, keys, region.

    Raises:
      MissingExtra: boto3 is not installed.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._endpoint = settings.s3_endpoint_url
        with self._told("s3://"):
            try:
                self._client = make_s3_client(settings)
            except ImportError:
                raise MissingExtra("s3://", "aws") from None

    def _told(self, uri: str) -> contextlib.AbstractContextManager[None]:
        return _told(uri, lambda error: why_s3(error, _split(uri)[0], self._endpoint))

    def read(self, uri: str) -> bytes | None:
        bucket, key = _split(uri)
        with self._told(uri):
            try:
                return cast(bytes, self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
            except self._client.exceptions.NoSuchKey:
                return None

    def write(self, uri: str, content: bytes) -> None:
        bucket, key = _split(uri)
        with self._told(uri):
            self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def write_new(self, uri: str, content: bytes) -> bool:
        bucket, key = _split(uri)
        with self._told(uri):
            try:
                self._client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
            except self._client.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _THERE_IS_ONE:
                    raise
                # A request that is sent again, since its answer was lost, meets what it wrote itself.
                return self.read(uri) == content
            return True

    def exists(self, uri: str) -> bool:
        bucket, key = _split(uri)
        with self._told(uri):
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
            return any(one["Key"] == key for one in found.get("Contents", ()))

    def listed(self, start: str) -> list[Listed]:
        bucket, prefix = _split(start)
        with self._told(start):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [
                Listed(f"s3://{bucket}/{one['Key']}", one["Size"], one["LastModified"].timestamp())
                for page in pages
                for one in page.get("Contents", ())
            ]

    def delete(self, uris: list[str]) -> None:
        bucket = _split(uris[0])[0]
        for first in range(0, len(uris), 1000):  # the most that one request may name
            keys = [{"Key": _split(uri)[1]} for uri in uris[first : first + 1000]]
            with self._told(uris[first]):
                done = self._client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            for problem in done.get("Errors", ()):
                uri = f"s3://{bucket}/{problem.get('Key')}"
                raise OutOfReach(uri, f"cannot be removed: {problem.get('Message') or problem.get('Code')}")

    def delete_empty_folder(self, uri: str) -> None:
        """Does nothing: there are no folders, but in names."""


class GcsObjects:
    """Objects of Google Cloud Storage.

    Args:
      options: of a pipeline: credentials, project.

    Raises:
      MissingExtra: its client is not installed.
    """

    def __init__(self, options: Any) -> None:
        # Runs are removed in threads, and their objects in others: more than connections would ask at once.
        self._connections = threading.BoundedSemaphore(AT_ONCE)
        try:
            import google.auth
            from apache_beam.io.gcp import gcsio
            from apache_beam.options.pipeline_options import GoogleCloudOptions
            from google.api_core.exceptions import NotFound, PreconditionFailed
            from google.cloud.storage.retry import DEFAULT_RETRY
        except ImportError:
            raise MissingExtra("gs://", "gcp") from None
        with self._told("gs://"):
            has_credentials = not asks_without_credentials(options)
            if has_credentials:
                # Beam looks for half a minute, and asks as nobody then.
                google.auth.default(scopes=options.view_as(GoogleCloudOptions).gcp_oauth_scopes)
            self._client = gcsio.create_storage_client(options, use_credentials=has_credentials)
        self._not_found, self._there_is_one = NotFound, PreconditionFailed
        self._deleting = ThreadPoolExecutor(AT_ONCE)  # one for all who remove, each of whom may be a thread
        # Any request of ours may be made twice: content is written whole, whatever there was.
        retry = DEFAULT_RETRY.with_timeout(_PATIENCE_SECONDS)
        self._patience = {"retry": retry, "timeout": _PATIENCE_SECONDS}

    @contextlib.contextmanager
    def _told(self, uri: str) -> Iterator[None]:
        with self._connections, _told(uri, lambda error: why_gcs(error, _split(uri)[0])):
            yield

    def _blob(self, uri: str) -> Any:
        bucket, key = _split(uri)
        return self._client.bucket(bucket).blob(key)

    def read(self, uri: str) -> bytes | None:
        with self._told(uri):
            try:
                return cast(bytes, self._blob(uri).download_as_bytes(raw_download=True, **self._patience))
            except self._not_found:
                return None

    def write(self, uri: str, content: bytes) -> None:
        with self._told(uri):
            kind = "application/octet-stream"
            self._blob(uri).upload_from_string(content, content_type=kind, **self._patience)

    def write_new(self, uri: str, content: bytes) -> bool:
        with self._told(uri):
            kind = "application/octet-stream"
            try:
                self._blob(uri).upload_from_string(
                    content, content_type=kind, if_generation_match=0, **self._patience
                )
            except self._there_is_one:
                pass
            else:
                return True
        # A request that is sent again, since its answer was lost, meets what it wrote itself.
        return self.read(uri) == content

    def exists(self, uri: str) -> bool:
        with self._told(uri):
            return bool(self._blob(uri).exists(**self._patience))

    def listed(self, start: str) -> list[Listed]:
        bucket, prefix = _split(start)
        with self._told(start):
            found = self._client.list_blobs(
                bucket, prefix=prefix, fields="items(name,size,updated),nextPageToken", **self._patience
            )
            return [
                Listed(
                    f"gs://{bucket}/{one.name}", one.size, one.updated.timestamp() if one.updated else None
                )
                for one in found
            ]

    def delete(self, uris: list[str]) -> None:
        list(self._deleting.map(self._delete, uris))  # not all servers know the batches of the client

    def delete_empty_folder(self, uri: str) -> None:
        """Does nothing: there are no folders, but in names."""

    def _delete(self, uri: str) -> None:
        with self._told(uri), contextlib.suppress(self._not_found):
            self._blob(uri).delete(**self._patience)


class _Kept(NamedTuple):
    made_from: Any
    objects: Objects


_BEAM = BeamObjects()
_KINDS: dict[str, Any] = {"s3": S3Objects, "gs": GcsObjects}
_CLIENTS: dict[str, _Kept] = {}
_LOCK = threading.Lock()


def _split(uri: str) -> tuple[str, str]:
    """Returns the bucket and the key of an object.

    >>> _split("s3://bucket/store/runs/a")
    ('bucket', 'store/runs/a')
    """
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


@contextlib.contextmanager
def _told(uri: str, why: Any) -> Iterator[None]:
    """Raises what goes wrong in it as `OutOfReach`."""
    try:
        yield
    except (BeamObsError, MemoryError):
        raise
    except Exception as error:  # each client has errors of its own, and Beam's filesystems any
        raise OutOfReach(uri, why(error)) from error


def _why_beam(error: Exception) -> str:
    text = str(error)
    if isinstance(error, ValueError) and "Unable to get filesystem" in text:
        return (
            "Beam has no filesystem of this kind, or what it needs is not installed: "
            "pip install 'apache-beam[EXTRA]', with EXTRA one of aws, azure, gcp, hadoop"
        )
    return f"{type(error).__name__}: {text}"
