"""Large runs: tables that are made part by part, the same bytes however a run is cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study import result
from immunostat.study.run import Running, run
from immunostat.study.study_reader import make_study

PATIENTS = 150
STUDY = {
    "situation": "rheumatoid-arthritis",
    "population": {"name": "methotrexate-inadequate-response", "patients": PATIENTS, "seed": 7},
    "arms": {"placebo": [], "tocilizumab": "tocilizumab label"},
    "duration": "8 weeks",
    "dropout": {"background": "10 % by week 8"},
}
#: What differs between runs: time and machine. The report tells them too.
OF_THE_RUN = ("run.json", "report.html")


def study(patients: int = PATIENTS, **changes: object):
    population = {**STUDY["population"], "patients": patients}
    return make_study({**STUDY, "population": population, **changes}, packaged_catalog())


def answered(folder: Path, running: Running, **changes: object) -> dict[str, bytes]:
    """Run the study, write the result; every file of the folder but what is of the run."""
    result.write(run(study(**changes), running=running), folder)
    return files_of(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in OF_THE_RUN and ".chunks" not in file.parts
    }


def assert_same(found: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    assert list(found) == list(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


@pytest.fixture(scope="module")
def reduced(tmp_path_factory) -> dict[str, bytes]:
    """The result of one chunk, courses reduced to quantiles."""
    return answered(tmp_path_factory.mktemp("reduced"), Running(1, chunk=1024, is_kept=False))


def test_the_study_has_something_in_every_table(reduced: dict[str, bytes]) -> None:
    for name in ("events.parquet", "visits.parquet", "bands.csv", "endpoints.csv"):
        assert len(reduced[name]) > 1000


@pytest.mark.parametrize("chunk", [64, 200])
def test_chunks_change_no_bit_of_quantiles_and_means(
    tmp_path: Path, chunk: int, reduced: dict[str, bytes]
) -> None:
    assert_same(answered(tmp_path, Running(2, chunk=chunk, is_kept=False)), reduced)


def test_tables_that_are_made_part_by_part_are_the_same_bytes(
    tmp_path: Path, monkeypatch, reduced: dict[str, bytes]
) -> None:
    monkeypatch.setattr("immunostat.study.run.MOST_ROWS", 0)
    assert_same(answered(tmp_path, Running(2, chunk=64, is_kept=False)), reduced)
    monkeypatch.setattr(result, "MOST_CELLS", 0)
    large = result.open_result(tmp_path)
    assert type(vars(large)["patients"]).__name__ == "Later"
    number = int(large.rows("patients", ["patient"])["patient"].iloc[-1])
    one = large.patient(number)
    assert list(one.arms.index) == ["placebo", "tocilizumab"]
    assert (one.visits["patient"] == number).all()
    assert len(large.patients) == 2 * PATIENTS


def test_arms_with_different_drugs_have_one_table_of_patients(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("immunostat.study.run.MOST_ROWS", 0)
    arms = {"adalimumab": ["adalimumab label"], "tocilizumab": ["tocilizumab label"]}
    answered(tmp_path, Running(1, is_kept=False), patients=10, arms=arms)
    patients = result.open_result(tmp_path).patients.set_index("arm")
    given = {arm: f"{arm} concentration at end" for arm in arms}
    for arm, name in given.items():
        assert patients.loc[arm, name].notna().any()
        assert patients.loc[[other for other in arms if other != arm], name].isna().all()


def test_a_result_that_finds_no_room_is_told_and_its_chunks_are_kept(
    tmp_path: Path, monkeypatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    chunks = tmp_path / ".chunks"
    answer = run(study(), running=Running(2, chunks, chunk=128, is_kept=False))
    monkeypatch.setattr(result, "write_parquet", full)
    with pytest.raises(InputError, match=r"(?s)No space left.*--resume"):
        result.write(answer, tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == [".chunks"]
    assert len(list(chunks.glob("*.npz"))) == answer.run["chunks"]["number"]


def test_another_question_or_title_does_not_keep_a_run_from_going_on(tmp_path: Path) -> None:
    run(study(20), running=Running(1, tmp_path, is_kept=False))
    again = run(
        study(20, title="Other words", question="Why?"),
        running=Running(1, tmp_path, is_resumed=True, is_kept=False),
    )
    assert again.study["title"] == "Other words"
