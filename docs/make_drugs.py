"""Make the page of every drug from its card, and the page of predicted and published exposures.

python docs/make_drugs.py                    all pages (two minutes)
python docs/make_drugs.py lenalidomide       pages of some drugs
python docs/make_drugs.py --only validation  predicted and published exposures alone
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import pandas as pd  # noqa: E402
from making.markdown import number, table  # noqa: E402

from immunostat.catalog.cards import FactCard, all_facts  # noqa: E402
from immunostat.catalog.lookup import Catalog, packaged_catalog  # noqa: E402
from immunostat.report import style  # noqa: E402
from immunostat.report.drug_sheet import sheet  # noqa: E402
from immunostat.report.exposure_figures import concentration, ratios  # noqa: E402
from immunostat.study.exposure import expose  # noqa: E402
from immunostat.study.exposure_checks import by_drug, compared, outside, summary  # noqa: E402
from immunostat.therapy.grammar import parse_regimen  # noqa: E402

NOTICE = "<!-- Made by docs/make_drugs.py; changes here are lost. -->"
ADVICE = "This page describes a simulator's card. It is no medical advice."
DRUGS = HERE / "reference" / "drugs"
VALIDATION = HERE / "reference" / "validation-pk.md"


def page(*parts: str) -> str:
    """A page of these parts."""
    return "\n\n".join([NOTICE, *parts]) + "\n"


def drug_page(catalog: Catalog, name: str) -> str:
    """The card of a drug as a page, with every number at the end."""
    card = catalog.drug_card(name)
    parts = [f"# {card.title}", ADVICE]
    for section in sheet(catalog, name):
        rows = [(label.replace("_", " "), words) for label, words in section.rows]
        parts += [f"## {section.title}", table(("", ""), rows)]
        if section.title.startswith("Kinetics") and card.pk and card.regimens:
            parts.append(f"![Concentration of {card.title} over time]({name}.svg)")
    parts += ["## Every number", table(*_numbers(card))]
    parts.append(f"[All drugs](index.md) · `immunostat drugs {name}` · `immunostat pk {name}`")
    return page(*parts)


def _numbers(card: object) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    rows: list[tuple[object, ...]] = []
    for name, fact in all_facts(card):
        is_fact = isinstance(fact, FactCard)
        value = fact.value if is_fact else getattr(fact, "effect", None)
        unit = fact.unit if is_fact else "1"
        shown = "" if value is None else number(value, 5)
        where = "; ".join(filter(None, (fact.source or "", fact.where or fact.because)))
        checked = "yes" if fact.checked else "no"
        rows.append((f"`{name}`", shown, unit, fact.evidence.value, checked, where))
    return ("number", "value", "unit", "evidence", "checked", "source and place, or reason"), rows


def picture(catalog: Catalog, name: str, n_patients: int) -> style.Figure | None:
    """Concentration under the first labelled regimen; None for a drug without one."""
    drug = catalog.drug(name)
    if drug.pk is None or not drug.regimens:
        return None
    situation = next(iter(drug.regimens))
    regimen = parse_regimen(f"{name} label", lambda _: drug, situation)
    label = drug.regimens[situation].label
    shown = label if len(label) < 70 else f"labelled regimen of {situation}"
    return concentration(expose(catalog, regimen, n_patients=n_patients), drug.title, shown)


def index_page(catalog: Catalog) -> str:
    """All drugs by class."""
    rows = []
    for name in catalog.drugs():
        card = catalog.drug_card(name)
        facts = [fact for _, fact in all_facts(card)]
        checked = f"{sum(fact.checked for fact in facts)} of {len(facts)}"
        link = f"[{card.title}]({name}.md)"
        rows.append((card.drug_class, link, card.direction, ", ".join(card.targets), checked))
    rows.sort()
    columns = ("class", "drug", "direction", "targets", "numbers read in their source")
    return page(
        "# Drugs",
        f"{len(rows)} drugs. {ADVICE}",
        table(columns, rows),
        "[Predicted and published exposure](../validation-pk.md) · "
        "[Add a drug](../../how-to/add-a-drug.md)",
    )


def validation_page(found: pd.DataFrame, drugs: pd.DataFrame) -> str:
    """Predicted and published exposure: the answer, every drug, every check, what is left out."""
    total = summary(drugs)
    independent = by_drug(found[found["independent"].fillna(False).astype(bool)])
    only = summary(independent)
    done, left = found[found["why_not"] == ""], found[found["why_not"] != ""]
    answer = (
        f"**{total['drugs']:g} drugs with {len(done)} published exposures: "
        f"{total['good']:g} ({100 * total['share_good']:.0f} %) have a geometric mean of "
        f"predicted over published within 0.8 to 1.25; {total['outside']:g} lie outside 0.5 "
        "to 2.** "
        "Of the checks that come from another analysis than the parameters: "
        f"{only['good']:g} of {only['drugs']:g} drugs ({100 * only['share_good']:.0f} %)."
    )
    how = (
        "Each number is the printed statistic of 500 virtual adults (body size and kidney function "
        "vary; what belongs to a disease is at the reference of the drug's own model), or of the "
        "population that the check names, under the printed regimen. The time of the maximum is "
        "listed and not counted. A check is no parameter of its card. `immunostat validate pk` "
        "computes this page's numbers again."
    )
    shown = [
        (f"[{r.drug}](drugs/{r.drug}.md)", r.checks, r.independent, number(r.ratio), r.verdict)
        for r in drugs.itertuples(index=False)
    ]
    checks = [
        (
            r.drug,
            r.regimen,
            " ".join(filter(None, (r.quantity, f"({r.condition})" if r.condition else ""))),
            r.statistic,
            f"{number(r.published)} {r.unit}",
            number(r.predicted),
            number(r.ratio),
            {True: "yes", False: "no"}.get(r.independent, "not said"),
            r.source,
        )
        for r in done.itertuples(index=False)
    ]
    names = ("drug", "regimen", "quantity", "statistic", "published", "predicted", "ratio")
    return page(
        "# Predicted and published exposure",
        answer,
        how,
        "![Ratio of predicted to published exposure of every drug](validation-pk.svg)",
        "## By drug",
        table(("drug", "checks", "independent", "ratio", "verdict"), shown),
        "## Those outside 0.8 to 1.25, and why",
        table(("drug", "ratio and reason"), outside(found, drugs)),
        "## Every check",
        table((*names, "independent", "source"), checks),
        "## Not compared",
        table(
            ("drug", "quantity", "why not"),
            [(r.drug, r.quantity, r.why_not) for r in left.itertuples(index=False)],
        ),
    )


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("drugs", nargs="*")
    parser.add_argument("--only", choices=("drugs", "validation"))
    parser.add_argument("--patients", type=int, default=500)
    options = parser.parse_args()
    catalog = packaged_catalog()
    if options.only != "validation":
        DRUGS.mkdir(parents=True, exist_ok=True)
        for name in options.drugs or catalog.drugs():
            write(DRUGS / f"{name}.md", drug_page(catalog, name))
            figure = picture(catalog, name, options.patients)
            if figure is not None:
                style.save(figure, DRUGS / f"{name}.svg")
        write(DRUGS / "index.md", index_page(catalog))
    if options.only != "drugs" and not options.drugs:
        found = compared(catalog, catalog.drugs(), options.patients)
        drugs = by_drug(found)
        write(VALIDATION, validation_page(found, drugs))
        style.save(ratios(found, drugs), VALIDATION.with_suffix(".svg"))


def write(path: Path, text: str) -> None:
    """Write a file with line feeds on every system."""
    path.write_text(text, encoding="utf-8", newline="\n")
    print(f"docs/{path.relative_to(HERE).as_posix()}")


if __name__ == "__main__":
    main()
