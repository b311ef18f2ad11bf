"""Command balance: benefit and harm of a result on one scale, under weights that the user sets."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunostat.base.errors import InputError, UnknownNameError, near_matches, shown_path
from immunostat.cli.options import CsvOption, JsonOption, check_folder
from immunostat.cli.printing import (
    NOTICE,
    Format,
    format_of,
    guarded,
    heading,
    message,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from immunostat.study.balance import Weight
    from immunostat.study.dose_balance import DoseBalance
    from immunostat.study.result import Result


@guarded
def balance(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", help="A result folder.")],
    weights: Annotated[
        Path | None, typer.Option("--weights", help="File of weights (YAML).")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            "--weight", help="NAME=NUMBER of one outcome; may be repeated, wins over a file."
        ),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Arm that others are compared with; the one without drugs.")
    ] = "",
    dose: Annotated[
        list[str] | None,
        typer.Option(
            "--dose", help="ARM=NUMBER; may be repeated. What 'dose_response' of the study says."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws of patients.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for tables and figures.")
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    from immunostat.study.balance import reference_arm, weighed
    from immunostat.study.dose_balance import dose_balance, doses_of
    from immunostat.study.needed import needed
    from immunostat.study.result import open_result
    from immunostat.study.weights import Weights, illustrative, read_weights

    check_folder(output)
    result = open_result(folder)
    read = read_weights(weights) if weights is not None else Weights({})
    is_own = bool(read.weights or weight)
    own: dict[str, Weight] = dict(read.weights) or ({} if weight else illustrative(result))
    own |= _weights(weight or [])
    if not own:
        raise InputError(
            "the result has no yes-or-no endpoint beside a side effect, so no weights are proposed",
            remedy="say them: --weight NAME=NUMBER, or a file with --weights",
        )
    base = reference or read.reference or reference_arm(result)
    if base not in result.arms:
        raise UnknownNameError(f"no arm '{base}'", remedy=near_matches(base, result.arms))
    parts, net = weighed(result, own, base, seed)
    counted = needed(result, base)
    levels = _numbers(dose or [], "--dose", "'8 mg/kg=8'") or dict(read.doses) or doses_of(result)
    doses = dose_balance(result, own, levels, seed) if levels else None
    how = format_of(as_json, as_csv)
    if how is Format.JSON:
        print_json(_as_data(base, own, parts, net, counted, doses))
    elif how is Format.CSV:
        print_table(tuple(net.columns), _rows(net), how)
    else:
        _print(base, own, is_own, net, counted, doses)
    if output is not None:
        _write(result, output, base, own, parts, net, counted, doses)
    message(NOTICE)


def _weights(given: list[str]) -> dict[str, Weight]:
    from immunostat.study.balance import Weight

    numbers = _numbers(given, "--weight", "ACR50=1")
    return {name: Weight(value) for name, value in numbers.items()}


def _numbers(given: list[str], option: str, example: str) -> dict[str, float]:
    """NAME=NUMBER pairs; the last ``=`` parts them, since an arm may have one in its name."""
    found = {}
    for text in given:
        name, separator, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            separator, number = "", 0.0
        if not separator or not 0 <= number < float("inf"):
            raise InputError(
                f"{option} {text!r} is not understood",
                remedy=f"write NAME=NUMBER, not negative, such as {option} {example}",
            )
        found[name.strip()] = number
    return found


def _print(
    base: str,
    own: dict[str, Weight],
    is_own: bool,
    net: pd.DataFrame,
    counted: pd.DataFrame,
    doses: DoseBalance | None,
) -> None:
    """Net benefit of each arm, what each arm adds to side effects, and the best dose."""
    from immunostat.study.weights import illustrative_words

    said = ", ".join(f"{name} {one.weight:g}" for name, one in own.items() if one.weight)
    heading(f"Weights: {said}")
    if not is_own:
        heading(illustrative_words())
    heading("")
    lines = [
        (
            row["arm"],
            _points(row["benefit"], row["benefit_low"], row["benefit_high"]),
            _points(row["harm"], row["harm_low"], row["harm_high"]),
            _points(row["net"], row["low"], row["high"]),
            f"{100 * row['best']:.0f} %",
        )
        for row in net.to_dict("records")
    ]
    columns = ("arm", "benefit", "harm", "net benefit", "best in draws")
    title = f"Weighted patients in 100, more than under {base} (95 % interval)"
    print_table(columns, lines, Format.TEXT, title)
    heading("")
    shown = counted[counted["difference"].abs() > 0]
    rows = [
        (
            row["arm"],
            row["outcome"],
            f"{100 * row['reference_share']:.3g} %",
            f"{100 * row['share']:.3g} %",
            "" if math.isnan(row["rate_difference"]) else f"{row['rate_difference']:+.3g}",
            row["needed"],
        )
        for row in shown.to_dict("records")
    ]
    names = ("arm", "outcome", base, "under the arm", "events per 100 patient-years", "patients")
    print_table(names, rows, Format.TEXT, f"Against {base}")
    if doses is not None:
        heading("")
        heading(_best_dose(doses))


def _points(value: float, low: float, high: float) -> str:
    if value == low == high == 0:
        return "0"
    return f"{100 * value:+.3g} ({100 * low:.3g} to {100 * high:.3g})"


def _best_dose(doses: DoseBalance) -> str:
    from immunostat.study.dose_balance import best_words

    return best_words(doses)


def _rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in table.itertuples(index=False)]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(k): (None if v != v else v) for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def _as_data(
    base: str,
    own: dict[str, Weight],
    parts: pd.DataFrame,
    net: pd.DataFrame,
    counted: pd.DataFrame,
    doses: DoseBalance | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "reference": base,
        "weights": {
            name: {"weight": one.weight}
            | ({"worst": one.worst, "best": one.best} if one.is_scaled else {})
            for name, one in own.items()
        },
        "net": _records(net),
        "parts": _records(parts),
        "needed": _records(counted),
    }
    if doses is not None:
        found["dose"] = {
            "best": doses.best,
            "low": doses.low,
            "high": doses.high,
            "net_at_best": doses.net_at_best,
            "share_at_highest": doses.at_highest,
            "share_at_lowest": doses.at_lowest,
            "arms": _records(doses.arms),
        }
    return found


def _write(
    result: Result,
    output: Path,
    base: str,
    own: dict[str, Weight],
    parts: pd.DataFrame,
    net: pd.DataFrame,
    counted: pd.DataFrame,
    doses: DoseBalance | None,
) -> None:
    """Tables, numbers and figures."""
    from immunostat.report import balance_figures, style

    output.mkdir(parents=True, exist_ok=True)
    tables = {"net": net, "parts": parts, "needed": counted}
    if doses is not None:
        tables |= {"dose-arms": doses.arms, "dose-curves": doses.curves}
    for name, table in tables.items():
        table.to_csv(output / f"{name}.csv", index=False, lineterminator="\n")
    text = json.dumps(_as_data(base, own, parts, net, counted, doses), indent=2, ensure_ascii=False)
    (output / "balance.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    style.save(balance_figures.quadrant(result, net, base), output / "quadrant.svg")
    style.save(balance_figures.value_tree(result, parts, net), output / "value-tree.svg")
    if doses is not None:
        style.save(balance_figures.dose_balance(doses), output / "dose-balance.svg")
    message(f"written to {shown_path(output)}")


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    text = (
        "Benefit and harm of each arm of a result on one scale, under weights that you set: a "
        "weight says how much one patient more with an outcome counts. Net benefit with its "
        "interval, what each outcome adds to it, patients for one more or one less of each side "
        "effect, and, of a dose-ranging study, the dose that weighs best."
        "\n\nExample:  immunostat balance results/demo --weight ACR50=1 --weight "
        "serious-infection=3"
        "\n\nExample:  immunostat balance results/doses --weights weights.yaml -o balance"
        f"\n\n{NOTICE}"
    )
    app.command("balance", help=text, rich_help_panel="Studies")(balance)
