"""What a client of S3 is made from, named as Beam's options name it.

Where only these options are given, they are read without Apache Beam: importing it takes a command on a store
in S3 longer than all that it asks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class S3Settings(NamedTuple):
    """Options of Beam's ``S3Options``, by their names; what is None is left to the surroundings."""

    s3_access_key_id: str | None = None
    s3_secret_access_key: str | None = None
    s3_session_token: str | None = None
    s3_endpoint_url: str | None = None
    s3_region_name: str | None = None
    s3_api_version: str | None = None
    s3_verify: str | None = None
    s3_disable_ssl: bool = False


_FLAG = "s3_disable_ssl"


def settings_of_options(options: Any) -> S3Settings:
    """Returns the settings that the options of a pipeline have."""
    from apache_beam.options.pipeline_options import S3Options

    of_s3 = options.view_as(S3Options)
    return S3Settings(*(getattr(of_s3, name) for name in S3Settings._fields))


def settings_of_arguments(arguments: Iterable[str]) -> S3Settings | None:
    """Returns the settings that arguments say; None where they are not of S3 alone, or not plain.

    Args:
      arguments: as on a pipeline's command line.

    >>> settings_of_arguments(["--s3_region_name", "eu-west-1", "--s3_disable_ssl"])[4:]
    ('eu-west-1', None, None, True)
    >>> settings_of_arguments(["--s3_region=eu-west-1"]) is None
    True
    """
    found: dict[str, Any] = {}
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        name = name.removeprefix("--")
        if not argument.startswith("--") or name not in S3Settings._fields:
            return None
        if name == _FLAG:
            if equals:
                return None
            found[name] = True
            continue
        if not equals:
            value = next(waiting, "--")
            if value.startswith("--"):
                return None
        found[name] = value
    return S3Settings(**found)


def make_s3_client(settings: S3Settings) -> Any:
    """Returns a client of boto3, made as Beam makes its own.

    Raises:
      ImportError: boto3 is not installed.
    """
    import boto3

    return boto3.session.Session().client(
        service_name="s3",
        region_name=settings.s3_region_name,
        api_version=settings.s3_api_version,
        use_ssl=not settings.s3_disable_ssl,
        verify=settings.s3_verify,
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        aws_session_token=settings.s3_session_token,
    )
