"""A situation with events of the disease: rheumatoid arthritis whose patients flare and die."""

from __future__ import annotations

from pathlib import Path

import yaml

from immunostat.catalog.lookup import Catalog, data_folder

NAME, POPULATION = "eventful-arthritis", "eventful-people"

#: 1.2 flares a year at the untreated state, fewer with less synovitis; 0.3 deaths a year.
HAZARDS = """
  var flare_hazard, death_hazard;
  flare_hazard := 1.2/365.25*synovitis;
  death_hazard := 0.3/365.25;
"""
EVENTS = {
    "flare": {"title": "Flare", "hazard": "disease_flare_hazard", "recurrent": True},
    "death": {"title": "Death", "hazard": "disease_death_hazard", "terminal": True},
}
ENDPOINTS = {
    "flare-rate": {"title": "Flares", "kind": "event_rate", "events": ["flare"]},
    "flare-free": {"title": "Free of flares", "kind": "event_free", "events": ["flare"]},
    "mortality": {"title": "Death", "kind": "event_share", "events": ["death"]},
    "FFS": {"title": "Flare-free survival", "kind": "event_time", "events": ["flare", "death"]},
    "worse": {
        "title": "Confirmed worsening",
        "kind": "confirmed_worsening",
        "component": "pain",
        "level": 10,
        "confirm_weeks": 8,
    },
    "high-pain": {"title": "High pain", "kind": "above", "component": "pain", "level": 60},
    "days-of-pain": {"title": "Days of high pain", "kind": "area", "of": "high-pain"},
}


class _Plain(yaml.SafeDumper):
    """Writes a value that stands twice twice: cards have no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def catalog_with_events(folder: Path, trials: list[dict] = ()) -> Catalog:
    """The packaged catalog with the situation, its population and trials on top."""
    data = data_folder()
    model = (data / "models/situations/rheumatoid_arthritis.ant").read_text()
    model = model.replace("model rheumatoid_arthritis(", "model eventful_arthritis(")
    end = model.rindex("end")
    own = folder / "models/situations"
    own.mkdir(parents=True)
    (own / "eventful_arthritis.ant").write_text(model[:end] + HAZARDS + model[end:])
    card = yaml.safe_load((data / "situations/rheumatoid-arthritis.yaml").read_text())
    card |= {
        "name": NAME,
        "title": "Eventful arthritis",
        "fragment": "models/situations/eventful_arthritis.ant",
        "module": "eventful_arthritis",
        "events": EVENTS,
        "visits": "every 4 weeks",
        "endpoints": {**card["endpoints"], **ENDPOINTS},
    }
    people = yaml.safe_load(
        (data / "populations/methotrexate-inadequate-response.yaml").read_text()
    )
    people |= {"name": POPULATION, "situation": NAME}
    written = [("situations", card), ("populations", people)]
    written += [("trials", trial) for trial in trials]
    for kind, own_card in written:
        (folder / kind).mkdir(exist_ok=True)
        text = yaml.dump(own_card, Dumper=_Plain, sort_keys=False)
        (folder / kind / f"{own_card['name']}.yaml").write_text(text)
    return Catalog.packaged(folder)
