"""Which figures a report shows, in which section, and what their captions say."""

from __future__ import annotations

from collections.abc import Iterator

from immunostat.report import event_sections, figures, harm_maps, trial_plates, words
from immunostat.report.efficacy_figures import final_estimates
from immunostat.report.harm_figures import RATE, has_grades
from immunostat.report.plate import Plate, file_name
from immunostat.report.probability_figure import skewed
from immunostat.report.shape import EVENT_STATISTICS, is_large, shape_of
from immunostat.study.balance import reference_arm, weighed
from immunostat.study.dose_balance import best_words, dose_balance, doses_of
from immunostat.study.result import Result
from immunostat.study.weights import illustrative, illustrative_words

__all__ = ["Plate", "along_the_chain", "chosen", "courses_left", "file_name"]

MOST_COURSES = 5
MOST_SCORES = 3
MOST_EXPOSURES = 8


def chosen(result: Result) -> Iterator[Plate]:
    """Every figure that the result has data for, in the order of the page."""
    yield from _answer(result)
    yield from _weighed(result)
    yield from trial_plates.chosen(result)
    yield from _benefit(result)
    yield from _harm(result)
    yield from _differences(result)
    yield from _exposure(result)
    yield from _inside(result)


def along_the_chain(result: Result, patient: int | None = None) -> Iterator[Plate]:
    """Figures from dose to outcome: exposure, immune system, disease, harm.

    Parameters
    ----------
    patient
        Number of a patient whose own courses are drawn over those of all.
    """
    yield from _exposure(result, patient)
    yield from _inside(result, patient)
    yield from _benefit(result)
    yield from event_sections.plates(result)
    yield from _harm(result)
    yield from _answer(result)


def courses_left(result: Result) -> list[str]:
    """Variables whose course the page does not draw."""
    return [words.label(name) for name in _courses(result)[MOST_COURSES:]]


def _answer(result: Result) -> Iterator[Plate]:
    if len(result.endpoints) and (result.side_effects["measure"] == RATE).any():
        yield Plate(
            "answer",
            "balance",
            figures.balance(result),
            "Benefit and harm of each arm side by side: a point further right means more of it. "
            "Lines are 95 % intervals.",
        )


def _weighed(result: Result) -> Iterator[Plate]:
    """Benefit and harm on one scale, where the result has both."""
    own = {} if is_large(result) else illustrative(result)
    shape = shape_of(result)
    if not own or len(result.arms) < 2 or shape.sequences or shape.n_trials > 1:
        return
    reference = reference_arm(result)
    parts, net = weighed(result, own, reference)
    note = f"{illustrative_words()} Other weights: immunostat balance."
    yield Plate(
        "answer",
        "quadrant",
        figures.quadrant(result, net, reference),
        f"What each arm gains (up) and costs (right) against {reference}. {note}",
    )
    yield Plate(
        "answer",
        "value-tree",
        figures.value_tree(result, parts, net),
        "What each outcome adds to the net benefit of each arm, under the same weights.",
    )
    doses = doses_of(result)
    if len(set(doses.values())) >= 3:
        found = dose_balance(result, own, doses)
        yield Plate(
            "dose",
            "dose-balance",
            figures.dose_balance(found),
            f"Weighted benefit and harm by dose, against the lowest. {best_words(found)} {note}",
        )


def _benefit(result: Result) -> Iterator[Plate]:
    final = final_estimates(result)
    # Events have a section of their own.
    final = final[~final["statistic"].isin(EVENT_STATISTICS)]
    is_share = final["statistic"].astype(str).str.contains("proportion")
    shares = list(dict.fromkeys(final.loc[is_share, "endpoint"]))
    scores = list(dict.fromkeys(final.loc[~is_share, "endpoint"]))
    # Courses of concentrations stand with the exposure.
    scores = [name for name in scores if not str(name).endswith(" concentration")]
    scores = [name for name in scores if not any(_is_change_of(name, other) for other in scores)]
    for name in [*shares[:1], *scores[:MOST_SCORES]]:
        shown = words.label(name)
        yield Plate(
            "benefit",
            file_name("response", name),
            figures.response(result, name),
            f"{shown} over time, by arm. The band is the 95 % interval of the estimate, not the "
            f"spread between patients.{_periods(result)}",
        )
    for name in [] if is_large(result) else skewed(result)[:MOST_SCORES]:
        yield Plate(
            "benefit",
            file_name("probability", name),
            figures.probability(result, name),
            f"{words.label(name)} of each patient, in order. Most patients lie near the middle; "
            "the mean of an arm is made by the few at the right.",
        )
    if shares:
        published = " Small marks beside the bars are published trials with their own intervals."
        yield Plate(
            "benefit",
            "responders",
            figures.responders(result),
            f"{words.listed([words.label(name) for name in shares])} at the last visit, by arm."
            + (published if len(result.comparison) else ""),
        )
    if len(result.comparison):
        yield Plate(
            "compared",
            "forest",
            figures.forest(result),
            "Each published result (diamond) above what the model says of the same arm, endpoint "
            "and visit. Orange circles are predictions; blue squares were used in fitting.",
        )


