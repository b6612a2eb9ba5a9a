"""The `aegis` command."""

from deployments.cli.app import main

__all__ = ["main"]
