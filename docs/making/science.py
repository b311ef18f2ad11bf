"""Science pages: equations and numbers from the catalog, results from a real run."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import vl_convert
from making import pictures, trial_run
from making.markdown import number, page, table
from making.trial_run import ROOT, compared, shown_value

from immunostat.base.sources import cite
from immunostat.catalog.cards import FactKeys, all_facts
from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.model_cards import ModelParameterCard
from immunostat.report import figures
from immunostat.study.result import Result
from immunostat.study.run import Simulation

IMAGES = ROOT / "docs" / "images"
SITUATION = "rheumatoid-arthritis"
COVERED = ("ACR20", "ACR50", "ACR70")


def pages(patients: int) -> dict[str, str]:
    """Every science page by its path, pictures written on the way."""
    simulation, result = trial_run.run(patients)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, text in zip(("immune-core", SITUATION), pictures.network(simulation), strict=True):
        (IMAGES / f"{name}.svg").write_text(text, encoding="utf-8", newline="\n")
    _result_pictures(result)
    return {
        "science/immune-core.md": immune_core(result),
        "science/rheumatoid-arthritis.md": arthritis(simulation, result),
    }


def _result_pictures(result: Result) -> None:
    """Figures of the demo study's own arms and trials, drawn from the run."""
    demo = _of_demo(result)
    figures.save(figures.responders(demo), IMAGES / "responders.svg")
    figures.save(figures.profile(demo), IMAGES / "profile.svg")
    figures.save(figures.response(demo, "DAS28-CRP-change"), IMAGES / "das28-crp-change.svg")
    svg = (IMAGES / "responders.svg").read_text(encoding="utf-8")
    (IMAGES / "responders.png").write_bytes(vl_convert.svg_to_png(svg, scale=2))


def _of_demo(result: Result) -> Result:
    """The result without the arms that were added for other doses."""
    from dataclasses import replace

    from immunostat.study.study import read_study

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


def _equations(fragment: str) -> str:
    """A fragment without its defaults, which the card's values replace."""
    text, _ = packaged_catalog().text(fragment)
    start = text.index("\n  // ---- Defaults")
    text = text[:start].rstrip() + "\nend\n"
    return f"```antimony\n{text}```"


def _spread(card: FactKeys) -> str:
    if not isinstance(card, ModelParameterCard) or card.spread is None:
        return ""
    spread = card.spread
    if spread.lognormal_variance is not None:
        return f"log-normal, SD of log {number(spread.lognormal_variance**0.5)}"
    if spread.lognormal_cv is not None:
        return f"log-normal, CV {number(100 * spread.lognormal_cv)} %"
    return f"normal, SD {number(spread.normal_sd or 0.0)}"


def _reason(card: FactKeys) -> str:
    source = f"[{card.source}](#sources), {card.where}" if card.source else ""
    return ". ".join(filter(None, [source, card.because or card.note]))


def _parameters(cards: dict[str, ModelParameterCard]) -> str:
    rows = [
        (
            f"`{name}`",
            f"{number(card.value, 4)} {'' if card.unit == '1' else card.unit}",
            _spread(card),
            card.evidence.value,
            "yes" if card.checked else "no",
            _reason(card),
        )
        for name, card in cards.items()
    ]
    columns = ("parameter", "value", "between patients", "evidence", "checked", "from, and why")
    return table(columns, rows)


def _tally(*cards: object) -> str:
    """How many numbers of cards are measured, fitted, derived, assumed, and checked."""
    facts = [fact for card in cards for _, fact in all_facts(card)]
    count = pd.Series([fact.evidence.value for fact in facts]).value_counts()
    words = ", ".join(f"{n} {name}" for name, n in count.items())
    checked = sum(fact.checked for fact in facts)
    return f"{len(facts)} numbers: {words}. {checked} were read in their source or a stored copy."


