"""Cards to the nouns of the layers below: every number in its inside unit, with its fact."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from types import MappingProxyType

import numpy as np

from immunostat.base.errors import InputError, Place, RangeError, UnitError
from immunostat.base.facts import Fact
from immunostat.base.units import COVARIATE_UNITS, INSIDE, Measure, convert, to_internal
from immunostat.catalog.cards import CovariateCard, FactCard, all_facts
from immunostat.catalog.drug_cards import (
    DrugCard,
    ParameterCard,
    PkCard,
    RouteCard,
    TargetActionCard,
)
from immunostat.catalog.fragments import (
    FragmentCard,
    chosen,
    fit_fragments,
    module_name,
    signals_of,
)
from immunostat.catalog.reader import Document
from immunostat.therapy.drug import (
    CovariateEffect,
    Drug,
    EffectForm,
    LabelRegimen,
    Pk,
    PkParameter,
    Route,
    TargetAction,
    covariance_root,
)

#: Kinds that are told by their unit alone, tried in this order for a model of the drug's own.
_KINDS_BY_UNIT = (
    *("rate", "volume", "clearance", "duration", "concentration", "amount_rate", "amount", "none"),
)


def _kind(name: str, unit: str, molar_mass: float, place: Place) -> str:
    """Kind of a parameter that no fragment has, told by its unit."""
    for kind in _KINDS_BY_UNIT:
        try:
            to_internal(1.0, unit, kind, molar_mass)
        except UnitError:
            continue
        return kind
    raise UnitError(
        f"{name} has unit '{unit}', which no kinetic parameter has",
        place,
        f"known: {', '.join(INSIDE[kind][0] for kind in _KINDS_BY_UNIT)}",
    )


def _covariate_effect(
    card: CovariateCard, name: str, place: Place, reference_place: Place
) -> CovariateEffect:
    unit, reference = COVARIATE_UNITS.get(card.covariate, "1"), 0.0
    if card.reference is not None:
        unit = COVARIATE_UNITS.get(card.covariate, card.reference.unit)
        reference = convert(
            card.reference.value,
            card.reference.unit,
            unit,
            what=f"reference of {card.covariate}",
            place=reference_place,
        )
    fact = card.fact(name, card.effect, "1", place)
    return CovariateEffect(
        card.covariate,
        EffectForm(card.form),
        card.effect,
        reference,
        unit,
        fact,
        follows=card.follows or "",
    )


def _parameter(
    name: str,
    card: ParameterCard,
    path: tuple[str, ...],
    document: Document,
    molar_mass: float,
    kind: str | None = None,
) -> PkParameter:
    place, dotted = document.place(path), ".".join(path)
    unit_place = document.place((*path, "unit"))
    is_signed = kind == "signed"
    kind = "none" if is_signed else kind or _kind(name, card.unit, molar_mass, unit_place)
    if card.value < 0 and not is_signed:
        raise InputError(
            f"{dotted} is {card.value:g}, below zero",
            document.place((*path, "value")),
            "a kinetic parameter is 0 or above",
        )
    value = to_internal(card.value, card.unit, kind, molar_mass, what=name, place=unit_place)
    variance = 0.0
    if card.spread and card.spread.lognormal_variance is not None:
        variance = card.spread.lognormal_variance
    elif card.spread and card.spread.lognormal_cv is not None:
        variance = log(1.0 + card.spread.lognormal_cv**2)
    elif card.spread and card.spread.normal_variance is not None:
        variance = card.spread.normal_variance * to_internal(1.0, card.unit, kind, molar_mass) ** 2
    effects = tuple(
        _covariate_effect(
            effect,
            f"{dotted}.covariates.{effect.covariate}",
            document.place((*path, "covariates", i)),
            document.place((*path, "covariates", i, "reference")),
        )
        for i, effect in enumerate(card.covariates)
    )
    fact = card.to_fact(dotted, place)
    is_normal = card.spread is not None and card.spread.normal_variance is not None
    return PkParameter(name, value, INSIDE[kind][0], fact, variance, effects, is_normal)


def _route(name: str, card: RouteCard, document: Document, molar_mass: float) -> Route:
    path = ("pk", "routes", name)
    over_day, over_fact, bioavailability = 0.0, None, None
    lag_day, lag_fact = 0.0, None
    if card.lag:
        lag_fact = card.lag.to_fact(f"pk.routes.{name}.lag", document.place((*path, "lag")))
        lag_day = to_internal(
            card.lag.value, card.lag.unit, "duration", what="lag", place=lag_fact.place
        )
    if card.over:
        over_fact = card.over.to_fact(f"pk.routes.{name}.over", document.place((*path, "over")))
        over_day = to_internal(
            card.over.value, card.over.unit, "duration", what="over", place=over_fact.place
        )
    if card.bioavailability:
        bioavailability = _parameter(
            "bioavailability",
            card.bioavailability,
            (*path, "bioavailability"),
            document,
            molar_mass,
            "none",
        )
    for what, day, fact in (("over", over_day, over_fact), ("lag", lag_day, lag_fact)):
        if day < 0:
            raise InputError(
                f"{what} of route '{name}' is below zero",
                fact.place if fact else None,
                "a time is 0 or above",
            )
    return Route(name, card.into, over_day, bioavailability, over_fact, lag_day, lag_fact)


def _pk(
    card: PkCard, document: Document, molar_mass: float, fragments: Mapping[str, FragmentCard]
) -> Pk:
    kinds = fit_fragments(card, document, fragments) if card.fragments else {}
    measured, measured_fact = molar_mass, None
    if card.concentration_molar_mass:
        path: tuple[str, ...] = ("pk", "concentration_molar_mass")
        measured_fact = card.concentration_molar_mass.to_fact(".".join(path), document.place(path))
        measured = to_internal(
            measured_fact.value,
            measured_fact.unit,
            "molar_mass",
            what="concentration_molar_mass",
            place=measured_fact.place,
        )
    parameters = {
        name: _parameter(
            name,
            parameter,
            ("pk", "parameters", name),
            document,
            measured,
            kinds[name][0] if name in kinds else None,
        )
        for name, parameter in card.parameters.items()
    }
    index = {name: i for i, name in enumerate(parameters)}
    covariance = np.diag([parameter.log_variance for parameter in parameters.values()])
    for pair in card.correlations:
        a, b = (index[name] for name in pair.of)
        covariance[a, b] = covariance[b, a] = pair.covariance
    try:
        covariance_root(covariance)
    except RangeError as error:
        raise InputError(
            str(error),
            document.place(("pk", "correlations")),
            "check the covariances against the variances of the parameters",
        ) from None
    additive, additive_fact = 0.0, None
    if card.residual_error.additive:
        path = ("pk", "residual_error", "additive")
        additive_fact = card.residual_error.additive.to_fact(".".join(path), document.place(path))
        additive = to_internal(
            additive_fact.value,
            additive_fact.unit,
            "concentration",
            measured,
            what="additive residual error",
            place=additive_fact.place,
        )
    proportional = card.residual_error.proportional
    path = ("pk", "residual_error", "proportional")
    return Pk(
        model=card.model or module_name(card.fragments),
        fragments=card.fragments,
        signals=signals_of(chosen(card.fragments, fragments))
        if card.fragments
        else (card.concentration,),
        parameters=MappingProxyType(parameters),
        covariance=covariance,
        concentration=card.concentration,
        population=card.population,
        source=card.source or "",
        proportional_error=proportional.to_fact(".".join(path), document.place(path))
        if proportional
        else None,
        additive_error_nmol_per_l=additive,
        additive_error=additive_fact,
        molar_mass=measured,
        molar_mass_fact=measured_fact,
    )


def source_keys(card: object, data: object = None) -> tuple[str, ...]:
    """Keys of all sources that a card names, sorted.

    Parameters
    ----------
    card
        A card; its numbers are asked.
    data
        The plain data of the card, searched for keys ``source`` and ``citation`` as well.
    """
    found = {fact.source for _, fact in all_facts(card) if fact.source}

    def search(part: object) -> None:
        if isinstance(part, Mapping):
            for key, child in part.items():
                if key in ("source", "citation") and isinstance(child, str):
                    found.add(child)
                search(child)
        elif isinstance(part, list):
            for child in part:
                search(child)

    search(data)
    return tuple(sorted(found))


def _target_action(
    name: str, card: TargetActionCard, document: Document, molar_mass: float
) -> TargetAction:
    """What a drug does to a target, numbers inside."""

    def number(key: str, own: FactCard | None, kind: str) -> tuple[float | None, Fact | None]:
        if own is None:
            return None, None
        path = ("targets", name, key)
        fact = own.to_fact(".".join(path), document.place(path))
        value = to_internal(
            fact.value, fact.unit, kind, molar_mass, what=f"{key} at {name}", place=fact.place
        )
        if value <= 0:
            raise InputError(f"{key} at {name} is not above zero", fact.place, "see its source")
        return value, fact

    affinity, affinity_fact = number("affinity", card.affinity, "concentration")
    maximum, maximum_fact = number("maximum", card.maximum, "none")
    hill, hill_fact = number("hill", card.hill, "none")
    unbound, unbound_fact = number("fraction_unbound", card.fraction_unbound, "none")
    for key, value, fact in (
        ("maximum", maximum, maximum_fact),
        ("fraction_unbound", unbound, unbound_fact),
    ):
        if value is not None and value > 1 and (key != "maximum" or card.action in _INHIBITING):
            raise InputError(
                f"{key} at {name} is above 1", fact.place if fact else None, "it is a fraction"
            )
    facts = tuple(fact for fact in (maximum_fact, hill_fact, unbound_fact) if fact)
    return TargetAction(
        name,
        card.action,
        affinity,
        affinity_fact,
        card.note,
        maximum=maximum,
        hill=1.0 if hill is None else hill,
        fraction_unbound=1.0 if unbound is None else unbound,
        more_facts=facts,
    )


#: Actions that take away a share of something, at most all of it.
_INHIBITING = frozenset({"neutralize", "block", "inhibit", "deplete", "degrade"})


def drug_of(card: DrugCard, document: Document, fragments: Mapping[str, FragmentCard]) -> Drug:
    """The drug of a card.

    Parameters
    ----------
    card, document
        The card and its plain data with places.
    fragments
        Kinetic fragments by name.

    Raises
    ------
    UnitError
        A number has a unit of the wrong dimension; the message has file and line.
    InputError
        The covariances of the random effects contradict each other.
    """
    molar_mass_fact = card.molar_mass.to_fact("molar_mass", document.place(("molar_mass",)))
    molar_mass = to_internal(
        card.molar_mass.value,
        card.molar_mass.unit,
        "molar_mass",
        what="molar_mass",
        place=molar_mass_fact.place,
    )
    iu_per_nmol, activity_fact = None, None
    if card.specific_activity:
        activity_fact = card.specific_activity.to_fact(
            "specific_activity", document.place(("specific_activity",))
        )
        iu_per_nmol = convert(
            activity_fact.value,
            activity_fact.unit,
            "IU/nmol",
            molar_mass=molar_mass,
            what="specific_activity",
            place=activity_fact.place,
            example="'IU/mg'",
        )
    targets = {
        name: _target_action(name, action, document, molar_mass)
        for name, action in card.targets.items()
    }
    routes = {name: Route(name, "") for name in card.routes}
    if card.pk:
        for name, route in card.pk.routes.items():
            routes[name] = _route(name, route, document, molar_mass)
    regimens = {
        name: LabelRegimen(
            name,
            regimen.label,
            Measure(regimen.maximum.value, regimen.maximum.unit) if regimen.maximum else None,
            regimen.source,
            regimen.where,
            regimen.checked,
        )
        for name, regimen in card.regimens.items()
    }
    return Drug(
        name=card.name,
        title=card.title,
        drug_class=card.drug_class,
        modality=card.modality,
        direction=card.direction,
        molar_mass=molar_mass,
        molar_mass_fact=molar_mass_fact,
        pk=_pk(card.pk, document, molar_mass, fragments) if card.pk else None,
        routes=MappingProxyType(routes),
        targets=MappingProxyType(targets),
        regimens=MappingProxyType(regimens),
        boxed_harms=card.harms.boxed if card.harms else (),
        atc=card.atc,
        source_keys=source_keys(card, document.data),
        iu_per_nmol=iu_per_nmol,
        specific_activity_fact=activity_fact,
    )
