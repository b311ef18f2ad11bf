"""SBML text read into an `OdeSystem` through libsbml's own formula trees.

Submodels are flattened by libsbml. What is not supported is refused by name, never approximated:
fast reactions, algebraic rules that no variable solves, flux balance, and packages that change
the mathematics. Constraints do not change a time course; the system notes that they were not
checked.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from immunostat.base.errors import ModelError, Place
from immunostat.model.sbml_reader import ModelReader
from immunostat.model.system import OdeSystem

#: Packages that do not change what a time course is (Extended Math is read).
HARMLESS_PACKAGES = frozenset(
    {"layout", "render", "groups", "annot", "l3v2extendedmath", "comp", "req"}
)

#: Errors in how a model is drawn do not change what it computes.
_OF_PICTURES = re.compile(r"\b[Pp]ackage '?(layout|render)")


def system_from_sbml(
    text: str, name: str, place_file: str | None = None, folder: Path | None = None
) -> OdeSystem:
    """Read SBML.

    Parameters
    ----------
    text
        SBML of Level 2 or 3.
    name
        Name of the system.
    place_file
        File that messages name.
    folder
        Where files stand that the model takes submodels from; None refuses such models.

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
    _refuse_errors(document, place_file)
    if document.getModel() is None:
        raise ModelError("not valid SBML: there is no model", place)
    _flatten(document, place, folder)
    model = document.getModel()
    _refuse_unsupported(document, model, place)
    notes: tuple[str, ...] = ()
    if model.getNumConstraints():
        notes = (f"{model.getNumConstraints()} constraint(s) of the file are not checked",)
    return ModelReader(model, name, place, notes).system()


def _refuse_errors(document: Any, place_file: str | None) -> None:
    import libsbml

    for i in range(document.getNumErrors()):
        error = document.getError(i)
        is_bad = error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR
        if is_bad and not _OF_PICTURES.search(error.getMessage()):
            where = Place(place_file, error.getLine()) if place_file else None
            raise ModelError(f"not valid SBML: {error.getMessage().strip()}", where)


def _flatten(document: Any, place: Place | None, folder: Path | None) -> None:
    """Replace submodels by their elements, in place."""
    import libsbml

    plugin = document.getPlugin("comp")
    model_plugin = document.getModel().getPlugin("comp")
    if plugin is None or model_plugin is None or not model_plugin.getNumSubmodels():
        return
    externals = [
        plugin.getExternalModelDefinition(i).getSource()
        for i in range(plugin.getNumExternalModelDefinitions())
    ]
    for source in externals:
        # a model must not read files from all over the disk, or from the network
        if folder is None or not _is_plain_name(source):
            raise ModelError(
                f"the model takes a submodel from '{source}', which is not beside it",
                place,
                "put that file into the same folder and name it without a path",
            )
        if not (folder / source).is_file():
            raise ModelError(f"the file '{source}' of a submodel is missing", place)
    if folder is not None:
        document.setLocationURI((folder.resolve() / "model.xml").as_uri())
    options = libsbml.ConversionProperties()
    options.addOption("flatten comp", True)
    options.addOption("leavePorts", False)
    options.addOption("performValidation", False)
    options.addOption("abortIfUnflattenable", "requiredOnly")
    n_before = document.getNumErrors()
    if document.convert(options) != libsbml.LIBSBML_OPERATION_SUCCESS:
        causes = [document.getError(i) for i in range(n_before, document.getNumErrors())]
        cause = causes[-1].getMessage().strip() if causes else "libsbml gives no reason"
        raise ModelError(f"the submodels cannot be joined: {cause}", place)


def _is_plain_name(source: str) -> bool:
    return source == Path(source).name and ":" not in source and "\\" not in source


def _refuse_unsupported(document: Any, model: Any, place: Place | None) -> None:
    """Raise for constructs that the reader would otherwise have to ignore."""
    found: list[tuple[str, bool, str]] = [
        (
            "fast reactions",
            any(r.isSetFast() and r.getFast() for r in model.getListOfReactions()),
            "give them a rate that is fast against the others",
        )
    ]
    for i in range(document.getNumPlugins()):
        package = document.getPlugin(i).getPackageName()
        if package == "fbc":
            found.append(
                (
                    "flux balance (fbc)",
                    _is_flux_balance(model),
                    "flux balance is an optimization, not a course in time; use a tool for it",
                )
            )
        elif package not in HARMLESS_PACKAGES:
            is_needed = document.getPackageRequired(package)
            found.append((f"the package '{package}'", bool(is_needed), "remove it from the file"))
    for what, is_there, remedy in found:
        if is_there:
            raise ModelError(f"the model uses {what}, which is not supported", place, remedy)


def _is_flux_balance(model: Any) -> bool:
    """Whether the fbc package asks for an optimization (it may only hold charges of species)."""
    plugin = model.getPlugin("fbc")
    if plugin is None:
        return False
    return bool(plugin.getNumObjectives() or plugin.getNumFluxBounds())
