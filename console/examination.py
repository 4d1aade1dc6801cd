"""What `fleetform console --check` says: what holds, and whether what the console needs answers."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from console.people.oidc import Provider
from console.settings import Settings
from console.store.database import Database, described


def examine(settings: Settings) -> Iterator[str]:
    """Yield the settings in words, and ask the database and the identity provider.

    Raises ActError where one of them does not answer as it should.
    """
    limits, uploads = settings.limits, settings.uploads
    yield f"browsers call it {settings.public_url}; it listens on {settings.host}, port {settings.port}"
    proxies = ", ".join(str(each) for each in settings.proxies)
    yield f"believed where a request comes from: {proxies or 'nobody but the network itself'}"
    yield (
        f"signed in: {_span(limits.idle)} without a click, {_span(limits.longest)} at most; "
        f"a password given lasts {_span(limits.fresh)}"
    )
    yield (
        f"uploads: {uploads.upload_bytes / 2**30:g} GiB and {uploads.files} files each, "
        f"{uploads.person_bytes / 2**30:g} GiB a person, pictures of {uploads.picture_pixels / 1e6:g} million"
        f" pixels; unfinished ones go after {uploads.unfinished.days} days"
    )
    yield f"what acts have told is kept for {settings.keep_acts.days} days"
    answers = _database(settings)
    yield f"database: {described(settings.database_url)}{answers}"
    yield f"identity provider: {_provider(settings)}"


def _span(span: datetime.timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def _database(settings: Settings) -> str:
    """Ask the database; one that is a file is made when the console starts."""
    if settings.database_url.startswith("sqlite"):
        return ""
    database = Database(settings.database_url)
    try:
        database.ping()
    finally:
        database.close()
    return ", which answers"


def _provider(settings: Settings) -> str:
    if settings.oidc is None:
        return "none, local accounts alone"
    provider = Provider(settings.oidc, f"{settings.public_url}/login/oidc/back")
    provider.discover()
    secret = "with" if settings.oidc.client_secret else "without"
    return (
        f"{settings.oidc.issuer}, which answers; we are {settings.oidc.client_id!r} there, {secret} a secret"
    )
