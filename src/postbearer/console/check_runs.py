"""Checks at work: they go on by themselves, and pages show how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from postbearer.api import ApiServices
from postbearer.diagnosis import Failure, Finding, worst
from postbearer.errors import PostbearerError
from postbearer.tasks import Tasks


@dataclass(slots=True)
class CheckRun:
    """One check of an account, and what it has found so far."""

    began: float
    send_to: str
    findings: list[Finding] = field(default_factory=list)
    over: bool = False
    error: str = ""

    @property
    def word(self) -> str:
        """How it looks, as far as it got: good, bad; wait: mail leaves, and others may not believe it."""
        failure = worst(self.findings)
        if self.error or failure not in (None, Failure.UNTRUSTED):
            return "bad"
        return "good" if failure is None else "wait"


class CheckRuns:
    """The last check of each account, in memory: who opens its page anew sees the same one."""

    def __init__(self, services: ApiServices) -> None:
        self._clock = services.clock
        self._tasks = Tasks(services.clock, services.observer)
        self._runs: dict[str, CheckRun] = {}

    def last(self, account: str) -> CheckRun | None:
        return self._runs.get(account)

    async def begin(self, account: str, send_to: str, steps: AsyncGenerator[Finding, None]) -> None:
        """Have `steps` done in the background. Raises what keeps them from beginning."""
        first = await anext(steps, None)
        run = CheckRun(self._clock.now(), send_to)
        run.findings += [first] if first is not None else []
        self._runs[account] = run
        self._tasks.start(self._follow(run, steps), f"check of {account}")

    async def stop(self) -> None:
        """End what goes on."""
        await self._tasks.stop()

    async def _follow(self, run: CheckRun, steps: AsyncGenerator[Finding, None]) -> None:
        try:
            async with aclosing(steps):
                async for finding in steps:
                    run.findings.append(finding)
        except TimeoutError:
            run.error = "It took too long, and was ended."
        except PostbearerError as error:
            run.error = str(error)
        except asyncio.CancelledError:
            run.error = "It was ended before it was done."
            raise
        finally:
            run.over = True
