"""A calibration on disk: tables, all numbers, and the lines for the cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.catalog.calibrations import Calibration
from immunostat.catalog.lookup import Catalog
from immunostat.study.calibration import Calibrated
from immunostat.study.fitted_cards import FittedNumber, as_yaml, fitted_lines
from immunostat.study.store import write_whole, writing
from immunostat.study.versions import own_version

#: Everything that was found, for programs; it is there once a calibration is finished.
SUMMARY = "calibration.json"
FITTED = "fitted.yaml"


def as_data(found: Calibrated, catalog: Catalog) -> dict[str, Any]:
    """Everything as plain data for JSON; what is not there is None."""
    told, labels = found.information, list(found.numbers["name"])
    return {
        "calibration": found.calibration.card.name,
        "situation": found.calibration.situation.name,
        "version": own_version(),
        "catalog": catalog.hash(),
        "patients": found.n_patients,
        "seed": found.seed,
        "evaluations": len(found.evaluations),
        "objective": {"start": found.objective[0], "fitted": found.objective[1]},
        "better_point_afterwards": found.better,
        "failed_percent": found.failed_percent,
        "numbers": _records(found.numbers),
        "training": _records(found.training),
        "information": {
            "numbers": labels,
            "slopes": told.slopes.tolist(),
            "eigenvalues": told.eigenvalues.tolist(),
            "eigenvectors": told.eigenvectors.T.tolist(),
            "covariance": told.covariance.tolist(),
            "correlation": told.correlation.tolist(),
            "dispersion": told.dispersion,
        },
        "profile": [
            {"number": labels[own.number], "standard_errors": own.at, "above_best": above}
            for own, above in found.profile
        ],
        "weights": [
            {key: None if value != value else value for key, value in own.__dict__.items()}
            for own in found.weighings
        ],
    }


def _records(table: Any) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def numbers_of(found: Calibrated) -> dict[str, FittedNumber]:
    """Fitted numbers with their intervals, by label."""
    rows = found.numbers.to_dict("records")
    return {r["name"]: FittedNumber(r["fitted"], r["low"], r["high"]) for r in rows}


def write_numbers(found: Calibrated, catalog: Catalog, folder: Path) -> None:
    """Write tables, ``fitted.yaml`` and, last, ``calibration.json``."""
    tables = {
        "training": found.training,
        "numbers": found.numbers,
        "evaluations": found.evaluations,
    }
    lines = fitted_lines(catalog, found.calibration, numbers_of(found))
    text = json.dumps(as_data(found, catalog), indent=2, ensure_ascii=False, default=_plain)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            write_whole(
                folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n").encode()
            )
        write_whole(folder / FITTED, as_yaml(lines).encode())
        write_whole(folder / SUMMARY, (text + "\n").encode())


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON")


def read_numbers(folder: Path, calibration: Calibration) -> dict[str, FittedNumber]:
    """Fitted numbers of a finished calibration, by label.

    Raises
    ------
    InputError
        The folder holds no finished calibration, or another one.
    """
    file = folder / SUMMARY
    here = Place(shown_path(folder))
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        name = data["calibration"]
        found = {
            str(row["name"]): FittedNumber(
                float(row["fitted"]), float(row["low"]), float(row["high"])
            )
            for row in data["numbers"]
        }
    except FileNotFoundError:
        raise InputError(
            "no finished calibration stands here", here, "run it first, without --apply"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            "this is no record of a calibration",
            Place(shown_path(file)),
            "make it again with --resume",
        ) from None
    wanted = {own.name for own in calibration.fitted}
    if name != calibration.card.name or set(found) != wanted:
        raise InputError(
            f"the calibration here is '{name}' with other numbers",
            here,
            "name the folder of this one with -o",
        )
    return found
