"""A flat libsbml model read into an `OdeSystem`.

How names map: a species' name means what it means in SBML's formulas, its concentration, or its
amount if it has only substance units. So a bolus into a concentration state must be divided by
the volume. Where a compartment's size can change (by a rule, a rate or an event) the state is the
amount, called ``<species>__amount``, and the species' name is an assignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import symengine as se

from immunostat.base.errors import ModelError, Place
from immunostat.model.algebraic import solve_algebraic
from immunostat.model.expressions import (
    RATE_OF,
    Expression,
    FormulaReader,
    free_names,
    number,
    substitute,
)
from immunostat.model.ordering import evaluation_order
from immunostat.model.rates_of import resolve_rates_of
from immunostat.model.sbml_events import event_targets, read_events
from immunostat.model.sbml_units import (
    extent_unit,
    ratio,
    substance_unit,
    time_unit,
    unit_text,
    volume_unit,
)
from immunostat.model.system import TIME, Delay, OdeSystem, StateEvent

AMOUNT = "__amount"


class ModelReader:
    """Collects what a model's names mean, then builds the system."""

    def __init__(
        self, model: Any, name: str, place: Place | None, notes: tuple[str, ...] = ()
    ) -> None:
        self.model, self.name, self.place, self.notes = model, name, place, notes
        self.rules: dict[str, Any] = {
            r.getVariable(): r for r in model.getListOfRules() if not r.isAlgebraic()
        }
        self.algebraic: dict[str, Expression] = {}  # assignments that algebraic rules amount to
        self.set_by_events = event_targets(model)
        self.delays: dict[tuple[Expression, Expression], str] = {}
        self.before: tuple[tuple[str, Expression], ...] = ()
        self.functions = {
            f.getId(): (
                [f.getArgument(i).getName() for i in range(f.getNumArguments())],
                f.getBody(),
            )
            for f in model.getListOfFunctionDefinitions()
        }
        self.formulas = FormulaReader(self._symbol, self.functions, place, self._delayed)
        self.known: set[str] = set()
        self.states: dict[str, Expression] = {}  # start value of each state
        self.rates: dict[str, Expression] = {}
        self.parameters: dict[str, float] = {}
        self.assignments: dict[str, Expression] = {}
        self.start: dict[str, Expression] = {}  # initial assignments, by name
        self.units: dict[str, str] = {}
        self.amount_rates: dict[str, list[Expression]] = {}

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

    def _delayed(self, value: Expression, by: Expression) -> Expression:
        """Symbol for the value that a formula had some time ago."""
        if by == 0:
            return value
        if (value, by) not in self.delays:
            self.delays[value, by] = self._unique(f"delayed_{len(self.delays) + 1}")
        return se.Symbol(self.delays[value, by])

    # reading

    def system(self) -> OdeSystem:
        model = self.model
        self._collect_names()
        self._solve_algebraic()
        for assignment in model.getListOfInitialAssignments():
            target = assignment.getSymbol()
            if assignment.isSetMath():
                what = f"the initial assignment of '{target}'"
                self.start[self._own(target)] = self.formulas.read(assignment.getMath(), what)
        for compartment in model.getListOfCompartments():
            size = compartment.getSize() if compartment.isSetSize() else None
            if size is None and compartment.getLevel() == 2:
                size = 1.0  # Level 1's default; Level 2 leaves it open and models rely on it
            self._add_quantity(compartment.getId(), size)
            unit = volume_unit(model, compartment)
            if unit:
                self.units[self._own(compartment.getId())] = unit
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
        unit = time_unit(model)
        if unit:
            self.units[TIME] = unit
        events = read_events(model, self.formulas, self._event_target)
        self._resolve_rates_of(events)
        return self._build(events)

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

    def _solve_algebraic(self) -> None:
        """Turn algebraic rules into assignments."""
        rules = [
            self.formulas.read(rule.getMath(), "an algebraic rule")
            for rule in self.model.getListOfRules()
            if rule.isAlgebraic() and rule.isSetMath()
        ]
        if not rules:
            return
        model = self.model
        changed = {
            reference.getSpecies()
            for reaction in model.getListOfReactions()
            for reference in [*reaction.getListOfReactants(), *reaction.getListOfProducts()]
        }
        fixed = {s.getId() for s in model.getListOfSpecies() if s.getBoundaryCondition()}
        free = [
            self._own(element.getId())
            for group in (
                model.getListOfParameters(),
                model.getListOfSpecies(),
                model.getListOfCompartments(),
            )
            for element in group
            if not element.getConstant()
            and element.getId() not in self.rules
            and element.getId() not in changed - fixed
        ]
        for reaction in model.getListOfReactions():
            for reference in [*reaction.getListOfReactants(), *reaction.getListOfProducts()]:
                is_free = reference.getLevel() >= 3 and not reference.getConstant()
                if reference.isSetId() and is_free and reference.getId() not in self.rules:
                    free.append(self._own(reference.getId()))
        by_events = {self._own(name) for name in self.set_by_events}
        self.algebraic = solve_algebraic(rules, free, by_events, self.place)

    def _rule(self, name: str) -> tuple[str, Expression] | None:
        """Kind of the rule of a name ('rate' or 'assignment') and its formula."""
        if self._own(name) in self.algebraic:
            return "assignment", self.algebraic[self._own(name)]
        rule = self.rules.get(name)
        if rule is None or not rule.isSetMath():
            return None
        kind = "rate" if rule.isRate() else "assignment"
        return kind, self.formulas.read(rule.getMath(), f"the {kind} rule of '{name}'")

    def _add_quantity(self, sbml_id: str, value: float | None, unit: str = "") -> None:
        """A compartment, parameter or stoichiometry: constant, ruled, or with a rate."""
        name = self._own(sbml_id)
        if unit:
            self.units[name] = unit_text(self.model, unit)
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

    # species

    def _is_amount(self, species: Any) -> bool:
        compartment = self.model.getCompartment(species.getCompartment())
        points = compartment is not None and compartment.getSpatialDimensionsAsDouble() == 0
        return bool(species.getHasOnlySubstanceUnits() or points)

    def _has_fixed_volume(self, species: Any) -> bool:
        compartment = self.model.getCompartment(species.getCompartment())
        name = self._own(species.getCompartment())
        is_known = compartment.isSetSize() or compartment.getLevel() == 2 or name in self.start
        return (
            name in self.parameters and is_known and compartment.getId() not in self.set_by_events
        )

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
        compartment = self.model.getCompartment(species.getCompartment())
        unit = substance_unit(self.model, species)
        if not self._is_amount(species):
            unit = ratio(unit, volume_unit(self.model, compartment))
        if unit:
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
                self.units[own] = unit_text(self.model, parameter.getUnits())
            local[parameter.getId()] = se.Symbol(own)
        rate = self.formulas.read(law.getMath(), f"the rate of reaction '{name}'", local)
        self.assignments[name] = rate
        unit = ratio(extent_unit(self.model), time_unit(self.model))
        if unit:
            self.units[name] = unit
        flux = se.Symbol(name)
        for reference, sign in references:
            if reference.getSpecies() in self.amount_rates:
                amount = sign * self._stoichiometry(reference, name) * flux
                species = self.model.getSpecies(reference.getSpecies())
                self.amount_rates[species.getId()].append(amount * self._conversion(species))

    # building

    def _event_target(self, sbml_id: str) -> tuple[str, Expression | None] | None:
        """State or parameter that an event sets by an id; see `sbml_events.Target`."""
        name = self._own(sbml_id)
        if name in self.states or name in self.parameters:
            return name, None
        own = name + AMOUNT
        if own in self.states or own in self.parameters:
            species = self.model.getSpecies(sbml_id)
            return own, self._as_symbol(species.getCompartment())
        if name in self.assignments:
            raise ModelError(f"an event sets '{name}', which a rule determines", self.place)
        return None

    def _resolve_rates_of(self, events: tuple[StateEvent, ...]) -> None:
        """Give each `rateOf(x)` its value, as an assignment."""
        formulas = [*self.assignments.values(), *self.rates.values(), *self.start.values()]
        formulas += [part for pair in self.delays for part in pair]
        for event in events:
            formulas += [event.trigger, event.delay, event.priority]
            formulas += [assignment.value for assignment in event.assignments]
        own = {RATE_OF + name: self._own(name) for name in self.known}
        delayed = set(self.delays.values())
        self.assignments |= resolve_rates_of(
            formulas, self.rates, self.assignments, own, delayed, self.place
        )

    def _at_start(self) -> tuple[dict[str, Expression], list[tuple[str, Expression]]]:
        """Value of every state at time zero, and derived parameters in order."""
        derived = {name: e for name, e in self.start.items() if name in self.parameters}
        states = {name: self.start.get(name, e) for name, e in self.states.items()}
        # before the start, a value was what it is at the start
        past = {name: value for (value, _), name in self.delays.items()}
        definitions = {**self.assignments, **states, **derived, **past}
        order = evaluation_order(definitions, "initial values", self.place)
        values: dict[str, Expression] = {TIME: se.Integer(0)}
        ordered: list[tuple[str, Expression]] = []
        timed: dict[str, Expression] = {}
        for name in order:
            value = substitute(definitions[name], values)
            if TIME in free_names(written := substitute(definitions[name], timed)):
                timed[name] = written
            if name in derived:
                ordered.append((name, value))
            else:
                values[name] = value
        quantities = self.states.keys() | derived.keys()
        self.before = tuple((name, timed[name]) for name in timed if name in quantities)
        return values, ordered

    def _build(self, events: tuple[StateEvent, ...]) -> OdeSystem:
        # an initial assignment of a name with an assignment rule is forbidden by SBML
        values, derived = self._at_start()
        delays = tuple(Delay(name, value, by) for (value, by), name in self.delays.items())
        # a delayed value needs the length of its delay, not the value itself
        lengths = {delay.name: delay.by for delay in delays}
        order = evaluation_order({**lengths, **self.assignments}, "assignments", self.place)
        order = [name for name in order if name not in lengths]
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
            events=events,
            delays=delays,
            before=self.before if delays else (),
            notes=self.notes,
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
