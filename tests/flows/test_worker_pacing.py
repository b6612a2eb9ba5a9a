"""How a herd of runs is let in."""

from __future__ import annotations

import asyncio

from deployments.worker.pacing import Pace


async def let_in(pace: Pace, runs: int) -> list[asyncio.Task[object]]:
    tasks = [asyncio.get_running_loop().create_task(pace.place()) for _ in range(runs)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def inside(tasks: list[asyncio.Task[object]]) -> int:
    return sum(task.done() for task in tasks)


def test_as_many_as_there_are_places_start_at_once_and_the_next_when_one_has_ended() -> None:
    async def story() -> None:
        tasks = await let_in(Pace(places=3, hold_seconds=60), 5)
        assert inside(tasks) == 3

        leave = tasks[0].result()
        leave()  # type: ignore[operator]
        leave()  # type: ignore[operator]  # a second time frees nothing
        await asyncio.wait(tasks, timeout=0.1)
        assert inside(tasks) == 4
        for task in tasks:
            task.cancel()

    asyncio.run(story())


def test_a_long_run_keeps_its_place_only_while_it_starts() -> None:
    async def story() -> None:
        tasks = await let_in(Pace(places=1, hold_seconds=0.01), 3)
        done, _ = await asyncio.wait(tasks, timeout=20)
        assert len(done) == 3

    asyncio.run(story())


def test_who_waits_when_the_worker_stops_is_let_in_at_once() -> None:
    async def story() -> None:
        pace = Pace(places=1, hold_seconds=60)
        tasks = await let_in(pace, 4)
        assert inside(tasks) == 1
        pace.open()
        done, _ = await asyncio.wait(tasks, timeout=20)
        assert len(done) == 4

    asyncio.run(story())


def test_easing_ends_when_nobody_waits_or_with_the_patience() -> None:
    async def story() -> None:
        pace = Pace(places=1, hold_seconds=60)
        tasks = await let_in(pace, 2)
        waiting = asyncio.get_running_loop().create_task(pace.ease(60))
        await pace.ease(0.01)  # its patience ends
        assert not waiting.done()

        tasks[0].result()()  # type: ignore[operator]
        await asyncio.wait((waiting,), timeout=20)
        assert waiting.done()

    asyncio.run(story())
