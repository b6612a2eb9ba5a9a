"""Fixtures of this layer: a real Docker engine."""

from __future__ import annotations

from tests.docker_boxes import boxes, docker_client

__all__ = ["boxes", "docker_client"]
