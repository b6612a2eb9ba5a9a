"""The Prefect server's REST API under the name by which this package calls it. Nothing of its own is here."""

from __future__ import annotations

from aegis_lib.adapters.prefect_server.api import PAGE_SIZE, NotFound, PrefectApi, Refused, resolve_url

__all__ = ["PAGE_SIZE", "NotFound", "PrefectApi", "Refused", "resolve_url"]
