"""Science pages: equations and numbers from the catalog, results from a real run."""

from __future__ import annotations

from immunostat.catalog.lookup import packaged_catalog
from immunostat.report import figures
from immunostat.study.result import Result
from immunostat.study.simulation import Simulation
from making import cards, results, situations, trial_run
from making.markdown import number, page, table
from making.results import COVERED, SITUATION
from making.trial_run import ROOT, compared

IMAGES = ROOT / "docs" / "images"


def pages(patients: int) -> dict[str, str]:
    """Every science page by its path, pictures written on the way."""
    simulation, result = trial_run.run(patients)
    IMAGES.mkdir(parents=True, exist_ok=True)
    situations.draw_network(SITUATION)
    situations.draw_network("healthy", "immune-core")
    _result_pictures(result)
    return {
        "science/immune-core.md": immune_core(result),
        "science/rheumatoid-arthritis.md": arthritis(simulation, result),
        **situations.pages(patients),
    }


def _result_pictures(result: Result) -> None:
    """Figures of the demo study's own arms and trials, drawn from the run."""
    demo = _of_demo(result)
    figures.save(figures.responders(demo, list(COVERED)), IMAGES / "responders.svg")
    figures.save(figures.profile(demo), IMAGES / "profile.svg")
    figures.save(figures.response(demo, "DAS28-CRP-change"), IMAGES / "das28-crp-change.svg")


def _of_demo(result: Result) -> Result:
    """The result without the arms that were added for other doses."""
    from dataclasses import replace

    from immunostat.study.study_reader import read_study

    plan = read_study(ROOT / "studies" / "ra-biologics.yaml")
    arms = list(plan.arms)
    changes = {}
    for name in ("endpoints", "side_effects", "patients", "events", "visits", "bands", "profile"):
        frame = getattr(result, name)
        changes[name] = frame[frame["arm"].isin(arms)].reset_index(drop=True)
    rows = result.comparison
    rows = rows[rows["trial"].isin(plan.compare_with) & rows["arm"].isin(arms)]
    study = {**result.study, "arms": {a: result.study["arms"][a] for a in arms}}
    study["compare_with"] = list(plan.compare_with)
    return replace(result, study=study, comparison=rows.reset_index(drop=True), **changes)


def _made(result: Result) -> str:
    n = result.study["population"]["patients"]
    return (
        f"Simulated numbers on this page: version {_version()}, {n} virtual patients in each arm, "
        f"seed {result.study['population']['seed']}, catalog `{result.run['catalog_hash'][:12]}`. "
        "Made again by `python docs/make.py`."
    )


def _version() -> str:
    from immunostat.study.run import own_version

    return own_version()


# ---- equations and numbers ---------------------------------------------------------------------


def immune_core(result: Result) -> str:
    """The page on the core."""
    catalog = packaged_catalog()
    core = catalog.core("immune_core")
    targets = table(
        ("target", "hook", "effect", "tissue partition"),
        [
            (
                name,
                f"`{t.hook}`",
                t.summary,
                number(t.parameters["tissue_partition"].value)
                if "tissue_partition" in t.parameters
                else "",
            )
            for name, t in ((n, catalog.target(n)) for n in catalog.targets())
            if t.hook in core.ports
        ],
    )
    numbers = cards.parameters(core.parameters)
    functions = table(
        ("part", "reads"), [(f.title, f"`{f.output}`") for f in core.functions.values()]
    )
    return page(
        "# Immune core",
        f"{core.summary} It is one network, used unchanged in every situation. Without antigen and "
        "drug every state rests at its healthy value.",
        "![Network of the immune core](../images/immune-core.svg)",
        "Arrows are read from the equations: an arrow stands where the rate of one depends on the "
        "other, with the sign that it has in a healthy person.",
        "## Equations",
        "As the program reads them; a name without an equation is a parameter, see below.",
        cards.equations(core.fragment),
        "## Targets",
        "A hook receives, summed over drugs, concentration divided by dissociation constant.",
        targets,
        "Other target cards of the catalog are known to drugs but not part of the core yet.",
        "## Numbers",
        cards.tally(core),
        numbers,
        "## Immune activity profile",
        "What each part reads; how words are chosen: "
        "[Immune activity profile](../concepts/immune-activity-profile.md).",
        functions,
        "In rheumatoid arthritis, relative to the same patients without the drug:",
        "![Immune activity profile](../images/profile.svg)",
        _profile_table(_of_demo(result)),
        _made(result),
        "## What it cannot do",
        cards.limits("immune-core"),
        cards.sources(numbers),
    )


def _profile_table(result: Result) -> str:
    rows = result.profile.pivot(index="function", columns="arm", values="ratio")
    words = result.profile.pivot(index="function", columns="arm", values="direction")
    arms = [arm for arm in result.arms if arm in rows]
    functions = list(dict.fromkeys(result.profile["function"]))
    lines = [
        (name, *(f"{number(rows.loc[name, a], 2)} {words.loc[name, a]}" for a in arms))
        for name in functions
    ]
    return table(("part", *arms), lines)


# ---- arthritis ---------------------------------------------------------------------------------


