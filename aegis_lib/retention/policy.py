"""From when on things may go, and at what pace. Pure decisions; removes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from aegis_lib.retention.model import Kind, RetentionConfig


def age_limit(now: datetime, kind: Kind, config: RetentionConfig, language_model_days: int) -> datetime:
    """Things of a kind from before this time may go."""
    return now - timedelta(days=config.days(kind, language_model_days))


def pause_seconds(took_seconds: float, config: RetentionConfig) -> float:
    """How long to leave the database to others after a batch, so that `busy_share` is kept."""
    return max(0.0, took_seconds) * (1 - config.busy_share) / config.busy_share
