"""SBML text read into an `OdeSystem` through libsbml's own formula trees.

What is not supported is refused by name, never approximated: events, delays, algebraic rules,
fast reactions, constraints, and packages that change the mathematics.

How names map: a species' name means what it means in SBML's formulas, its concentration, or its
amount if it has only substance units. So a bolus into a concentration state must be divided by
the volume. Where a compartment's size changes in time the state is the amount, called
``<species>__amount``, and the species' name is an assignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import symengine as se

from immunostat.base.errors import ModelError, Place
from immunostat.model.expressions import (
    RATE_OF,
    Expression,
    FormulaReader,
    free_names,
    number,
    substitute,
)
from immunostat.model.ordering import evaluation_order
from immunostat.model.system import TIME, OdeSystem

AMOUNT = "__amount"

#: Packages that do not change what a time course is (Extended Math is read).
HARMLESS_PACKAGES = frozenset({"layout", "render", "groups", "fbc", "annot", "l3v2extendedmath"})


def system_from_sbml(text: str, name: str, place_file: str | None = None) -> OdeSystem:
    """Read flat SBML.

    Parameters
    ----------
    text
        SBML of Level 2 or 3.
    name
        Name of the system.
    place_file
        File that messages name.

    Returns
    -------
    The system; each reaction's rate is an assignment under the reaction's name.

    Raises
    ------
    ModelError
        The text is not valid SBML, or uses what is not supported.
    """
    import libsbml

    document = libsbml.readSBMLFromString(text)
    place = Place(place_file) if place_file else None
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            where = Place(place_file, error.getLine()) if place_file else None
            raise ModelError(f"not valid SBML: {error.getMessage().strip()}", where)
    model = document.getModel()
    if model is None:
        raise ModelError("not valid SBML: there is no model", place)
    _refuse_unsupported(document, model, place)
    return _ModelReader(model, name, place).system()


def _refuse_unsupported(document: Any, model: Any, place: Place | None) -> None:
    """Raise for constructs that this reader would otherwise have to ignore."""
    found = [
        ("events", model.getNumEvents() > 0),
        ("algebraic rules", any(rule.isAlgebraic() for rule in model.getListOfRules())),
        ("fast reactions", any(r.isSetFast() and r.getFast() for r in model.getListOfReactions())),
        ("constraints", model.getNumConstraints() > 0),
    ]
    for i in range(document.getNumPlugins()):
        package = document.getPlugin(i).getPackageName()
        if package == "comp":
            plugin = model.getPlugin("comp")
            found.append(("submodels", plugin is not None and plugin.getNumSubmodels() > 0))
        elif package not in HARMLESS_PACKAGES:
            found.append((f"the package '{package}'", True))
    for what, is_there in found:
        if is_there:
            raise ModelError(
                f"the model uses {what}, which is not supported",
                place,
                "doses and changes of parameters belong in a schedule, not in the model",
            )


class _ModelReader:
    """Collects what a model's names mean, then builds the system."""

    def __init__(self, model: Any, name: str, place: Place | None) -> None:
        self.model, self.name, self.place = model, name, place
        self.rules: dict[str, Any] = {r.getVariable(): r for r in model.getListOfRules()}
        self.functions = {
            f.getId(): (
                [f.getArgument(i).getName() for i in range(f.getNumArguments())],
                f.getBody(),
            )
            for f in model.getListOfFunctionDefinitions()
        }
        self.formulas = FormulaReader(self._symbol, self.functions, place)
        self.known: set[str] = set()
        self.states: dict[str, Expression] = {}  # start value of each state
        self.rates: dict[str, Expression] = {}
        self.parameters: dict[str, float] = {}
        self.assignments: dict[str, Expression] = {}
        self.start: dict[str, Expression] = {}  # initial assignments, by name
        self.units: dict[str, str] = {}
        self.amount_rates: dict[str, list[Expression]] = {}
        self.reaction_locals: dict[str, dict[str, Expression]] = {}

    # names

    def _symbol(self, name: str) -> Expression:
        if name not in self.known:
            raise ModelError(f"the name '{name}' is not defined", self.place)
        return self._as_symbol(name)

    def _as_symbol(self, name: str) -> Expression:
        # 'time' is this package's symbol for time; an element of that id must not become it
        return se.Symbol(self._own(name))

    def _own(self, name: str) -> str:
        return f"{name}_" if name == TIME else name

    def _unique(self, name: str) -> str:
        while name in self.known:
            name += "_"
        self.known.add(name)
        return name

    # reading

    def system(self) -> OdeSystem:
        model = self.model
        self._collect_names()
        for assignment in model.getListOfInitialAssignments():
            target = assignment.getSymbol()
            if assignment.isSetMath():
                what = f"the initial assignment of '{target}'"
                self.start[self._own(target)] = self.formulas.read(assignment.getMath(), what)
        for compartment in model.getListOfCompartments():
            size = compartment.getSize() if compartment.isSetSize() else None
            if size is None and compartment.getLevel() == 2:
                size = 1.0  # Level 1's default; Level 2 leaves it open and models rely on it
            self._add_quantity(compartment.getId(), size, compartment.getUnits())
        for parameter in model.getListOfParameters():
            value = parameter.getValue() if parameter.isSetValue() else None
            self._add_quantity(parameter.getId(), value, parameter.getUnits())
        for reaction in model.getListOfReactions():
            self._add_stoichiometries(reaction)
        for species in model.getListOfSpecies():
            self._add_species(species)
        for reaction in model.getListOfReactions():
            self._add_reaction(reaction)
        for species in model.getListOfSpecies():
            self._finish_species(species)
        self._resolve_rates_of()
        return self._build()

    def _collect_names(self) -> None:
        model = self.model
        for group in (
            model.getListOfCompartments(),
            model.getListOfParameters(),
            model.getListOfSpecies(),
            model.getListOfReactions(),
        ):
            self.known.update(element.getId() for element in group)
        for reaction in model.getListOfReactions():
            for reference in [*reaction.getListOfReactants(), *reaction.getListOfProducts()]:
                if reference.isSetId():
                    self.known.add(reference.getId())

    def _rule(self, name: str) -> tuple[str, Expression] | None:
        """Kind of the rule of a name ('rate' or 'assignment') and its formula."""
        rule = self.rules.get(name)
        if rule is None or not rule.isSetMath():
            return None
        kind = "rate" if rule.isRate() else "assignment"
        return kind, self.formulas.read(rule.getMath(), f"the {kind} rule of '{name}'")

    def _add_quantity(self, sbml_id: str, value: float | None, unit: str = "") -> None:
        """A compartment, parameter or stoichiometry: constant, ruled, or with a rate."""
        name = self._own(sbml_id)
        if unit:
            self.units[name] = self._unit_name(unit)
        rule = self._rule(sbml_id)
        if rule is None:
            self.parameters[name] = np.nan if value is None else value
        elif rule[0] == "assignment":
            self.assignments[name] = rule[1]
        else:
            if value is None and name not in self.start:
                raise ModelError(
                    f"'{name}' has a rate but no initial value", self.place, f"add '{name} = ...'"
                )
            self.states[name] = self.start.get(name, number(value if value is not None else 0.0))
            self.rates[name] = rule[1]

    def _unit_name(self, unit: str) -> str:
        definition = self.model.getUnitDefinition(unit)
        return str(definition.getName()) if definition and definition.isSetName() else unit

    # species

    def _is_amount(self, species: Any) -> bool:
        compartment = self.model.getCompartment(species.getCompartment())
        points = compartment is not None and compartment.getSpatialDimensionsAsDouble() == 0
        return bool(species.getHasOnlySubstanceUnits() or points)

    def _has_fixed_volume(self, species: Any) -> bool:
        return self._own(species.getCompartment()) in self.parameters

    def _start_value(self, species: Any, as_amount: bool) -> Expression:
        """Start value of a species as amount or as what its name means."""
        name = self._own(species.getId())
        volume = self._as_symbol(species.getCompartment())
        means_amount = self._is_amount(species)
        if name in self.start:
            value, is_amount = self.start[name], means_amount
        elif species.isSetInitialAmount():
            value, is_amount = number(species.getInitialAmount()), True
        elif species.isSetInitialConcentration():
            value, is_amount = number(species.getInitialConcentration()), False
        else:
            raise ModelError(
                f"species '{name}' has no initial value", self.place, f"add '{name} = 0' or another"
            )
        wanted = as_amount or means_amount
        if wanted == is_amount:
            return value
        return value * volume if wanted else value / volume

    def _add_species(self, species: Any) -> None:
        name = self._own(species.getId())
        self._species_unit(species, name)
        rule = self._rule(species.getId())
        if rule is not None and rule[0] == "assignment":
            self.assignments[name] = rule[1]
            return
        if rule is not None:
            self.states[name] = self._start_value(species, False)
            self.rates[name] = rule[1]
            return
        changes = not species.getConstant() and not species.getBoundaryCondition()
        as_amount = not self._is_amount(species) and not self._has_fixed_volume(species)
        own = self._unique(name + AMOUNT) if as_amount else name
        start = self._start_value(species, as_amount)
        if as_amount:
            self.assignments[name] = se.Symbol(own) / self._as_symbol(species.getCompartment())
        if changes:
            self.states[own] = start
            self.amount_rates[species.getId()] = []
        elif getattr(start, "is_Number", False):
            self.parameters[own] = float(start)
        else:
            self.parameters[own] = np.nan
            self.start[own] = start

    def _species_unit(self, species: Any, name: str) -> None:
        substance = species.getSubstanceUnits() or self.model.getSubstanceUnits()
        if not substance:
            return
        unit = self._unit_name(substance)
        compartment = self.model.getCompartment(species.getCompartment())
        volume = compartment.getUnits() if compartment is not None else ""
        if not self._is_amount(species):
            if not volume:
                return
            unit = f"{unit}/{self._unit_name(volume)}"
        self.units[name] = unit

    def _finish_species(self, species: Any) -> None:
        """Rate of a species that reactions change."""
        terms = self.amount_rates.get(species.getId())
        if terms is None:
            return
        name = self._own(species.getId())
        total = se.Add(*terms) if terms else se.Integer(0)
        if name + AMOUNT in self.states and name in self.assignments:
            self.rates[name + AMOUNT] = total
        elif self._is_amount(species):
            self.rates[name] = total
        else:
            self.rates[name] = total / self._as_symbol(species.getCompartment())

    # reactions

    def _add_stoichiometries(self, reaction: Any) -> None:
        """Stoichiometries that have an id are quantities like parameters."""
        for reference in [*reaction.getListOfReactants(), *reaction.getListOfProducts()]:
            if reference.isSetId() and reference.getLevel() >= 3:
                value = reference.getStoichiometry() if reference.isSetStoichiometry() else None
                self._add_quantity(reference.getId(), value)

    def _stoichiometry(self, reference: Any, reaction: str) -> Expression:
        if reference.isSetId() and reference.getLevel() >= 3:
            return self._as_symbol(reference.getId())
        if reference.isSetStoichiometryMath():
            tree = reference.getStoichiometryMath().getMath()
            return self.formulas.read(tree, f"a stoichiometry of '{reaction}'")
        if reference.getLevel() >= 3 and not reference.isSetStoichiometry():
            raise ModelError(
                f"reaction '{reaction}': '{reference.getSpecies()}' has no stoichiometry",
                self.place,
            )
        return number(reference.getStoichiometry())

    def _conversion(self, species: Any) -> Expression:
        factor = species.getConversionFactor() if species.isSetConversionFactor() else ""
        factor = factor or (self.model.getConversionFactor() or "")
        return self._as_symbol(factor) if factor else se.Integer(1)

    def _add_reaction(self, reaction: Any) -> None:
        sbml_id = reaction.getId()
        name = self._own(sbml_id)
        law = reaction.getKineticLaw()
        references = [(r, -1) for r in reaction.getListOfReactants()]
        references += [(r, 1) for r in reaction.getListOfProducts()]
        changed = [r for r, _ in references if r.getSpecies() in self.amount_rates]
        if law is None or not law.isSetMath():
            if changed:
                raise ModelError(f"reaction '{name}' has no rate", self.place, "add a kinetic law")
            return
        local: dict[str, Expression] = {}
        for parameter in [*law.getListOfParameters(), *law.getListOfLocalParameters()]:
            if parameter.getId() in local:
                continue
            own = self._unique(f"{sbml_id}_{parameter.getId()}")
            self.parameters[own] = parameter.getValue() if parameter.isSetValue() else np.nan
            if parameter.getUnits():
                self.units[own] = self._unit_name(parameter.getUnits())
            local[parameter.getId()] = se.Symbol(own)
        rate = self.formulas.read(law.getMath(), f"the rate of reaction '{name}'", local)
        self.assignments[name] = rate
        flux = se.Symbol(name)
        for reference, sign in references:
            if reference.getSpecies() in self.amount_rates:
                amount = sign * self._stoichiometry(reference, name) * flux
                species = self.model.getSpecies(reference.getSpecies())
                self.amount_rates[species.getId()].append(amount * self._conversion(species))

    # building

    def _resolve_rates_of(self) -> None:
        """Give each `rateOf(x)` its value, as an assignment."""
        everything = [*self.assignments.values(), *self.rates.values(), *self.start.values()]
        asked = {n for e in everything for n in free_names(e) if n.startswith(RATE_OF)}
        for placeholder in sorted(asked):
            target = self._own(placeholder.removeprefix(RATE_OF))
            if target in self.rates:
                self.assignments[placeholder] = self.rates[target]
            elif target in self.parameters:
                self.assignments[placeholder] = se.Integer(0)
            else:
                raise ModelError(
                    f"rateOf({target}) is not supported: '{target}' follows from an assignment",
                    self.place,
                )

    def _at_start(self) -> tuple[dict[str, Expression], list[tuple[str, Expression]]]:
        """Value of every state at time zero, and derived parameters in order."""
        derived = {name: e for name, e in self.start.items() if name in self.parameters}
        states = {name: self.start.get(name, e) for name, e in self.states.items()}
        definitions = {**self.assignments, **states, **derived}
        order = evaluation_order(definitions, "initial values", self.place)
        values: dict[str, Expression] = {TIME: se.Integer(0)}
        ordered: list[tuple[str, Expression]] = []
        for name in order:
            value = substitute(definitions[name], values)
            if name in derived:
                ordered.append((name, value))
            else:
                values[name] = value
        return values, ordered

    def _build(self) -> OdeSystem:
        # an initial assignment of a name with an assignment rule is forbidden by SBML
        values, derived = self._at_start()
        order = evaluation_order(self.assignments, "assignments", self.place)
        derived_values = _numeric_defaults(self.parameters, derived)
        return OdeSystem(
            name=self.name,
            states=tuple(self.states),
            parameters=tuple(self.parameters),
            defaults=np.array([derived_values[p] for p in self.parameters], dtype=np.float64),
            initial=tuple(values[name] for name in self.states),
            assignments=tuple((name, self.assignments[name]) for name in order),
            rates=tuple(self.rates[name] for name in self.states),
            derived_parameters=tuple(derived),
            units=self.units,
        )


def _numeric_defaults(
    parameters: Mapping[str, float], derived: list[tuple[str, Expression]]
) -> dict[str, float]:
    """Default of each parameter, derived ones computed from the others."""
    values = dict(parameters)
    for name, expression in derived:
        known = {n: se.RealDouble(values[n]) for n in free_names(expression) if n in values}
        result = substitute(expression, known)
        try:
            values[name] = float(result.n(real=True))
        except (RuntimeError, TypeError, ValueError):
            values[name] = np.nan  # depends on a parameter that has no default
    return values
