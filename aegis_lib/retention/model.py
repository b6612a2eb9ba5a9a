"""What is kept how long, and what a run of retention removed. Values only."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from aegis_lib.outcome import AwareDatetime, Frozen, Report


class Kind(StrEnum):
    """What retention looks after. Everything else stays, or is looked after by its own job."""

    SITE_CHECKS = "site_checks"
    HOST_METRICS = "host_metrics"
    CONTAINER_METRICS = "container_metrics"
    PICTURES = "pictures"
    SITE_INCIDENTS = "site_incidents"
    SITE_CHANGES = "site_changes"
    ANOMALIES = "anomalies"
    MAIL_TEXTS = "mail_texts"
    COMMANDS = "commands"
    APPROVAL_TEXTS = "approval_texts"
    CONTAINER_RESTARTS = "container_restarts"
    LANGUAGE_MODEL = "language_model"


def _days(default: int, least: int, what: str) -> int:
    days: int = Field(default=default, ge=least, le=36_500, description=what)
    return days


class RetentionConfig(Frozen):
    """The section `retention` of aegis.yaml: for how many days each kind is kept.

    What is counted by the day (checks, metrics) goes a whole UTC day at a time, so some rows are up to a day
    older. Whatever is still open is never removed: an incident that lasts, a proposal nobody decided, a mail
    that is being sorted.
    """

    site_checks_days: int = _days(90, 2, "Single checks of sites. The days of the status page outlive them.")
    metrics_days: int = _days(30, 2, "Metrics of hosts and containers.")
    pictures_days: int = _days(30, 1, "Pictures of sites and what marks their changes.")
    pictures_per_site: int = Field(
        default=1,
        ge=0,
        le=10_000,
        description="So many of the newest pictures of each site stay, however old.",
    )
    incidents_days: int = _days(400, 1, "Incidents of sites that are over.")
    changes_days: int = _days(400, 1, "Changes of watched pages.")
    anomalies_days: int = _days(180, 1, "Unusual behaviour that is over.")
    mail_texts_days: int = _days(
        180, 1, "The texts of sorted mails in email_cache. That a mail was sorted stays known, and why."
    )
    commands_days: int = _days(180, 7, "Answered commands from chat.")
    approval_texts_days: int = _days(
        400, 7, "The texts of proposals that were sent, rejected or ran out. That they were stays known."
    )
    container_restarts_days: int = _days(180, 7, "Restarts of containers.")
    batch_rows: int = Field(
        default=1_000, ge=10, le=100_000, description="How many rows are removed in one statement."
    )
    busy_share: float = Field(
        default=0.5,
        ge=0.01,
        le=1,
        description="The share of the time that removing takes; the rest is others'.",
    )
    time_limit_seconds: int = Field(
        default=1_200, ge=1, le=1_500, description="After so long the rest is left to the next run."
    )  # two tries fit into the job

    def days(self, kind: Kind, language_model_days: int) -> int:
        """How long a kind is kept. The language model's exchanges have their own key, `llm.keep_days`."""
        return {
            Kind.SITE_CHECKS: self.site_checks_days,
            Kind.HOST_METRICS: self.metrics_days,
            Kind.CONTAINER_METRICS: self.metrics_days,
            Kind.PICTURES: self.pictures_days,
            Kind.SITE_INCIDENTS: self.incidents_days,
            Kind.SITE_CHANGES: self.changes_days,
            Kind.ANOMALIES: self.anomalies_days,
            Kind.MAIL_TEXTS: self.mail_texts_days,
            Kind.COMMANDS: self.commands_days,
            Kind.APPROVAL_TEXTS: self.approval_texts_days,
            Kind.CONTAINER_RESTARTS: self.container_restarts_days,
            Kind.LANGUAGE_MODEL: language_model_days,
        }[kind]


class Removed(Frozen):
    """What one step removed. `more` says that another step would find more; `held` what somebody still needs.

    `count` is in what the kind is counted in: rows, days or pictures. `size_bytes` is None where nobody
    knows.
    """

    count: int = Field(default=0, ge=0)
    size_bytes: int | None = Field(default=None, ge=0)
    more: bool = False
    held: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class KindRow(Frozen):
    """One line of the table that people look at."""

    kind: Kind
    before: AwareDatetime
    count: int = 0
    unit: str
    size_bytes: int | None = None
    left: bool = False
    problem: str = ""


class RetentionReport(Report):
    """What a run removed, or in a dry run would remove. `left`: time was up before their end."""

    dry_run: bool
    rows: tuple[KindRow, ...] = ()
    left: tuple[Kind, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float = 0

    @model_validator(mode="after")
    def _each_kind_once(self) -> Self:
        if len({row.kind for row in self.rows}) != len(self.rows):
            raise ValueError("a kind stands in the report twice")
        return self
