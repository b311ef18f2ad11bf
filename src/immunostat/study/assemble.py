"""Join the immune core, a situation and drugs into one system of equations.

Everything is written as Antimony and joined by Antimony's own modules: a drug's concentration
enters the sum at its targets' hooks, the hooks are ports of the core, signals of the core are
ports of the situation, and variables of the situation may drive ports of the core (antigen,
danger, infected cells). A drug has no way to a state of the disease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from immunostat.base.errors import InputError, near_matches, shown_path
from immunostat.base.facts import Fact
from immunostat.catalog.cards import TargetCard
from immunostat.catalog.fragments import FOLDER, joined_module
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import CoreCard, ModelParameterCard, SituationCard
from immunostat.model.antimony import Fragment, joined_system
from immunostat.model.passing import passed_on
from immunostat.model.system import OdeSystem
from immunostat.study.untreated import Untreated, check_untreated, needs_joined, untreated_of
from immunostat.therapy.drug import Drug, Pk, TargetAction

CORE = "core"
DISEASE = "disease"


@dataclass(frozen=True)
class Hook:
    """A drug at a target: names in the joined model and the numbers they take."""

    drug: str
    target: str
    concentration: str
    dissociation: str
    fact: Fact
    value: float
    action: TargetAction


@dataclass(frozen=True)
class Assembly:
    """A joined model.

    Parameters
    ----------
    core_system
        The core alone.
    untreated
        The model in which the untreated patient is found, and how.
    system
        Core, situation and drugs.
    antimony
        The text that joins them, for people.
    defaults
        Value of each parameter that is the same in every patient, in internal units.
    varied
        Cards of the parameters in which patients may differ, by name in the joined model.
    hooks
        Which drug acts on which target.
    drugs
        Names of the drugs that are part of the model.
    """

    core_system: OdeSystem
    untreated: Untreated
    system: OdeSystem
    antimony: str
    sbml: str
    defaults: Mapping[str, float]
    varied: Mapping[str, ModelParameterCard]
    hooks: tuple[Hook, ...]
    drugs: tuple[str, ...]


def hooks_of(drugs: Sequence[Drug], targets: Mapping[str, TargetCard]) -> tuple[Hook, ...]:
    """Every pair of drug and target that acts, with the names it has in the joined model.

    Raises
    ------
    InputError
        None of a drug's targets is part of the immune core.
    """
    found = []
    for drug in drugs:
        if drug.pk is None:
            continue
        own = []
        for target, action in drug.targets.items():
            if action.affinity is None or action.fact is None or targets[target].hook is None:
                continue
            own.append(
                Hook(
                    drug.name,
                    target,
                    f"{drug.prefix}_{drug.pk.concentration}",
                    f"{drug.prefix}_{target}_dissociation",
                    action.fact,
                    action.affinity,
                    action,
                )
            )
        if drug.targets and not own:
            _refuse(drug, targets)
        found += own
    return tuple(found)


def _refuse(drug: Drug, targets: Mapping[str, TargetCard]) -> NoReturn:
    """A drug that would do nothing is not simulated as if it did nothing."""
    reasons = [
        f"{name} ({targets[name].title}) "
        + (
            "is not part of the immune core yet"
            if targets[name].hook is None
            else "has no affinity"
        )
        for name in drug.targets
    ]
    raise InputError(
        f"{drug.name} cannot be simulated in a situation: its target {'; '.join(reasons)}",
        remedy=f'its concentrations can: immunostat pk {drug.name} --dose "..."',
    )


def binding_term(hook: Hook) -> str:
    """What a drug adds to its hook: free concentration over dissociation constant.

    With a largest effect m below 1 and a slope, it is the x for which 1/(1 + x) is what the drug
    leaves: 1 - m*y/(1 + y), with y = (free concentration/constant)^slope.
    """
    action = hook.action
    ratio = f"{hook.concentration}/{hook.dissociation}"
    if action.fraction_unbound != 1.0:
        ratio = f"{action.fraction_unbound!r}*{ratio}"
    if action.hill != 1.0:
        ratio = f"({ratio})^{action.hill!r}"
    if action.maximum is not None and action.maximum < 1.0:
        ratio = f"{action.maximum!r}*({ratio})/(1 + {1.0 - action.maximum!r}*({ratio}))"
    return ratio


def untreated_text(core: CoreCard, situation: SituationCard) -> str:
    """Antimony of a study's model without drugs.

    These are `untreated`, the core alone; and, where the untreated patient is found in core and
    situation together, `entry`.
    """
    ports = ", ".join(core.ports)
    lines = ["model untreated()", f"  var {ports};", *(f"  {port} = 0;" for port in core.ports)]
    lines += [f"  {CORE}: {core.module}({ports});", "end", ""]
    if needs_joined(situation):
        lines += ["model entry()", *_joining_lines(core, situation, {}, (), ()), "end", ""]
    return "\n".join(lines)


def joining_text(
    core: CoreCard,
    situation: SituationCard,
    targets: Mapping[str, TargetCard],
    drugs: Sequence[Drug],
) -> str:
    """Antimony of the main module `study`, after that of what it is without drugs."""
    lines = [untreated_text(core, situation), "model study()"]
    lines += _joining_lines(core, situation, targets, drugs, hooks_of(drugs, targets))
    return "\n".join([*lines, "end", ""])


def _joining_lines(
    core: CoreCard,
    situation: SituationCard,
    targets: Mapping[str, TargetCard],
    drugs: Sequence[Drug],
    hooks: Sequence[Hook],
) -> list[str]:
    """Body of a module that joins core, situation and drugs.

    What the situation drives has a name of its own (``disease_danger``), which the port of the
    core follows: were it the port itself, the core's own value for the port would win.
    """
    ports = ", ".join(core.ports)
    lines = [f"  var {ports};"]
    for drug in drugs:
        lines += kinetics_lines(drug)
    for port in core.ports:
        terms = [f"{DISEASE}_{port}"] if port in situation.drives else []
        terms += [binding_term(hook) for hook in hooks if targets[hook.target].hook == port]
        lines.append(f"  {port} := {' + '.join(terms)};" if terms else f"  {port} = 0;")
    for hook in hooks:
        if targets[hook.target].hook not in core.ports:
            raise InputError(
                f"target '{hook.target}' acts on '{targets[hook.target].hook}', which is no port "
                f"of core '{core.name}'"
            )
        lines.append(f"  {hook.dissociation} = {hook.value!r};  // nmol/L")
    lines.append(f"  {CORE}: {core.module}({ports});")
    lines += [f"  var {DISEASE}_{port};" for port in situation.drives]
    own = (f"{DISEASE}_{port}" if port in situation.drives else port for port in situation.ports)
    lines.append(f"  {DISEASE}: {situation.module}({', '.join(own)});")
    for drug in drugs:
        if drug.pk is not None:
            lines += _followed(drug.prefix, drug.pk)
    return lines


def kinetics_lines(drug: Drug) -> list[str]:
    """Lines that put the kinetics of a drug into a model; what it lets others read is named."""
    if drug.pk is None:
        return []
    signals = ", ".join(f"{drug.prefix}_{signal}" for signal in drug.pk.signals)
    return [f"  var {signals};", f"  {drug.prefix}: {drug.pk.model}({signals});"]


def with_depots(system: OdeSystem, drugs: Sequence[Drug]) -> OdeSystem:
    """The system, told which amounts of a drug only go into another, as from a depot."""
    pairs: dict[str, str] = {}
    for drug in drugs:
        if drug.pk is not None:
            amounts = [name for name in system.states if name.startswith(f"{drug.prefix}_")]
            seen = [f"{drug.prefix}_{signal}" for signal in drug.pk.signals]
            pairs |= passed_on(system, amounts, seen)
    return replace(system, passed_on=pairs)


#: What a parameter is called whose value is only the start of what it is in time.
TYPICAL = "typical"


def _followed(prefix: str, pk: Pk) -> list[str]:
    """Lines by which parameters of a drug follow outputs of the model in time.

    The patient's own value then goes to ``<drug>_<parameter>_typical``.
    """
    lines = []
    for name, parameter in pk.parameters.items():
        effects = [effect for effect in parameter.covariates if effect.follows]
        if not effects:
            continue
        own = f"{prefix}_{name}_{TYPICAL}"
        for effect in effects:
            # A submodel's variable can be read by its parent once the two share a name.
            lines.append(f"  {effect.follows.replace('.', '_')} is {effect.follows};")
        factors = [f"({e.follows.replace('.', '_')}/{e.reference!r})^{e.effect!r}" for e in effects]
        lines.append(f"  {own} = {parameter.value!r};")
        lines.append(f"  {prefix}.{name} := {' * '.join([own, *factors])};")
    return lines


def kinetics_text(catalog: Catalog, drugs: Sequence[Drug]) -> list[Fragment]:
    """Antimony that holds the kinetic modules of the drugs, each module once."""
    kinetics = {drug.pk.model: drug.pk for drug in drugs if drug.pk}
    names = {name for pk in kinetics.values() for name in pk.fragments}
    paths = [f"{FOLDER}/{name}.ant" for name in sorted(names)]
    paths += [f"models/pk/{name}.ant" for name, pk in sorted(kinetics.items()) if not pk.fragments]
    found = [Fragment(text, shown_path(file)) for text, file in map(catalog.text, paths)]
    for model, pk in sorted(kinetics.items()):
        if pk.fragments:
            found.append(Fragment(joined_module(catalog, pk.fragments), model))
    return found


def name_of_own(name: str, core: CoreCard, situation: SituationCard) -> str:
    """Name in the joined model of a parameter of a situation.

    It belongs to its module, is the value of a port, or, written ``core_NAME``, is a number of the
    core that is a trait of the patients of this situation, such as whether they make autoantibody.
    """
    is_port = name in core.ports and name not in situation.drives
    is_of_core = name.removeprefix(f"{CORE}_") in core.parameters and name.startswith(f"{CORE}_")
    return name if is_port or is_of_core else f"{DISEASE}_{name}"


def assemble(catalog: Catalog, situation: SituationCard, drugs: Sequence[Drug]) -> Assembly:
    """Join core, situation and drugs.

    Parameters
    ----------
    catalog
        Where fragments and target cards are found.
    situation
        The disease.
    drugs
        Every drug of the study, once.

    Raises
    ------
    ModelError
        A fragment is not valid Antimony; the message names its file and line.
    InputError
        A drug acts on a target that the core has no hook for.
    """
    core = catalog.core(situation.core)
    names = {target for drug in drugs for target in drug.targets}
    targets = {name: catalog.target(name) for name in sorted(names)}

    for port in situation.drives:
        if port not in core.ports:
            place = catalog.place(f"situations/{situation.name}", "ports")
            remedy = near_matches(port, core.ports)
            raise InputError(f"'{port}' is no port of core '{core.name}'", place, remedy)
    paths = [core.fragment, situation.fragment]
    main = joining_text(core, situation, targets, drugs)
    immune = [Fragment(text, shown_path(file)) for text, file in map(catalog.text, paths)]
    whole = (*immune, *kinetics_text(catalog, drugs), Fragment(main, "joined model"))
    # Without the drugs, so that studies of a situation share it whatever they give.
    without = (*immune, Fragment(untreated_text(core, situation), "joined model"))

    sbml, system = joined_system(whole, "study", situation.name)
    system = with_depots(system, drugs)
    _, core_system = joined_system(without, "untreated", f"{situation.name}-untreated")
    joined = None
    if needs_joined(situation):
        _, joined = joined_system(without, "entry", f"{situation.name}-entry")
    untreated = untreated_of(situation, core_system, joined)
    check_untreated(catalog, situation, untreated, system)

    defaults: dict[str, float] = {}
    varied: dict[str, ModelParameterCard] = {}

    def take(own: str, card: ModelParameterCard, name: str, path: str) -> None:
        if own not in system.parameters:
            place = catalog.place(path, f"parameters.{name}")
            raise InputError(f"'{name}' is no parameter of the model", place)
        defaults[own] = card.value
        if card.spread is not None or card.covariates:
            varied[own] = card

    for name, card in core.parameters.items():
        take(f"{CORE}_{name}", card, name, f"core/{core.name}")
    for name, card in situation.parameters.items():
        take(name_of_own(name, core, situation), card, name, f"situations/{situation.name}")
    for target in map(catalog.target, catalog.targets()):
        own = f"{CORE}_{target.hook}_partition"
        if "tissue_partition" in target.parameters and own in system.parameters:
            defaults[own] = target.parameters["tissue_partition"].value
    hooks = hooks_of(drugs, targets)
    names_of_drugs = tuple(drug.name for drug in drugs)
    return Assembly(
        core_system, untreated, system, main, sbml, defaults, varied, hooks, names_of_drugs
    )
