"""Progress that tells the truth: what is done, how fast, and how long it will last."""

from __future__ import annotations

from immunostat.cli.progress import LINE_SECONDS, Pace, lines


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_speed_is_what_was_done_over_the_time_that_it_took() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace(0, 100, "patients") is None
    clock.now = 2.0
    assert pace(40, 100, "patients") == (20.0, 3.0)


def test_what_an_earlier_run_had_done_is_no_speed() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace(900, 1000, "patients")
    clock.now = 5.0
    assert pace(950, 1000, "patients") == (10.0, 5.0)


def test_failures_that_are_told_do_not_start_the_stage_anew() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace(0, 100, "patients")
    clock.now = 4.0
    assert pace(40, 100, "patients (2 failed)") == (10.0, 6.0)


def test_another_stage_starts_anew() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace(0, 100, "screening")
    clock.now = 10.0
    pace(100, 100, "screening")
    assert pace(0, 50, "patients") is None
    clock.now = 11.0
    assert pace(10, 50, "patients") == (10.0, 4.0)


def test_without_a_terminal_a_long_run_writes_a_line_now_and_then() -> None:
    clock, said = Clock(), list[str]()
    show = lines(said.append, clock)
    for second in range(100):
        clock.now = float(second)
        show(second * 50, 10_000, "patients (1 failed)" if second else "patients")
    assert len(said) == int(99 // LINE_SECONDS)
    assert said[0] == (
        "patients (1 failed): 1,500 of 10,000 (15 %), 50 patients/s, 2 min 50 s left"
    )


def test_without_a_terminal_a_short_run_writes_nothing() -> None:
    clock, said = Clock(), list[str]()
    show = lines(said.append, clock)
    for second in range(25):
        clock.now = float(second)
        show(second, 25, "patients")
    assert said == []
