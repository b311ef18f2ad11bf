"""What a study asked, in pairs of words for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from immunostat.report import words
from immunostat.report.shape import Shape, rule_words, shape_of
from immunostat.study.result import Result


def asked(result: Result) -> list[tuple[str, list[str]]]:
    """What the study was: a word, and lines beside it."""
    study, shape = result.study, shape_of(result)
    population = study.get("population") or {}
    span = words.span(float(study["duration_day"])) if "duration_day" in study else ""
    pairs: list[tuple[str, list[str]]] = [
        ("Situation", [words.label(str(study.get("situation") or "")).replace("-", " ")]),
        ("Patients", [_patients(population, shape)]),
        ("Who may enter", _entry(population)),
        ("Background", ["; ".join(str(line) for line in study.get("background") or [])]),
        ("Design", _design(study.get("design") or {}, shape)),
        ("Duration", [span]),
        ("Endpoints", [names(study.get("endpoints"))]),
        ("Side effects", [names(study.get("side_effects"))]),
        ("Rules", [_rule(rule) for rule in study.get("rules") or []]),
        ("Dropout", _dropout(study.get("dropout") or {})),
        ("Missed visits", _missed(float(study.get("missed_visits") or 0))),
        ("Compared with", [names(study.get("compare_with"))]),
    ]
    kept = [(word, [line for line in lines if line]) for word, lines in pairs]
    return [(word, lines) for word, lines in kept if lines]


def names(value: object) -> str:
    """A list of names (or of parts that have one), or one word such as 'all', as text."""
    if isinstance(value, list | tuple):
        return ", ".join(_name(one) for one in value)
    return words.label(str(value or ""))


def _name(one: object) -> str:
    return words.label(str(one["name"] if isinstance(one, Mapping) and "name" in one else one))


def _patients(population: Mapping[str, Any], shape: Shape) -> str:
    """Who the virtual patients are and how many."""
    who = str(population.get("title") or population.get("name") or "")
    if population.get("patients") is None:
        return who
    many = f"{shape.in_a_trial:,} virtual patients, "
    if not shape.is_parallel:
        many += "the same in every arm"
    elif shape.sequences:
        many += f"each randomized to one of {len(shape.ratio)} sequences"
    else:
        many += f"each randomized to one of {len(shape.ratio)} arms"
    if shape.n_trials > 1:
        many += f", in each of {shape.n_trials:,} whole trials"
    return many + (f": {who}" if who else "")


def _entry(population: Mapping[str, Any]) -> list[str]:
    """Who may enter besides the criteria of the population's card."""
    given = population.get("eligibility") or []
    lines = [given] if isinstance(given, str) else [str(line) for line in given]
    prior = population.get("prior")
    if isinstance(prior, Mapping):
        taken = prior.get("regimens") or []
        taken = taken if isinstance(taken, list) else [taken]
        said = "; ".join(line if isinstance(line, str) else _structured(line) for line in taken)
        text = (
            f"{prior.get('failed', 'ACR20')} not reached in {prior.get('duration', '12 weeks')} "
            f"of {said}"
        )
        washout = str(prior.get("washout", "0 weeks"))
        lines.append(text + (f", then {washout} without it" if washout[:1] != "0" else ""))
    if population.get("stored"):
        lines.append(f"drawn from the stored population {population['stored']}")
    return lines


def _structured(regimen: Mapping[str, Any]) -> str:
    return " ".join(str(value) for value in regimen.values())


def _design(design: Mapping[str, Any], shape: Shape) -> list[str]:
    """How patients come to their arms."""
    if shape.sequences:
        crossover = design["crossover"]
        lines = [f"{name}: {', then '.join(own)}" for name, own in shape.sequences.items()]
        washout = str(crossover.get("washout", "0 weeks"))
        pause = "no washout" if washout[:1] == "0" else f"a washout of {washout} between them"
        return ["; ".join(lines), f"periods of {crossover.get('period')}, {pause}"]
    if not shape.is_parallel:
        return []
    how = design.get("randomization") or {}
    text = "parallel arms, "
    if how.get("method") == "simple":
        text += "each patient randomized alone"
    else:
        text += f"blocks of {how['block']}" if how.get("block") else "randomized in blocks"
    if how.get("strata"):
        text += f", in strata of {words.listed([str(one) for one in how['strata']])}"
    if len(set(shape.ratio.values())) > 1:
        text += f", {' : '.join(str(share) for share in shape.ratio.values())}"
    trials = [f"{shape.n_trials:,} whole trials of other patients"] if shape.n_trials > 1 else []
    return [text, *trials]


def _rule(rule: object) -> str:
    """A rule with what limits it."""
    text = rule_words(rule)
    if not isinstance(rule, Mapping):
        return text
    ends = [rule.get("from"), rule.get("to")]
    more = [
        f"until {rule['until']}" if rule.get("until") else "",
        f"then {rule['after']}" if rule.get("after") else "",
        f"levels {_comma(rule['levels'])}" if rule.get("levels") else "",
        f"at {ends[0]}" if ends[0] and ends[0] == ends[1] else "",
        f"from {ends[0]}" if ends[0] and ends[0] != ends[1] else "",
        f"to {ends[1]}" if ends[1] and ends[0] != ends[1] else "",
        f"in {_comma(rule['arms'])}" if rule.get("arms") else "",
        "once" if rule.get("once") else "",
    ]
    said = "; ".join(part for part in more if part)
    return f"{text} ({said})" if said else text


def _comma(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def _dropout(dropout: Mapping[str, Any]) -> list[str]:
    """For what causes patients leave."""
    lines = [f"{dropout['background']} for other reasons"] if dropout.get("background") else []
    lack = dropout.get("lack_of_effect")
    if isinstance(lack, Mapping):
        chance = words.percent(float(lack.get("probability", 1.0)))
        start = f" from {lack['from']}" if lack.get("from") else ""
        lines.append(f"{chance} at each visit{start} at which {lack.get('when')}")
    if dropout.get("stopping"):
        lines.append("side effects after which, by their cards, the drug is stopped")
    for name, chance in (dropout.get("side_effects") or {}).items():
        lines.append(f"{words.percent(float(chance))} at {words.label(str(name))}")
    return lines


def _missed(share: float) -> list[str]:
    return [f"{words.percent(share)} of visits, by chance"] if share else []
