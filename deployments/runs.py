"""Reading runs of the server, by the names this package calls it. Nothing of its own is here."""

from __future__ import annotations

from aegis_lib.adapters.prefect_server.runs import NoSuchRun, Runs

__all__ = ["NoSuchRun", "Runs"]
