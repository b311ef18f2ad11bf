"""What the immune core must do whatever its numbers are."""

from __future__ import annotations

import numpy as np
import pytest

from immunostat.catalog.lookup import packaged_catalog
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.study.assemble import assemble
from immunostat.study.cohort import initial_states, parameter_table

DAYS = np.array([0.0, 365.0, 3652.5])


@pytest.fixture(scope="module")
def core():
    """Core alone in a healthy person."""
    catalog = packaged_catalog()
    assembly = assemble(catalog, catalog.situation("rheumatoid-arthritis"), ())
    system = assembly.core_system
    healthy = {**assembly.defaults, "self_antigen": 0.0}
    return system, parameter_table(system, healthy, 1)


def course(core, start=None, events=(), antigen=0.0, times=DAYS):
    system, parameters = core
    parameters = parameters.copy()
    parameters[:, system.parameters.index("self_antigen")] = antigen
    problem = EnsembleProblem(
        system,
        parameters,
        Schedule.of_events(system, [list(events)]),
        np.asarray(times, dtype=float),
        system.states,
        initial_states=start,
    )
    found = solve(problem, tolerance=Tolerance(1e-8, 1e-10))
    assert found.is_ok.all()
    return found.values[0]


def test_a_healthy_person_holds_steady_state_for_ten_years(core) -> None:
    values = course(core)
    # A hundred times the tolerance of the solver.
    np.testing.assert_allclose(values[-1], values[0], rtol=1e-6, atol=1e-8)


#: States that are 0 in a healthy person: the response to one antigen, and what viruses raise.
ABSENT = (
    *("autoantibody", "CD8_specific", "memory_T", "exhaustion", "plasmablast_specific"),
    *("plasma_cell_specific", "antibody", "antiviral"),
)

#: Slow by nature: naive T cells and plasma cells live for years, what a response leaves longer.
SLOW = (
    *("CD8_specific", "plasmablast_specific"),
    *("naive_CD4_tissue", "naive_CD4", "naive_CD8_tissue", "naive_CD8", "plasma_cell", "igg"),
    *("memory_T", "plasma_cell_specific", "antibody"),
)


def test_health_is_one_or_a_normal_count(core) -> None:
    system, parameters = core
    start = dict(zip(system.states, initial_states(system, parameters)[0], strict=True))
    value = dict(zip(system.parameters, parameters[0], strict=True))
    counts = {f"core_{name}": value[f"core_{name}_entry"] for name in ("monocytes", "platelets",
        "hemoglobin", "igg", "naive_CD4", "memory_CD4", "naive_CD8", "memory_CD8", "Treg",
        "naive_B", "memory_B")}  # fmt: skip
    counts |= dict.fromkeys(
        (f"core_{name}" for name in ("marrow", "transit_1", "transit_2", "transit_3")),
        value["core_neutrophils_entry"],
    )
    counts["core_blood_neutrophils"] = value["core_neutrophils_entry"]
    counts["core_megakaryocytes"] = value["core_platelets_entry"]
    counts["core_NK_count"] = value["core_NK_entry"]
    for name, level in start.items():
        short = name.removeprefix("core_")
        if short == "crp":
            continue
        assert level == (0.0 if short in ABSENT else counts.get(name, 1.0)), name


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_healthy_person_recovers_from_a_change_of_any_state(core, factor) -> None:
    system, parameters = core
    rest = initial_states(system, parameters)
    n = system.n_states
    start = np.tile(rest, (n, 1))
    own = np.diag_indices(n)
    start[own] = np.where(rest[0] > 0, rest[0] * factor, factor - 0.7)
    found = solve(
        EnsembleProblem(
            system,
            np.tile(parameters, (n, 1)),
            Schedule.empty(n),
            np.array([0.0, 3652.5, 73050.0]),
            system.states,
            initial_states=start,
        ),
        tolerance=Tolerance(1e-8, 1e-10),
    )
    assert found.is_ok.all()
    for i, state in enumerate(system.states):
        _, ten_years, lifetimes = found.values[i]
        # It came back by itself: all that lives for less than years within half a per cent in ten
        # years, the rest closer than it was, and everything to one part in ten thousand at last.
        np.testing.assert_allclose(lifetimes, rest[0], rtol=1e-4, atol=1e-6, err_msg=state)
        if state.removeprefix("core_") in SLOW:
            assert abs(ten_years[i] - rest[0, i]) <= abs(start[i, i] - rest[0, i]), state
        else:
            np.testing.assert_allclose(ten_years, rest[0], rtol=5e-3, atol=1e-6, err_msg=state)


