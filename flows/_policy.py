"""How every job runs: retries, time-outs, failure hook, outcome names. Stated once; no business in here.

A *step* is a Prefect task whose transient failures are retried; a *job* is a Prefect flow made of steps.
What a job found is a value (`Report`); `outcome` gives the finished run its name.
"""

from __future__ import annotations
