"""Run planned stages: each when what it needs is there, several at once if wanted."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.build import with_options
from configs.command import command_name
from configs.errors import UserError
from configs.flags import to_flags
from configs.recipe import Recipe
from distill.pipeline.child_process import Child, Terminated, end, signals_as_exceptions, wait_for_output
from distill.pipeline.live import duration, say_live
from distill.pipeline.plan import StagePlan, missing_upstream_paths
from distill.pipeline.publish import has_checkpoint, prepare, publish

_LOG_TAIL = 12  # lines of a failed stage's log, where its output was not on the screen


def run_stages(
    recipe: Recipe,
    plans: dict[str, StagePlan],
    chosen: Sequence[str],
    force: bool = False,
    jobs: int = 1,
    keep_going: bool = False,
) -> dict[str, str]:
    """Run the chosen stages that are stale, in order, at most `jobs` at once; publish each that ends well.

    With several at once each gets its share of the threads, and its output goes to its log alone. After a
    failure no further stage starts and the process ends with its exit status; with keep_going those that do
    not need it still run, and {stage: what went wrong} is returned.
    """
    return _Schedule(recipe, plans, chosen, force, jobs, keep_going).run()


def stage_command(options: object) -> list[str]:
    """The command, as words, that a stage with these options (a command's Config) is."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return [str(python), "-m", command_name(type(options)), *to_flags(options)]


def stage_identity(plan: StagePlan, plans: dict[str, StagePlan]) -> dict[str, Any]:
    """`StagePlan.identity` with the runs of the upstream stages that are there now."""
    return plan.identity({need: plans[need].record["run"] for need in plan.needs})


@dataclasses.dataclass
class _Work:
    """A stage at work."""

    child: Child
    identity: dict[str, Any]
    began: float
    began_at: float  # seconds of the epoch


class _Schedule:
    def __init__(
        self,
        recipe: Recipe,
        plans: dict[str, StagePlan],
        chosen: Sequence[str],
        force: bool,
        jobs: int,
        keep_going: bool,
    ) -> None:
        self.recipe, self.plans, self.chosen, self.force = recipe, plans, list(chosen), force
        self.jobs, self.keep_going = jobs, keep_going
        self.waiting = list(chosen)
        self.working: dict[str, _Work] = {}
        self.failed: dict[str, str] = {}
        self.ran, self.status = 0, 0
        self.refusal: UserError | None = None

    def run(self) -> dict[str, str]:
        began, stop = time.monotonic(), None
        with signals_as_exceptions():
            try:
                while self._start_ready() or self.working:
                    wait_for_output([work.child for work in self.working.values()])
                    self._collect()
            except KeyboardInterrupt as interrupt:
                stop = interrupt
                end([work.child for work in self.working.values()], stop)
            except BaseException:  # such as a disk without room for a record
                for work in self.working.values():
                    work.child.close()
                raise
        if stop is not None:  # outside of the handler: the exit is not the interrupt's consequence
            self._say_interrupted()
            sys.exit(143 if isinstance(stop, Terminated) else 130)
        if self.refusal is not None and not self.keep_going:
            raise self.refusal
        if self.status and not self.keep_going:
            sys.exit(self.status)
        print(f"{self.ran} of {len(self.chosen)} stages ran, in {duration(time.monotonic() - began)}")
        return self.failed

    def _start_ready(self) -> bool:
        """Start what can start now; True while something is at work or waits for it."""
        for name in list(self.waiting):
            if self.failed and not self.keep_going:
                self.waiting.clear()
                break
            if len(self.working) >= self.jobs:
                break
            needs = self.plans[name].needs
            lost = [need for need in needs if need in self.failed]
            if lost:
                self.waiting.remove(name)
                self._fail(name, f"not run, it needs {lost[0]}")
            elif not any(need in self.waiting or need in self.working for need in needs):
                self.waiting.remove(name)
                self._start(name)
        return bool(self.waiting)

    def _start(self, name: str) -> None:
        plan, head = self.plans[name], self._head(name)
        reasons = plan.reasons or (["forced"] if self.force else [])
        if not reasons:
            print(f"{head}: up to date", flush=True)
            return
        print(f"{head}: {'; '.join(reasons)}", flush=True)
        try:
            self._refuse(plan)
            identity = stage_identity(plan, self.plans)
            goes_on = prepare(plan, identity)
        except UserError as refusal:
            self.refusal = refusal
            self._fail(name, str(refusal))
            return
        changes = {"output_dir": plan.work_dir} | ({"resume": "auto"} if goes_on else {})
        words = stage_command(with_options(plan.config, **changes))
        print(shlex.join(words), flush=True)
        alone = self.jobs == 1
        variables = {} if alone else {"OMP_NUM_THREADS": str(threads_each(self.jobs))}
        child = Child(words, self._log_path(name), goes_on, alone, variables)
        self.working[name] = _Work(child, identity, time.monotonic(), time.time())
        self._say_live()

    def _refuse(self, plan: StagePlan) -> None:
        """Raise UserError for what stands in a stage's way."""
        if plan.output_dir.exists() and plan.record is None:
            raise UserError(
                f"{plan.output_dir} was not made by the pipeline, and would be replaced. Move it away, "
                f"or take it as the stage's output with --adopt {plan.name}."
            )
        complaints = missing_upstream_paths(plan)
        if complaints:
            raise UserError(f"{self.recipe.where(plan.name)}: " + " ".join(complaints))

    def _collect(self) -> None:
        """Pass on output, publish what has ended well."""
        for name in [name for name, work in self.working.items() if work.child.relay()]:
            work, plan = self.working[name], self.plans[name]
            status = work.child.close()
            del self.working[name]
            self._say_live()
            if status:
                self.status = self.status or status
                self._fail(name, f"failed with exit status {status}, its log is {self._log_path(name)}")
                continue
            seconds = time.monotonic() - work.began
            plan.record, plan.reasons = publish(plan, work.identity, seconds), []
            print(f"{self._head(name)}: done in {duration(seconds)} -> {plan.output_dir}", flush=True)
            self.ran += 1

    def _fail(self, name: str, why: str) -> None:
        self.failed[name] = why
        if self.refusal is not None and not self.keep_going:
            return  # it is raised
        log_path = self._log_path(name)
        if self.jobs > 1 and why.startswith("failed") and log_path.exists():
            lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            print("\n".join(f"  {name}: {line}" for line in lines[-_LOG_TAIL:]), file=sys.stderr)
        later = "" if self.keep_going else "; later stages did not run"
        print(f"error: stage {name} {why}{later}", file=sys.stderr, flush=True)

    def _say_interrupted(self) -> None:
        for name in self.working:
            plan = self.plans[name]
            goes_on = plan.resumable and has_checkpoint(plan)
            kept = "goes on from its last checkpoint" if goes_on else "starts it anew"
            print(f"\ninterrupted in stage {name}: the same command again {kept}.", file=sys.stderr)

    def _say_live(self) -> None:
        say_live(self.recipe.run_dir, [(name, work.began_at) for name, work in self.working.items()])

    def _log_path(self, name: str) -> Path:
        return self.recipe.run_dir / "logs" / f"{name}.log"

    def _head(self, name: str) -> str:
        return f"[{self.chosen.index(name) + 1}/{len(self.chosen)}] {name}"


def threads_each(jobs: int) -> int:
    """Threads for each of `jobs` stages at once: a share of OMP_NUM_THREADS, or of the cores it may use."""
    word = os.environ.get("OMP_NUM_THREADS", "")
    if word.isdigit():
        threads = int(word)
    elif hasattr(os, "sched_getaffinity"):
        threads = len(os.sched_getaffinity(0))
    else:
        threads = os.cpu_count() or 1
    return max(1, threads // jobs)
