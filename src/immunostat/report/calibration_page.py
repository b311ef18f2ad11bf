"""The report of a calibration: one page that opens offline, and the same as Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from immunostat.base.sources import cite
from immunostat.catalog.lookup import Catalog
from immunostat.report import calibration_figures as drawn_of
from immunostat.report import style, words
from immunostat.report.page import DISCLAIMER, Drawn, inline
from immunostat.study.calibration import Calibrated
from immunostat.study.versions import own_version

#: A part of a combination of numbers that is worth naming.
NAMED = 0.35

#: Training alone shows that the model can follow them.
NO_TEST = "Following training arms tests nothing: held-back arms do (`immunostat validate {name}`)."


@dataclass
class Section:
    """A part of the report."""

    title: str
    sentences: list[str] = field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame]] = field(default_factory=list)
    figures: list[tuple[str, style.Figure, str]] = field(default_factory=list)


def write(found: Calibrated, catalog: Catalog, folder: Path) -> Path:
    """Write ``report.html``, ``report.md`` and the figures.

    Returns
    -------
    Path of the page.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    shown, texts = [], [f"# {found.calibration.card.title}", f"> {DISCLAIMER}"]
    for section in _sections(found, catalog):
        drawn = []
        texts += [f"## {section.title}", *section.sentences]
        for caption, frame in section.tables:
            texts += [_markdown(frame), f"*{caption}*"]
        for name, figure, caption in section.figures:
            svg = style.svg(figure)
            file = folder / "figures" / f"{name}.svg"
            file.write_text(svg, encoding="utf-8", newline="\n")
            width = re.search(r'width="([\d.]+)"', svg)
            is_wide = width is not None and float(width[1]) > style.WIDE * 0.6
            drawn.append(Drawn(name, inline(svg, name, caption), caption, is_wide))
            texts += [f"![{caption}](figures/{name}.svg)", f"*{caption}*"]
        shown.append(
            {
                "title": section.title,
                "sentences": [_plain(sentence) for sentence in section.sentences],
                "tables": section.tables,
                "figures": drawn,
            }
        )
    (folder / "report.md").write_text("\n\n".join(texts) + "\n", encoding="utf-8", newline="\n")
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, trim_blocks=True
    )
    page = folder / "report.html"
    text = environment.get_template("calibration.html").render(
        title=found.calibration.card.title,
        summary=found.calibration.card.summary,
        disclaimer=DISCLAIMER,
        css=Markup((here / "page.css").read_text(encoding="utf-8")),
        sections=shown,
    )
    page.write_text(text, encoding="utf-8", newline="\n")
    return page


def _plain(sentence: str) -> str:
    """A sentence without the marks of Markdown."""
    return sentence.replace("`", "")


def _markdown(frame: pd.DataFrame) -> str:
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns)]
    lines += [[str(x) for x in row] for row in frame.itertuples(index=False)]
    return "\n".join(
        "| " + " | ".join(x.replace("|", "\\|").replace("\n", " ") for x in line) + " |"
        for line in lines
    )


def _sections(found: Calibrated, catalog: Catalog) -> list[Section]:
    name = found.calibration.situation.name
    told = Section("How well the numbers are told", identified(found))
    if len(found.numbers) > 1:
        told.tables.append(
            ("Combinations of numbers, those that the data tell best first.", combinations(found))
        )
        told.figures.append(
            (
                "correlation",
                drawn_of.correlation(found),
                "Correlation of the errors of the numbers.",
            )
        )
    told.figures.append(
        ("slopes", drawn_of.slopes(found), "What each training result says of each number.")
    )
    profiles = drawn_of.profiles(found)
    if profiles is not None:
        told.figures.append(
            (
                "profiles",
                profiles,
                "The objective along each number. Where the dots leave the parabola, its interval "
                "is only an approximation.",
            )
        )
    sections = [
        Section(
            "What was followed",
            [*sentences(found)[:1], NO_TEST.format(name=name)],
            [
                (
                    "Training results. SE: the published standard error, in which misses are "
                    "measured. Other patients: the same numbers in other virtual patients.",
                    training(found),
                )
            ],
            [("training", drawn_of.training(found), "Training results, at the start and fitted.")],
        ),
        Section(
            "What was found",
            [found.calibration.card.because],
            [("Fitted numbers with approximate 95 % intervals.", numbers(found))],
            [("numbers", drawn_of.numbers(found), "Fitted numbers between their bounds.")],
        ),
        told,
    ]
    if found.weighings:
        sections.append(Section("Prevalence weights", weighed(found)))
    search = [("convergence", drawn_of.convergence(found), "How the search came to its end.")]
    sections.append(Section("How it was searched", searched(found), [], search))
    keys = dict.fromkeys(key for key in found.training["source"] if key)
    sources = [f"`{key}`: {cite(catalog.source(key))}" for key in keys]
    return [*sections, Section("Sources", sources)]


def training(found: Calibrated) -> pd.DataFrame:
    """Training results as people read them."""
    rows = []
    for row in found.training.to_dict("records"):
        unit = " %" if row["unit"] == "%" else ""
        rows.append(
            {
                "Trial and arm": f"{row['trial']}, {row['arm']}",
                "Result": f"{row['endpoint']}, week {row['week']:.4g}",
                "Published": words.number(row["published"]) + unit,
                "Start": words.number(row["start"]) + unit,
                "Fitted": words.number(row["fitted"]) + unit,
                "Off by": f"{words.signed(row['off_by'])} SE",
                "Other patients": words.number(row["other_patients"]) + unit,
            }
        )
    return pd.DataFrame(rows)


