"""Pages of situations: network, equations, fit, results, limits. Arthritis has one of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import yaml

from immunostat.catalog.lookup import packaged_catalog
from immunostat.catalog.model_cards import SituationCard
from immunostat.report import figures
from immunostat.report.efficacy_figures import final_estimates
from immunostat.report.network_figure import network_svg
from immunostat.study.goals import GOALS
from immunostat.study.network import around_situation, network_of
from immunostat.study.result import Result
from immunostat.study.run import run
from immunostat.study.study_reader import read_study
from making import cards
from making.markdown import number, page, table
from making.trial_run import ROOT

IMAGES = ROOT / "docs" / "images"

#: Situations whose page is written by another module.
ELSEWHERE = ("rheumatoid-arthritis",)

#: Virtual patients in each arm of the studies on these pages: enough to tell arms apart.
MOST_PATIENTS = 500


def names() -> list[str]:
    """Situations that get a page here."""
    return [name for name in packaged_catalog().situations() if name not in ELSEWHERE]


def pages(patients: int) -> dict[str, str]:
    """Every page by its path, pictures written on the way."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    return {f"science/{name}.md": _page(name, min(patients, MOST_PATIENTS)) for name in names()}


def draw_network(name: str, picture: str = "") -> None:
    """Picture of the network of a situation, as its model has it, in its own name.

    Where a `picture` is named, it is that of the whole: the core, which is the same everywhere.
    """
    catalog = packaged_catalog()
    network = network_of(catalog, catalog.situation(name))
    svg = (
        network_svg(network)
        if picture
        else network_svg(around_situation(network, True), None, True)
    )
    (IMAGES / f"{picture or name}.svg").write_text(svg, encoding="utf-8", newline="\n")


def _page(name: str, patients: int) -> str:
    catalog = packaged_catalog()
    card = catalog.situation(name)
    draw_network(name)
    numbers = cards.parameters(card.parameters)
    parts = [
        f"# {card.title}",
        f"{card.summary} What it cannot do stands [at the end](#what-it-cannot-do); read it before "
        "the numbers.",
        f"![Network: {card.title}](../images/{name}.svg)",
        "Arrows are read from the equations: one stands where the rate of a state depends on "
        "another, with its sign in an untreated patient. Shown is what this situation reads of the "
        "core and drives in it, and the targets that act there at once; the rest of the core "
        "stands in [Immune core](immune-core.md). The same picture: "
        f"`immunostat show {name} --network --around -o network.svg`; without `--around`, and for "
        "a study file, with core and drugs.",
        "## Equations",
        _ports(card),
        cards.equations(card.fragment),
        "## What is seen",
        _readouts(card),
        "## What was fitted, and to what",
        cards.fitted(name),
        _validated(name),
    ]
    study = study_of(name)
    if study is not None:
        parts += _results(study, patients)
    parts += [
        "## Numbers of the situation",
        cards.tally(card),
        numbers,
        "## What it cannot do",
        cards.limits(name),
        cards.sources(numbers),
    ]
    return page(*parts)


def _ports(card: SituationCard) -> str:
    read = [f"`{p.removeprefix('core.')}`" for p in card.ports if p.startswith("core.")]
    driven = [f"`{port}`" for port in card.drives]
    text = f"The situation reads {', '.join(read) or 'nothing'} of the core"
    return text + (f", and drives its {', '.join(driven)}." if driven else ".")


def _readouts(card: SituationCard) -> str:
    rows = [
        (
            f"{c.title} (`{n}`)" if c.item else c.title,
            "rated item" if c.item else "score of rated items" if c.score else "component",
            ", ".join(f"`{own}`" for own in c.inputs.values()) or f"`{c.output}`",
            f"0 to {len(c.item.increments) + 1}" if c.item else "" if c.unit == "1" else c.unit,
        )
        for n, c in card.components.items()
    ]
    rows += [
        (e.title, "event", f"`{e.hazard}`", "recurrent" if e.recurrent else "once")
        for e in card.events.values()
    ]
    rows += [(f"{e.title} (`{n}`)", "endpoint", e.kind, "") for n, e in card.endpoints.items()]
    return table(("what", "is", "from", "unit or kind"), rows)


def _validated(name: str) -> str:
    if name not in GOALS:
        return ""
    return (
        "What the model predicts for arms that never trained it, with the goals and how far they "
        f"are missed: [predicted beside published](validation-{name}.md)."
    )


@cache
def _studies() -> dict[str, Path]:
    """The first study file of each situation."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "studies").glob("*.yaml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        situation = str(data.get("situation"))
        # The study of a situation has its name; else the first that asks for it is shown.
        if path.stem == situation:
            found[situation] = path
        found.setdefault(situation, path)
    return found


def study_of(name: str) -> Path | None:
    """The study file that shows a situation, if there is one."""
    return _studies().get(name)


def _results(path: Path, patients: int) -> list[str]:
    study = read_study(path)
    study = replace(study, population=replace(study.population, n_patients=patients))
    result = run(study)
    name = study.situation
    card = packaged_catalog().situation(name)
    course = card.course if card.course in study.endpoints else study.endpoints[0]
    pictures = {
        "course": figures.response(result, course),
        "profile": figures.profile(result),
    }
    for kind, figure in pictures.items():
        figures.save(figure, IMAGES / f"{name}-{kind}.svg")
    return [
        "## What a study shows",
        f"`studies/{path.name}`: {study.title}, {patients} virtual patients in each arm, seed "
        f"{study.population.seed}.",
        _estimates(result),
        f"![{card.endpoints[course].title}](../images/{name}-course.svg)",
        "[Immune activity profile](../concepts/immune-activity-profile.md), relative to the same "
        "patients without the drug:",
        f"![Immune activity profile](../images/{name}-profile.svg)",
    ]


def _estimates(result: Result) -> str:
    rows = final_estimates(result)
    lines = [
        (
            row["endpoint"],
            row["arm"],
            number(row["estimate"]),
            f"{number(row['low'])} to {number(row['high'])}",
            "" if row["unit"] == "1" else row["unit"],
        )
        for row in rows.to_dict("records")
    ]
    return table(("endpoint", "arm", "estimate", "95 % interval", "unit"), lines)
