"""What the end of a run's process means for the run. Pure: reads no clock and asks no server."""

from __future__ import annotations

from typing import Literal

from aegis_lib.outcome import Frozen
from deployments.job_variables import RunLimits
from deployments.worker.in_flight import Ending

Verdict = Literal["nothing", "ask", "crashed", "timed_out", "cancelled"]


class Judgement(Frozen):
    """What is to be proposed to the server.

    `ask`: the process ended as if all were well, but nobody said so; crashed only if the run is not over.
    """

    verdict: Verdict
    message: str = ""


def judge(ending: Ending, limits: RunLimits, explain: str, host: str) -> Judgement:
    """Decide about one run.

    Args:
        ending: how its process ended.
        limits: what it was held to.
        explain: Prefect's sentence about the exit code.
        host: where the process was.
    """
    code = ending.exit.code
    if ending.concluded:
        return Judgement(verdict="nothing")
    if ending.cause == "cancelled":
        return Judgement(verdict="cancelled", message=f"Cancelled; its process on {host} has ended.")
    if ending.cause == "time_out":
        grace = limits.timeout_grace_seconds
        said = f"It did not end within {grace} s after {ending.detail}, and was ended from outside."
        return Judgement(verdict="timed_out", message=said)
    if ending.cause == "memory":
        return Judgement(verdict="crashed", message=f"It used {ending.detail}, and was ended.")
    if ending.cause == "stopped":
        said = f"The worker on {host} was stopped and did not wait longer for this run."
        return Judgement(verdict="crashed", message=said)
    if code == 0:
        said = f"Its process on {host} ended with exit code 0 without saying how the run went."
        return Judgement(verdict="ask", message=said)
    status = "unknown" if code is None else str(code)
    said = f"Process exited with status code: {status} ({ending.exit.words}, on {host}). {explain}"
    return Judgement(verdict="crashed", message=" ".join((said, _hint(ending, limits))).strip())


def _hint(ending: Ending, limits: RunLimits) -> str:
    if limits.cpu_seconds and "SIGXCPU" in ending.exit.words:
        return f"It used more than its cpu_seconds of {limits.cpu_seconds}."
    if ending.exit.peak_mb and ending.exit.code == -9:
        return f"Its memory had reached {ending.exit.peak_mb} MB."
    return ""
