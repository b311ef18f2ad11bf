"""Doses to events: what goes in is what was given."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from invented_drugs import find

from immunostat.base.errors import InputError, RangeError, ShapeError
from immunostat.engine.problem import Action, Schedule
from immunostat.model.system import OdeSystem
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.schedule import events, schedule_for

SYSTEM = OdeSystem(
    "invented",
    ("samplizumab_central", "examplumab_central", "examplumab_depot", "exampledrug_depot"),
    (),
    np.zeros(0),
    (),
    (),
    (),
)


def parse(*lines):
    return [parse_regimen(line, find) for line in lines]


def amount_in(own):
    """Amount that a patient's events put in by their end, nmol."""
    total, rate, last = 0.0, 0.0, 0.0
    for event in own:
        total += rate * (event.time - last)
        last = event.time
        if event.action is Action.ADD:
            total += event.value
        else:
            rate += event.value
    return total


def test_a_bolus_is_its_amount():
    (event,) = events(parse("examplumab 40 mg intravenous once"), 84, 70)
    assert (event.time, event.action, event.target) == (0, Action.ADD, "examplumab_central")
    assert event.value == pytest.approx(400)


def test_an_infusion_is_a_rate_that_goes_on_and_off():
    on, off = events(parse("samplizumab 8 mg/kg iv over 2 hours once"), 84, 50)
    assert (on.action, off.action) == (Action.RATE, Action.RATE)
    assert off.time - on.time == pytest.approx(2 / 24)
    assert on.value == -off.value == pytest.approx(4000 / (2 / 24))


def test_amounts_scale_with_weight_up_to_the_cap():
    regimen = parse("samplizumab 8 mg/kg iv once maximum 800 mg")
    assert [events(regimen, 84, kg)[0].value for kg in (50, 100, 150)] == pytest.approx(
        [4000, 8000, 8000]
    )


def test_a_route_with_zero_order_input_and_bioavailability():
    own = events(parse("examplumab 40 mg subcutaneous every 2 weeks"), 84, 70)
    assert {event.target for event in own} == {"examplumab_depot"}
    assert own[1].time == 0.25
    # 40 mg of 100 kg/mol are 400 nmol; half of each of six doses arrives
    assert amount_in(own) == pytest.approx(6 * 200)


def test_two_half_doses_equal_one_dose():
    one = events(parse("examplumab 40 mg intravenous over 1 hour weekly"), 84, 70)
    halves = events(parse("examplumab 20 mg intravenous over 1 hour weekly") * 2, 84, 70)
    assert amount_in(one) == pytest.approx(amount_in(halves), rel=1e-12)


def test_an_infusion_ends_before_the_next_begins():
    own = events(parse("samplizumab 24 mg iv over 24 hours daily"), 3, 70)
    rate, highest = 0.0, 0.0
    for event in own:
        rate += event.value
        highest = max(highest, rate)
    assert highest == pytest.approx(240)


def test_a_drug_without_kinetics_makes_no_events():
    assert events(parse("unknownkinetics 15 mg oral weekly"), 84, 70) == []


def test_an_arm_is_the_same_as_its_patients_one_by_one():
    regimens = parse(
        "samplizumab 8 mg/kg iv over 1 hour every 4 weeks maximum 500 mg",
        "examplumab 80 mg subcutaneous once then 40 mg every 2 weeks from week 1",
        "exampledrug 5 mg oral twice daily for 7 days",
    )
    weights = np.array([45.0, 70.0, 120.0])
    arm = schedule_for(SYSTEM, regimens, 84, weights)
    single = Schedule.of_events(SYSTEM, [events(regimens, 84, kg) for kg in weights])
    for name in ("offsets", "times", "actions", "targets", "values"):
        assert np.array_equal(getattr(arm, name), getattr(single, name)), name


def test_bioavailability_may_differ_between_patients():
    regimens = parse("examplumab 40 mg subcutaneous once")
    fractions = {("examplumab", "subcutaneous"): np.array([0.25, 1.0])}
    arm = schedule_for(SYSTEM, regimens, 84, np.array([70.0, 70.0]), fractions)
    assert arm.values[[0, 2]] * 0.25 == pytest.approx([100, 400])
    with pytest.raises(ShapeError):
        schedule_for(SYSTEM, regimens, 84, np.array([70.0]), fractions)


def test_no_regimens_give_no_events():
    arm = schedule_for(SYSTEM, [], 84, np.array([70.0, 80.0]))
    assert arm.n_patients == 2
    assert len(arm.times) == 0


@pytest.mark.parametrize("weight", [-70.0, 0.0, np.nan, np.inf])
def test_an_impossible_weight_names_the_patient(weight):
    with pytest.raises(RangeError, match="patient 1"):
        schedule_for(SYSTEM, parse("examplumab 40 mg iv once"), 84, np.array([70.0, weight]))


def test_a_model_without_the_drug_is_refused():
    system = OdeSystem("other", ("x",), (), np.zeros(0), (), (), ())
    with pytest.raises(InputError, match="examplumab_central"):
        schedule_for(system, parse("examplumab 40 mg iv once"), 84, np.array([70.0]))


def test_units_of_activity_are_refused():
    with pytest.raises(InputError, match="IU"):
        events(parse("examplumab 40 IU intravenous once"), 84, 70)


def test_a_dose_per_body_surface_follows_the_surface():
    (event,) = events(parse("examplumab 20 mg/m2 intravenous once"), 84, 70, bsa_m2=2.0)
    assert event.value == pytest.approx(400)


def test_a_dose_per_body_surface_needs_one():
    with pytest.raises(InputError, match="need the body surface"):
        events(parse("examplumab 20 mg/m2 intravenous once"), 84, 70)


def test_a_lag_moves_the_input_and_keeps_its_amount():
    (regimen,) = parse("examplumab 40 mg subcutaneous once")
    route = replace(regimen.drug.routes["subcutaneous"], lag_day=0.5)
    late = replace(regimen.drug, routes=MappingProxyType({"subcutaneous": route}))
    on, off = events([replace(regimen, drug=late)], 84, 70)
    assert (on.time, off.time) == (0.5, 0.75)
    assert amount_in([on, off]) == pytest.approx(200)


def test_international_units_need_the_activity_of_the_drug():
    (regimen,) = parse("examplumab 2 MIU intravenous once")
    with pytest.raises(InputError, match="specific_activity"):
        events([regimen], 84, 70)
    active = replace(regimen.drug, iu_per_nmol=1e4)
    (event,) = events([replace(regimen, drug=active)], 84, 70)
    assert event.value == pytest.approx(200)
