"""Study files: defaults written out, words turned into days, and every error with its line."""

import pytest

from immunostat.base.errors import InputError, UnitError, UnknownNameError
from immunostat.catalog.reader import parse_yaml
from immunostat.study.file import DEFAULT_PATIENTS
from immunostat.study.study_reader import make_study, read_study, study_of

RULE = "rules: [{when: neutrophils < 1.0"
TEXT = """\
title: Biologics after methotrexate
situation: rheumatoid-arthritis
population: {name: methotrexate-inadequate-response, patients: 50, seed: 7}
arms:
  placebo: []
  adalimumab: [adalimumab 40 mg subcutaneous every 2 weeks]
  tocilizumab: tocilizumab label
duration: 24 weeks
visits: every 4 weeks
endpoints: [ACR20, CRP]
side_effects: all
compare_with: [OPTION]
solve: {relative_tolerance: 1e-5}
"""

SHORT = {
    "situation": "rheumatoid-arthritis",
    "population": "methotrexate-inadequate-response",
    "arms": {"adalimumab": "adalimumab label"},
    "duration": "24 weeks",
}


def study(text=TEXT):
    return study_of(parse_yaml(text, "study.yaml"))


def test_words_become_days_and_regimens():
    found = study()
    assert found.duration_day == 168
    assert found.visits_day == (0, 28, 56, 84, 112, 140, 168)
    assert found.population.n_patients == 50
    assert found.relative_tolerance == 1e-5
    assert [len(r) for r in found.arms.values()] == [0, 1, 1]
    assert [drug.name for drug in found.drugs] == ["adalimumab", "tocilizumab"]
    assert found.arms["tocilizumab"][0].maximum.value == 800


def test_what_is_left_out_has_defaults():
    found = make_study(SHORT)
    assert found.title == "rheumatoid-arthritis"
    assert found.population.n_patients == DEFAULT_PATIENTS
    assert "ACR20" in found.endpoints
    assert "serious-infection" in found.side_effects


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"side_effects": "none"},
        {"visits": ["1 week", "10 days", "24 weeks"]},
        {"duration": "100 days", "visits": "every 30 days"},
        {"background": ["methotrexate 15 mg oral weekly"]},
    ],
)
def test_a_resolved_study_reads_back_as_the_same(changes):
    found = make_study({**SHORT, **changes})
    assert make_study(found.resolved()) == found


def test_baseline_and_end_are_always_visits():
    assert make_study({**SHORT, "visits": ["12 weeks"]}).visits_day == (0, 84, 168)


def test_settings_win_over_the_file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(TEXT)
    found = read_study(path, settings=["population.patients=3", "duration=12 weeks"])
    assert found.population.n_patients == 3
    assert found.duration_day == 84
    with pytest.raises(InputError, match=r"--set population.patients=0: (.|\n)*greater than 0"):
        read_study(path, settings=["population.patients=0"])


@pytest.mark.parametrize(
    ("old", "new", "kind", "line", "cause"),
    [
        ("patients: 50", "patients: -50", InputError, 3, "greater than 0"),
        ("patients: 50", "patients: 1.5", InputError, 3, "integer"),
        ("patients: 50", "pateints: 50", InputError, 3, "did you mean 'patients'"),
        ("seed: 7", "seed: -1", InputError, 3, "greater than or equal to 0"),
        (
            "rheumatoid-arthritis",
            "reumatoid-arthritis",
            UnknownNameError,
            2,
            "rheumatoid-arthritis",
        ),
        ("methotrexate-inadequate", "inadequate", UnknownNameError, 3, "methotrexate-inadequate"),
        ("adalimumab 40 mg", "adalimumb 40 mg", UnknownNameError, 6, "did you mean 'adalimumab'"),
        ("40 mg sub", "40 sub", UnitError, 6, "for example '40 mg'"),
        ("40 mg subcutaneous", "40 mg", InputError, 6, "routes of adalimumab: subcutaneous"),
        ("duration: 24 weeks", "duration: 24", UnitError, 8, "24 weeks"),
        ("duration: 24 weeks", "duration: 24 mg", UnitError, 8, "not a unit of time"),
        ("duration: 24 weeks", "duration: -24 weeks", UnitError, 8, "negative"),
        ("duration: 24 weeks", "duration: 0 weeks", InputError, 8, "not above 0"),
        ("duration: 24 weeks", "duration: 500 years", InputError, 8, "100 years"),
        ("every 4 weeks", "every 4", UnitError, 9, "every 4 weeks"),
        ("every 4 weeks", "[30 weeks]", InputError, 9, "after the end"),
        ("every 4 weeks", "sometimes", InputError, 9, "every 4 weeks"),
        ("every 4 weeks", "every 1 minute", InputError, 9, "too many"),
        ("[ACR20, CRP]", "[ACR20, CPR]", UnknownNameError, 10, "CRP"),
        ("side_effects: all", "side_effects: [neutropnia]", UnknownNameError, 11, "'neutropenia'"),
        ("[OPTION]", "[OPTOIN]", UnknownNameError, 12, "OPTION"),
        ("1e-5", "1", InputError, 13, "less than or equal"),
        ("arms:", "arns:", InputError, 4, "did you mean 'arms'"),
        ("title:", "rules: [{when: x}]\ntitle:", InputError, 1, "'rules.0.do' is missing"),
        ("title:", f"{RULE}, do: hold}}]\ntitle:", InputError, 1, "'hold DRUG'"),
        ("title:", f"{RULE}, do: hold adalimumb}}]\ntitle:", UnknownNameError, 1, "adalimumab"),
        (
            "title:",
            "rules: [{when: leukocytes < 1, do: stop treatment}]\ntitle:",
            UnknownNameError,
            1,
            "cannot be compared",
        ),
        ("title:", f"{RULE}, do: lower tocilizumab}}]\ntitle:", InputError, 1, "levels: ["),
        ("title:", "dropout: {background: some}\ntitle:", InputError, 1, "by week 24"),
        (
            "title:",
            "analyses: [{endpoint: CRP, arm: placebo, versus: placebo}]\ntitle:",
            InputError,
            1,
            "itself",
        ),
        (
            "tocilizumab label",
            "[tocilizumab label, tocilizumab label]",
            InputError,
            7,
            "two regimens",
        ),
        ("tocilizumab label", "{drug: tocilizumab, rout: iv}", InputError, 7, "'route'"),
        ("tocilizumab label", "7", InputError, 7, "does not fit"),
        ("title:", "background: [adalimumab label]\ntitle:", InputError, 7, "background"),
    ],
)
def test_every_error_has_line_cause_and_remedy(old, new, kind, line, cause):
    assert old in TEXT
    with pytest.raises(kind) as caught:
        study(TEXT.replace(old, new, 1))
    text = str(caught.value)
    assert text.startswith(f"study.yaml:{line}: "), text
    assert cause in text
    assert caught.value.remedy


def test_an_empty_study_is_refused():
    with pytest.raises(InputError, match="missing"):
        study("title: x")