def _sources(*parts: object) -> str:
    catalog = packaged_catalog()
    text = " ".join(map(str, parts))
    keys = sorted(set(re.findall(r"\[([a-z]\w*)\]\(#sources\)", text)))
    return "## Sources\n\n" + "\n".join(f"- `{key}`: {cite(catalog.source(key))}" for key in keys)


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
        ],
    )
    numbers = _parameters(core.parameters)
    functions = table(
        ("part", "reads"), [(f.title, f"`{f.output}`") for f in core.functions.values()]
    )
    return page(
        "# Immune core",
        f"{core.summary} It is one network, used unchanged in every situation. Without antigen and "
        "drug every state rests at its healthy value.",
        "![Network of the immune core](../images/immune-core.svg)",
        "Arrows are read from the equations: an arrow stands where the rate of one depends on the "
        "other, with the sign that it has in an inflamed patient.",
        "## Equations",
        "As the program reads them; each name without an equation is a parameter of the table below.",
        _equations(core.fragment),
        "## Targets",
        "A hook receives, summed over drugs, concentration divided by dissociation constant.",
        targets,
        "## Numbers",
        _tally(core),
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
        """- Cells and cytokines of tissues are relative to health, lumped over places: there is no lymph node, no traffic between blood and tissue.
- Effector T cells are one state: Th1, Th17, CD8 and exhaustion are not told apart. There are no NK cells, plasma cells, IgG, platelets or lymphocyte counts.
- Interferons, IL-2, IL-12/23, IL-17, GM-CSF, TGF-beta and complement are not there; where one matters, another stands for it, and the reason says so.
- There are two targets. A drug at another target cannot be simulated.
- No pathogen: the core says nothing yet about the course of an infection. Serious infection is a hazard beside it.
- Half-effects in relative units are assumed. Published local concentrations could not be carried over.
- Neutrophils answer to IL-6 receptor blockade only, by a shift to the vessel wall.""",
        _sources(numbers),
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
    numbers = _parameters(card.parameters)
    fitted = {
        name: own
        for name, own in card.parameters.items()
        if "fitted to the training arms" in own.because or "is fitted to the training" in own.because
    }
    fitted_table = table(
        ("parameter", "value", "between patients"),
        [(f"`{n}`", number(p.value, 4), _spread(p)) for n, p in fitted.items()],
    )
    training, held = rows[rows["role"] == "training"], rows[rows["role"] != "training"]
    return page(
        "# Rheumatoid arthritis",
        f"{card.summary} Patients: {population.title.lower()}. "
        "What it cannot do stands [at the end](#what-it-cannot-do); read it before the numbers.",
        "![Network of rheumatoid arthritis](../images/rheumatoid-arthritis.svg)",
        "Arrows are read from the equations of the joined model and from the cards of scores and side "
        "effects. Effects of a drug are those at its target; arrows from TNF and IL-6 to serious "
        "infection are the loss of signalling capacity. The core alone: [Immune core](immune-core.md).",
        "## Equations",
        "The joint. Signals come from the core through ports.",
        _equations(card.fragment),
        "Kinetics of adalimumab and tocilizumab:",
        *(_fragment(f"models/pk/{catalog.drug_card(d).pk.model}.ant") for d in _drugs()),
        "## What was fitted, and to what",
        "Training arms, and nothing else, at week 24; the search is "
        "`calibration/rheumatoid_arthritis.py`:",
        _compared_table(training[training["endpoint"].isin(COVERED)]),
        f"Fitted to them: {len(fitted)} parameters of the joint, medians and spreads.",
        fitted_table,
        "Kinetics, affinities and the immune core are not touched by the fit. They come from their own "
        "publications, or are assumed with a reason. Reproducing training arms tests nothing; the next "
        "section does.",
        "## What is predicted: held-back arms",
        _summary(held),
        "![Responders at week 24](../images/responders.svg)",
        _compared_table(held),
        "All arms of the table are simulated in one population (after methotrexate, on methotrexate). "
        "Trials differ in who entered, so part of each difference is the trial's own: placebo arms, which "
        "no drug touches, differ between the trials too.",
        _left_out(),
        "## Kinetics beside published exposures",
        "Exposures are never parameters. Trough is the value at week 24, before the dose that would be due.",
        _exposures(simulation),
        "## Side effects beside published rates",
        _harms(simulation, result),
        "## Numbers of the joint",
        _tally(card),
        numbers,
        "## Patients",
        _patients(result),
        _entry(),
        "## What it cannot do",
        CANNOT,
        _made(result),
        _sources(numbers, _compared_table(rows), _exposures(simulation), _entry()),
    )


CANNOT = """- **Methotrexate is in the starting state.** Its kinetics and effect are not modelled. Patients without it, starting it, or stopping it cannot be asked; arms without methotrexate are not compared.
- **One line of therapy.** The population has failed methotrexate. There is none after failure of a TNF blocker, and no sequence of drugs.
- **No dropout, no rescue, no rules.** In trials, patients leave or are rescued and count as non-responders. Here everybody stays to the end.
- **A response is fitted, not explained, in part.** How much of synovitis each signal drives, and how it differs between patients, is fitted to response rates of three arms. The weights are not measurements and cannot name who will respond.
- **The course of everybody in a trial** (expectation, attention, drift) is one fitted distribution, the same in every arm. Of worsening patients, response rates say nothing; how much worsening shows is assumed.
- **No structural damage.** Radiographic progression, erosion and cartilage are not there.
- **No infliximab, rituximab, abatacept, JAK inhibitor or other drug**: their targets are not in the core.
- **Anti-drug antibodies** are a fixed trait of the patient; they do not arise in time.
- **Side effects are two.** Serious infection follows registers and does not know the organism; neutropenia is read at visits. Others are not simulated; that they are not in a table does not mean that they do not happen.
- **Intervals are sampling error** of virtual patients. The doubt of the model is larger; no uncertainty of parameters is carried through yet.
- **No ESR**: DAS28 with ESR, and entry by ESR, cannot be computed.

A research and teaching tool. It gives no medical advice."""


def _drugs() -> tuple[str, ...]:
    return ("adalimumab", "tocilizumab")


def _fragment(path: str) -> str:
    text, _ = packaged_catalog().text(path)
    start = text.index("\n  // A drug card gives")
    return f"```antimony\n{text[:start].rstrip()}\nend\n```"


def _compared_table(rows: pd.DataFrame) -> str:
    lines = []
    for r in rows.itertuples():
        is_share = r.endpoint.startswith("ACR") or "remission" in r.endpoint
        off = f"{100 * r.difference:+.0f} points" if is_share else f"{r.difference:+.2g}"
        low = shown_value(r.predicted_low, r.unit, r.endpoint)
        high = shown_value(r.predicted_high, r.unit, r.endpoint)
        lines.append(
            (
                r.trial,
                r.published_arm,
                r.observed_n,
                r.endpoint,
                f"{r.time_day / 7:.0f}",
                shown_value(r.observed, r.unit, r.endpoint),
                f"{shown_value(r.predicted, r.unit, r.endpoint)} ({low} to {high})",
                off,
                f"[{r.source}](#sources){'' if r.checked else ' (not checked)'}",
            )
        )
    columns = ("trial", "arm", "n", "endpoint", "week", "published", "predicted (95 %)", "off by")
    return table((*columns, "source"), lines)


def _summary(held: pd.DataFrame) -> str:
    """How far predictions are off, by endpoint and week."""
    shares = held[held["endpoint"].isin(COVERED)]
    parts = []
    for name, rows in (
        ("week 24, drug arms", shares[(shares["time_day"] == 168) & (shares["arm"] != "placebo")]),
        ("week 24, placebo arms", shares[(shares["time_day"] == 168) & (shares["arm"] == "placebo")]),
        ("other weeks, all arms", shares[shares["time_day"] != 168]),
    ):
        if len(rows):
            off = 100 * rows["difference"]
            inside = rows["predicted"].between(rows["observed_low"], rows["observed_high"])
            parts.append(
                (
                    name,
                    len(rows),
                    f"{off.abs().mean():.1f}",
                    f"{off.mean():+.1f}",
                    f"{off.loc[off.abs().idxmax()]:+.0f}",
                    f"{inside.sum()} of {len(rows)}",
                )
            )
    columns = ("ACR20, 50, 70", "values", "mean absolute error, points", "mean error", "worst")
    return table((*columns, "inside the published 95 % interval"), parts)


def _left_out() -> str:
    catalog = packaged_catalog()
    other = [
        f"{name} ({catalog.trial(name).population.replace('-', ' ')})"
        for name in catalog.trials()
        if catalog.trial(name).population != trial_run.POPULATION
    ]
    text = "Not compared: arms without methotrexate"
    return f"{text}, and trials in other populations: {', '.join(other)}." if other else f"{text}."


def _exposures(simulation: Simulation) -> str:
    catalog, lines, silent = packaged_catalog(), [], []
    for drug in _drugs():
        for check in catalog.drug_card(drug).exposure_checks:
            found = trial_run.exposure(simulation, drug, check)
            if found is None:
                silent.append(f"{drug} {check.quantity} ({check.regimen})")
                continue
            span = "" if check.low is None else f" ({check.low:g} to {check.high:g})"
            lines.append(
                (
                    drug,
                    check.regimen,
                    f"{check.quantity.replace('_', ' ')}, {check.statistic}",
                    f"{check.value:g}{span} {check.unit}",
                    f"{number(found)} {check.unit}",
                    f"{found / check.value:.2f}",
                    f"[{check.source}](#sources){'' if check.checked else ' (not checked)'}",
                )
            )
    columns = ("drug", "regimen", "quantity", "published", "simulated", "ratio", "source")
    return table(columns, lines) + "\n\nNot simulated here: " + "; ".join(silent) + "."


def _harms(simulation: Simulation, result: Result) -> str:
    catalog, parts = packaged_catalog(), []
    for name in result.study["side_effects"]:
        card, lines, silent = catalog.side_effect(name), [], 0
        for check in card.checks:
            found = trial_run.side_effect(simulation, result, card, check)
            if found is None:
                silent += 1
                continue
            value, interval = found
            unit = "per 100 years" if check.unit == "1/(100 year)" else check.unit
            what = f"{check.drug} {check.regimen}".strip()
            if check.grade:
                what += f", grade {check.grade} or worse"
            ratio = f"{value / check.value:.2f}" if check.value else ""
            lines.append(
                (
                    what,
                    f"{check.value:g} {unit}",
                    f"{number(value, 2)} ({interval}) {unit}",
                    ratio,
                    f"{check.where} [{check.source}](#sources)",
                )
            )
        columns = ("arm", "published", "simulated (95 %)", "ratio", "from")
        parts.append(f"### {card.title}\n\n{table(columns, lines)}")
        if silent:
            parts.append(f"{silent} further checks of the card have no matching arm or unit here.")
    parts.append(
        "For events the simulated value is what the model expects; the interval is that of the events "
        "drawn. Published rates come from trials, registers and routine care, which differ among "
        "themselves by more than arms do. All are compared with, none was fitted."
    )
    return "\n\n".join(parts)


def _patients(result: Result) -> str:
    first = result.visits[result.visits["time_day"] == 0]
    first = first[first["arm"] == result.arms[0]]
    components = packaged_catalog().situation(SITUATION).components
    lines = []
    for name, own in components.items():
        values = first[name].to_numpy(float)
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        lines.append(
            (own.title, own.unit if own.unit != "1" else "", number(values.mean()),
             number(values.std(ddof=1)), number(middle), f"{number(low)} to {number(high)}")
        )  # fmt: skip
    left = ", ".join(f"{n} for {why}" for why, n in result.study["cohort"]["left_out"].items())
    text = (
        f"Of {result.study['cohort']['candidates']} candidates {len(first)} entered; left out: "
        f"{left}. What the baseline visit observed in those who entered:"
    )
    columns = ("component", "unit", "mean", "SD", "median", "5 to 95 %")
    return text + "\n\n" + table(columns, lines)


def _entry() -> str:
    population = packaged_catalog().population(trial_run.POPULATION)
    lines = [
        (
            e.component,
            "" if e.minimum is None else f"{e.minimum:g}",
            "" if e.maximum is None else f"{e.maximum:g}",
            "yes" if e.checked else "no",
            _reason(e),
        )
        for e in population.entry
    ]
    columns = ("entry criterion on", "at least", "at most", "checked", "from")
    return (
        table(columns, lines) + f"\n\nThe population's card holds {_tally(population)} "
        "`immunostat situations` and the card name each of them; how patients enter: "
        "[Virtual patients](../concepts/virtual-patients.md)."
    )
