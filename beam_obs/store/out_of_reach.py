"""Why an object store does not give what it is asked for, as a sentence: from the errors of its client."""

from __future__ import annotations

from typing import Any

_S3_KEYS = (
    "give them as AWS's own tools take them (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a role), "
    "or by --s3_access_key_id and --s3_secret_access_key"
)
_GCS_KEYS = (
    "give them by `gcloud auth application-default login` or the variable GOOGLE_APPLICATION_CREDENTIALS; "
    "--no_auth asks without any"
)
_S3_SILENT = ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError")
_LONGEST = 300


def why_s3(error: Exception, bucket: str, endpoint: str | None) -> str:
    """Returns why a request to S3 failed.

    Args:
      error: of botocore.
      bucket: that was asked.
      endpoint: what ``--s3_endpoint_url`` says; None for Amazon's own.
    """
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"):
        return f"no credentials for S3 ({error}); {_S3_KEYS}"
    if kind in (
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
    ):
        where = f"{endpoint} (--s3_endpoint_url)" if endpoint else "S3"
        return f"{where} does not answer: {_short(error)}"
    if isinstance(error, ValueError) and "Invalid endpoint" in str(error):
        return f"--s3_endpoint_url is {endpoint!r}; give a URL: http://HOST:PORT"
    if kind == "NoRegionError":
        return "no region for S3: give --s3_region_name, or the variable AWS_DEFAULT_REGION"
    answer: Any = getattr(error, "response", None) or {}
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket!r}"
    if code in ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"):
        return f"S3 does not accept these credentials ({code}); {_S3_KEYS}"
    if status in (401, 403):
        return f"S3 refuses access to the bucket {bucket!r} ({code}) to these credentials"
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed") or status == 301:
        return f"the bucket {bucket!r} is of another region ({_short(error)}); give --s3_region_name"
    return f"{kind}: {_short(error)}"


def why_gcs(error: Exception, bucket: str) -> str:
    """Returns why a request to Google Cloud Storage failed.

    Args:
      error: of its client, or of Google's authentication.
      bucket: that was asked.
    """
    kind, module = type(error).__name__, type(error).__module__
    cause = getattr(error, "cause", None)
    if kind == "RetryError" and isinstance(cause, Exception):
        return why_gcs(cause, bucket)
    if module.startswith("google.auth") and kind != "TransportError":
        return f"no credentials for Google Cloud Storage that hold ({_short(error)}); {_GCS_KEYS}"
    code = getattr(error, "code", None)
    if code == 404:
        return f"there is no bucket {bucket!r}"
    if code == 401:
        return f"no credentials for Google Cloud Storage that hold; {_GCS_KEYS}"
    if code == 403:
        return f"Google Cloud Storage refuses access to the bucket {bucket!r} to these credentials"
    if module.startswith(("requests", "urllib3")) or kind in ("TransportError", "ConnectionError"):
        return f"Google Cloud Storage does not answer: {_short(error)}"
    return f"{kind}: {_short(error)}"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    text = text.rpartition("(Caused by ")[2]  # of a connection, behind the whole of the request
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
