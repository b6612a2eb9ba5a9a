"""What a person can do about containers: say that somebody looked. One act on two stores, kept together."""

from __future__ import annotations

from datetime import datetime

from aegis_lib.db.alerts import Outbox
from aegis_lib.db.strikes import StrikeStore


class ContainerCases:
    """Implements the port `ContainerCases`."""

    def __init__(self, strikes: StrikeStore, alerts: Outbox) -> None:
        self._strikes, self._alerts = strikes, alerts

    def acknowledge(self, name: str, now: datetime, engine: str | None = None) -> list[str]:
        """Forget the strikes, allow restarts, close the alerts: the engines where a case was open."""
        with self._alerts.transaction():
            engines = self._strikes.acknowledge(name, engine)
            for found in engines:
                self._alerts.dismiss(f"docker:{found}:{name}:", now)
        return engines

    def names(self, now: datetime) -> list[str]:
        """The names of containers with an open case, each once."""
        return sorted({case.name for case in self._strikes.open_cases(now)})