def test_the_disease_is_a_steady_state_that_grows_with_the_antigen(core) -> None:
    system, _ = core
    macrophage = system.states.index("core_macrophage_number")
    levels = []
    for antigen in (0.0, 0.5, 1.0, 2.0):
        values = course(core, antigen=antigen, times=[0.0, 21915.0, 29220.0])
        np.testing.assert_allclose(values[1], values[2], rtol=1e-3, atol=1e-6)
        levels.append(values[2, macrophage])
    assert np.all(np.diff(levels) > 0)


def test_no_state_becomes_negative_when_the_antigen_comes_and_goes(core) -> None:
    events = [
        Event(10.0, Action.SET, "self_antigen", 3.0),
        Event(300.0, Action.SET, "self_antigen", 0.0),
    ]
    values = course(core, events=events, times=np.arange(0.0, 1000.0, 5.0))
    assert values.min() >= 0.0


#: What a situation drives; every other port is a target of drugs.
DRIVEN = {"self_antigen", "foreign_antigen", "danger", "viral_signal", "marrow_crowding"}

#: Targets, and a part of the response that a drug lowers there in the inflamed.
LOWERED = {
    "tnf_binding": "core_tnf_signal",
    "il6r_binding": "core_il6_signal",
    "il6_binding": "core_crp",
    "il1_binding": "core_il1_signal",
    "il17_binding": "core_il17_signal",
    "il12_23_binding": "core_Th1",
    "il23_binding": "core_Th17",
    "jak1_binding": "core_crp",
    "jak2_binding": "core_hemoglobin",
    "jak3_binding": "core_effector_T",
    "tyk2_binding": "core_Th17",
    "glucocorticoid_binding": "core_tnf",
    "pde4_binding": "core_tnf",
    "nrf2_binding": "core_CD4_count",
    "proteasome_binding": "core_plasma_cell",
    "calcineurin_binding": "core_effector_T",
    "proliferation_binding": "core_effector_T",
    "purine_binding": "core_B_count",
    "costimulation_binding": "core_effector_T",
    "s1p1_binding": "core_lymphocytes",
    "cd20_binding": "core_B_cell",
    "cd20_cd3_binding": "core_B_count",
    "cd19_binding": "core_B_count",
    "baff_binding": "core_naive_B",
    "cd52_binding": "core_CD4_count",
    "cd38_binding": "core_plasma_cell",
    "bcma_cd3_binding": "core_plasma_cell",
    "gprc5d_cd3_binding": "core_plasma_cell",
    "fcrn_binding": "core_igg",
}

#: Targets, and a part of the response that a drug raises there in the inflamed.
RAISED = {
    "il2r_binding": "core_regulatory_T",
    "ifnar_binding": "core_antiviral",
    "ifngr_binding": "core_macrophage_activation",
    "gcsf_binding": "core_neutrophils",
    "tlr7_binding": "core_ifn1",
    "cereblon_binding": "core_NK",
    "ctla4_binding": "core_effector_T",
    "alpha4_binding": "core_lymphocytes",
    "tolerance_binding": "core_regulatory_T",
    "slamf7_binding": "core_NK",
    "c5_binding": "core_complement_blocked",
}

#: Checkpoints act on cells that a lasting antigen has exhausted.
CHECKPOINTS = ("pd1_binding", "lag3_binding")


