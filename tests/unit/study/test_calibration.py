"""A calibration from start to end, with a model that is one line: fit, cut off, resumed, told."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest

from immunostat.base.errors import InputError
from immunostat.catalog.calibrations import resolved
from immunostat.catalog.lookup import packaged_catalog
from immunostat.study import calibration as under_test
from immunostat.study.calibration import Options, calibrate
from immunostat.study.training import Predicted
from immunostat.study.training_results import NOTHING, Wanted

CATALOG = packaged_catalog()
WHOLE = resolved(CATALOG, CATALOG.calibration("rheumatoid-arthritis"))
#: Eight of its numbers, none of which begins near a bound.
CALIBRATION = replace(WHOLE, fitted=WHOLE.fitted[:8])

#: Evaluations are cheap here, and eight numbers want many.
LONG = Options(explore=600, polish=600, weights=False)
SHORT = Options(explore=20, polish=20, weights=False)

RESULTS = 12


def truth():
    """What makes the data: every number some way from its start."""
    signs = [1 if i % 2 else -1 for i in range(len(CALIBRATION.fitted))]
    return np.array(
        [
            own.to_search(own.start) + 0.3 * sign
            for own, sign in zip(CALIBRATION.fitted, signs, strict=True)
        ]
    )


@dataclass
class Line:
    """Predictions that are sums of the numbers, in the place of virtual patients."""

    calibration: object
    catalog: object
    n_patients: int
    seed: int
    threads: int | None = None
    most: int = 10**9
    broken: bool = False
    n: int = 0
    groups: list = field(default_factory=list)

    def __post_init__(self):
        n = len(self.calibration.fitted)
        self.matrix = np.random.default_rng(1).normal(size=(RESULTS, n)) * 20
        values = self.matrix @ truth()
        self.wanted = [
            Wanted("T", f"arm {i}", 0, f"arm {i}", "ACR20", 24.0, float(value), "1", False,
                   "linear", 1.0, 1.0, 100, "")
            for i, value in enumerate(values)
        ]  # fmt: skip

    def with_seed(self, seed):
        return self

    def predict(self, values):
        self.n += 1
        if self.n > self.most:
            raise KeyboardInterrupt
        scale = np.array([f.to_search(values[f.name]) for f in self.calibration.fitted])
        found = self.matrix @ scale
        off = [own.off_by(v, 100.0) for own, v in zip(self.wanted, found, strict=True)]
        if self.broken:
            return Predicted(found, np.full(RESULTS, NOTHING), 1.0, "nobody may enter")
        return Predicted(found, np.array(off))


@pytest.fixture
def line(monkeypatch):
    """Calibrate a line; `settings.most` is when a person interrupts."""
    settings = SimpleNamespace(most=10**9, broken=False)
    monkeypatch.setattr(
        under_test,
        "TrainingArms",
        lambda *arguments: Line(*arguments, most=settings.most, broken=settings.broken),
    )
    return settings


def test_a_known_truth_is_found_again(line):
    pytest.importorskip("cma")
    found = calibrate(CATALOG, CALIBRATION, LONG)
    scale = [own.to_search(found.values[own.name]) for own in CALIBRATION.fitted]
    # The pull to the start moves the optimum by much less than the truth is away.
    assert scale == pytest.approx(list(truth()), abs=0.03)
    assert found.objective[1] < 0.01 * found.objective[0]
    assert set(found.numbers["verdict"]) == {"identified"}
    # Of a line, the slopes are the line itself.
    matrix = Line(CALIBRATION, CATALOG, 1, 1).matrix
    assert found.information.slopes == pytest.approx(matrix, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("after", [1, 30, 60])
def test_a_search_that_was_cut_off_ends_with_the_same_bits(line, tmp_path, after):
    pytest.importorskip("cma")
    whole = calibrate(CATALOG, CALIBRATION, SHORT, tmp_path / "whole")
    line.most = after
    with pytest.raises(KeyboardInterrupt):
        calibrate(CATALOG, CALIBRATION, SHORT, tmp_path / "cut")
    line.most = 10**9
    assert len((tmp_path / "cut" / "evaluations.jsonl").read_text().splitlines()) == after
    resumed = calibrate(CATALOG, CALIBRATION, SHORT, tmp_path / "cut", is_resumed=True)
    assert resumed.point.tobytes() == whole.point.tobytes()
    assert resumed.training.equals(whole.training)
    assert resumed.numbers.equals(whole.numbers)
    texts = [(tmp_path / name / "evaluations.jsonl").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1]


def test_another_seed_searches_elsewhere(line):
    pytest.importorskip("cma")
    first = calibrate(CATALOG, CALIBRATION, SHORT)
    again = calibrate(CATALOG, CALIBRATION, SHORT)
    other = calibrate(CATALOG, CALIBRATION, Options(seed=8, explore=20, polish=20, weights=False))
    assert first.evaluations.equals(again.evaluations)
    assert not first.evaluations["objective"].equals(other.evaluations["objective"])


def test_progress_tells_the_best_objective_and_the_largest_miss(line):
    said = []
    calibrate(
        CATALOG,
        CALIBRATION,
        Options(explore=0, polish=10, weights=False),
        progress=lambda done, total, stage: said.append((done, total, stage)),
    )
    assert all(done <= total for done, total, _ in said)
    assert "best" in said[0][2]
    assert "largest miss" in said[0][2]
    assert said[-1][0] == said[-1][1]


def test_nothing_is_searched_where_nothing_can_be_computed(line):
    line.broken = True
    with pytest.raises(InputError, match="at the start: nobody may enter"):
        calibrate(CATALOG, CALIBRATION, SHORT)


def test_misses_are_measured_on_their_scale():
    def wanted(value, scale, sd):
        is_share = scale in ("points", "logit")
        return Wanted("T", "a", 0, "a", "E", 24.0, value, "%", is_share, scale, sd, 1.0, 200, "")

    assert wanted(30.0, "points", 3.0).off_by(36.0, 1000) == pytest.approx(2.0)
    assert wanted(2.0, "linear", 0.5).off_by(1.0, 1000) == pytest.approx(-2.0)
    assert wanted(0.4, "log", 0.1).off_by(0.8, 1000) == pytest.approx(np.log(2) / 0.1)
    assert np.isfinite(wanted(0.4, "log", 0.1).off_by(0.0, 1000))
    assert np.isfinite(wanted(0.0, "logit", 0.3).off_by(100.0, 1000))
    assert wanted(30.0, "points", 3.0).off_by(float("nan"), 1000) == NOTHING
