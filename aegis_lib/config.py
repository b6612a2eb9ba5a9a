"""What to watch and how: the file aegis.yaml, checked as a whole before anything uses it.

`AEGIS_CONFIG` names the file (default: aegis.yaml in the working directory); without one everything has its
default. A mistake is refused with its line, all mistakes at once. This module must not hold secrets or
addresses of outside systems: those are settings (`aegis_lib.settings`), from the environment.

`python -m aegis_lib.config schema` writes the JSON schema for editors to docs/aegis.schema.json.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from aegis_lib import yaml_lines
from aegis_lib.alerts.model import AlertsConfig
from aegis_lib.anomaly.model import AnomalyConfig
from aegis_lib.approvals.model import ApprovalsConfig
from aegis_lib.commands.model import CommandsConfig
from aegis_lib.containers.model import ContainersConfig
from aegis_lib.digest.model import DigestConfig
from aegis_lib.errors import Misconfigured
from aegis_lib.health.model import HealthConfig
from aegis_lib.ledger.model import LedgerConfig
from aegis_lib.llm.model import LlmConfig
from aegis_lib.mail.model import EmailConfig
from aegis_lib.memory.model import MemoryConfig
from aegis_lib.metrics.model import MetricsConfig
from aegis_lib.outcome import Frozen
from aegis_lib.pictures.model import PicturesConfig
from aegis_lib.retention.model import RetentionConfig
from aegis_lib.settings import InstallationSettings
from aegis_lib.sites.model import SitesConfig
from aegis_lib.status_page.model import StatusPageConfig
from aegis_lib.yaml_lines import Document, Place, Problem

SCHEMA_FILE = Path("docs/aegis.schema.json")


class AegisConfig(Frozen):
    """The whole of aegis.yaml: one section per area, each with safe defaults."""

    alerts: AlertsConfig = Field(default_factory=AlertsConfig)
    anomaly: AnomalyConfig = Field(default_factory=AnomalyConfig)
    approvals: ApprovalsConfig = Field(default_factory=ApprovalsConfig)
    commands: CommandsConfig = Field(default_factory=CommandsConfig)
    containers: ContainersConfig = Field(default_factory=ContainersConfig)
    digest: DigestConfig = Field(default_factory=DigestConfig)
    email: EmailConfig = Field(default_factory=EmailConfig)
    health: HealthConfig = Field(default_factory=HealthConfig)
    ledger: LedgerConfig = Field(default_factory=LedgerConfig)
    llm: LlmConfig = Field(default_factory=LlmConfig)
    memory: MemoryConfig = Field(default_factory=MemoryConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    pictures: PicturesConfig = Field(default_factory=PicturesConfig)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    sites: SitesConfig = Field(default_factory=SitesConfig)
    status_page: StatusPageConfig = Field(default_factory=StatusPageConfig)


def load(settings: InstallationSettings | None = None) -> AegisConfig:
    """The configuration of this installation; all defaults where there is no aegis.yaml.

    Raises:
        Misconfigured: the file has mistakes or cannot be read, or `AEGIS_CONFIG` names one that is not there.
    """
    settings = settings or InstallationSettings()
    path = settings.config.expanduser()
    try:
        with path.open("rb") as opened:
            data = opened.read(yaml_lines.LARGEST_BYTES + 1)
    except FileNotFoundError:
        if "config" not in settings.model_fields_set:
            return AegisConfig()
        raise Misconfigured(
            "AEGIS_CONFIG",
            f"{path} does not exist.",
            "create it from aegis.example.yaml, or unset AEGIS_CONFIG.",
        ) from None
    except OSError as error:
        raise Misconfigured(
            "AEGIS_CONFIG", f"{path} cannot be read: {error.strerror}.", "name a readable file."
        ) from error
    return parse(data, name=str(settings.config))


def parse(data: bytes, name: str = "aegis.yaml") -> AegisConfig:
    """The configuration in a file's bytes. `name` stands in front of each problem.

    Raises:
        Misconfigured: with every problem and its line.
    """
    document = yaml_lines.read(data)
    # A section whose lines are all commented out is there with no value: it means the defaults.
    content = {key: value for key, value in document.content.items() if value is not None}
    problems = set(document.problems)
    config = AegisConfig()
    try:
        # Strict as JSON is: a list may become a tuple, a text an enum, but "3" is no number.
        config = AegisConfig.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        told = {problem.line for problem in problems}
        problems |= {
            one for one in (_problem(found, document) for found in error.errors()) if one.line not in told
        }
    if not problems:
        return config
    lines = [f"{name}:{problem.line}: {problem.text}" for problem in sorted(problems)]
    mend = "correct the file; aegis.example.yaml shows every key."
    if len(lines) == 1:
        place, _, text = lines[0].partition(": ")
        raise Misconfigured(place, text, mend)
    raise Misconfigured(name, f"{len(lines)} problems:\n  " + "\n  ".join(lines) + "\n", mend)


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of aegis.yaml."""
    schema = AegisConfig.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "aegis.yaml"}


def _problem(found: Mapping[str, Any], document: Document) -> Problem:
    place: Place = tuple(found["loc"])
    line = document.line(place)
    where = _written(place)
    if found["type"] == "extra_forbidden":
        inside = f"in {_written(place[:-1])}" if place[:-1] else "at the top"
        return Problem(line, f"unknown key {str(place[-1])!r} {inside}. {_hint(place)}")
    if found["type"] == "missing":
        return Problem(line, f"{_written(place[:-1])} needs the key {str(place[-1])!r}.")
    said = str(found["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    value = found["input"]
    if value is None:
        return Problem(line, f"{where} has no value. Leave the key out for its default.")
    shown = (
        f", not {json.dumps(value, ensure_ascii=False)[:60]}" if not isinstance(value, (dict, list)) else ""
    )
    return Problem(line, f"{where}: {said}{shown}.")


def _written(place: Place) -> str:
    """`containers.rules[2].name`, list positions counted from 1 as people do."""
    text = ""
    for step in place:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".") or "the file"


def _hint(place: Place) -> str:
    """What the writer of an unknown key may have meant."""
    known = _known_keys(place[:-1])
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    sections = [
        section
        for section, field in AegisConfig.model_fields.items()
        if place[-1] in getattr(field.annotation, "model_fields", {})
    ]
    if near and not (sections and len(place) == 1):  # at the top, a key of a section is no misspelt section
        return f"Did you mean {near[0]!r}?"
    if sections:
        return f"It belongs to the section {sections[0]!r}."
    return f"Known keys: {', '.join(known)}."


def _known_keys(place: Sequence[str | int]) -> list[str]:
    """The keys that the schema has at a place."""
    schema = json_schema()
    node: Any = schema
    for step in place:
        node = node.get("items", {}) if isinstance(step, int) else node.get("properties", {}).get(step, {})
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", {}))


def main(arguments: Sequence[str]) -> int:
    """Write the schema file; returns the exit code."""
    if list(arguments) != ["schema"]:
        sys.stderr.write("usage: python -m aegis_lib.config schema\n")
        return 2
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {SCHEMA_FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