def numbers(found: Calibrated) -> pd.DataFrame:
    """Fitted numbers as people read them."""
    rows = []
    for row in found.numbers.to_dict("records"):
        what = "spread" if row["part"] == "spread" else "value"
        unit = "" if row["unit"] == "1" else f" ({row['unit']})"
        rows.append(
            {
                "Number": row["name"],
                "What": f"{what}{unit} of {row['of']}",
                "Start": words.number(row["start"]),
                "Fitted": words.number(row["fitted"]),
                "Interval": f"{words.number(row['low'])} to {words.number(row['high'])}",
                "Told by the data": f"{100 * row['learned']:.0f} %",
                "Verdict": row["verdict"],
            }
        )
    return pd.DataFrame(rows)


def combinations(found: Calibrated) -> pd.DataFrame:
    """Directions of the data's information: how strongly each is told, and what it is made of."""
    told, names = found.information, [str(name) for name in found.numbers["name"]]
    rows = []
    for value, vector in zip(told.eigenvalues, told.eigenvectors.T, strict=True):
        parts = sorted(zip(vector, names, strict=True), key=lambda pair: -abs(pair[0]))
        named = [
            f"{words.signed(float(part), 2)} {name}" for part, name in parts if abs(part) >= NAMED
        ]
        rows.append(
            {
                "Information": words.number(float(value)),
                "Told": "yes" if value > 1.0 else "no",
                "Combination": ", ".join(named),
            }
        )
    return pd.DataFrame(rows)


def sentences(found: Calibrated) -> list[str]:
    """The result in words: misses, what is not told, what the weights cost, what went wrong."""
    worst = max(found.training.to_dict("records"), key=lambda row: abs(float(row["off_by"])))
    unit = " points" if worst["unit"] == "%" else ""
    off = worst["fitted"] - worst["published"]
    first, last = found.objective
    said = [
        f"The objective fell from {words.number(first)} to {words.number(last)} over "
        f"{len(found.training)} results. The largest miss is {worst['endpoint']} of "
        f"{worst['trial']}, {worst['arm']}: {words.signed(off)}{unit}, or "
        f"{words.signed(worst['off_by'])} standard errors."
    ]
    return [*said, *identified(found), *weighed(found), *_warnings(found)]


def identified(found: Calibrated) -> list[str]:
    """What the data tell of the numbers, in words."""
    told, table = found.information, found.numbers
    n = len(table)
    said = [
        f"{found.calibration.situation.title}: the training results tell {told.n_told} of {n} "
        f"combination{'s' if n != 1 else ''} of the fitted numbers better than they were known "
        "before."
    ]
    for verdict in ("not identified", "partly identified", "at its bound"):
        own = [f"`{name}`" for name in table.loc[table["verdict"] == verdict, "name"]]
        if own and verdict == "at its bound":
            said.append(f"At a bound of the search: {words.listed(own)}; the best value may lie "
                        "beyond it.")  # fmt: skip
        elif own:
            said.append(f"{verdict.capitalize()} by these arms: {words.listed(own)}.")
    close = _close(found)
    if close:
        said.append(f"Not told apart: {'; '.join(close)}.")
    if told.dispersion > 1.0:
        said.append(
            f"Misses are larger than chance alone makes them; intervals are widened "
            f"{words.number(told.dispersion**0.5, 2)}-fold for it."
        )
    return said


def _close(found: Calibrated) -> list[str]:
    """Pairs of numbers whose errors go together."""
    names, values = list(found.numbers["name"]), found.information.correlation
    return [
        f"`{names[j]}` and `{names[i]}` (correlation {words.signed(float(values[i, j]), 2)})"
        for i in range(len(names))
        for j in range(i)
        if abs(values[i, j]) > 0.8
    ]


def weighed(found: Calibrated) -> list[str]:
    """What prevalence weights would cost, in words."""
    said = []
    for own in found.weighings:
        if own.problem:
            said.append(f"{own.patients}: no prevalence weights: {own.problem}.")
        else:
            share = own.effective_size / own.n_patients
            said.append(
                f"{own.patients}: prevalence weights bring the training responses to what was "
                f"published; {own.n_patients} patients then count as {own.effective_size:.0f} "
                f"({100 * share:.0f} %), and the largest weight is "
                f"{words.number(own.largest, 2)} times the average."
            )
    return said


def _warnings(found: Calibrated) -> list[str]:
    said = []
    if found.better is not None:
        said.append(
            f"A better point was met after the search (objective {words.number(found.better)}): "
            "search longer."
        )
    if found.failed_percent > 0:
        said.append(f"{found.failed_percent:.2g} % of the courses could not be computed.")
    return said


def searched(found: Calibrated) -> list[str]:
    """How many evaluations of which kind, in how many patients."""
    counts = found.evaluations["stage"].value_counts(sort=False)
    parts = words.listed([f"{n} {stage}" for stage, n in counts.items()])
    return [
        f"{len(found.evaluations)} evaluations ({parts}), each of {found.n_patients} virtual "
        f"patients in every arm, the same ones with the same random numbers (seed {found.seed}).",
        "Intervals are approximate: from slopes at the optimum and the pull to the start. They "
        "hold no uncertainty of drugs, of numbers that were not fitted, or of the model.",
        *_warnings(found),
        f"Version {own_version()}; every evaluation stands in `evaluations.csv`.",
    ]
