"""A result to draw, of a realistic shape. Every number in it is invented and means nothing."""
# ruff: noqa: RUF005 - rows are written as joined pieces so that they fit the page

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from immunostat.study.result import Result
from immunostat.study.result_tables import TABLES

ARMS = {
    "placebo": [],
    "adalimumab": ["adalimumab 40 mg subcutaneous every 2 weeks"],
    "tocilizumab-4": ["tocilizumab 4 mg/kg intravenous over 1 hour every 4 weeks"],
    "tocilizumab-8": ["tocilizumab 8 mg/kg intravenous over 1 hour every 4 weeks"],
}
VISITS = [0, 28, 56, 84, 112, 140, 168]
FINAL = {
    "ACR20": [0.27, 0.58, 0.47, 0.61],
    "ACR50": [0.10, 0.36, 0.28, 0.43],
    "ACR70": [0.03, 0.17, 0.11, 0.22],
}
PUBLISHED = [
    ("DE019", "placebo", "placebo", 200, "held-back", (0.295, 0.095, 0.025)),
    ("DE019", "40 mg every other week", "adalimumab", 207, "held-back", (0.633, 0.391, 0.208)),
    ("OPTION", "placebo", "placebo", 204, "training", (0.265, 0.108, 0.02)),
    ("OPTION", "4 mg/kg", "tocilizumab-4", 213, "held-back", (0.479, 0.315, 0.122)),
    ("OPTION", "8 mg/kg", "tocilizumab-8", 205, "training", (0.585, 0.439, 0.22)),
]
RATES = {
    "serious infection": [2.4, 4.1, 4.0, 4.9],
    "any infection": [88.0, 102.0, 96.0, 108.0],
    "neutropenia": [0.4, 1.6, 6.2, 11.5],
    "tuberculosis": [0.0, 0.25, 0.02, 0.03],
    "gastrointestinal perforation": [0.05, 0.06, 0.2, 0.28],
    "injection or infusion reaction": [4.0, 14.0, 7.5, 8.0],
}
FUNCTIONS = {
    "acute-phase response": [1.0, 0.42, 0.21, 0.06],
    "neutrophil supply": [1.0, 0.88, 0.74, 0.61],
    "T cell activation": [1.0, 0.81, 0.77, 0.7],
    "regulatory T cells": [1.0, 1.22, 1.31, 1.52],
    "B cell activation": [1.0, 0.9, 0.72, 0.58],
    "antibody production": [1.0, 0.97, 0.86, 0.78],
    "bacterial killing": [1.0, 0.72, 0.78, 0.64],
    "antiviral response": [1.0, 0.93, 1.02, 1.05],
    "free IL6 in blood": [1.0, 0.55, 4.1, 7.9],
}


def example_result(n_patients: int = 500, seed: int = 7) -> Result:
    """A study of four arms for 24 weeks; the same number of patients and seed, the same result."""
    random = np.random.default_rng(seed)
    trajectories = _trajectories(n_patients, random)
    patients = _patients(n_patients, random)
    return Result(
        study=_study(n_patients, seed),
        endpoints=_endpoints(n_patients),
        side_effects=_side_effects(n_patients),
        patients=patients,
        events=_events(patients, random),
        visits=_visits(trajectories),
        bands=_bands(trajectories),
        profile=_profile(),
        comparison=_comparison(n_patients),
        assumptions=_assumptions(),
        sources=_sources(),
        run={
            "version": "0.1.0",
            "seed": seed,
            "method": "rodas5p",
            "tolerance": {"relative": 1e-5},
            "host": {"cpu": "an invented processor", "cores": 2, "vector_width": 8},
            "timings": {"build": 1.21, "compile": 0.84, "simulate": 3.61, "outcomes": 0.42},
            "patients_per_second": 554.2,
            "failed": {"step too small": 2},
            "catalog_hash": "5f0c1d2ab37e",
            "started": "2026-01-01T12:00:00Z",
        },
        trajectories=trajectories,
    )


def _study(n_patients: int, seed: int) -> dict[str, Any]:
    return {
        "title": "Biologics after methotrexate in rheumatoid arthritis (invented numbers)",
        "question": "Which antibody lowers disease activity most after methotrexate has failed, "
        "and what does each cost in infections and low counts?",
        "situation": "rheumatoid-arthritis",
        "population": {
            "name": "methotrexate-inadequate-response",
            "title": "Adults with active rheumatoid arthritis despite methotrexate",
            "patients": n_patients,
            "seed": seed,
        },
        "background": ["methotrexate 15 mg oral every 1 week"],
        "arms": dict(ARMS),
        "duration_day": 168,
        "visit_days": VISITS,
        "endpoints": [*FINAL, "DAS28-CRP"],
        "side_effects": list(RATES),
        "compare_with": ["OPTION", "DE019"],
    }


