"""A virtual population on disk: plausible patients, how much each counts, and how it came about.

A folder holds `population.parquet`, one row per patient, and `population.yaml`, the card. The card
holds the hash of the table, and its own; the latter is the version of the population. Both are of
values, not of bytes of files, so that they are the same on every machine that reads the same
values.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from immunostat.base import streams
from immunostat.base.errors import InputError, Place, shown_path
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.reader import read_yaml
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.population.weight import effective_size

#: Version of the folder's layout; a higher one than this is refused.
FORMAT = 1

TABLE, CARD = "population.parquet", "population.yaml"

#: Prefixes of columns: covariates, parameters of the model, what the baseline visit recorded.
COVARIATE, PARAMETER, READOUT = "covariate.", "parameter.", "readout."
NUMBER, WEIGHT, ENTERED = "number", "prevalence_weight", "entered"

#: Step of the sequence by which patients are chosen: the golden ratio's fraction, times 2**64.
_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class StoredPopulation:
    """Plausible patients with prevalence weights.

    Parameters
    ----------
    table
        One row per patient: ``number`` (among the candidates), ``prevalence_weight`` (sum 1),
        ``entered`` (1 if the population's entry criteria let him in at that number), and columns
        ``covariate.NAME``, ``parameter.NAME`` (of the joined model) and ``readout.NAME`` (what the
        baseline visit recorded).
    card
        Plain data: ``situation``, ``population``, ``seed``, ``sampling``, ``size``, ``method``,
        ``targets`` (each with what was wanted and reached), ``effective_size``, ``rejections``,
        ``model_hash``, ``catalog_hash``, ``table_hash`` and whatever else tells how it came about.
    """

    table: pd.DataFrame
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def situation(self) -> str:
        """Name of the situation."""
        return str(self.card["situation"])

    @property
    def population(self) -> str:
        """Name of the population that it was drawn from."""
        return str(self.card["population"])

    @property
    def version(self) -> str:
        """Hash of everything that it holds."""
        return card_hash(self.card)

    @cached_property
    def numbers(self) -> IntArray:
        """Number of each patient among the candidates. Shape (patient,)."""
        return np.asarray(self.table[NUMBER].to_numpy(np.int64))

    @cached_property
    def weights(self) -> FloatArray:
        """Prevalence weight of each patient, with sum 1. Shape (patient,)."""
        return np.asarray(self.table[WEIGHT].to_numpy(np.float64))

    @cached_property
    def entered(self) -> npt.NDArray[np.bool_]:
        """Whom the population's entry criteria let in at his own number. Shape (patient,)."""
        return np.asarray(self.table[ENTERED].to_numpy(np.float64) > 0)

    @property
    def effective_size(self) -> float:
        """Effective sample size of the weights."""
        return effective_size(self.weights)

    @cached_property
    def covariates(self) -> pd.DataFrame:
        """One row per patient."""
        return self._columns(COVARIATE)

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """Parameters in which patients differ, by name in the joined model."""
        return self._columns(PARAMETER)

    @cached_property
    def readouts(self) -> pd.DataFrame:
        """What the baseline visit recorded, by component."""
        return self._columns(READOUT)

    def _columns(self, prefix: str) -> pd.DataFrame:
        own = [name for name in self.table if str(name).startswith(prefix)]
        return self.table[own].rename(columns=lambda name: str(name).removeprefix(prefix))

    def choose(self, seed: int, numbers: npt.ArrayLike) -> IntArray:
        """Rows of the patients who are candidates of a trial, each as often as his weight says.

        Candidate i takes the patient at point i of an additive (golden ratio) sequence through
        the summed weights, begun where the seed says: any run of candidates holds each patient
        nearly in proportion, and a candidate depends on the seed and his number alone.

        Parameters
        ----------
        seed
            Seed of the study.
        numbers
            Numbers of candidates. Shape (candidate,).

        Returns
        -------
        Rows of `table`, some more than once. Shape (candidate,).

        Source
        ------
        Additive recurrence (Weyl sequence) with the golden ratio ("definition").
        """
        own = np.asarray(numbers, dtype=np.int64)
        offset = streams.words(seed, "choice of stored patients", np.zeros(1, dtype=np.int64))[0, 0]
        with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the sequence
            point = own.astype(np.uint64) * _STEP + offset
        share = ((point >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        upper = np.cumsum(self.weights)
        found = np.searchsorted(upper, share * upper[-1], side="right")
        return np.asarray(np.minimum(found, len(upper) - 1), dtype=np.int64)

    def check(self, catalog: Catalog, situation: str | None = None) -> list[str]:
        """Whether the population may serve with a catalog, and what a reader should know.

        Parameters
        ----------
        catalog
            Where the study's cards are.
        situation
            Situation of the study; that of the population if None.

        Returns
        -------
        Warnings, for people: cards that the patients do not rest on have changed.

        Raises
        ------
        InputError
            The population is of another situation, or a card or model that its patients rest on
            has changed since it was built.
        """
        if situation is not None and situation != self.situation:
            raise InputError(
                f"the stored population is of '{self.situation}', the study of '{situation}'",
                remedy=f"build one: immunostat population build {situation}",
            )
        if self.card.get("model_hash") != model_hash(catalog, self.situation, self.population):
            raise InputError(
                f"the cards of '{self.situation}' or of population '{self.population}' have "
                "changed since the stored population was built, so that its patients are not those "
                "of the model any more",
                remedy=f"build it again: {self.command}",
            )
        if self.card.get("catalog_hash") != catalog.hash():
            return [
                "other cards of the catalog have changed since the stored population was built "
                "(drugs, targets or trials): its patients are the same, its weights may not be; "
                f"to renew them: {self.command}"
            ]
        return []

    @property
    def command(self) -> str:
        """Command that builds it again."""
        card = self.card
        return (
            f"immunostat population build {self.situation} --population {self.population} "
            f"--size {card.get('size')} --seed {card.get('seed')} --sampling "
            f"{card.get('sampling')} --method {card.get('method')}"
        )


def model_hash(catalog: Catalog, situation: str, population: str) -> str:
    """SHA-256 of what a virtual patient rests on: cards and equations of core and situation."""
    card = catalog.situation(situation)
    core = catalog.core(card.core)
    paths = [
        catalog.path("situations", situation),
        catalog.path("core", core.name),
        catalog.path("populations", population),
    ]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for fragment in (core.fragment, card.fragment):
        digest.update(hashlib.sha256(catalog.text(fragment)[0].encode()).digest())
    return digest.hexdigest()


def table_hash(table: pd.DataFrame) -> str:
    """SHA-256 of a table: names of columns and their values as 64-bit numbers, little endian."""
    digest = hashlib.sha256()
    for name in table:
        values = table[name].to_numpy()
        kind = "<i8" if values.dtype.kind in "iu" else "<f8"
        digest.update(f"{name}\0{kind}\0{len(values)}\0".encode())
        digest.update(np.ascontiguousarray(values.astype(kind)).tobytes())
    return digest.hexdigest()


def card_hash(card: Mapping[str, Any]) -> str:
    """SHA-256 of a card without its own hash, in a form that does not depend on the file."""
    own = {key: value for key, value in card.items() if key != "version"}
    return hashlib.sha256(json.dumps(own, sort_keys=True, allow_nan=False).encode()).hexdigest()


def write_population(stored: StoredPopulation, folder: Path | str) -> Path:
    """Write a population to a folder, which may hold an earlier one and nothing else.

    Raises
    ------
    InputError
        The folder is a file, or holds something that is no population.
    """
    folder = Path(folder)
    refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)  # a folder with a card is complete
    stored.table.to_parquet(folder / TABLE, index=False)
    card = {**stored.card, "version": stored.version}
    text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100)
    head = "# A virtual population; written by 'immunostat population build', read by studies.\n"
    (folder / CARD).write_text(head + text, encoding="utf-8", newline="\n")
    return folder


def refuse_foreign(folder: Path) -> None:
    """A population replaces an earlier one, and nothing else.

    Raises
    ------
    InputError
        There is a file of that name, or a folder that holds something else.
    """
    place = Place(shown_path(folder))
    if folder.exists() and not folder.is_dir():
        raise InputError("the output is a file, not a folder", place, "choose another with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / TABLE).is_file():
        raise InputError(
            f"this folder is not empty and holds no population (no {TABLE})",
            place,
            "choose another with -o",
        )


def open_population(folder: Path | str) -> StoredPopulation:
    """A population that was written, checked against its hashes.

    Raises
    ------
    InputError
        A file is missing, damaged or edited, or of a later version of the program; the message
        names it.
    """
    folder = Path(folder)
    again = "build the population again, or restore the file"
    if not folder.is_dir():
        raise InputError(
            "there is no such population folder",
            Place(shown_path(folder)),
            "build one: immunostat population build SITUATION -o FOLDER",
        )
    card = dict(read_yaml(folder / CARD, "card of a population").data)
    place = Place(shown_path(folder / CARD))
    if not isinstance(card.get("format"), int) or card["format"] > FORMAT:
        raise InputError(
            f"the population has layout {card.get('format')}; this program reads {FORMAT}",
            place,
            "use a later version of the program",
        )
    if card.pop("version", None) != card_hash(card):
        raise InputError("the card of the population is damaged or was edited", place, again)
    path = folder / TABLE
    place = Place(shown_path(path))
    if not path.is_file():
        raise InputError("the table of the population is missing", place, again)
    try:
        table = pd.read_parquet(path)
        found = table_hash(table)
    except Exception as error:  # whatever a reader of damaged bytes stumbles over
        raise InputError(
            f"the table of the population is damaged: {type(error).__name__}", place, again
        ) from None
    if found != card.get("table_hash"):
        raise InputError("the table of the population is damaged or was edited", place, again)
    return StoredPopulation(table, card)


def plain(value: object) -> Any:
    """Numbers of NumPy as Python's, tuples as lists; what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain(own) for own in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return str(value)  # a word of an enumeration too
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
