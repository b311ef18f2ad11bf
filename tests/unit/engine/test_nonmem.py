"""Reading data sets: what is understood, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import immunostat as im
from immunostat.base.errors import InputError, UnknownNameError
from immunostat.engine import nonmem
from immunostat.engine.dosing import expand
from immunostat.engine.frames import solve
from immunostat.engine.nonmem import events_of_frame, read_events

ONE = "k = 0.2; A = 0; A' = -k * A"


def write(folder: Path, text: str) -> Path:
    file = folder / "doses.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text",
    [
        "ID,TIME,AMT,EVID\n1,0,100,1\n1,2,.,0\n",
        "id,time,amt,evid\n1,0,100,1\n1,2,.,0\n",
        "ID;TIME;AMT;EVID\n1;0;1D2;1\n1;2;;0\n",
        "ID\tTIME\tAMT\tEVID\n1\t0\t+100.0\t1\n1\t2\tNA\t0\n",
        "  ID  TIME AMT EVID\n  1  0.0 1e2 1\n  1  2 . 0\n",
        "\ufeffID,TIME,AMT,EVID\r\n1,0,100,1\r\n\r\n# note\r\n1,2,.,0\r\n",
        'C,ID,TIME,AMT,EVID\n.,1,0,"100",1\nC,1,1,7,1\n.,1,2,.,0\n',
        "TIME,AMT\n0,100\n2,.\n",
    ],
)
def test_all_usual_ways_of_writing_are_understood(tmp_path: Path, text: str) -> None:
    table = read_events(write(tmp_path, text))
    (own,) = table.records
    assert table.patients.tolist() == [1]
    assert [(r.time, r.event, r.amount) for r in own] == [(0.0, 1, 100.0), (2.0, 0, 0.0)]
    assert table.observation_times == [2.0]


def test_labels_are_numbers_where_they_are_and_names_where_not(tmp_path: Path) -> None:
    text = "ID,TIME\n1.0,0\n1,1\n2e0,0\nAnna,0\n007,0\n"
    assert read_events(write(tmp_path, text)).patients.tolist() == [1, 2, "Anna", 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("ID,TIME\n", "no lines but the header"),
        ("ID,AMT\n1,2\n", "csv:1: lacks the column TIME"),
        ("ID,TIME,time\n1,2,3\n", "csv:1: column 3 has no name or one twice: 'time'"),
        ("ID,TIME\n1,0\n1\n", "csv:3: has 1 cells; the header has 2"),
        ("ID,TIME\n1,0\n2,0\n1,1\n", "csv:4: patient '1' comes again"),
        ("ID,TIME\n1,2\n1,1\n", "csv:3: time 1 of patient '1' is before 2"),
        ("ID,TIME\n1,08:30\n", "csv:2: TIME is '08:30'.*\n.*not clock times"),
        ("ID,TIME\n1,nan\n", "TIME is 'nan'"),
        ("ID,TIME\n1,1e999\n", "too large for a number"),
        ("ID,TIME\n1,1_000\n", "TIME is '1_000'"),
        ("ID,TIME\n1,.\n", "TIME is '.'"),
        ("TIME,EVID\n0,5\n", "csv:2: EVID is 5; expected one of 0, 1, 2, 3, 4"),
        ("TIME,EVID,AMT\n0,0,5\n", "an observation .EVID 0. has AMT"),
        ("TIME,EVID,AMT\n0,1,0\n", "a dose has AMT 0"),
        ("TIME,AMT\n0,-5\n", "negative"),
        ("TIME,AMT,RATE\n0,5,-3\n", "RATE is -3"),
        ("TIME,AMT,RATE,DUR\n0,5,3,2\n", "both RATE and DUR"),
        ("TIME,AMT,ADDL\n0,5,3\n", "needs the interval II"),
        ("TIME,AMT,SS\n0,5,1\n", "needs the interval II"),
        ("TIME,AMT,SS,II\n0,5,1.5,3\n", "SS is 1.5"),
        ("TIME,AMT,ADDL,II\n0,5,1e9,3\n", "whole number from 0 to 100000"),
        ("TIME,AMT,SS,RATE,II\n0,0,1,5,12\n", "steady infusion"),
        ('TIME,AMT\n0,"5\n', "csv:2: cannot be split"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_events(write(tmp_path, text))


def test_files_that_are_no_text_or_too_large_or_missing_are_refused(tmp_path, monkeypatch) -> None:
    file = tmp_path / "doses.csv"
    with pytest.raises(InputError, match="cannot be read"):
        read_events(file)
    file.write_bytes(b"ID,TIME\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_events(file)
    write(tmp_path, "ID,TIME\n1,0\n1,1\n1,2\n")
    monkeypatch.setattr(nonmem, "MOST_ROWS", 3)
    with pytest.raises(InputError, match="more than 3 lines"):
        read_events(file)
    monkeypatch.setattr(nonmem, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="at most 10"):
        read_events(file)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"CMT": "B"}, "compartment 'B' is no state"),
        ({"CMT": 2}, "compartment 2 of 1"),
        ({"CMT": -1}, "compartment -1 of 1\n.*switched off"),
        ({"RATE": -1.0}, "RATE -1 needs a positive value in a column R"),
        ({"RATE": -2.0, "D1": 0.0}, "RATE -2 needs a positive value in a column D"),
        ({"F1": -0.1}, "F or ALAG is negative"),
        ({"K": 0.3}, "column 'K' is parameter 'k' but for its case"),
        ({"k": "high"}, "parameter 'k' is no number"),
    ],
)
def test_what_does_not_fit_the_model_is_said(make_system, row: dict, message: str) -> None:
    table = events_of_frame(pd.DataFrame([{"TIME": 0.0, "AMT": 5.0, "EVID": 1, **row}]))
    with pytest.raises(InputError, match=message):
        expand(table, make_system(ONE))


def test_a_changing_covariate_behind_a_constant_is_refused(make_system) -> None:
    system = make_system("w = 2; k = 0.1 * w; A = 0; A' = -k * A")
    assert [name for name, _ in system.derived_parameters] == ["k"]
    rows = [{"TIME": 0.0, "EVID": 2, "w": 2.0}, {"TIME": 1.0, "EVID": 2, "w": 3.0}]
    with pytest.raises(InputError, match="computes a constant from it once"):
        expand(events_of_frame(pd.DataFrame(rows)), system)


def test_unknown_rules_and_compartments_are_refused(make_system) -> None:
    table = events_of_frame(pd.DataFrame([{"TIME": 0.0, "AMT": 5.0}]))
    with pytest.raises(InputError, match="unknown rule"):
        expand(table, make_system(ONE), covariates="linear")
    with pytest.raises(InputError, match="compartment 'B' is no state"):
        expand(table, make_system(ONE), compartments=["B"])


def test_a_patient_without_steady_state_fails_alone(make_system) -> None:
    rows = [
        {"ID": i, "TIME": 1.0, "EVID": 1, "AMT": 5.0, "SS": 1, "II": 4.0, "k": k}
        for i, k in enumerate((0.2, 0.0, 0.3))
    ]
    found = solve(make_system(ONE), times=[0.0, 5.0], doses=pd.DataFrame(rows))
    assert found.status.tolist() == ["ok", "not finite", "ok"]
    assert found.trajectories.status_times[1] == 1.0
    values = found.trajectories["A"]
    assert np.isnan(values[1, 1])
    np.testing.assert_allclose(values[[0, 2], 1], 5 / np.expm1([0.8, 1.2]), rtol=1e-4)


def test_a_dose_for_a_stranger_is_refused(make_system) -> None:
    rows = [{"ID": 3, "TIME": 0.0, "AMT": 5.0, "EVID": 1}]
    patients = pd.DataFrame({"k": [0.1]}, index=[1])
    with pytest.raises(UnknownNameError, match="'3', who is not in the table"):
        solve(make_system(ONE), times=[1.0], patients=patients, doses=pd.DataFrame(rows))


def test_the_example_of_the_documentation_runs() -> None:
    model = im.load_model("docs/examples/one_compartment.ant")
    doses = im.read_events("docs/examples/doses.csv")
    found = im.solve(model, doses=doses, times=[0, 4, 24, 96])
    assert (found.status == "ok").all()
    assert found.patients.tolist() == [1, 2]