def _interval(p: float, n: int) -> tuple[float, float]:
    half = 1.96 * sqrt(p * (1 - p) / n) + 0.5 / n
    return max(0.0, p - half), min(1.0, p + half)


def _endpoints(n: int) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for endpoint, final in FINAL.items():
        for arm, top in zip(ARMS, final, strict=True):
            for day in VISITS:
                p = round(top * (1 - np.exp(-day / 40)) / (1 - np.exp(-168 / 40)) * n) / n
                low, high = _interval(p, n)
                rows.append(
                    (arm, endpoint, "responder", day, n, "proportion", p, low, high, "1", "Wilson")
                )
    for arm, drop in zip(ARMS, (1.0, 2.1, 2.0, 3.1), strict=True):
        for day in VISITS:
            mean = 6.6 - drop * (1 - np.exp(-day / 35))
            rows.append(
                (
                    arm,
                    "DAS28-CRP",
                    "score",
                    day,
                    n,
                    "mean",
                    mean,
                    mean - 0.11,
                    mean + 0.11,
                    "1",
                    "t",
                )
            )
    return pd.DataFrame(
        rows,
        columns=list(TABLES["endpoints"].columns),
    )


def _side_effects(n: int) -> pd.DataFrame:
    years = n * 168 / 365.25
    rows: list[tuple[Any, ...]] = []
    for name, rates in RATES.items():
        for arm, rate in zip(ARMS, rates, strict=True):
            events = round(rate / 100 * years)
            low = max(0.0, events - 1.96 * sqrt(events)) / years * 100
            high = (events + 1.96 * sqrt(events) + 1.6) / years * 100
            rows.append(
                (arm, name, "incidence rate", n, events, years, events / years * 100)
                + (low, high, "events per 100 patient-years", rate)
            )
    grades = {
        "neutropenia": ([0.02, 0.06, 0.2, 0.33], 0.12),
        "raised transaminases": ([0.14, 0.17, 0.3, 0.36], 0.1),
        "nausea": ([0.08, 0.09, 0.09, 0.1], 0.03),
    }
    for name, (any_grade, severe_share) in grades.items():
        for arm, p in zip(ARMS, any_grade, strict=True):
            for measure, q in (("any grade", p), ("grade 3-4", p * severe_share)):
                low, high = _interval(q, n)
                rows.append((arm, name, measure, n, round(q * n), years, q, low, high, "1", q))
    return pd.DataFrame(
        rows,
        columns=list(TABLES["side_effects"].columns),
    )


def _trajectories(n: int, random: np.random.Generator) -> xr.Dataset:
    time = np.arange(0.0, 169.0, 1.0)
    spread = np.exp(0.4 * random.normal(size=(n, 1)))
    shape = (len(ARMS), n, time.size)
    values = {name: np.zeros(shape) for name in ("adalimumab", "tocilizumab", "TNF", "IL6R")}
    for arm, (period, peak, life) in {
        1: (14, 30.0, 14),
        2: (28, 480.0, 5),
        3: (28, 960, 8),
    }.items():
        drug = "adalimumab" if arm == 1 else "tocilizumab"
        for dose in range(0, 168, period):
            since = np.clip(time - dose, 0, None)
            rise = 1 - np.exp(-since) if arm == 1 else (since > 0)
            values[drug][arm] += peak * spread * rise * np.exp(-since / life * spread)
        target, half = ("TNF", 5.0) if arm == 1 else ("IL6R", 20.0)
        values[target][arm] = values[drug][arm] / (values[drug][arm] + half)
    engaged = values["TNF"] + values["IL6R"]
    course = np.cumsum(engaged, axis=2) / np.arange(1, time.size + 1)
    start = np.exp(0.9 * random.normal(size=(n, 1)))
    fall = 1 - np.exp(-time / 20)
    values["CRP"] = 20 * start * np.exp(-2.2 * course * fall - 0.15 * fall)
    values["DAS28-CRP"] = 6.6 + 0.6 * np.log(start) - fall * (1.0 + 2.1 * course)
    values["neutrophils"] = 5.5 * spread * (1 - 0.35 * values["IL6R"] * fall - 0.1 * values["TNF"])
    names = {
        "adalimumab": ("adalimumab concentration", "nmol/L"),
        "tocilizumab": ("tocilizumab concentration", "nmol/L"),
        "TNF": ("TNF engagement", "1"),
        "IL6R": ("IL6R engagement", "1"),
        "CRP": ("CRP", "mg/L"),
        "DAS28-CRP": ("DAS28-CRP", "1"),
        "neutrophils": ("neutrophils", "10^9/L"),
    }
    return xr.Dataset(
        {
            title: (("arm", "patient", "time"), values[key], {"units": unit, "long_name": title})
            for key, (title, unit) in names.items()
        },
        coords={
            "arm": list(ARMS),
            "patient": np.arange(n),
            "time": ("time", time, {"units": "day"}),
        },
    )