def at_rest(core, outputs, **values):
    """Outputs of the inflamed core at rest, with values of its parameters."""
    system, parameters = core
    parameters = parameters.copy()
    for name, value in {"self_antigen": 1.0, **values}.items():
        parameters[:, system.parameters.index(name)] = value
    problem = EnsembleProblem(
        system, parameters, Schedule.empty(1), np.array([0.0, 3652.5]), tuple(outputs)
    )
    return solve(problem, tolerance=Tolerance(1e-8, 1e-10)).values[0, -1]


def test_every_port_is_looked_at() -> None:
    core = packaged_catalog().core("immune_core")
    assert set(core.ports) == {*DRIVEN, *LOWERED, *RAISED, *CHECKPOINTS}


@pytest.mark.parametrize("port", sorted(LOWERED))
def test_more_of_a_drug_lowers_what_its_target_drives(core, port) -> None:
    course = [at_rest(core, [LOWERED[port]], **{port: x})[0] for x in (0.0, 0.5, 3.0, 30.0)]
    assert (np.diff(course) < 0).all(), course


@pytest.mark.parametrize("port", sorted(RAISED))
def test_more_of_a_drug_raises_what_its_target_drives(core, port) -> None:
    course = [at_rest(core, [RAISED[port]], **{port: x})[0] for x in (0.0, 0.5, 3.0, 30.0)]
    assert (np.diff(course) > 0).all(), course


@pytest.mark.parametrize("port", CHECKPOINTS)
def test_a_blocked_checkpoint_gives_exhausted_cells_their_function_back(core, port) -> None:
    outputs = ["core_CD8_function", "core_exhaustion"]
    rest = [at_rest(core, outputs, foreign_antigen=5.0, **{port: x}) for x in (0.0, 0.5, 3.0, 30.0)]
    assert rest[0][1] > 0.5
    assert (np.diff([function for function, _ in rest]) > 0).all()


def test_a_target_that_is_all_taken_leaves_what_the_equations_say(core) -> None:
    system, parameters = core
    value = dict(zip(system.parameters, parameters[0], strict=True))
    endless = 1e12
    # No IL-6 reaches the liver without JAK1, and no IL-1 is left to signal.
    assert at_rest(core, ["core_crp"], jak1_binding=endless)[0] < 1e-6
    assert at_rest(core, ["core_il1_signal"], il1_binding=endless)[0] < 1e-6
    # B cells of tissue rest where turnover and killing balance.
    cells, drive, kill = at_rest(
        core, ["core_B_cell", "core_B_cell_drive", "core_B_kill"], cd20_binding=endless
    )
    turnover, killing = value["core_B_turnover"], value["core_tissue_reach"] * kill
    assert cells == pytest.approx(drive * turnover / (turnover + killing), rel=1e-5)
    # Priming without the second signal keeps the share that does not need it.
    free, left = (
        at_rest(core, ["core_T_activation"], costimulation_binding=x)[0] for x in (0.0, endless)
    )
    assert free == 1.0
    assert left == pytest.approx(1 - value["core_priming_by_costimulation"], rel=1e-6)
    # Without recycling IgG rests where its synthesis meets the faster loss.
    igg, share = at_rest(
        core, ["core_igg", "core_fcrn_blocked"], fcrn_binding=endless, self_antigen=0.0
    )
    assert igg == pytest.approx(
        value["core_igg_entry"] / (1 + value["core_igg_by_fcrn"] * share), rel=1e-5
    )


def test_cells_that_may_not_leave_lymphoid_tissue_are_not_lost(core) -> None:
    """Blocking egress lowers the count in blood and kills nothing: tissue keeps the cells."""
    outputs = ["core_CD4_count", "core_naive_CD4_tissue", "core_memory_CD4_tissue"]
    free = at_rest(core, outputs, self_antigen=0.0)
    held = at_rest(core, outputs, self_antigen=0.0, s1p1_binding=1e3)
    assert held[0] < 0.3 * free[0]
    assert (held[1:] >= 0.999 * free[1:]).all()


