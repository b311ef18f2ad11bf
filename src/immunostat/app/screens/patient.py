"""Patient: one described person, a thousand virtual twins under each drug, and what if."""

from __future__ import annotations

from functools import partial
from typing import Any

from immunostat.app import frame, patient_state, same_as
from immunostat.app.explore_state import arm_names
from immunostat.app.limits import TWINS
from immunostat.app.live import Page, failed_patients_html
from immunostat.app.patient_state import LETTERS, PatientState
from immunostat.app.screens.explore import is_wide
from immunostat.app.workbench import Workbench
from immunostat.base.errors import ImmunostatError
from immunostat.report import figures, tables, words
from immunostat.report.efficacy_figures import final_estimates
from immunostat.report.harm_figures import has_grades, weighed_harms
from immunostat.report.plate import Plate
from immunostat.report.style import PALETTE
from immunostat.study.drivers import drivers, outcome_column
from immunostat.study.result import Result
from immunostat.study.risk import WITH as TREATED
from immunostat.study.risk import WITHOUT as UNTREATED
from immunostat.study.risk import Risk, risk_of
from immunostat.study.study_reader import make_study

PATH = "/patient/"

#: Harms that stand in the table of what if, and harms whose drivers are told.
MOST_HARMS, MOST_DRIVEN = 4, 2

#: Twins behind the drivers of risks, risks that are told, and the smallest of them, percent.
RISK_TWINS, MOST_RISKS, LEAST_RISK = 250, 12, 0.05


def page(bench: Workbench, query: str) -> str:
    """The page for an address."""
    error: ImmunostatError | None = None
    try:
        state = patient_state.read(query, bench.index)
    except ImmunostatError as found:
        error, state = found, patient_state.read("", bench.index)
    candidates: list[tuple[str, tuple[str, ...]]] = list(
        zip(LETTERS, state.candidates, strict=False)
    )
    if len(candidates) < len(LETTERS):
        candidates.append((LETTERS[len(candidates)], ()))
    return frame.page(
        "patient.html",
        PATH,
        "Patient",
        is_live=True,
        state=state,
        error=error,
        fields=patient_state.fields(bench.index, state.population),
        candidates=candidates,
        situations=list(bench.index.situations.values()),
        here=bench.index.situations[state.situation],
        rests=bench.catalog.situation(state.situation).rests,
        drugs=bench.index.drugs_for(state.situation),
        colors=PALETTE,
    )


async def show(bench: Workbench, page: Page, query: str) -> None:
    """Simulate the twins and show what they gain and what it costs them."""
    state = patient_state.read(query, bench.index)
    await page.send("begin", {})
    if not state.candidates:
        await page.status("Choose a drug to begin.")
        await page.send("end", {})
        return
    data, result = await _simulated(bench, page, state)
    await page.same_as(same_as.of_study(data, "twins"))
    await page.part("failure", "")
    for plate in _plates(result):
        drawn = await page.do(partial(bench.figures.draw, plate))
        await page.figure(plate.section, drawn, is_wide(plate, drawn))
    await page.status("looking for what it depends on …", busy=True)
    efficacy, harm = _cells(tables.efficacy(result)), _cells(tables.harm(result))
    told = await page.do(lambda: _drivers(result))
    await page.part("drivers", frame.part("patient_drivers.html", rows=told))
    html = frame.part("patient_tables.html", parts=[("Benefit", *efficacy), ("Harm", *harm)])
    await page.part("tables", html)
    if state.what_if:
        _, other = await _simulated(bench, page, state.changed())
        rows = _what_if(result, other)
        said = ", ".join(f"{words.label(k)} {v}" for k, v in state.what_if.items())
        await page.part("whatif", frame.part("patient_what_if.html", rows=rows, said=said,
                                             arms=result.arms))  # fmt: skip
    else:
        await page.part("whatif", "")
    await page.part("failure", failed_patients_html(result.run))
    await page.send("end", {})
    n = result.rows("patients", ["patient"])["patient"].nunique()
    await page.status(f"{n:,} virtual twins under each of {len(result.arms)} arms", state="done")


async def press(bench: Workbench, page: Page, name: str, query: str) -> None:
    """The button: what moves the risk of each side effect, by what would be without it."""
    state = patient_state.read(query, bench.index)
    data = state.study(bench.catalog.situation(state.situation).visits)
    study = make_study(data, bench.catalog)
    TWINS.check(study)
    weeks = study.duration_day / 7
    arms = arm_names([own for own in state.candidates if own])
    shown = []
    for arm, lines in arms.items():
        tell = page.progress(TWINS)

        def risks(lines: list[str] = lines, tell: Any = tell) -> Risk:
            with bench.alone:
                return risk_of(
                    bench.catalog,
                    state.situation,
                    lines,
                    study.population.person,
                    state.population,
                    weeks,
                    min(state.twins, RISK_TWINS),
                    state.seed,
                    bench.threads,
                    tell,
                )

        shown.append((arm, _risk_rows(await page.do(risks))))
    await page.part("risk", frame.part("patient_risk.html", shown=shown, weeks=weeks))
    await page.status("What moves the risks is shown below.", state="done")