def arthritis(simulation: Simulation, result: Result) -> str:
    """The page on rheumatoid arthritis."""
    catalog = packaged_catalog()
    card = catalog.situation(SITUATION)
    population = catalog.population(trial_run.POPULATION)
    rows = compared(result)
    numbers = cards.parameters(card.parameters)
    training, held = rows[rows["role"] == "training"], rows[rows["role"] != "training"]
    return page(
        "# Rheumatoid arthritis",
        f"{card.summary} Patients: {population.title.lower()}. "
        "What it cannot do stands [at the end](#what-it-cannot-do); read it before the numbers.",
        "![Network of rheumatoid arthritis](../images/rheumatoid-arthritis.svg)",
        "Arrows are read from the equations of the joined model and from the cards of scores and "
        "side effects. Effects of a drug are those at its target; arrows from TNF and IL-6 to "
        "serious infection are the loss of signalling capacity. The core alone: "
        "[Immune core](immune-core.md).",
        "## Equations",
        "The joint. Signals come from the core through ports.",
        cards.equations(card.fragment),
        "Kinetics of adalimumab and tocilizumab, as they stand in the joined model (amounts in "
        "nmol, volumes in L, time in days):",
        *(_kinetics(simulation, drug) for drug in results.DRUGS),
        "## What was fitted, and to what",
        "Training arms, and nothing else, at week 24, by `immunostat calibrate "
        "rheumatoid-arthritis` ([how](../how-to/calibrate-a-situation.md)):",
        results.compared_table(training[training["endpoint"].isin(COVERED)]),
        "What the search may change, and what it found:",
        cards.fitted(SITUATION),
        "Kinetics and affinities are not touched by the fit. They come from their own "
        "publications, or are assumed with a reason. Reproducing training arms tests nothing; "
        "the next section does.",
        "## What is predicted: held-back arms",
        "The goal of the project is a mean absolute error of at most 6 points at week 24. A number "
        "that is missed is printed as missed.",
        results.summary(held),
        "![Responders at week 24](../images/responders.svg)",
        results.compared_table(held),
        "All arms of the table are simulated in one population (after methotrexate, on "
        "methotrexate). Trials differ in who entered, so part of each difference is the trial's "
        "own: placebo arms, which no drug touches, differ between the trials too.",
        results.left_out(),
        "Every arm that can be simulated, also of patients after a failed treatment, and how far "
        "each drug is off: [Predicted beside published](validation-rheumatoid-arthritis.md).",
        "Course of DAS28-CRP, the arms of the demo study:",
        "![Change of DAS28-CRP](../images/das28-crp-change.svg)",
        "## Kinetics beside published exposures",
        "Exposures are never parameters. Trough is the value at week 24, before the dose that "
        "would be due.",
        results.exposures(simulation),
        "## Side effects",
        "Published rates beside predicted ones: `immunostat validate harm`; what drives each: "
        "[side effects](../concepts/side-effects.md).",
        "## Numbers of the joint",
        cards.tally(card),
        numbers,
        "## Patients",
        results.patients(result),
        _entry(),
        "## What it cannot do",
        f"{_placebo(result)}\n{cards.limits(SITUATION)}",
        _made(result),
        cards.sources(
            _placebo(result),
            numbers,
            results.compared_table(rows),
            results.exposures(simulation),
            _entry(),
        ),
    )


def _placebo(result: Result) -> str:
    """What the mean score does without a drug, which response rates do not say."""
    rows = result.endpoints
    rows = rows[(rows["arm"] == "placebo") & (rows["endpoint"] == "DAS28-CRP-change")]
    last = rows.loc[rows["time_day"].idxmax()]
    return (
        "- **Means of scores are not fitted**, and no published mean of DAS28-CRP stands in the "
        "trial cards to compare with. Under placebo the simulated mean of DAS28-CRP changes by "
        f"{last['estimate']:+.2f} ({last['low']:+.2f} to {last['high']:+.2f}) at week "
        f"{last['time_day'] / 7:.0f}. A meta-analysis of DAS28 ([leil2021](#sources), formula of "
        "its model) has a fall of more than one point on placebo and conventional drugs by then. "
        "So the simulated change within an arm is too small; response rates and differences "
        "between arms are safer."
    )


def _kinetics(simulation: Simulation, drug: str) -> str:
    """Equations of one drug in the joined model."""
    system, prefix = simulation.plan.assembly.system, f"{drug}_"
    lines = [
        f"{name} = {str(formula).replace('**', '^')}"
        for name, formula in system.assignments
        if name.startswith(prefix)
    ]
    lines += [
        f"d {state}/dt = {str(rate).replace('**', '^')}"
        for state, rate in zip(system.states, system.rates, strict=True)
        if state.startswith(prefix)
    ]
    return "```text\n" + "\n".join(lines) + "\n```"


def _entry() -> str:
    population = packaged_catalog().population(trial_run.POPULATION)
    lines = [
        (
            e.component,
            "" if e.minimum is None else f"{e.minimum:g}",
            "" if e.maximum is None else f"{e.maximum:g}",
            "yes" if e.checked else "no",
            cards.reason(e),
        )
        for e in population.entry
    ]
    columns = ("entry criterion on", "at least", "at most", "checked", "from")
    return (
        table(columns, lines) + f"\n\nThe population's card holds {cards.tally(population)} "
        f"They stand in `populations/{trial_run.POPULATION}.yaml` of the catalog; how patients "
        "enter: [Virtual patients](../concepts/virtual-patients.md)."
    )
