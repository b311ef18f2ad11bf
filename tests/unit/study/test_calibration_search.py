"""The searches of a calibration, its log, and what slopes say about numbers."""

import math

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.study.calibration_log import LOG, Entry, Log
from immunostat.study.calibration_search import explore, polish
from immunostat.study.identifiability import information, profile_points, slopes_at, verdict

MARK = {"calibration": "x", "patients": 10}


def valley(point):
    """Rosenbrock's valley, its end at (0.7, 0.49, 0.3)."""
    return float(
        100 * (point[1] - point[0] ** 2) ** 2 + (0.7 - point[0]) ** 2 + (point[2] - 0.3) ** 2
    )


def test_the_two_searches_find_the_end_of_a_valley():
    pytest.importorskip("cma")
    best = explore(valley, np.full(3, 0.5), 0.15, 300, seed=3)
    end = polish(valley, best, 300)
    assert end == pytest.approx([0.7, 0.49, 0.3], abs=0.02)


def test_the_global_search_has_random_numbers_of_its_own():
    pytest.importorskip("cma")
    found = []
    for other in (1, 2):
        np.random.seed(other)  # noqa: NPY002
        found.append(explore(valley, np.full(3, 0.5), 0.15, 60, seed=3).tobytes())
    assert found[0] == found[1]
    assert found[0] != explore(valley, np.full(3, 0.5), 0.15, 60, seed=4).tobytes()


def test_no_point_leaves_the_box():
    pytest.importorskip("cma")
    seen = []

    def slope(point):
        seen.append(point.copy())
        return float(point.sum())

    end = polish(slope, explore(slope, np.full(2, 0.1), 0.3, 60, seed=1), 60)
    assert np.min(seen) >= 0
    assert np.max(seen) <= 1
    assert end == pytest.approx([0, 0], abs=1e-3)


def test_a_single_number_is_looked_at_on_a_grid():
    best = explore(lambda p: float((p[0] - 0.3) ** 2), np.array([0.9]), 0.1, 11, seed=1)
    assert best == pytest.approx([0.3])


def entry(*point, objective=1.0):
    return Entry("explore", point, objective, (math.nan, 0.1 + 0.2), (1 / 3,), 0.0, "")


def filled(folder, n=3):
    log = Log(folder, MARK)
    for i in range(n):
        log.evaluation((float(i),), lambda i=i: entry(float(i), objective=i / 7))
    log._lock.close()
    return log


def never():
    raise AssertionError("an evaluation that is on disk was made again")


def test_a_log_gives_back_every_bit(tmp_path):
    first = filled(tmp_path / "a")
    again = Log(tmp_path / "a", MARK, is_resumed=True)
    for i in range(3):
        own = again.evaluation((float(i),), never)
        assert own.objective == i / 7
        assert own.to_json() == first.entries[i].to_json()
    assert again.n_damaged == 0


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_from_a_damaged_line_on_evaluations_are_made_again(tmp_path, harm):
    whole = filled(tmp_path / "a").folder / LOG
    lines = whole.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:-5] if harm == "cut" else lines[1].replace(b"explore", b"exploit")
    whole.write_bytes(b"".join(lines))
    log = Log(tmp_path / "a", MARK, is_resumed=True)
    assert len(log.entries) == 1
    assert log.evaluation((0.0,), never).objective == 0.0
    made = []
    log.evaluation((1.0,), lambda: made.append(1) or entry(1.0, objective=1 / 7))
    assert made == [1]


def test_a_folder_of_another_calibration_is_refused(tmp_path):
    filled(tmp_path / "a")
    with pytest.raises(InputError, match="stands here already"):
        Log(tmp_path / "a", MARK)
    with pytest.raises(InputError, match="had another number of patients"):
        Log(tmp_path / "a", {**MARK, "patients": 11}, is_resumed=True)
    with pytest.raises(InputError, match="no calibration to go on with"):
        Log(tmp_path / "b", MARK, is_resumed=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        Log(tmp_path / "c", MARK)
    assert Log(tmp_path / "a", MARK, is_forced=True).entries == []


def test_a_search_that_goes_another_way_is_told(tmp_path):
    filled(tmp_path / "a")
    log = Log(tmp_path / "a", MARK, is_resumed=True)
    with pytest.raises(InputError, match="evaluation 1 here is of another point"):
        log.evaluation((0.5,), never)


def test_slopes_and_intervals_of_a_linear_model_are_those_of_least_squares():
    true = np.array([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0]])
    widths = np.array([2.0, 4.0])
    point = np.array([0.5, 0.999])  # the second near its bound: a one-sided step
    found = slopes_at(lambda p: true @ (widths * p), point, widths)
    assert found == pytest.approx(true)
    told = information(found, [0.5, None], widths, objective=1.0)
    before = np.diag([1 / 0.5**2, 12 / widths[1] ** 2])
    assert told.covariance == pytest.approx(np.linalg.inv(true.T @ true + before))
    assert told.dispersion == 1.0
    assert told.learned == pytest.approx(
        1 - np.diag(told.covariance) * np.array([1 / 0.25, 12 / 16])
    )


def test_numbers_that_the_data_see_only_as_a_sum_are_not_told_apart():
    both = np.array([[5.0, 5.0], [3.0, 3.0]])
    told = information(both, [1.0, 1.0], np.array([4.0, 4.0]), objective=0.5)
    assert told.n_told == 1
    assert told.correlation[0, 1] < -0.95
    assert told.eigenvectors[:, 0] == pytest.approx([math.sqrt(0.5)] * 2)
    assert verdict(float(told.learned[0]), False) == "partly identified"


def test_a_number_that_no_result_answers_to_keeps_its_pull():
    none = np.array([[3.0, 0.0], [1.0, 0.0]])
    told = information(none, [1.0, 0.6], np.array([4.0, 4.0]), objective=0.5)
    assert told.sd[1] == pytest.approx(0.6)
    assert verdict(float(told.learned[1]), False) == "not identified"
    assert verdict(float(told.learned[0]), True) == "at its bound"


def test_misses_beyond_chance_widen_the_intervals():
    slopes = np.array([[1.0], [2.0], [2.0]])
    narrow = information(slopes, [None], np.array([2.0]), objective=1.0)
    wide = information(slopes, [None], np.array([2.0]), objective=8.0)
    assert wide.dispersion == 4.0  # three results, one number
    assert wide.sd == pytest.approx(2 * narrow.sd)


def test_profiles_follow_the_correlation_and_stay_in_the_box():
    both = np.array([[5.0, 5.0], [3.0, 3.0]])
    widths = np.array([4.0, 4.0])
    told = information(both, [1.0, 1.0], widths, objective=0.5)
    points = profile_points(np.array([0.5, 0.5]), told, widths)
    assert len(points) == 8
    for own in points:
        moved = own.point - 0.5
        assert moved.min() >= -0.5
        assert moved.max() <= 0.5
        assert moved[0] * moved[1] < 0  # one falls as the other rises
    at_bound = profile_points(np.array([0.0, 0.5]), told, widths)
    assert {own.number for own in at_bound if own.at < 0} == {1}