def _periods(result: Result) -> str:
    """When the treatments of a crossover were taken, for a caption."""
    crossover = (result.study.get("design") or {}).get("crossover") or {}
    if not crossover:
        return ""
    own = [f"{name}: {', then '.join(taken)}" for name, taken in crossover["sequences"].items()]
    washout = crossover.get("washout", "0 weeks")
    return f" {'; '.join(own)}; periods of {crossover['period']}, washout {washout}."


def _is_change_of(name: str, other: str) -> bool:
    """Whether one endpoint is the other's change, so that its course would say the same again."""
    return name != other and name.lower().startswith(other.lower())


def _harm(result: Result) -> Iterator[Plate]:
    if (result.side_effects["measure"] == RATE).any():
        yield Plate(
            "harm",
            "side-effects",
            figures.side_effects(result),
            "How often each side effect came, on a logarithmic axis. The point is what was drawn "
            "for these patients, the dark tick what the model expects without chance.",
        )
    if has_grades(result):
        yield Plate(
            "harm",
            "grades",
            figures.grades(result),
            "Share of patients whose worst grade was mild (light) or 3 and more (solid).",
        )


def _differences(result: Result) -> Iterator[Plate]:
    """Where harm differs: between arms, between patients."""
    if (result.side_effects["measure"] == RATE).any() and len(result.arms) > 1:
        yield Plate(
            "harm",
            "harm-map",
            figures.harm_rates(result),
            "Side effects (rows) by arm (columns): the number is the expected rate, the color "
            "how many times as many there are as without the arm's drugs.",
        )
    unequal = None if is_large(result) else harm_maps.main_harm(result)
    if unequal is not None:
        shown, goes = words.label(unequal.side_effect), words.label(unequal.covariate)
        yield Plate(
            "harm",
            "harm-of-patients",
            figures.harm_chances(result, unequal),
            f"Chance of {shown} of each patient, on a logarithmic axis. Of all that is known of "
            f"the patients it goes with {goes} most (partial rank correlation "
            f"{words.signed(unequal.correlation, 2)}).",
        )


def _exposure(result: Result, patient: int | None = None) -> Iterator[Plate]:
    kinds = {name: figures.kind_of(result, name) for name in _variables(result)}
    concentrations = [name for name, kind in kinds.items() if kind == "concentration"]
    engagements = [name for name, kind in kinds.items() if kind == "engagement"]
    for name in concentrations[:MOST_EXPOSURES]:
        yield Plate(
            "exposure",
            file_name("course", name),
            figures.course(result, name, patient),
            f"{words.label(name)}, logarithmic axis; the spread is between patients.",
        )
    for name in engagements[:MOST_EXPOSURES]:
        yield Plate(
            "exposure",
            file_name("course", name),
            figures.course(result, name, patient),
            f"{words.label(name)}: share of the target that the drug holds; the spread is between "
            "patients.",
        )


def _inside(result: Result, patient: int | None = None) -> Iterator[Plate]:
    if len(result.profile):
        yield Plate(
            "inside",
            "profile",
            figures.profile(result),
            "Parts of the immune response under each arm: blue with ↓ is lower than without the "
            "arm's drugs, orange with ↑ is higher, ↕ goes up in some patients and down in others.",
        )
    for name in _courses(result)[:MOST_COURSES]:
        yield Plate(
            "inside",
            file_name("course", name),
            figures.course(result, name, patient),
            f"{words.label(name)} by arm; the spread is between patients.",
        )


def _variables(result: Result) -> list[str]:
    return list(dict.fromkeys(result.bands["variable"].astype(str)))


def _courses(result: Result) -> list[str]:
    """Variables to follow: those that endpoints are read from first, then those with a unit."""
    drawn = {str(name).lower() for name in result.endpoints["endpoint"]}
    measured = set(result.endpoints["unit"]) - {"", "1"}
    units = dict(zip(result.bands["variable"], result.bands["unit"], strict=True))
    names = [name for name in _variables(result) if figures.kind_of(result, name) == "course"]

    def order(name: str) -> tuple[bool, bool]:
        is_named = any(endpoint in name.lower() for endpoint in drawn)
        shared = sum(units[other] == units[name] for other in names)
        is_unique = units[name] in measured and shared == 1
        return not (is_named or is_unique), units[name] in ("", "1", "relative to health")

    return sorted(names, key=order)