# ---- The same substance stimulates here and suppresses there -------------------------


def test_low_doses_of_il2_reach_regulatory_cells_and_high_doses_effectors(core) -> None:
    outputs = ["core_regulatory_T", "core_effector_T", "core_CD8_effector", "core_NK"]
    none, low, high = (
        at_rest(core, outputs, self_antigen=0.0, il2r_binding=x) for x in (0.0, 3.0, 1000.0)
    )
    # A low dose: regulatory cells up by half and more, effectors not up.
    assert low[0] > 1.5 * none[0]
    assert low[1] < 1.05 * none[1]
    assert low[2] < 1.1 * none[2]
    # A high dose: effectors, cytotoxic and NK cells up.
    assert (high[1:] > 1.3 * none[1:]).all()
    assert high[0] / low[0] < high[2] / low[2]


def test_an_antibody_to_cd38_takes_nk_cells_and_not_what_they_do(core) -> None:
    # Casneuf 2017: counts stay low, and those that are left go on killing. Fewer regulatory T cells
    # make less TGF-beta, so that NK cells may even do a little more.
    outputs = ("core_NK_count", "core_NK")
    before, after = (at_rest(core, outputs, self_antigen=0.0, cd38_binding=x) for x in (0.0, 10.0))
    assert after[0] < 0.5 * before[0]
    assert before[1] * 0.99 < after[1] < before[1] * 1.2


@pytest.mark.parametrize("antigen", [0.0, 0.65])
def test_a_cereblon_modulator_stimulates_killers_and_calms_monocytes(core, antigen) -> None:
    outputs = ["core_NK", "core_CD8_effector", "core_il2", "core_tnf", "core_il6", "core_il1"]
    none, given = (
        at_rest(core, outputs, self_antigen=antigen, cereblon_binding=x) for x in (0.0, 10.0)
    )
    assert (given[:3] > 1.1 * none[:3]).all()
    assert (given[3:] < 0.8 * none[3:]).all()


def test_type_i_interferon_is_antiviral_and_turns_from_th17(core) -> None:
    outputs = ["core_antiviral", "core_NK", "core_Th17", "core_il23"]
    none, given = (at_rest(core, outputs, ifnar_binding=x) for x in (0.0, 5.0))
    assert given[0] > 0.5 > none[0] == 0.0
    assert given[1] > 1.3 * none[1]
    assert (given[2:] < 0.8 * none[2:]).all()


def test_a_glucocorticoid_raises_neutrophils_in_blood_and_lowers_lymphocytes(core) -> None:
    outputs = ["core_neutrophils", "core_lymphocytes", "core_tnf", "core_il10"]
    none, given = (
        at_rest(core, outputs, self_antigen=0.0, glucocorticoid_binding=x) for x in (0.0, 3.0)
    )
    assert given[0] > 1.2 * none[0]
    assert given[1] < 0.8 * none[1]
    assert given[2] < 0.5 * none[2]


def test_an_antigen_that_goes_leaves_memory_and_one_that_stays_exhausts(core) -> None:
    system, _ = core
    place = {name.removeprefix("core_"): i for i, name in enumerate(system.states)}
    times = np.arange(0.0, 120.0, 1.0)
    shown = [
        Event(0.0, Action.SET, "foreign_antigen", 20.0),
        Event(14.0, Action.SET, "foreign_antigen", 0.0),
    ]
    acute = course(core, events=shown, times=times)
    lasting = course(core, events=shown[:1], times=times)
    response = acute[:, place["CD8_specific"]]
    # The peak comes one to two weeks after infection, and nine tenths are gone within two months
    # (Miller 2008 gives the share that is lost).
    assert 8 <= times[response.argmax()] <= 16
    assert response[times == 60] < 0.1 * response.max()
    assert acute[-1, place["memory_T"]] > 0.05
    assert acute[-1, place["antibody"]] > 0.05
    assert lasting[-1, place["exhaustion"]] > 0.9 > 0.6 > acute[-1, place["exhaustion"]]
