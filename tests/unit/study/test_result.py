"""The result folder: what is written is what is read, and what is not a result says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from immunostat.base.errors import InputError, UnknownNameError
from immunostat.study.result import Result, open_result, write
from immunostat.study.result_tables import TABLES

N_PATIENTS, TIMES = 5, np.array([0.0, 7.0, 14.0])


def small_result() -> Result:
    """Two arms, five patients, three times; every number is invented."""
    arms = ["placebo", "drug, 10 mg"]
    shape = (len(arms), N_PATIENTS, TIMES.size)
    rows = [(arm, patient) for arm in arms for patient in range(N_PATIENTS)]
    patients = pd.DataFrame(rows, columns=["arm", "patient"]).assign(status="ok", weight_kg=70.5)
    endpoint = dict.fromkeys(TABLES["endpoints"].columns, 0.1) | {
        "arm": arms[1],
        "endpoint": 'quoted "name", with comma',
        "kind": "responder",
        "statistic": "proportion",
        "unit": "1",
        "method": "",
        "low": np.nan,
        "n": 5,
    }
    return Result(
        study={"title": "A study of µ", "arms": {arms[0]: [], arms[1]: ["drug 10 mg oral daily"]}},
        patients=patients,
        endpoints=pd.DataFrame([endpoint]),
        events=pd.DataFrame(
            {"arm": arms[1], "patient": [3], "event": "rash", "time_day": 2.5, "grade": np.nan}
        ),
        visits=patients[["arm", "patient"]].assign(time_day=7.0, score=np.arange(10.0)),
        sources=[
            {
                "key": "A2000",
                "text": "A. 2000.",
                "bibtex": "@misc{A2000,\n  note = {x @ y}\n}",
                "url": "",
            },
            {
                "key": "B2001",
                "text": "B. 2001.",
                "bibtex": "@misc{B2001, note={z}}",
                "url": "https://b",
            },
        ],
        run={"seed": np.int64(7), "timings": {"solve": np.float64(0.5)}, "failed": {}},
        trajectories=xr.Dataset(
            {
                "zeta": (("arm", "patient", "time"), np.arange(30.0).reshape(shape)),
                "alpha": (("arm", "patient", "time"), np.ones(shape), {"units": "mg/L"}),
            },
            coords={"arm": arms, "patient": np.arange(N_PATIENTS), "time": TIMES},
        ),
    )


@pytest.fixture
def result() -> Result:
    return small_result()


def test_what_is_written_is_read_again(result: Result, tmp_path: Path) -> None:
    again = open_result(write(result, tmp_path / "out"))
    assert again.study == result.study
    assert again.sources == result.sources
    assert again.run == {"seed": 7, "timings": {"solve": 0.5}, "failed": {}}
    for name in TABLES:
        expected, found = getattr(result, name), getattr(again, name)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    xr.testing.assert_allclose(again.trajectories, result.trajectories)
    assert list(again.trajectories.data_vars) == ["zeta", "alpha"]
    assert again.trajectories["alpha"].attrs["units"] == "mg/L"


def test_equal_results_give_equal_bytes(result: Result, tmp_path: Path) -> None:
    first, second = write(result, tmp_path / "a"), write(small_result(), tmp_path / "b")
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


def test_a_second_write_replaces_the_result_and_leaves_the_rest(
    result: Result, tmp_path: Path
) -> None:
    folder = write(result, tmp_path)
    (folder / "notes.txt").write_text("mine")
    (folder / "report.html").write_text("of the first result")
    write(result, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "report.html").exists()
    assert not [item.name for item in folder.iterdir() if item.name.startswith(".writing")]


def test_a_link_in_the_folder_is_replaced_and_its_target_kept(
    result: Result, tmp_path: Path
) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "data").write_text("kept")
    folder = write(result, tmp_path / "out")
    (folder / "figures").symlink_to(target)
    write(result, folder)
    assert (target / "data").read_text() == "kept"
    assert not (folder / "figures").exists()


def test_a_write_that_fails_leaves_no_temporary_folder(tmp_path: Path) -> None:
    broken = Result(study={"arms": {}}, run={"a": {"b": 1}}, trajectories=None)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        write(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_result_can_be_written_and_opened(tmp_path: Path) -> None:
    again = open_result(write(Result(study={"arms": {}}), tmp_path))
    assert all(list(getattr(again, name).columns) for name in TABLES)
    assert len(again.comparison) == 0


def test_a_table_without_rows_and_columns_counts_as_empty(tmp_path: Path) -> None:
    result = Result(study={"arms": {}}, side_effects=pd.DataFrame([]))
    assert "measure" in result.side_effects.columns


def test_a_folder_that_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a result folder.*run\.json"):
        open_result(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_result(tmp_path / "nowhere")


def test_a_missing_column_is_named_when_written_and_when_read(
    result: Result, tmp_path: Path
) -> None:
    folder = write(result, tmp_path / "out")
    file = folder / "bands.csv"
    file.write_text(file.read_text().replace("variable", "varable"))
    with pytest.raises(InputError, match=r"bands\.csv.*no column 'variable'\n.*'varable'"):
        open_result(folder)
    broken = Result(study={"arms": {}}, bands=pd.DataFrame({"arm": []}))
    with pytest.raises(InputError, match="no column 'variable'"):
        write(broken, tmp_path / "other")


@pytest.mark.parametrize("name", ["patients.parquet", "run.json", "study.yaml"])
def test_a_damaged_file_is_named(result: Result, tmp_path: Path, name: str) -> None:
    folder = write(result, tmp_path)
    (folder / name).write_bytes(b"{ [ : \x00 not this")
    with pytest.raises(InputError, match=f"{name}.*cannot be read"):
        open_result(folder)


def test_a_missing_file_is_named(result: Result, tmp_path: Path) -> None:
    folder = write(result, tmp_path)
    (folder / "endpoints.csv").unlink()
    with pytest.raises(InputError, match=r"endpoints\.csv: is missing"):
        open_result(folder)


def test_a_folder_of_a_newer_layout_is_refused(result: Result, tmp_path: Path) -> None:
    folder = write(result, tmp_path)
    run = json.loads((folder / "run.json").read_text()) | {"format": 99}
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match="newer version"):
        open_result(folder)


def test_one_patient_is_shown_under_every_arm(result: Result, tmp_path: Path) -> None:
    for held in (result, open_result(write(result, tmp_path))):
        patient = held.patient(3)
        assert list(patient.arms.index) == ["placebo", "drug, 10 mg"]
        assert list(patient.events["event"]) == ["rash"]
        assert patient.trajectories["zeta"].dims == ("arm", "time")
        assert float(patient.trajectories["zeta"][1, 2]) == 15 + 3 * 3 + 2
        assert "Virtual patient 3" in patient._repr_html_()


def test_an_unknown_patient_is_answered_with_the_known_ones(result: Result) -> None:
    with pytest.raises(UnknownNameError, match=r"no virtual patient 99\n.*0 to 4"):
        result.patient(99)


def test_a_patient_shows_text_from_files_as_text(result: Result) -> None:
    result.events.loc[0, "event"] = "<script>alert(1)</script>"
    assert "<script>" not in result.patient(3)._repr_html_()
