"""What only an imported flow knows: its description, the schema of its parameters. Writes to no server.

The flows are imported in a process of their own, started in the project's directory, exactly as
`prefect deploy` would find them: the caller stays light, and always sees the files as they are now.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Frozen
from deployments.catalogue.model import Job

_TIMEOUT_SECONDS = 180


class FlowFacts(Frozen):
    """A flow as Prefect sees it. `version` is Prefect's hash of the file, None where it made none.

    `longest_run_seconds` is how long a run may take with all its `attempts`, each of which has
    `timeout_seconds`; None: it has no time-out.
    """

    flow_name: str
    description: str | None
    parameter_schema: dict[str, Any]
    version: str | None
    longest_run_seconds: int | None = None
    timeout_seconds: float | None = None
    attempts: int = 1

    def longest_with(self, timeout_seconds: int | None) -> int | None:
        """How long a run may take where its job variables set another time-out for each attempt."""
        if timeout_seconds is None:
            return self.longest_run_seconds
        pauses = (self.longest_run_seconds or 0) - self.attempts * (self.timeout_seconds or 0)
        return math.ceil(self.attempts * timeout_seconds + max(0, pauses))


class FlowsUnusable(PermanentFailure):
    """Flows of the catalogue cannot be deployed. `problems` has one line for each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def read_flow_facts(jobs: Iterable[Job], root: Path) -> dict[str, FlowFacts]:
    """Import the flows of `jobs` and return their facts by job id. Takes seconds: it imports prefect.

    Raises:
        FlowsUnusable: a flow cannot be imported, has another name, or does not accept its parameters.
    """
    questions = [
        {
            "id": job.id,
            "entrypoint": job.entrypoint,
            "flow_name": job.flow_name,
            "parameters": job.parameters,
            "scheduled": bool(job.schedules),
        }
        for job in jobs
    ]
    if not questions:
        return {}
    with tempfile.TemporaryDirectory(prefix="aegis-") as directory:
        answer_file = Path(directory) / "facts.json"
        try:
            child = subprocess.run(
                [sys.executable, "-m", __name__, str(answer_file)],
                input=json.dumps(questions),
                cwd=root,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FlowsUnusable(
                (f"importing the flows of {root} took more than {_TIMEOUT_SECONDS} s. "
                 "Fix: a flow file must only define, not do.",)
            ) from None  # fmt: skip
        if child.returncode != 0 or not answer_file.exists():
            last = " | ".join(child.stderr.strip().splitlines()[-3:])
            raise FlowsUnusable(
                (f"importing the flows of {root} ended with code {child.returncode}: {last or 'no message'}. "
                 "Fix: run `python -c 'import prefect'`; reinstall the project if that fails.",)
            )  # fmt: skip
        answer = json.loads(answer_file.read_text(encoding="utf-8"))
    if answer["problems"]:
        raise FlowsUnusable(tuple(answer["problems"]))
    return {job: FlowFacts(**facts) for job, facts in answer["facts"].items()}


def _inspect(question: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    from prefect.exceptions import MissingFlowError, ParameterTypeError, ScriptError, UnspecifiedFlowError
    from prefect.flows import Flow, load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    entrypoint = question["entrypoint"]
    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except ScriptError as error:
        cause = error.user_exc
        return (
            {},
            f"{entrypoint}: cannot be imported: {type(cause).__name__}: {cause}. Fix: correct the flow file.",
        )
    except (MissingFlowError, UnspecifiedFlowError) as error:
        return {}, f"{entrypoint}: has no flow: {error}. Fix: decorate the function with @job(...)."
    if flow.name != question["flow_name"]:
        return {}, (
            f"{entrypoint}: the flow is called {flow.name!r}. "
            f"Fix: leave its name out, so that it becomes {question['flow_name']!r}."
        )
    schema = parameter_schema(flow)
    missing = set(schema.required) - set(question["parameters"])
    try:
        if question["scheduled"] or not missing:  # else whoever runs it fills in a form
            flow.validate_parameters(question["parameters"])
    except ParameterTypeError as error:
        reason = " ".join(str(error).split())
        return (
            {},
            f"{entrypoint}: the parameters in prefect.yaml do not fit. {reason}. Fix: correct them there.",
        )
    return {
        "flow_name": flow.name,
        "description": flow.description,
        "parameter_schema": schema.model_dump(mode="json", exclude_unset=True),
        "version": flow.version,
        "timeout_seconds": flow.timeout_seconds,
        "attempts": 1 + flow.retries,
        "longest_run_seconds": _longest(flow.timeout_seconds, flow.retries, flow.retry_delay_seconds),
    }, None


def _longest(timeout_seconds: float | None, retries: int, delay_seconds: float | None) -> int | None:
    if timeout_seconds is None:
        return None
    return math.ceil(timeout_seconds + retries * (timeout_seconds + (delay_seconds or 0)))


def main(answer_file: Path) -> None:
    """Answer the questions on standard input into a file; standard output belongs to what the flows print."""
    facts, problems = {}, []
    for question in json.load(sys.stdin):
        found, problem = _inspect(question)
        if problem:
            problems.append(problem)
        else:
            facts[question["id"]] = found
    answer_file.write_text(json.dumps({"facts": facts, "problems": problems}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
