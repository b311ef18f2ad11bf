"""What each table of a result holds: its file, its columns, and the meaning of each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

Kind = Literal["text", "number", "flag"]


@dataclass(frozen=True)
class Table:
    """What a table of the result holds: its file, its required columns, and what each means.

    Parameters
    ----------
    file
        Name in the result folder; the ending says the format.
    columns
        Required columns in order: name -> (kind, meaning). Others may follow.
    is_optional
        Whether a result without the file is read as one whose table is empty.
    """

    file: str
    columns: Mapping[str, tuple[Kind, str]]
    is_optional: bool = False

    def empty(self) -> pd.DataFrame:
        """The table without rows, with its required columns."""
        dtypes = {"text": object, "number": float, "flag": bool}
        return pd.DataFrame(
            {name: pd.Series(dtype=dtypes[kind]) for name, (kind, _) in self.columns.items()}
        )


_ARM: tuple[Kind, str] = ("text", "name of the arm, as in the study")
_PATIENT: tuple[Kind, str] = ("number", "number of the virtual patient, the same in every arm")
_LOW: tuple[Kind, str] = ("number", "lower end of the 95 % interval, in `unit`")
_HIGH: tuple[Kind, str] = ("number", "upper end of the 95 % interval, in `unit`")
_UNIT: tuple[Kind, str] = ("text", "unit of the numbers; '1' for a fraction or a pure number")
_DAY: tuple[Kind, str] = ("number", "day since the first dose")

TABLES: dict[str, Table] = {
    "endpoints": Table(
        "endpoints.csv",
        {
            "arm": _ARM,
            "endpoint": ("text", "name, for example ACR20 or DAS28-CRP"),
            "kind": ("text", "kind of endpoint, for example responder, change, time to event"),
            "time_day": _DAY,
            "n": ("number", "patients that the estimate rests on"),
            "statistic": ("text", "proportion, mean, mean change, median, rate, ..."),
            "estimate": ("number", "value of the statistic, in `unit`; a proportion is 0 to 1"),
            "low": _LOW,
            "high": _HIGH,
            "unit": _UNIT,
            "method": ("text", "how the interval was made, for example Wilson"),
        },
    ),
    "side_effects": Table(
        "side_effects.csv",
        {
            "arm": _ARM,
            "side_effect": ("text", "name, for example serious infection"),
            "measure": ("text", "incidence rate, any grade, grade 3-4, ..."),
            "n": ("number", "patients at risk"),
            "events": ("number", "events, or patients with the side effect, that were drawn"),
            "patient_years": ("number", "time at risk, year"),
            "estimate": ("number", "value in `unit`; a proportion is 0 to 1"),
            "low": _LOW,
            "high": _HIGH,
            "unit": _UNIT,
            "expected": ("number", "what the model expects, without the chance of drawing"),
        },
    ),
    "disease_events": Table(
        "disease_events.csv",
        {
            "arm": _ARM,
            "event": ("text", "event of the disease, for example relapse"),
            "measure": ("text", "rate, or share with an event by the end"),
            "n": ("number", "patients who were followed"),
            "events": ("number", "events that were drawn, or patients with one"),
            "patient_years": ("number", "time at risk, year"),
            "estimate": ("number", "value in `unit`; a share is 0 to 1"),
            "low": _LOW,
            "high": _HIGH,
            "unit": _UNIT,
            "expected": ("number", "rate that the model expects, without the chance of drawing"),
        },
        is_optional=True,
    ),
    "event_curves": Table(
        "event_curves.csv",
        {
            "arm": _ARM,
            "event": ("text", "event of the disease, or an endpoint that is made of events"),
            "measure": ("text", "cumulative incidence, event-free, or mean cumulative count"),
            "time_day": _DAY,
            "estimate": ("number", "share of patients, or events per patient"),
            "low": ("number", "lower end of the 95 % interval"),
            "high": ("number", "upper end of the 95 % interval"),
            "n_at_risk": ("number", "patients still at risk"),
        },
        is_optional=True,
    ),
    "patients": Table(
        "patients.parquet",
        {
            "arm": _ARM,
            "patient": _PATIENT,
            "status": ("text", "'ok', or the cause for which this patient could not be solved"),
        },
    ),
    "events": Table(
        "events.parquet",
        {
            "arm": _ARM,
            "patient": _PATIENT,
            "event": (
                "text",
                "event of the disease, side effect, or what a rule did (hold, resume, stop)",
            ),
            "time_day": _DAY,
            "grade": ("number", "severity 1 to 5, empty where the event has none"),
        },
    ),
    "visits": Table("visits.parquet", {"arm": _ARM, "patient": _PATIENT, "time_day": _DAY}),
    "parameters": Table("parameters.parquet", {"patient": _PATIENT}),
    "actions": Table(
        "actions.csv",
        {
            "arm": _ARM,
            "patient": _PATIENT,
            "time_day": _DAY,
            "action": ("text", "hold, resume, reduce, lower, raise, stop, start or change"),
            "drug": ("text", "drug that it was done to"),
            "rule": ("text", "the rule that did it, as it stands in the study"),
        },
    ),
    "bands": Table(
        "bands.csv",
        {
            "arm": _ARM,
            "variable": ("text", "output, for example adalimumab concentration"),
            "time_day": _DAY,
            "mean": ("number", "mean over patients, in `unit`"),
            "q05": ("number", "5 % of patients lie below"),
            "q25": ("number", "25 % of patients lie below"),
            "q50": ("number", "median patient"),
            "q75": ("number", "75 % of patients lie below"),
            "q95": ("number", "95 % of patients lie below"),
            "unit": _UNIT,
        },
    ),
    "profile": Table(
        "profile.csv",
        {
            "arm": _ARM,
            "function": ("text", "part of the immune response, for example T cell activation"),
            "ratio": ("number", "median over patients of activity under the arm / without it"),
            "low": ("number", "5 % of patients lie below"),
            "high": ("number", "95 % of patients lie below"),
            "direction": ("text", "stimulated, suppressed, unchanged or mixed"),
        },
    ),
    "comparison": Table(
        "comparison.csv",
        {
            "trial": ("text", "name of the published trial"),
            "published_arm": ("text", "the arm's name in the publication"),
            "arm": _ARM,
            "endpoint": ("text", "name, as in `endpoints`"),
            "time_day": _DAY,
            "role": ("text", "'training' if the model was fitted to it, else 'held-back'"),
            "observed": ("number", "published value, in `unit`"),
            "observed_n": ("number", "published number of patients"),
            "observed_low": ("number", "lower end of the 95 % interval of the published value"),
            "observed_high": ("number", "upper end of the 95 % interval of the published value"),
            "predicted": ("number", "simulated value, in `unit`"),
            "predicted_low": ("number", "lower end of the 95 % interval of the simulated value"),
            "predicted_high": ("number", "upper end of the 95 % interval of the simulated value"),
            "difference": ("number", "predicted - observed, in `unit`"),
            "unit": _UNIT,
            "source": ("text", "key of the publication in sources.bib"),
            "checked": ("flag", "whether the value was read in the source or a stored copy"),
        },
    ),
    "assumptions": Table(
        "assumptions.csv",
        {
            "name": ("text", "dotted name of the number inside its card"),
            "value": ("number", "the number, in `unit`"),
            "unit": _UNIT,
            "evidence": ("text", "measured, fitted, derived or assumed"),
            "checked": ("flag", "whether the value was read in the source or a stored copy"),
            "because": ("text", "the reason for an assumed or derived number"),
            "source": ("text", "key in sources.bib"),
            "where": ("text", "place in the source"),
            "card": ("text", "card that holds the number"),
        },
    ),
    "analyses": Table(
        "analyses.csv",
        {
            "endpoint": ("text", "name of the endpoint, or of the side effect whose rate it is"),
            "arm": _ARM,
            "versus": ("text", "arm that it is compared with"),
            "time_day": _DAY,
            "measure": ("text", "risk difference, mean difference, hazard ratio, ..."),
            "estimate": ("number", "arm against comparator, in `unit`"),
            "low": _LOW,
            "high": _HIGH,
            "p": ("number", "two-sided p value for no difference"),
            "n": ("number", "patients of both arms that the estimate rests on"),
            "unit": _UNIT,
            "method": ("text", "how estimate, interval and p value were made"),
        },
    ),
    "replicates": Table(
        "replicates.csv",
        {
            "analysis": ("number", "which of the study's analyses, from 0"),
            "replicate": ("number", "which whole trial, from 0"),
            "endpoint": ("text", "name of the endpoint"),
            "arm": _ARM,
            "versus": ("text", "arm that it is compared with"),
            "measure": ("text", "what was estimated"),
            "estimate": ("number", "arm against comparator, in `unit`"),
            "low": _LOW,
            "high": _HIGH,
            "p": ("number", "two-sided p value for no difference"),
            "n": ("number", "patients that the estimate rests on"),
            "unit": _UNIT,
        },
    ),
    "power": Table(
        "power.csv",
        {
            "analysis": ("number", "which of the study's analyses, from 0"),
            "endpoint": ("text", "name of the endpoint"),
            "arm": _ARM,
            "versus": ("text", "arm that it is compared with"),
            "measure": ("text", "what was estimated"),
            "replicates": ("number", "whole trials"),
            "patients_per_arm": ("number", "patients in the arm of share 1"),
            "power": ("number", "share of the trials with p of at most 0.05"),
            "power_low": ("number", "lower end of its 95 % interval"),
            "power_high": ("number", "upper end of its 95 % interval"),
            "mean": ("number", "mean of the estimates"),
            "sd": ("number", "standard deviation of the estimates"),
            "pooled": ("number", "the estimate in the patients of all trials together"),
            "bias": ("number", "mean minus pooled"),
            "coverage": ("number", "share of the intervals that hold the pooled estimate"),
            "unit": _UNIT,
        },
    ),
    "interim": Table(
        "interim.csv",
        {
            "look": ("number", "from 1"),
            "fraction": ("number", "share of the patients"),
            "critical": ("number", "critical value of the test statistic"),
            "patients": ("number", "patients of both arms"),
            "efficacy": ("number", "share of the trials that stop here for efficacy"),
            "harm": ("number", "share that stop here beyond the other boundary"),
            "futility": ("number", "share that stop here for futility"),
            "end": ("number", "share that end here without having stopped"),
            "expected_patients": ("number", "mean number of patients of a trial"),
        },
    ),
    "dose_response": Table(
        "dose_response.csv",
        {
            "endpoint": ("text", "name of the endpoint"),
            "what": ("text", "arm, trend, e0, emax, ed50, or the dose for a target"),
            "dose": ("number", "dose of the arm"),
            "estimate": ("number", "mean or share of the arm, z of the trend, or the parameter"),
            "low": ("number", "lower end of the 95 % interval"),
            "high": ("number", "upper end of the 95 % interval"),
            "p": ("number", "two-sided p value of the trend"),
            "method": ("text", "how it was made"),
        },
    ),
}
"""Every table of a `Result`: file name, required columns, and the meaning of each."""
