"""What a trial concludes: comparisons of arms, whole trials again and again, looks, dose response.

Every number is made of the endpoints of patients as the trial sees them. In a study that shows the
same patients under every arm the intervals are those of different patients, so they are too wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.arms import ArmValues, Comparison, compare_arms, compare_rates
from immunostat.outcomes.endpoints import KINDS, EndpointSpec
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.outcomes.summary import statistic_of
from immunostat.study.gathered import Gathered
from immunostat.study.result_tables import TABLES
from immunostat.study.specs import specs_of
from immunostat.study.trial_parts import Analysis, Crossover
from immunostat.trial import crossover, dose_ranging, interim, power

#: Endpoint kinds whose baseline a comparison of means is adjusted for, by the value kind.
_ADJUSTED = ("change", "percent_change", "value")


def comparison_table(gathered: Gathered) -> pd.DataFrame:
    """Every analysis that the study asks for, of its first whole trial."""
    rows: list[dict[str, Any]] = []
    first = gathered.replicate == 0
    for analysis in gathered.plan.study.analyses:
        rows += [asdict(row) for row in analyzed(gathered, analysis, first)]
    return pd.DataFrame(rows, columns=list(TABLES["analyses"].columns))


def analyzed(
    gathered: Gathered, analysis: Analysis, which: npt.NDArray[np.bool_]
) -> list[Comparison]:
    """One analysis in some of the patients.

    Parameters
    ----------
    which
        Patients of the trial. Shape (patient,).
    """
    study = gathered.plan.study
    if study.design.crossover is not None:
        return _within_patients(gathered, analysis, study.design.crossover, which)
    arms = list(study.arms)
    pair = [arms.index(name) for name in (analysis.arm, analysis.versus)]
    rows = [gathered.is_in(i) & which for i in pair]
    if analysis.endpoint in study.side_effects:
        return [_rates(gathered, analysis, pair, rows)]
    spec = _spec(gathered, analysis)
    days = np.array(study.visits_day)
    own = []
    for name, i, chosen in zip((analysis.arm, analysis.versus), pair, rows, strict=True):
        values = np.asarray(gathered.column(f"endpoint/{i}/{spec.name}")[chosen], np.float64)
        exact = gathered.exact(i, spec.name)
        exact = exact and exact.kept(chosen)
        own.append(ArmValues(name, values, _baseline(gathered, spec, i, chosen), exact))
    measures = (analysis.measure,) if analysis.measure else ()
    at_end = replace(spec, time_day=analysis.time_day)
    return compare_arms(at_end, own[0], own[1], days, measures)


def _spec(gathered: Gathered, analysis: Analysis) -> EndpointSpec:
    return next(spec for spec in specs_of(gathered.plan) if spec.name == analysis.endpoint)


def _baseline(
    gathered: Gathered, spec: EndpointSpec, i: int, chosen: npt.NDArray[np.bool_]
) -> FloatArray | None:
    """Baseline of what a mean is made of, to adjust for; None for other endpoints."""
    if KINDS[spec.kind].is_binary or spec.kind not in _ADJUSTED or spec.of is not None:
        return None
    if spec.kind == "value":
        column = gathered.column(f"endpoint/{i}/{spec.name}")
        return np.asarray(column[chosen][:, 0], dtype=np.float64)
    if "value" in spec.inputs and not spec.score:
        column = gathered.column(f"visit/{i}/{spec.inputs['value']}")
        return np.asarray(column[chosen][:, 0], dtype=np.float64)
    twin = [own for own in specs_of(gathered.plan) if own.kind == "value"]
    for own in twin:
        if own.score == spec.score and own.inputs == spec.inputs:
            column = gathered.column(f"endpoint/{i}/{own.name}")
            return np.asarray(column[chosen][:, 0], dtype=np.float64)
    return None


def _rates(
    gathered: Gathered, analysis: Analysis, pair: list[int], rows: list[npt.NDArray[np.bool_]]
) -> Comparison:
    """Rate ratio of a side effect."""
    counts, years = [], []
    for i, chosen in zip(pair, rows, strict=True):
        key = f"{i}/{analysis.endpoint}"
        try:
            counts.append(np.asarray(gathered.column(f"count/{key}")[chosen], np.float64))
        except KeyError:
            raise InputError(
                f"side effect '{analysis.endpoint}' has grades, and no rate to compare",
                remedy="compare a side effect that happens, such as serious-infection",
            ) from None
        years.append(gathered.column(f"follow_up/{key}")[chosen] / DAYS_PER_YEAR)
    arms = [
        ArmValues(name, values[:, None])
        for name, values in zip((analysis.arm, analysis.versus), counts, strict=True)
    ]
    day = gathered.plan.study.duration_day
    return compare_rates(analysis.endpoint, arms[0], arms[1], years[0], years[1], day)


def _within_patients(
    gathered: Gathered, analysis: Analysis, design: Crossover, which: npt.NDArray[np.bool_]
) -> list[Comparison]:
    """Treatments of a crossover compared within patients, at the end of each period."""
    study, spec = gathered.plan.study, _spec(gathered, analysis)
    arms, assigned = list(study.arms), gathered.assigned
    assert assigned is not None
    visits = [
        int(np.argmin(np.abs(np.array(study.visits_day) - start - design.period_day)))
        for start in design.starts_day
    ]
    values = np.full((gathered.n_patients, len(visits)), np.nan)
    names = list(dict.fromkeys(name for own in design.sequences.values() for name in own))
    names.remove(analysis.versus)
    names.insert(0, analysis.versus)
    treatment = np.zeros((gathered.n_patients, len(visits)), dtype=np.int64)
    for i, arm in enumerate(arms):
        own = assigned == i
        values[own] = gathered.column(f"endpoint/{i}/{spec.name}")[own][:, visits]
        treatment[own] = [names.index(name) for name in design.sequences[arm]]
    values, treatment = values[which], treatment[which]
    if len(visits) == 2 and len(names) == 2:
        found = crossover.two_periods(values, treatment[:, 0] == 1)
        effects = {
            "within-patient difference": found.treatment,
            "period effect": found.period,
            "carry-over": found.carry_over,
        }
    else:
        many = crossover.many_periods(values, treatment, names)
        effects = {"within-patient difference": many[analysis.arm]}
    return [
        Comparison(
            spec.name,
            analysis.arm,
            analysis.versus,
            study.duration_day,
            measure,
            own.estimate.estimate,
            own.estimate.low,
            own.estimate.high,
            own.p,
            own.estimate.n,
            spec.unit,
            own.estimate.method,
        )
        for measure, own in effects.items()
    ]


def replicate_table(gathered: Gathered) -> pd.DataFrame:
    """Every analysis in every whole trial: one row each, the first measure of each analysis."""
    columns = list(TABLES["replicates"].columns)
    study = gathered.plan.study
    if study.design.n_replicates < 2:
        return pd.DataFrame(columns=columns)
    rows = []
    for number, analysis in enumerate(study.analyses):
        for replicate in range(study.design.n_replicates):
            row = analyzed(gathered, analysis, gathered.replicate == replicate)[0]
            rows.append({"analysis": number, "replicate": replicate, **asdict(row)})
    return pd.DataFrame(rows, columns=columns)


def power_table(gathered: Gathered, replicates: pd.DataFrame) -> pd.DataFrame:
    """What the whole trials show about the design: power, spread and bias of the estimates."""
    rows = []
    study = gathered.plan.study
    everybody = np.ones(gathered.n_patients, dtype=np.bool_)
    for number, analysis in enumerate(study.analyses):
        own = replicates[replicates["analysis"] == number]
        if not len(own):
            continue
        truth = analyzed(gathered, analysis, everybody)[0].estimate
        arrays = {name: own[name].to_numpy(np.float64) for name in ("estimate", "low", "high", "p")}
        found = power.performance(power.Replicates(**arrays, z=np.full(len(own), np.nan)), truth)
        first = own.iloc[0]
        rows.append(
            {
                "analysis": number,
                "endpoint": first["endpoint"],
                "arm": first["arm"],
                "versus": first["versus"],
                "measure": first["measure"],
                "replicates": len(own),
                "patients_per_arm": study.population.n_patients,
                "power": found.power.estimate,
                "power_low": found.power.low,
                "power_high": found.power.high,
                "mean": found.mean,
                "sd": found.sd,
                "pooled": truth,
                "bias": found.bias,
                "coverage": found.coverage.estimate,
                "unit": first["unit"],
            }
        )
    return pd.DataFrame(rows, columns=list(TABLES["power"].columns))


def interim_table(gathered: Gathered) -> pd.DataFrame:
    """Where the whole trials stop, by the first analysis: one row for each look."""
    columns = list(TABLES["interim"].columns)
    study = gathered.plan.study
    plan = study.interim
    if plan is None or not study.analyses:
        return pd.DataFrame(columns=columns)
    how, values, other = values_in_trials(gathered, study.analyses[0])
    z, n = power.at_looks(values, other, how, plan.looks)
    z = -z if plan.is_less_better else z
    design = interim.sequential_design(
        plan.looks, plan.boundary, plan.alpha, futility=plan.futility
    )
    stops = interim.monitored(design, z)
    expected = interim.expected_size(stops, n)
    rows = [
        {
            "look": look + 1,
            "fraction": plan.looks[look],
            "critical": float(design.upper[look]),
            "patients": int(n[look]),
            **{reason: row[reason] for reason in ("efficacy", "harm", "futility", "end")},
            "expected_patients": expected.estimate,
        }
        for look, row in enumerate(interim.stopping_table(stops, len(plan.looks)))
    ]
    return pd.DataFrame(rows, columns=columns)


def values_in_trials(
    gathered: Gathered, analysis: Analysis
) -> tuple[power.Analysis, FloatArray, FloatArray]:
    """Values of the two arms of an analysis in every whole trial. Each (replicate, patient)."""
    study, spec = gathered.plan.study, _spec(gathered, analysis)
    statistic = statistic_of(spec)
    if statistic not in ("proportion", "mean") or study.design.crossover is not None:
        raise InputError(
            f"looks are made by means and proportions; '{spec.name}' is neither",
            study.place,
            "name another endpoint in the first analysis",
        )
    visit = int(np.argmin(np.abs(np.array(study.visits_day) - analysis.time_day)))
    is_share = statistic == "proportion"
    found = []
    for name in (analysis.arm, analysis.versus):
        i = list(study.arms).index(name)
        values = np.asarray(gathered.column(f"endpoint/{i}/{spec.name}")[:, visit], np.float64)
        if is_share:
            values = np.where(np.isnan(values), 0.0, values)
        found.append(_by_trial(values, gathered.is_in(i), gathered.replicate))
    how = power.Analysis.PROPORTIONS if is_share else power.Analysis.MEANS
    return how, found[0], found[1]


def _by_trial(values: FloatArray, chosen: npt.NDArray[np.bool_], replicate: IntArray) -> FloatArray:
    """Values of the patients of an arm, a row for each trial; all trials as long as the shortest.

    Shape (replicate, patient).
    """
    rows = [values[chosen & (replicate == r)] for r in range(int(replicate.max()) + 1)]
    shortest = min(len(row) for row in rows)
    return np.array([row[:shortest] for row in rows])


def dose_response_table(gathered: Gathered) -> pd.DataFrame:
    """Trend over the doses, the Emax curve through the arms, and the dose that makes the target."""
    columns = list(TABLES["dose_response"].columns)
    study = gathered.plan.study
    plan = study.dose_response
    if plan is None:
        return pd.DataFrame(columns=columns)
    spec = next(own for own in specs_of(gathered.plan) if own.name == plan.endpoint)
    arms = sorted(plan.doses, key=lambda name: plan.doses[name])
    doses = np.array([plan.doses[name] for name in arms])
    is_share = statistic_of(spec) == "proportion"
    groups = []
    for name in arms:
        i = list(study.arms).index(name)
        values = gathered.values(f"endpoint/{i}/{spec.name}", i)[:, -1]
        groups.append(np.where(np.isnan(values), 0.0, values) if is_share else values)
    rows = list(_doses(groups, doses, is_share, plan.target))
    for row in rows:
        row.setdefault("endpoint", spec.name)
    return pd.DataFrame(rows, columns=columns)


def _doses(
    groups: list[FloatArray], doses: FloatArray, is_share: bool, target: float | None
) -> Iterator[dict[str, Any]]:
    """Rows of the dose response."""
    kept = [own[~np.isnan(own)] for own in groups]
    n = np.array([len(own) for own in kept])
    means = np.array([own.mean() for own in kept])
    if is_share:
        # One patient more each way keeps an arm without responders from an error of zero.
        share = (means * n + 1) / (n + 2)
        errors = np.sqrt(share * (1 - share) / n)
        trend = dose_ranging.cochran_armitage(means * n, n, doses)
    else:
        errors = np.array([own.std(ddof=1) for own in kept]) / np.sqrt(n)
        trend = dose_ranging.jonckheere(groups)
    nothing = {"estimate": np.nan, "low": np.nan, "high": np.nan, "p": np.nan}
    for dose, mean, error in zip(doses, means, errors, strict=True):
        yield nothing | {
            "what": "arm", "dose": dose, "estimate": mean,
            "low": mean - 1.96 * error, "high": mean + 1.96 * error, "method": "normal 95 %",
        }  # fmt: skip
    yield nothing | {
        "what": "trend", "dose": np.nan, "estimate": trend.z, "p": trend.p, "method": trend.method
    }  # fmt: skip
    fit = dose_ranging.fit_emax(doses, means, errors)
    for what, own in (("e0", fit.e0), ("emax", fit.emax), ("ed50", fit.ed50)):
        method = own.method if fit.is_identified else f"{own.method}; not identified"
        yield nothing | {
            "what": what, "dose": np.nan, "estimate": own.estimate, "low": own.low,
            "high": own.high, "method": method,
        }  # fmt: skip
    if target is not None:
        dose = dose_ranging.dose_for_change(fit, target)
        yield nothing | {
            "what": f"dose for a difference of {target:g}", "dose": np.nan,
            "estimate": dose.estimate, "low": dose.low, "high": dose.high, "method": dose.method,
        }  # fmt: skip
