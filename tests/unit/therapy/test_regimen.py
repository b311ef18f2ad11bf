"""Regimens in plain words: what they expand to, and how what cannot be understood is answered."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_drugs import find

from immunostat.base.errors import InputError, Place, UnitError, UnknownNameError
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.structured import line_of

PLACE = Place("study.yaml", 9)


def parse(line, situation="psoriasis"):
    return parse_regimen(line, find, situation, PLACE)


def times(line, duration_day=84):
    return [dose.time_day for dose in parse(line).doses(duration_day)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("examplumab 40 mg subcutaneous every 2 weeks", [0, 14, 28, 42, 56, 70]),
        ("examplumab 40mg SC every other week", [0, 14, 28, 42, 56, 70]),
        ("samplizumab 3 mg/kg iv over 2 hours at weeks 0, 2, 6 then every 8 weeks", [0, 14, 42]),
        ("samplizumab 3 mg/kg iv at weeks 0, 2 and 4 then every 4 weeks", [0, 14, 28, 56]),
        ("samplizumab 3 mg/kg iv at 0, 2, 6 weeks", [0, 14, 42]),
        ("samplizumab 3 mg/kg iv at 0 days, 2 weeks", [0, 14]),
        ("examplumab 80 mg subcutaneous once then 40 mg every 4 weeks from week 1", [0, 7, 35, 63]),
        ("examplumab 80 mg subcutaneous loading dose then 40 mg every 4 weeks", [0, 28, 56]),
        ("examplumab 40 mg subcutaneous every 4 weeks until week 8", [0, 28]),
        ("examplumab 40 mg subcutaneous every 4 weeks starting at week 4", [28, 56]),
        (
            "examplumab 40 mg subcutaneous weekly for 3 doses then every 4 weeks",
            [0, 7, 14, 21, 49, 77],
        ),
        ("examplumab 40 mg subcutaneous once", [0]),
    ],
)
def test_words_become_times(line, expected):
    assert times(line) == pytest.approx(expected)


def test_days_of_a_cycle_count_from_one():
    found = times("exampledrug 25 mg oral daily on days 1-21 of 28 for 2 cycles", 365)
    assert found == [*range(21), *range(28, 49)]
    assert times("exampledrug 25 mg oral on days 1, 8, 15 of 28 for 2 cycles", 365) == [
        *(0, 7, 14),
        *(28, 35, 42),
    ]


def test_a_taper_keeps_route_and_interval():
    doses = parse("exampledrug 60 mg oral daily for 7 days then 40 mg for 7 days then 20 mg").doses(
        28
    )
    assert [d.amount for d in doses] == [60] * 7 + [40] * 7 + [20] * 14
    assert {d.route for d in doses} == {"oral"}
    assert [d.time_day for d in doses] == list(range(28))


@pytest.mark.parametrize(
    ("words", "interval"),
    [
        ("daily", 1),
        ("twice daily", 0.5),
        ("3 times daily", 1 / 3),
        ("every 12 hours", 0.5),
        ("weekly", 7),
    ],
)
def test_frequency_words(words, interval):
    assert times(f"exampledrug 5 mg oral {words}", 14)[1] == pytest.approx(interval)


def test_a_dose_at_the_end_of_the_study_is_not_given():
    assert times("exampledrug 5 mg oral every 4 weeks", 28) == [0]


def test_label_is_the_labelled_regimen_with_its_cap():
    regimen = parse("samplizumab label")
    assert regimen.maximum.value == 800
    assert regimen.doses(1)[0].maximum == 800
    assert regimen == parse("samplizumab 8 mg/kg iv over 1 hour every 4 weeks maximum 800 mg")


def test_names_with_hyphens_may_be_written_with_blanks():
    assert parse("exampleferon beta-1a 30 ug sc weekly").drug.name == "exampleferon-beta-1a"
    assert parse("Exampleferon-beta-1a 30 µg sc weekly").phases[0].dose.unit == "ug"


@pytest.mark.parametrize(
    ("line", "kind", "cause", "remedy"),
    [
        ("exampleumab 40 mg subcutaneous weekly", UnknownNameError, "exampleumab", "examplumab"),
        ("examplumab 40 subcutaneous weekly", UnitError, "character 12 '40'", "'40 mg'"),
        ("examplumab 40 mgg subcutaneous weekly", UnitError, "character 15 'mgg'", "'40 mg'"),
        ("examplumab 40 L subcutaneous weekly", UnitError, "not a unit of dose", "mg"),
        ("examplumab 40 mg/m3 subcutaneous weekly", UnitError, "per kg", "8 mg/kg"),
        ("examplumab 40 mg every 2 weeks", InputError, "no route", "subcutaneous, intravenous"),
        ("samplizumab 40 mg oral weekly", InputError, "no route 'oral'", "intravenous"),
        ("examplumab -40 mg subcutaneous weekly", InputError, "negative", "40 mg"),
        ("examplumab 0 mg subcutaneous weekly", InputError, "above 0", "40 mg"),
        ("examplumab 40 mg subcutaneous every 2", UnitError, "no unit", "every 2 weeks"),
        ("examplumab 40 mg subcutaneous every 2 wekes", UnitError, "unit of time", "week"),
        ("examplumab 40 mg subcutaneous every 0 weeks", InputError, "above 0", "every 2 weeks"),
        ("examplumab 40 mg subcutaneous", InputError, "when", "every 2 weeks"),
        ("examplumab 40 mg subcutaneous evry 2 weeks", InputError, "did you mean 'every'", ""),
        ("examplumab 40 mg subcutaneous weekly daily", InputError, "two timings", "then"),
        ("examplumab 40 mg 50 mg subcutaneous weekly", InputError, "second dose", "then"),
        ("examplumab 40 mg subcutaneous at weeks 4, 2", InputError, "ascend", "weeks 0, 2, 6"),
        ("examplumab 40 mg subcutaneous at weeks", InputError, "number", "weeks 0, 2, 6"),
        ("examplumab 40 mg subcutaneous at 1, 2", UnitError, "no unit", "weeks 0, 2, 6"),
        ("exampledrug 4 mg oral daily on days 21-1 of 28", InputError, "ascend", "1-21 of 28"),
        ("exampledrug 4 mg oral daily on days 1-30 of 28", InputError, "ascend", "1-21 of 28"),
        ("exampledrug 4 mg oral daily then 2 mg for 3 days", InputError, "how long", "for 7 days"),
        (
            "exampledrug 4 mg oral daily for 7 days then 2 mg from day 3",
            InputError,
            "ends",
            "order",
        ),
        ("exampledrug 4 mg oral daily from week 3 until week 2", InputError, "stops", "until"),
        ("samplizumab 4 mg iv over 2 days daily", InputError, "longer", "over 1 hour"),
        ("examplumab label please", InputError, "follows", "label"),
        ("exampledrug label", InputError, "no labelled regimen", "psoriasis' | none"),
        ("examplumab", InputError, "no dose", "40 mg"),
        ("40 mg examplumab", InputError, "name of a drug", "adalimumab"),
        ("", InputError, "name of a drug", "adalimumab"),
        ("examplumab 1e40 mg subcutaneous weekly", InputError, "too large", "40 mg"),
        ("examplumab 40 mg subcutaneous weekly $(rm)", InputError, "no meaning", "for example"),
        ("examplumab " + "x" * 1200, InputError, "too long", "for example"),
    ],
)
def test_what_is_not_understood_names_place_cause_and_remedy(line, kind, cause, remedy):
    with pytest.raises(kind) as caught:
        parse(line)
    text = str(caught.value)
    assert text.startswith("study.yaml:9: ")
    assert cause in text
    assert any(part in text for part in remedy.split("' | "))
    assert caught.value.remedy


def test_too_many_doses_are_refused():
    with pytest.raises(InputError, match="at most 20000"):
        parse("exampledrug 4 mg oral every 0.001 minutes").doses(84)


NUMBERS = st.sampled_from(["0.5", "1", "2.5", "40", "800"])
DURATIONS = st.builds("{} {}".format, st.integers(1, 12), st.sampled_from(["days", "weeks"]))
DOSES = st.builds("{} {}".format, NUMBERS, st.sampled_from(["mg", "ug", "mg/kg", "nmol", "g"]))


@st.composite
def lines(draw):
    """A regimen of one to three phases that lie one after another."""
    phases = []
    for i in range(draw(st.integers(1, 3))):
        infusion = draw(st.sampled_from(["", " over 1 hour", " over 30 minutes"]))
        timing = draw(st.sampled_from(["daily", "twice daily", "weekly", "every 3 days"]))
        cycle = draw(st.sampled_from(["", " on days 1-5, 8 of 14"]))
        route = " intravenous" if i == 0 or draw(st.booleans()) else ""
        length = f" for {draw(DURATIONS)}"
        phases.append(f"{draw(DOSES)}{route}{infusion} {timing}{cycle}{length}")
    return "examplumab " + " then ".join(phases)


@given(lines(), st.integers(1, 400))
def test_what_is_written_out_reads_back_as_the_same(line, duration_day):
    regimen = parse(line)
    again = parse(regimen.words())
    assert again == regimen
    assert again.doses(duration_day) == regimen.doses(duration_day)


@given(lines(), st.integers(1, 100), st.integers(1, 100))
def test_a_shorter_study_gives_the_first_doses_of_a_longer_one(line, a, b):
    short, long = (parse(line).doses(d) for d in sorted((a, b)))
    assert long[: len(short)] == short
    assert all(x.time_day <= y.time_day for x, y in itertools.pairwise(long))


WORDS = (
    "examplumab 40 -1 mg mg/kg oral iv sc every at weeks on days of for until then , / daily label"
)


@given(st.lists(st.sampled_from(WORDS.split()), max_size=12))
def test_any_words_give_a_regimen_or_an_input_error(words):
    with contextlib.suppress(InputError):
        parse(" ".join(words)).doses(84)


@given(st.text(max_size=60))
def test_any_text_after_a_drug_gives_a_regimen_or_an_input_error(text):
    with contextlib.suppress(InputError):
        parse(f"examplumab {text}").doses(84)


def test_the_structured_form_means_the_same_as_words():
    line = line_of(
        {
            "drug": "samplizumab",
            "dose": {"value": 8, "unit": "mg/kg"},
            "route": "intravenous",
            "over": "1 hour",
            "every": "4 weeks",
            "maximum": "800 mg",
        }
    )
    assert parse(line) == parse("samplizumab label")
    phases = line_of(
        {
            "drug": "examplumab",
            "maximum": "1 g",
            "phases": [
                {"dose": "80 mg", "route": "subcutaneous", "at": ["0 days", "1 week"]},
                {"dose": "40 mg", "every": "2 weeks", "stop": "week 12"},
            ],
        }
    )
    assert [d.amount for d in parse(phases).doses(84)] == [80, 80, 40, 40, 40, 40, 40]
    assert line_of({"drug": "samplizumab", "label": True}) == "samplizumab label"


def test_an_unknown_key_of_the_structured_form_is_answered():
    with pytest.raises(InputError, match="did you mean 'route'"):
        line_of({"drug": "samplizumab", "rout": "oral"}, PLACE)


def test_doses_per_body_surface_and_cycles_in_the_words_of_clinics():
    regimen = parse("examplumab 1.3 mg/m2 subcutaneous daily for 21 of 28 days")
    assert regimen.phases[0].dose.per_m2
    assert len(regimen.doses(56)) == 42
    assert parse(regimen.words()) == regimen
