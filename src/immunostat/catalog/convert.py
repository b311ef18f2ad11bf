"""Cards to the nouns of the layers below: every number in its inside unit, with its fact."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from types import MappingProxyType

import numpy as np

from immunostat.base.errors import InputError, Place, RangeError, UnitError
from immunostat.base.units import COVARIATE_UNITS, INSIDE, Measure, convert, to_internal
from immunostat.catalog.cards import (
    CovariateCard,
    DrugCard,
    ParameterCard,
    PkCard,
    RouteCard,
    all_facts,
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

#: Kind of each parameter of the kinetic fragments, a key of `base.units.INSIDE`.
PARAMETER_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "absorption_rate": "rate",
        "central_volume": "volume",
        "clearance": "clearance",
        "half_saturation": "concentration",
        "intercompartmental_clearance": "clearance",
        "lag_time": "duration",
        "maximum_elimination": "amount_rate",
        "mean_absorption_time": "duration",
        "peripheral_volume": "volume",
    }
)

#: Kinds that are told by their unit alone, tried in this order for parameters of new fragments.
_KINDS_BY_UNIT = (
    *("rate", "volume", "clearance", "duration", "concentration", "amount_rate", "amount", "none"),
)


def _kind(name: str, unit: str, molar_mass: float, place: Place) -> str:
    if name in PARAMETER_KINDS:
        return PARAMETER_KINDS[name]
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
    kind = kind or _kind(name, card.unit, molar_mass, document.place((*path, "unit")))
    value = to_internal(
        card.value, card.unit, kind, molar_mass, what=name, place=document.place((*path, "unit"))
    )
    variance = 0.0
    if card.spread and card.spread.lognormal_variance is not None:
        variance = card.spread.lognormal_variance
    elif card.spread and card.spread.lognormal_cv is not None:
        variance = log(1.0 + card.spread.lognormal_cv**2)
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
    return PkParameter(name, value, INSIDE[kind][0], fact, variance, effects)


def _route(name: str, card: RouteCard, document: Document, molar_mass: float) -> Route:
    path = ("pk", "routes", name)
    over_day, over_fact, bioavailability = 0.0, None, None
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
    return Route(name, card.into, over_day, bioavailability, over_fact)


def _pk(card: PkCard, document: Document, molar_mass: float) -> Pk:
    parameters = {
        name: _parameter(name, parameter, ("pk", "parameters", name), document, molar_mass)
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
            molar_mass,
            what="additive residual error",
            place=additive_fact.place,
        )
    proportional = card.residual_error.proportional
    path = ("pk", "residual_error", "proportional")
    return Pk(
        model=card.model,
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


def drug_of(card: DrugCard, document: Document) -> Drug:
    """The drug of a card.

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
    targets = {}
    for name, action in card.targets.items():
        affinity, fact = None, None
        if action.affinity:
            path = ("targets", name, "affinity")
            fact = action.affinity.to_fact(".".join(path), document.place(path))
            affinity = to_internal(
                fact.value,
                fact.unit,
                "concentration",
                molar_mass,
                what=f"affinity to {name}",
                place=fact.place,
            )
        targets[name] = TargetAction(name, action.action, affinity, fact, action.note)
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
        pk=_pk(card.pk, document, molar_mass) if card.pk else None,
        routes=MappingProxyType(routes),
        targets=MappingProxyType(targets),
        regimens=MappingProxyType(regimens),
        boxed_harms=card.harms.boxed if card.harms else (),
        atc=card.atc,
        source_keys=source_keys(card, document.data),
    )
