"""The catalog: cards of the packaged data folder, and of a folder of one's own, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar, cast

from immunostat.base.errors import (
    ImmunostatError,
    InputError,
    Place,
    UnknownNameError,
    near_matches,
    shown_path,
)
from immunostat.base.sources import Source, read_sources
from immunostat.catalog.reader import Document, read_text, read_yaml, validated

if TYPE_CHECKING:
    from immunostat.catalog.calibration_cards import CalibrationCard
    from immunostat.catalog.cards import Card, TargetCard, TrialCard
    from immunostat.catalog.drug_cards import DrugCard
    from immunostat.catalog.fragments import FragmentCard
    from immunostat.catalog.model_cards import (
        CoreCard,
        PopulationCard,
        SituationCard,
        SpecialPopulationCard,
    )
    from immunostat.catalog.published_cards import PublishedModelCard
    from immunostat.catalog.side_effect_cards import SideEffectCard
    from immunostat.catalog.weight_cards import WeightsCard
    from immunostat.therapy.drug import Drug

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """A kind of card: its folder, where the class of its cards is, and how people call one."""

    folder: str
    module: str
    card: str
    noun: str


#: All kinds; a new kind is a line here and a class in a module of cards.
KINDS = (
    Kind("drugs", "drug_cards", "DrugCard", "drug"),
    Kind("targets", "cards", "TargetCard", "target"),
    Kind("core", "model_cards", "CoreCard", "core"),
    Kind("situations", "model_cards", "SituationCard", "situation"),
    Kind("populations", "model_cards", "PopulationCard", "population"),
    Kind("special_populations", "model_cards", "SpecialPopulationCard", "special population"),
    Kind("trials", "cards", "TrialCard", "trial"),
    Kind("side_effects", "side_effect_cards", "SideEffectCard", "side effect"),
    Kind("published", "published_cards", "PublishedModelCard", "published model"),
    Kind("calibrations", "calibration_cards", "CalibrationCard", "calibration"),
    Kind("weights", "weight_cards", "WeightsCard", "set of weights"),
)
_KIND = {kind.folder: kind for kind in KINDS}


def data_folder() -> Path:
    """Folder of the packaged cards."""
    return Path(str(files("immunostat.catalog"))) / "data"


class Catalog:
    """Cards by kind and name, read when first asked for.

    Parameters
    ----------
    folders
        Where cards are looked for; a later folder adds to an earlier one and its cards win. The
        packaged data if none is given.
    """

    def __init__(self, *folders: Path | str) -> None:
        self.folders = tuple(Path(folder) for folder in folders) or (data_folder(),)
        for folder in self.folders:
            if not folder.is_dir():
                raise InputError(
                    "there is no such catalog folder", Place(shown_path(folder)), "name a folder"
                )
        self._kept: dict[tuple[str, str], object] = {}

    @classmethod
    def packaged(cls, user_folder: Path | str | None = None) -> Catalog:
        """The catalog that comes with the program, with a folder of one's own on top."""
        return cls(data_folder(), *([user_folder] if user_folder else []))

    def _keep(self, kind: str, name: str, make: Callable[[], T]) -> T:
        key = (kind, name)
        if key not in self._kept:
            self._kept[key] = make()
        return cast(T, self._kept[key])

    def paths(self, folder: str) -> dict[str, Path]:
        """Card files of one kind by name, sorted."""

        def find() -> dict[str, Path]:
            found = {
                path.stem: path for base in self.folders for path in (base / folder).glob("*.yaml")
            }
            return dict(sorted(found.items()))

        return self._keep("paths", folder, find)

    def names(self, folder: str) -> tuple[str, ...]:
        """Names of the cards of one kind, sorted."""
        return tuple(self.paths(folder))

    def path(self, folder: str, name: str) -> Path:
        """File of a card; spelling of capitals does not matter.

        Raises
        ------
        UnknownNameError
            There is none; the remedy names near matches.
        """
        paths = self.paths(folder)
        if name in paths:
            return paths[name]
        for known, path in paths.items():
            if known.lower() == name.lower():
                return path
        noun = _KIND[folder].noun if folder in _KIND else "card"
        raise UnknownNameError(
            f"{noun} '{name}' is not in the catalog", remedy=near_matches(name, paths)
        )

    def document(self, folder: str, name: str) -> Document:
        """Plain data and lines of a card."""
        path = self.path(folder, name)
        return self._keep(f"document of {folder}", path.stem, lambda: read_yaml(path, "card"))

    def card(self, folder: str, name: str) -> Card:
        """A card as the class of its kind.

        Raises
        ------
        UnknownNameError
            There is no such card.
        InputError
            The card is broken; the message has file and line.
        """
        path = self.path(folder, name)
        return self._keep(
            folder, path.stem, lambda: read_card(self.document(folder, path.stem), folder, path)
        )

    def drug_card(self, name: str) -> DrugCard:
        """Card of a drug, as printed."""
        return cast("DrugCard", self.card("drugs", name))

    def drug(self, name: str) -> Drug:
        """A drug with every number in its inside unit."""
        from immunostat.catalog.convert import drug_of

        card = self.drug_card(name)
        return self._keep(
            "drug",
            card.name,
            lambda: drug_of(card, self.document("drugs", card.name), self.fragments()),
        )

    def core(self, name: str) -> CoreCard:
        """Numbers of an immune core."""
        return cast("CoreCard", self.card("core", name))

    def target(self, name: str) -> TargetCard:
        """A target: a hook of the immune core."""
        return cast("TargetCard", self.card("targets", name))

    def situation(self, name: str) -> SituationCard:
        """A situation: a disease or a state that therapy acts in."""
        return cast("SituationCard", self.card("situations", name))

    def population(self, name: str) -> PopulationCard:
        """A population that patients are drawn from.

        A card that is like another comes with all of it.

        Raises
        ------
        InputError
            The card cannot be like the one it names.
        """
        card = cast("PopulationCard", self.card("populations", name))
        if card.like is None:
            return card
        other = card.like

        def whole() -> PopulationCard:
            try:
                return card.unlike(cast("PopulationCard", self.card("populations", other)))
            except ValueError as error:
                raise InputError(str(error), self.place(f"populations/{name}", "like")) from None

        return self._keep("whole populations", card.name, whole)

    def special_population(self, name: str) -> SpecialPopulationCard:
        """Patients of any population who meet a condition, such as the elderly."""
        return cast("SpecialPopulationCard", self.card("special_populations", name))

    def trial(self, name: str) -> TrialCard:
        """A published trial."""
        return cast("TrialCard", self.card("trials", name))

    def side_effect(self, name: str) -> SideEffectCard:
        """A side effect."""
        return cast("SideEffectCard", self.card("side_effects", name))

    def published_model(self, name: str) -> PublishedModelCard:
        """A model of a publication, that stands beside ours."""
        return cast("PublishedModelCard", self.card("published", name))

    def calibration(self, name: str) -> CalibrationCard:
        """How numbers of a situation are fitted."""
        return cast("CalibrationCard", self.card("calibrations", name))

    def weights(self, name: str) -> WeightsCard:
        """Weights of benefit and harm."""
        return cast("WeightsCard", self.card("weights", name))

    def fragments(self) -> Mapping[str, FragmentCard]:
        """Kinetic fragments by name."""
        from immunostat.catalog.fragments import read_fragments

        return self._keep("fragments", "", lambda: read_fragments(self))

    def drugs(self) -> tuple[str, ...]:
        """Names of all drugs."""
        return self.names("drugs")

    def targets(self) -> tuple[str, ...]:
        """Names of all targets."""
        return self.names("targets")

    def situations(self) -> tuple[str, ...]:
        """Names of all situations."""
        return self.names("situations")

    def populations(self, situation: str | None = None) -> tuple[str, ...]:
        """Names of all populations, or of those of one situation."""
        names = self.names("populations")
        if situation is None:
            return names
        return tuple(n for n in names if self.population(n).situation == situation)

    def special_populations(self) -> tuple[str, ...]:
        """Names of all special populations."""
        return self.names("special_populations")

    def trials(self) -> tuple[str, ...]:
        """Names of all published trials."""
        return self.names("trials")

    def side_effects(self) -> tuple[str, ...]:
        """Names of all side effects."""
        return self.names("side_effects")

    def published_models(self) -> tuple[str, ...]:
        """Names of all published models."""
        return self.names("published")

    def calibrations(self) -> tuple[str, ...]:
        """Names of all calibrations."""
        return self.names("calibrations")

    def sources(self) -> dict[str, Source]:
        """All sources by key.

        Raises
        ------
        InputError
            A ``sources.bib`` is broken.
        """

        def read() -> dict[str, Source]:
            found: dict[str, Source] = {}
            for folder in self.folders:
                path = folder / "sources.bib"
                if path.is_file():
                    found.update(read_sources(read_text(path, "list of sources"), shown_path(path)))
            return found

        return self._keep("sources", "", read)

    def source(self, key: str) -> Source:
        """One source by its key."""
        sources = self.sources()
        if key not in sources:
            raise UnknownNameError(
                f"source '{key}' is not in the catalog", remedy=near_matches(key, sources)
            )
        return sources[key]

    def place(self, card: str, path: str) -> Place:
        """File and line of the part at the dotted `path` of a card such as ``targets/TNF``."""
        folder, _, name = card.partition("/")
        parts = (int(part) if part.isdigit() else part for part in path.split("."))
        return self.document(folder, name).place(parts)

    def text(self, relative: str) -> tuple[str, str]:
        """Text and path for people of another file of the catalog, such as ``models/pk/x.ant``.

        Raises
        ------
        InputError
            There is none.
        """
        inside = PurePosixPath(relative)
        if inside.is_absolute() or ".." in inside.parts:
            raise InputError(
                "this path leads out of the catalog", Place(relative), "name a file of the catalog"
            )
        for folder in reversed(self.folders):
            if (folder / relative).is_file():
                return read_text(folder / relative), shown_path(folder / relative)
        raise InputError(
            "the catalog has no such file", Place(relative), "check the name in the card"
        )

    def hash(self) -> str:
        """SHA-256 of all cards, models and sources: names and bytes, in order of names."""
        from hashlib import sha256

        digest = sha256()
        for folder in self.folders:
            for path in sorted(p for p in folder.rglob("*") if p.suffix in _HASHED):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
                digest.update(sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def validate_all(self) -> list[ImmunostatError]:
        """Read every card and check sources, units and names; the problems that were found."""
        from immunostat.catalog.check import check_card

        problems: list[ImmunostatError] = []
        for kind in KINDS:
            for name in self.names(kind.folder):
                problems.extend(check_card(self, kind.folder, name))
        return problems


_HASHED = frozenset({".yaml", ".ant", ".bib"})


def card_class(folder: str) -> type[Card]:
    """Class of the cards of the kind that stands in `folder`."""
    kind = _KIND[folder]
    module = import_module(f"immunostat.catalog.{kind.module}")
    return cast("type[Card]", getattr(module, kind.card))


def read_card(document: Document, folder: str, path: Path | None = None) -> Card:
    """The card that a document holds, of the kind of `folder`.

    Raises
    ------
    InputError
        It does not fit its kind, or its name is not the name of its file.
    """
    card = validated(document, card_class(folder))
    name = getattr(card, "name", None)
    if path is not None and name != path.stem:
        raise InputError(
            f"the card is named '{name}' and its file '{path.name}'",
            document.place(("name",)),
            f"write 'name: {path.stem}' or rename the file",
        )
    return card


@lru_cache(maxsize=1)
def packaged_catalog() -> Catalog:
    """The packaged catalog, made once."""
    return Catalog.packaged()
