"""The look at one engine: every container's condition and what may be done to it. It writes nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from aegis_lib.containers import policy
from aegis_lib.containers.model import (
    Condition,
    ContainerRow,
    ContainersConfig,
    Inspected,
    Listed,
    StrikeRecord,
    Treatment,
    Verdict,
)
from aegis_lib.errors import AegisError
from aegis_lib.ports.containers import ContainerEngine

SILENT_CONTAINERS = 3
"""So many containers that cannot be inspected mean that the engine, not they, is in trouble."""


@dataclass
class Patient:
    """One container in this cycle. `affected` are containers that are sick because they depend on it."""

    engine: ContainerEngine
    listed: Listed
    inspected: Inspected | None
    verdict: Verdict
    rule: Treatment
    case: StrikeRecord | None = None
    affected: tuple[str, ...] = ()
    action: str = ""

    @property
    def own_case(self) -> StrikeRecord | None:
        """The case, if it is this container's and not that of an earlier one of the same name."""
        return self.case if self.case and self.case.container_id == self.listed.id else None

    def row(self) -> ContainerRow:
        """The line of the table that people look at."""
        notes = [self.action, *self.rule.notes]
        return ContainerRow(
            container=self.listed.title,
            health=self.verdict.reason or self.verdict.condition.value,
            strikes=f"{self.own_case.strikes}/{self.rule.strikes}" if self.own_case else "",
            action="; ".join(note for note in notes if note),
        )


@dataclass
class Examination:
    """What one engine has: patients, and the names of all containers listed, watched or not."""

    engine: ContainerEngine
    patients: list[Patient] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def examine(
    engine: ContainerEngine,
    config: ContainersConfig,
    now: datetime,
    only_label: str | None = None,
    own_names: Collection[str] = (),
) -> Examination:
    """List the containers of one engine, inspect those whose list entry does not tell enough, and judge all.

    Raises:
        DependencyUnavailable: the engine does not answer, also about several containers in particular.
        Misconfigured: the engine may not be asked.
    """
    result = Examination(engine)
    silent = 0
    for listed in engine.containers(only_label):
        result.names.add(listed.name)
        rule = policy.treatment(listed, config, own_names)
        if rule.ignored:
            continue
        inspected = None
        if policy.needs_inspection(listed, now):
            try:
                inspected = engine.inspect(listed.id)
            except AegisError as error:
                silent += 1
                if silent >= SILENT_CONTAINERS:
                    raise
                result.problems.append(f"{listed.title}: {error}")
                verdict = Verdict(condition=Condition.UNKNOWN, reason="the engine does not answer about it")
                result.patients.append(Patient(engine, listed, None, verdict, rule))
                continue
            if inspected is None:  # removed since it was listed
                result.names.discard(listed.name)
                continue
        verdict = policy.judge(listed, inspected, now)
        result.patients.append(Patient(engine, listed, inspected, verdict, rule))
    _shadow(result.patients)
    return result


def _shadow(patients: list[Patient]) -> None:
    causes = policy.shadows([(p.listed, p.verdict) for p in patients])
    for patient in patients:
        if behind := causes.get(patient.listed.id):
            reason = f"sick because it depends on {', '.join(behind)}"
            patient.verdict = Verdict(condition=Condition.SHADOWED, reason=reason)
        patient.affected = tuple(
            other.listed.title for other in patients if patient.listed.name in causes.get(other.listed.id, ())
        )
