"""Join the immune core, a situation and drugs into one system of equations.

Everything is written as Antimony and joined by Antimony's own modules: a drug's concentration
enters the sum at its targets' hooks, the hooks are ports of the core, signals of the core are
ports of the situation. A drug has no way to a state of the disease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from immunostat.base.errors import InputError, shown_path
from immunostat.base.facts import Fact
from immunostat.catalog.cards import TargetCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import CoreCard, ModelParameterCard, SituationCard
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import OdeSystem
from immunostat.therapy.drug import Drug, Pk

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


@dataclass(frozen=True)
class Assembly:
    """A joined model.

    Parameters
    ----------
    core_system
        The core under the situation's antigen alone: the untreated disease.
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
    """

    core_system: OdeSystem
    system: OdeSystem
    antimony: str
    sbml: str
    defaults: Mapping[str, float]
    varied: Mapping[str, ModelParameterCard]
    hooks: tuple[Hook, ...]


def hooks_of(drugs: Sequence[Drug]) -> tuple[Hook, ...]:
    """Every pair of drug and target, with the names it has in the joined model."""
    found = []
    for drug in drugs:
        for target, action in drug.targets.items():
            if drug.pk is None or action.affinity is None or action.fact is None:
                continue
            found.append(
                Hook(
                    drug.name,
                    target,
                    f"{drug.prefix}_{drug.pk.concentration}",
                    f"{drug.prefix}_{target}_dissociation",
                    action.fact,
                    action.affinity,
                )
            )
    return tuple(found)


def joining_text(
    core: CoreCard,
    situation: SituationCard,
    targets: Mapping[str, TargetCard],
    drugs: Sequence[Drug],
) -> str:
    """Antimony of the main module `study`, and of `untreated`, the core alone."""
    hooks = hooks_of(drugs)
    ports = ", ".join(core.ports)
    lines = ["model untreated()", f"  var {ports};", *(f"  {port} = 0;" for port in core.ports)]
    lines += [f"  {CORE}: {core.module}({ports});", "end", ""]
    lines += ["model study()", f"  var {ports};"]
    for drug in drugs:
        if drug.pk is not None:
            concentration = f"{drug.prefix}_{drug.pk.concentration}"
            lines.append(f"  var {concentration};")
            lines.append(f"  {drug.prefix}: {drug.pk.model}({concentration});")
    for port in core.ports:
        terms = [
            f"{hook.concentration}/{hook.dissociation}"
            for hook in hooks
            if targets[hook.target].hook == port
        ]
        lines.append(f"  {port} := {' + '.join(terms)};" if terms else f"  {port} = 0;")
    for hook in hooks:
        if targets[hook.target].hook not in core.ports:
            raise InputError(
                f"target '{hook.target}' acts on '{targets[hook.target].hook}', which is no port "
                f"of core '{core.name}'"
            )
        lines.append(f"  {hook.dissociation} = {hook.value!r};  // nmol/L")
    lines.append(f"  {CORE}: {core.module}({ports});")
    lines.append(f"  {DISEASE}: {situation.module}({', '.join(situation.ports)});")
    for drug in drugs:
        if drug.pk is not None:
            lines += _followed(drug.prefix, drug.pk)
    return "\n".join([*lines, "end", ""])


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

    paths = [core.fragment, situation.fragment]
    paths += [
        f"models/pk/{model}.ant" for model in sorted({drug.pk.model for drug in drugs if drug.pk})
    ]
    main = joining_text(core, situation, targets, drugs)
    fragments = [Fragment(text, shown_path(file)) for text, file in map(catalog.text, paths)]
    fragments.append(Fragment(main, "joined model"))

    sbml = flatten(fragments, "study")
    system = system_from_sbml(sbml, situation.name)
    core_system = system_from_sbml(flatten(fragments, "untreated"), f"{situation.name}-untreated")

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
        own = name if name in core.ports else f"{DISEASE}_{name}"
        take(own, card, name, f"situations/{situation.name}")
    for target in map(catalog.target, catalog.targets()):
        own = f"{CORE}_{target.hook}_partition"
        if "tissue_partition" in target.parameters and own in system.parameters:
            defaults[own] = target.parameters["tissue_partition"].value
    hooks = hooks_of(drugs)
    return Assembly(core_system, system, main, sbml, defaults, varied, hooks)