def _bands(trajectories: xr.Dataset) -> pd.DataFrame:
    frames = []
    for name, array in trajectories.data_vars.items():
        for index, arm in enumerate(ARMS):
            values = array.values[index]
            if not values.any():
                continue
            frame = pd.DataFrame({"arm": arm, "variable": name, "time_day": array["time"].values})
            frame["mean"] = values.mean(axis=0)
            for percent in (5, 25, 50, 75, 95):
                frame[f"q{percent:02d}"] = np.percentile(values, percent, axis=0)
            frame["unit"] = array.attrs["units"]
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _visits(trajectories: xr.Dataset) -> pd.DataFrame:
    chosen = trajectories[["DAS28-CRP", "CRP", "neutrophils"]].sel(time=VISITS)
    return chosen.to_dataframe().reset_index().rename(columns={"time": "time_day"})


def _patients(n: int, random: np.random.Generator) -> pd.DataFrame:
    covariates = pd.DataFrame(
        {
            "patient": np.arange(n),
            "status": "ok",
            "weight_kg": random.normal(74, 14, n).round(1),
            "age_year": random.normal(52, 12, n).round(0),
            "sex": np.where(random.random(n) < 0.8, "female", "male"),
        }
    )
    draws = random.random(n)
    frames = []
    for index, arm in enumerate(ARMS):
        frame = covariates.assign(**{name: draws < p[index] for name, p in FINAL.items()})
        frame.insert(0, "arm", arm)
        frames.append(frame)
    patients = pd.concat(frames, ignore_index=True)
    patients.loc[[n + 3, 2 * n + 11], "status"] = "step too small"
    return patients


def _events(patients: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    rows = patients.sample(frac=0.15, random_state=3).sort_values(["arm", "patient"])
    return pd.DataFrame(
        {
            "arm": rows["arm"].to_numpy(),
            "patient": rows["patient"].to_numpy(),
            "event": random.choice(["any infection", "neutropenia"], len(rows)),
            "time_day": random.integers(1, 168, len(rows)),
            "grade": random.choice([1.0, 2.0, 3.0], len(rows)),
        }
    )


def _profile() -> pd.DataFrame:
    rows = []
    for function, ratios in FUNCTIONS.items():
        for arm, ratio in zip(ARMS, ratios, strict=True):
            if arm == "placebo":
                continue
            low, high = ratio * 0.75, ratio * 1.3
            mixed = low < 0.9 and high > 1.1
            direction = (
                "stimulated" if ratio > 1.1 else "suppressed" if ratio < 0.9 else "unchanged"
            )
            rows.append((arm, function, ratio, low, high, "mixed" if mixed else direction))
    return pd.DataFrame(rows, columns=list(TABLES["profile"].columns))


def _comparison(n: int) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for trial, published_arm, arm, size, role, values in PUBLISHED:
        for (endpoint, final), observed in zip(FINAL.items(), values, strict=True):
            predicted = final[list(ARMS).index(arm)]
            rows.append(
                (trial, published_arm, arm, endpoint, 168, role, observed, size)
                + (*_interval(observed, size), predicted, *_interval(predicted, n))
                + (predicted - observed, "1", f"Invented{trial}", trial == "OPTION")
            )
    rows.append(
        ("OPTION", "8 mg/kg", "tocilizumab-8", "DAS28-CRP", 168, "held-back")
        + (3.3, 205, 3.1, 3.5, 3.5, 3.39, 3.61, 0.2, "1", "InventedOPTION", False)
    )
    return pd.DataFrame(
        rows,
        columns=list(TABLES["comparison"].columns),
    )


def _assumptions() -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for card, names in {
        "drugs/adalimumab.yaml": ["pk.parameters.clearance", "targets.TNF.affinity"],
        "drugs/tocilizumab.yaml": ["pk.parameters.maximum_rate", "targets.IL6R.affinity"],
        "models/immune_core.yaml": [f"rates.{name}" for name in ("birth", "death", "priming")] * 5,
        "diseases/rheumatoid-arthritis.yaml": ["autoantigen.load", "joint.damage_rate"],
    }.items():
        for index, name in enumerate(names):
            assumed = index % 2 == 0
            rows.append(
                (name, 0.0123 * (index + 1), "1/day", "assumed" if assumed else "fitted", False)
                + ("Invented, to show how a reason reads beside a number." if assumed else "",)
                + ("" if assumed else "InventedOPTION", "" if assumed else "Table 2", card)
            )
    return pd.DataFrame(rows, columns=list(TABLES["assumptions"].columns))


def _sources() -> list[dict[str, str]]:
    return [
        {
            "key": f"Invented{trial}",
            "text": f"Nobody A, Noone B. An invented publication of {trial}. J Nowhere 2000;1:1-9.",
            "bibtex": f"@article{{Invented{trial},\n  title = {{An invented {trial}}}\n}}",
            "url": f"https://example.org/{trial.lower()}",
        }
        for trial in ("DE019", "OPTION")
    ]
