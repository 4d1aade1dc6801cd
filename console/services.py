"""What every request of the console has at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from console.closer import Closer
from console.costs import KnownCosts
from console.estate import Estate
from console.known_runs import KnownRuns
from console.leftovers import KnownLeftovers
from console.live.hub import Hub
from console.people.oidc import Provider
from console.recorder import Recorder
from console.records.building import building, runs_on_record
from console.records.index import RecordIndex
from console.settings import Settings
from console.store.database import Database
from console.store.upgrade import upgrade
from console.words.languages import LANGUAGES, translations
from fleet.tries import Answerers
from templates.engine import Context, page_renderer


@dataclass(frozen=True)
class Services:
    """One console's parts, made once at its start."""

    settings: Settings
    database: Database
    estate: Estate
    recorder: Recorder
    runs: KnownRuns
    closer: Closer
    """What is looked up of an environment for its own page."""
    costs: KnownCosts
    """What environments came to."""
    leftovers: KnownLeftovers
    """What is left over in the account."""
    hub: Hub
    record: RecordIndex
    """Finds the entries of the ledger."""
    answerers: Answerers
    """The models that people try."""
    renderers: dict[str, Callable[[Context], str]]
    """What renders a page, by language."""
    provider: Provider | None
    """The company's identity provider, None where there are local accounts alone."""


def open_services(settings: Settings) -> Services:
    """Open the database, brought up to date, and all that reads from it; the cloud is not contacted yet."""
    database = Database(settings.database_url)
    database.ping()
    upgrade(database)
    runs, record = KnownRuns(), RecordIndex(settings.project, settings.cloud, database)
    return Services(
        settings=settings,
        database=database,
        estate=Estate(settings.project, settings.cloud, runs),
        recorder=Recorder(settings.project, settings.cloud, database),
        runs=runs,
        closer=Closer(runs),
        costs=KnownCosts(
            runs,
            lambda each: building(database, record, each.spec.name),
            lambda each: runs_on_record(database, record, each.spec.name),
        ),
        leftovers=KnownLeftovers(settings.project, settings.cloud),
        hub=Hub(),
        record=record,
        answerers=Answerers(),
        provider=Provider(settings.oidc, f"{settings.public_url}/login/oidc/back") if settings.oidc else None,
        renderers={language: page_renderer(translations(language)) for language in LANGUAGES},
    )