def _risk_rows(found: Risk) -> list[tuple[str, str, str, str]]:
    """Side effect, risk without and with treatment, and what moves it, the largest change first."""
    table = found.table.pivot(index=["side_effect", "title"], columns="arm", values="risk")
    table["change"] = (table[TREATED] - table[UNTREATED]).abs()
    rows = []
    for row in table.reset_index().sort_values("change", ascending=False).to_dict("records"):
        name, title = row["side_effect"], row["title"]
        if max(row[TREATED], row[UNTREATED]) < LEAST_RISK:
            continue
        own = found.drivers[found.drivers["side_effect"] == name]
        said = "; ".join(
            f"{words.label(str(one['driver']))} ×{words.ratio(float(one['factor']))} "
            f"(without: {words.percent(one['without'] / 100)}, {one['what_if']})"
            for one in own.to_dict("records")
        )
        rows.append(
            (
                str(title),
                words.percent(row[UNTREATED] / 100),
                words.percent(row[TREATED] / 100),
                said or "nothing by more than 5 %",
            )
        )
    return rows[:MOST_RISKS]


async def _simulated(
    bench: Workbench, page: Page, state: PatientState
) -> tuple[dict[str, Any], Result]:
    """The study of a state and its answer."""
    data = state.study(bench.catalog.situation(state.situation).visits)
    study = make_study(data, bench.catalog)
    TWINS.check(study)
    tell = page.progress(TWINS)
    explored = await page.do(lambda: bench.explored(f"twins {data!r}", study, TWINS, tell))
    return data, explored.result


def _plates(result: Result) -> list[Plate]:
    """Figures of gains and harms."""
    final = final_estimates(result)
    shares = final[final["statistic"].astype(str).str.contains("proportion")]
    found = []

    def add(section: str, name: str, figure: figures.Figure, caption: str) -> None:
        found.append(Plate(section, name, figure, caption))

    if len(shares):
        caption = "Share of the twins who reach each goal at the end, by arm."
        add("benefit", "responders", figures.responders(result), caption)
    if len(final):
        name = str(final["endpoint"].iloc[0])
        caption = f"{words.label(name)} over time in the twins, by arm."
        add("benefit", "response", figures.response(result, name), caption)
    if len(weighed_harms(result)):
        caption = "How often each side effect comes in the twins, logarithmic axis."
        add("harm", "side-effects", figures.side_effects(result), caption)
    if has_grades(result):
        caption = "Worst grade of each graded side effect in the twins."
        add("harm", "grades", figures.grades(result), caption)
    return found


def _drivers(result: Result) -> list[tuple[str, str, str]]:
    """Arm, outcome and what it goes with among the twins."""
    table = result.rows("patients")
    final = final_estimates(result)
    columns: list[tuple[str, str]] = []
    if len(final):
        name = str(final["endpoint"].iloc[0])
        own = outcome_column(table, name)
        columns += [(words.label(name), own)] if own else []
    for name, _ in weighed_harms(result)[:MOST_DRIVEN]:
        if f"{name} expected" in table:
            columns.append((f"risk of {words.label(name)}", f"{name} expected"))
    rows = []
    for arm in result.arms:
        for said, column in columns:
            found = drivers(result, arm, column)
            text = "; ".join(
                f"{'more' if own.correlation > 0 else 'less'} with higher "
                f"{words.label(_plain(own.name))} ({words.signed(own.correlation, 2)})"
                for own in found
            )
            rows.append((arm, said, text or "nothing that stands out"))
    return rows


def _plain(name: str) -> str:
    """Name of a number without the part of the model that it belongs to."""
    return name.removeprefix("disease_").removeprefix("core_")


def _what_if(first: Result, other: Result) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each outcome with its value in the person as described and as he would be, by arm."""
    rows = []
    final = [final_estimates(own) for own in (first, other)]
    names = list(dict.fromkeys(final[0]["endpoint"]))[:4]
    for name in names:
        cells = []
        for arm in first.arms:
            texts = []
            for table in final:
                row = table[(table["endpoint"] == name) & (table["arm"] == arm)]
                texts.append(_one(row.to_dict("records")))
            cells.append((texts[0], texts[1]))
        rows.append((words.label(str(name)), cells))
    harms = [dict(weighed_harms(own)) for own in (first, other)]
    for name in list(harms[0])[:MOST_HARMS]:
        cells = []
        for arm in first.arms:
            texts = []
            for known in harms:
                rates = known.get(name)
                own = [] if rates is None else rates[rates["arm"] == arm].to_dict("records")
                texts.append(_expected(own))
            cells.append((texts[0], texts[1]))
        rows.append((f"{words.label(name)}, expected per 100 patient-years", cells))
    return rows


def _one(rows: list[dict[Any, Any]]) -> str:
    if not rows:
        return words.NO_VALUE
    row = rows[0]
    share = words.is_fraction(str(row["unit"]), str(row["statistic"]))
    return words.percent(row["estimate"]) if share else words.number(row["estimate"])


def _expected(rows: list[dict[Any, Any]]) -> str:
    if not rows:
        return words.NO_VALUE
    value = rows[0]["expected"]
    return words.number(float(rows[0]["estimate"] if value is None else value), 2)


def _cells(table: Any) -> tuple[list[str], list[list[list[str]]]]:
    rows = [[str(cell).split("\n") for cell in row] for row in table.itertuples(index=False)]
    return [str(name) for name in table.columns], rows
