"""Trial: build a study by form, run it with truthful progress, read its report."""

from __future__ import annotations

import asyncio

from immunostat.app import frame, trial_state
from immunostat.app.explore_state import days_of
from immunostat.app.jobs import Job, State
from immunostat.app.limits import TRIAL
from immunostat.app.live import Page
from immunostat.app.same_as import SameAs, of_text
from immunostat.app.trial_state import DESIGNS, LETTERS, MOST_ANALYSES, MOST_RULES, TrialState
from immunostat.app.workbench import Workbench
from immunostat.base.errors import ImmunostatError, InputError
from immunostat.report.pace import Pace, clock_words, speed_words, unit_of
from immunostat.report.style import CONTROL, PALETTE

PATH = "/trial/"

#: How often a run is looked at, s.
LOOK_SECONDS = 0.2


def page(bench: Workbench, query: str) -> str:
    """The page for an address."""
    error: ImmunostatError | None = None
    try:
        state = trial_state.read(query, bench.index)
    except ImmunostatError as found:
        error, state = found, trial_state.read("", bench.index)
    here = bench.index.situations[state.situation]
    rules = [*state.rules, *[trial_state.RuleRow()] * MOST_RULES][:MOST_RULES]
    analyses = [*state.analyses, *[trial_state.AnalysisRow()] * MOST_ANALYSES][:MOST_ANALYSES]
    return frame.page(
        "trial.html",
        PATH,
        "Trial",
        is_live=True,
        state=state,
        error=error,
        here=here,
        situations=list(bench.index.situations.values()),
        arms=list(zip(LETTERS, state.arms, strict=False)),
        can_add=len(state.arms) < len(LETTERS),
        endpoints=list(bench.catalog.situation(state.situation).endpoints),
        drugs=bench.index.drugs_for(state.situation),
        designs=DESIGNS,
        rules=rules,
        analyses=analyses,
        limits=TRIAL,
        colors=[CONTROL, *PALETTE],
        jobs=bench.jobs.all(),
    )


async def show(bench: Workbench, page: Page, query: str) -> None:
    """Check what the form says, and follow the run of the address."""
    state = trial_state.read(query, bench.index)
    await page.same_as(same_as(state))
    job = bench.jobs.get(state.run) if state.run else None
    if job is not None:
        await _follow(page, job)
        return
    try:
        study = await page.do(lambda: state.study(bench.index))
    except ImmunostatError:
        await page.send("enable", {"id": "run", "on": False})
        raise
    n = study.design.patients_in_trial(study.population.n_patients) * study.design.n_replicates
    await page.part("failure", "")
    await page.send("enable", {"id": "run", "on": True})
    await page.status(
        f"Ready: {n:,} patients, {len(study.arms)} arms, {len(study.visits_day)} visits over "
        f"{days_of(state.duration):g} days."
        if not state.file
        else f"Ready: the study file, {n:,} patients and {len(study.arms)} arms.",
        state="ready",
    )


async def press(bench: Workbench, page: Page, name: str, query: str) -> None:
    """A button: run or cancel."""
    state = trial_state.read(query, bench.index)
    if name == "cancel":
        await page.do(lambda: bench.jobs.cancel(state.run))
        job = bench.jobs.get(state.run)
        if job is not None:
            await _follow(page, job)
        return
    study = await page.do(lambda: state.study(bench.index))
    await page.part("failure", "")
    job = bench.jobs.start(study.title, state.text())
    await page.send("value", {"id": "run-number", "value": job.number})
    await _follow(page, job)


async def _follow(page: Page, job: Job) -> None:
    """Tell how far a run is until it is over."""
    pace = Pace()
    await page.part("done", "")
    await page.part("failure", "")
    await page.send("enable", {"id": "run", "on": False})
    await page.send("enable", {"id": "cancel", "on": not job.is_over})
    told: tuple[object, ...] = ()
    while not job.is_over:
        now = (job.state, job.done, job.total, job.stage)
        if now != told:
            told = now
            said = job.stage
            if job.total:
                said = f"{job.stage}: {job.done:,} of {job.total:,}"
                found = pace(job.done, job.total, job.stage)
                if found is not None:
                    speed = speed_words(found[0], unit_of(job.stage))
                    said += f", {speed}, {clock_words(found[1])} left"
            await page.send(
                "status",
                {"words": said, "done": job.done, "total": job.total, "busy": True,
                 "state": str(job.state)},
            )  # fmt: skip
        await asyncio.sleep(LOOK_SECONDS)
    await page.send("enable", {"id": "run", "on": True})
    await page.send("enable", {"id": "cancel", "on": False})
    if job.state is State.DONE:
        await page.part("done", frame.part("trial_done.html", job=job))
        await page.status(f"Done in {clock_words(job.seconds)}.", state="done")
    elif job.state is State.CANCELLED:
        await page.status("Cancelled; nothing was kept.", state="cancelled")
    else:
        await page.fail(InputError(job.error, remedy=job.remedy or None))


def same_as(state: TrialState) -> SameAs:
    """What does the same as the form."""
    return of_text(state.text(), "trial")
