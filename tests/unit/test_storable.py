from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib.db.storable import limited, storable_json, storable_text
from aegis_lib.memory.model import Importance

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_any_text_becomes_utf8_without_nul(text: str) -> None:
    stored = storable_text(text)
    assert "\0" not in stored
    assert stored.encode("utf-8").decode("utf-8") == stored
    assert storable_text(stored) == stored


@given(st.text().filter(lambda text: "\0" not in text))
def test_text_that_fits_is_not_changed(text: str) -> None:
    assert storable_text(text) == text


@given(
    st.dictionaries(
        ANY_TEXT, st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT, st.lists)
    )
)
def test_any_mapping_becomes_strict_json_and_stays_it(value: dict[str, object]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = storable_json(value)
    assert "\\u0000" not in text.replace("\\\\", "")
    assert storable_json(json.loads(text, parse_constant=refuse)) == text


def test_values_that_json_does_not_know_become_their_text() -> None:
    value = {
        "at": datetime(2026, 1, 25, 6, tzinfo=UTC),
        "path": Path("/a"),
        "level": Importance.LOW,
        3: (1, 2.5),
    }
    assert json.loads(storable_json(value)) == {
        "at": "2026-01-25T06:00:00+00:00",
        "path": "/a",
        "level": "low",
        "3": [1, 2.5],
    }


@pytest.mark.parametrize("limit", [0, 1001, -5])
def test_a_limit_out_of_range_says_the_range(limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit is 1 to 1000, not {limit}"):
        limited(limit)
    limited(1)
    limited(1000)
