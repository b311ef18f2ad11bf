"""Benefit and risk: gains and harms of a result on one scale, with the reader's own weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from immunostat.app import frame
from immunostat.app.address import Address
from immunostat.app.live import Page
from immunostat.app.same_as import SameAs
from immunostat.app.screens import results as folders
from immunostat.app.screens.explore import is_wide
from immunostat.app.workbench import Workbench
from immunostat.base.errors import ImmunostatError, InputError, near_matches
from immunostat.report import balance_figures, words
from immunostat.report.plate import Plate
from immunostat.study.balance import BENEFIT, Outcome, outcomes, reference_arm, weighed
from immunostat.study.result import Result, open_result

PATH = "/balance/"

#: Weights that a slider gives.
HIGHEST_WEIGHT = 20

#: Weights to begin with: the first endpoint, and every side effect as much as it.
FIRST_WEIGHT = 10


@dataclass(frozen=True)
class BalanceState:
    """A result, a reference arm and weights by outcome."""

    name: str
    result: Result
    reference: str
    outcomes: tuple[Outcome, ...]
    weights: dict[str, int]


@lru_cache(maxsize=4)
def _opened(folder: Path, changed: float) -> Result:
    return open_result(folder)


def read(bench: Workbench, query: str) -> BalanceState | None:
    """The state of an address; None where there is no result yet.

    Raises
    ------
    InputError
        There is no such result or arm, or a weight is out of range.
    """
    address = Address(query)
    names = folders.names(bench)
    name = address.one("result") or next(iter(names), "")
    if not name:
        return None
    folder = folders.path(bench, name)
    result = _opened(folder, (folder / "run.json").stat().st_mtime)
    known = tuple(outcomes(result))
    if not known:
        raise InputError(f"result '{name}' has no outcome that can be weighed")
    reference = address.one("reference") or reference_arm(result)
    if reference not in result.arms:
        raise InputError(f"no arm '{reference}'", remedy=near_matches(reference, result.arms))
    first = next((own.name for own in known if own.is_endpoint), "")
    weights = {}
    for i, own in enumerate(known):
        usual = FIRST_WEIGHT if not own.is_endpoint or own.name == first else 0
        lowest = -HIGHEST_WEIGHT if own.kind == BENEFIT else 0
        weights[own.name] = address.whole(f"w{i}", usual, lowest, HIGHEST_WEIGHT)
    return BalanceState(name, result, reference, known, weights)


def page(bench: Workbench, query: str) -> str:
    """The page for an address."""
    error: ImmunostatError | None = None
    state: BalanceState | None = None
    try:
        state = read(bench, query)
    except ImmunostatError as found:
        error = found
    return frame.page(
        "balance.html", PATH, "Benefit and risk", is_live=True, state=state, error=error,
        names=folders.names(bench), highest=HIGHEST_WEIGHT, groups=_groups(state),
    )  # fmt: skip


def _groups(state: BalanceState | None) -> list[tuple[str, int, list[tuple[int, Outcome]]]]:
    """Headings, lowest weight, and outcomes with their number in the address."""
    known = list(enumerate(state.outcomes)) if state else []
    return [
        (
            "Goals (below 0 if better not reached)",
            -HIGHEST_WEIGHT,
            [(i, own) for i, own in known if own.kind == BENEFIT],
        ),
        (
            "Events of the disease",
            0,
            [(i, o) for i, o in known if o.kind != BENEFIT and o.is_endpoint],
        ),
        ("Side effects", 0, [(i, own) for i, own in known if not own.is_endpoint]),
    ]


async def show(bench: Workbench, page: Page, query: str) -> None:
    """Weigh a result and draw it."""
    state = read(bench, query)
    await page.send("begin", {})
    if state is None:
        await page.status("No result yet.", state="done")
        return
    await page.part("failure", "")
    if not any(state.weights.values()):
        raise InputError("every weight is 0", remedy="give something a weight")
    parts, net = await page.do(lambda: weighed(state.result, _scaled(state), state.reference))
    plates = (
        Plate("balance", "quadrant", balance_figures.quadrant(state.result, net, state.reference),
              "Each arm by the weighted share of patients who gain (up) and who are harmed "
              f"(right), against {state.reference}."),
        Plate("balance", "value-tree", balance_figures.value_tree(state.result, parts, net),
              "What each outcome adds to the net benefit of each arm under these weights."),
    )  # fmt: skip
    for plate in plates:
        drawn = await page.do(partial(bench.figures.draw, plate))
        await page.figure("balance", drawn, is_wide(plate, drawn))
    rows = [
        (
            row["arm"],
            words.signed(100 * row["benefit"]),
            words.signed(100 * row["harm"]),
            words.signed(100 * row["net"]),
            f"{words.signed(100 * row['low'])} to {words.signed(100 * row['high'])}",
            words.percent(row["best"]),
        )
        for row in net.to_dict("records")
    ]
    await page.part("table", frame.part("balance_table.html", rows=rows, state=state))
    await page.same_as(_same_as(bench, state))
    await page.send("end", {})
    n = state.result.rows("patients", ["patient"])["patient"].nunique()
    await page.status(f"{n:,} virtual patients in each arm of '{state.name}'", state="done")


def _scaled(state: BalanceState) -> dict[str, float]:
    """Weights as factors: 10 on the slider counts a patient once."""
    return {name: weight / 10 for name, weight in state.weights.items() if weight}


def _same_as(bench: Workbench, state: BalanceState) -> SameAs:
    weights = _scaled(state)
    return SameAs(
        "",
        f"immunostat report {bench.results.name}/{state.name}",
        "import immunostat as im\nfrom immunostat.study.balance import weighed\n\n"
        f"result = im.open_result({f'{bench.results.name}/{state.name}'!r})\n"
        f"weights = {weights!r}\n"
        f"parts, net = weighed(result, weights, {state.reference!r})\nprint(net)\n",
    )
