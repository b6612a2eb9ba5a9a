"""Real components are skipped only where nobody asked for them.

`AEGIS_REQUIRE=postgres,docker` turns the absence of a named component into a failure.
"""

from __future__ import annotations

import os

import pytest


def missing(component: str, how_to_install: str) -> None:
    """Fail when the component is required, else skip and say how to get it."""
    required = {name.strip() for name in os.environ.get("AEGIS_REQUIRE", "").split(",")}
    if component in required:
        pytest.fail(f"AEGIS_REQUIRE names {component}, which is not here. {how_to_install}")
    pytest.skip(f"{component} is not here. {how_to_install}")
