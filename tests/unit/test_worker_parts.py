"""Parts of the worker that need neither a server nor a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from deployments.job_variables import RunLimits
from deployments.work_pool import TEMPLATE_FILE, with_defaults_of
from deployments.worker import process_title
from deployments.worker.endings import judge
from deployments.worker.exits import Exit
from deployments.worker.images import Fingerprint
from deployments.worker.in_flight import Ending
from deployments.worker.wire import LARGEST_BYTES, Decoder, encode
from tests.write_template import text

LIMITS = RunLimits(memory_limit_mb=256, cpu_seconds=5)


def test_the_work_pools_template_is_what_the_worker_says() -> None:
    assert TEMPLATE_FILE.read_text() == text(), "run `make generate`"


def test_every_job_variable_can_be_edited_and_has_a_word_about_it() -> None:
    template = json.loads(TEMPLATE_FILE.read_text())
    variables = template["variables"]["properties"]
    assert {"misfire_grace_seconds", "coalesce", "maintenance_windows", "memory_limit_mb", "cpu_seconds",
            "open_files", "timeout_grace_seconds", "cancel_grace_seconds"} <= set(variables)  # fmt: skip
    assert [name for name, variable in variables.items() if not variable.get("description")] == []
    assert set(template["job_configuration"]) == set(variables)


def test_defaults_of_variables_that_are_gone_are_dropped() -> None:
    existing = {"variables": {"properties": {"gone": {"default": 1}, "coalesce": {"default": "all"}}}}
    found = with_defaults_of(existing)["variables"]["properties"]
    assert "gone" not in found
    assert found["coalesce"]["default"] == "all"


@given(
    messages=some.lists(some.dictionaries(some.text(), some.integers() | some.text())),
    cut=some.integers(1, 7),
)
def test_messages_arrive_whole_however_they_are_cut(messages: list[dict[str, int | str]], cut: int) -> None:
    data, decoder = b"".join(map(encode, messages)), Decoder()
    found = [m for start in range(0, len(data), cut) for m in decoder.feed(data[start : start + cut])]
    assert found == messages


def test_a_message_that_cannot_be_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="announced"):
        Decoder().feed((LARGEST_BYTES + 1).to_bytes(4, "big"))


def test_a_title_names_the_run_also_after_it_was_cut() -> None:
    run = "01a20687-005c-7c1c-a049-8336338054f9"
    title = process_title.run_title(run, "quick-sunfish")
    assert process_title.run_id_of(title) == run
    assert process_title.run_id_of(title[:60]) == run
    assert process_title.run_id_of("python -m aegis-run") is None


def test_a_process_shows_the_title_it_was_given_or_says_that_it_cannot() -> None:
    program = (
        "from deployments.worker import process_title as t; "
        "shown = t.set_title('aegis-run x y '); "
        "print(open('/proc/self/cmdline').read().rstrip(chr(0)) if shown else 'no way')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, process_title.PADDING], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ("aegis-run x y" if sys.platform == "linux" else "no way")


ITSELF = {
    "an end without a word is asked about": (0, "ask", "without saying how the run went"),
    "an exit code": (7, "crashed", "Process exited with status code: 7 (exit code 7, on h)"),
    "a signal": (-11, "crashed", "Process exited with status code: -11 (killed by SIGSEGV"),
    "an end that nobody saw": (None, "crashed", "status code: unknown"),
    "too much computing": (-24, "crashed", "more than its cpu_seconds of 5."),
}
KILLED = Exit(code=-9, peak_mb=900)
ENDINGS = {
    **{row: (Ending(exit=Exit(code=code)), *rest) for row, (code, *rest) in ITSELF.items()},
    "a run that said its last word needs none from us": (Ending(exit=KILLED, concluded=True), "nothing", ""),
    "memory that the system took": (Ending(exit=KILLED), "crashed", "Its memory had reached 900 MB."),
    "too much memory": (
        Ending(exit=KILLED, cause="memory", detail="300 MB of memory, more than its memory_limit_mb of 256"),
        "crashed",
        "It used 300 MB of memory, more than its memory_limit_mb of 256, and was ended.",
    ),
    "too long": (
        Ending(exit=KILLED, cause="time_out", detail="its time-out"),
        "timed_out",
        "It did not end within 30 s after its time-out, and was ended from outside.",
    ),
    "cancelled": (Ending(exit=KILLED, cause="cancelled"), "cancelled", "its process on h has ended."),
    "the worker was stopped": (
        Ending(exit=KILLED, cause="stopped"),
        "crashed",
        "The worker on h was stopped",
    ),
}


@pytest.mark.parametrize("row", ENDINGS)
def test_what_an_end_means(row: str) -> None:
    ending, verdict, said = ENDINGS[row]
    found = judge(ending, LIMITS, "As explained.", "h")
    assert found.verdict == verdict
    assert said in found.message


def test_an_exit_is_read_as_the_system_gives_it() -> None:
    assert Exit.of_status(os.WEXITSTATUS(3) << 8 | 3 << 8).code == 3
    assert Exit.of_status(9).words == "killed by SIGKILL"


def test_a_file_that_changes_appears_or_goes_is_noticed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    there, missing = tmp_path / "a.py", tmp_path / "b.py"
    there.write_text("1")
    os.utime(there, ns=(1, 1))
    prints = Fingerprint([there, missing], since_ns=1000)
    assert not prints.changed()
    os.utime(there, ns=(2, 2))
    assert prints.changed()
    os.utime(there, ns=(1, 1))
    missing.write_text("")
    assert prints.changed()
    assert Fingerprint([missing], since_ns=0).changed(), "written while it was being imported"
