"""Google's own clients of Dataflow's API: its own endpoint, or one that is given."""

from __future__ import annotations

from typing import Any


def dataflow_client(kind: Any, endpoint: str | None = None) -> Any:
    """Returns a client.

    Args:
      kind: its class, of ``google.cloud.dataflow_v1beta3``.
      endpoint: as Beam's ``--dataflow_endpoint``; one that begins with ``http://`` is asked without
        encryption and credentials, for a service on this machine.
    """
    if endpoint is None:
        return kind()
    scheme, _, host = endpoint.rstrip("/").rpartition("://")
    if scheme != "http":
        from google.api_core.client_options import ClientOptions

        return kind(client_options=ClientOptions(api_endpoint=host))
    from google.auth.credentials import AnonymousCredentials

    transport = kind.get_transport_class("rest")
    return kind(transport=transport(host=host, credentials=AnonymousCredentials(), url_scheme="http"))
