"""The one door to jinja2: a frozen context dataclass names its template, and rendering is strict."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable
from gettext import NullTranslations
from pathlib import Path
from typing import Any, ClassVar, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATE_ROOT = Path(__file__).parent


class Context(Protocol):
    """A frozen dataclass whose fields are exactly the names that its template uses."""

    template: ClassVar[str]
    """The template's path below this folder, `job/launch.sh.j2`."""
    __dataclass_fields__: ClassVar[dict[str, Any]]


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_ROOT),
        undefined=StrictUndefined,
        autoescape=autoescape,  # noqa: S701 - on for HTML; a shell script must not be escaped as HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment


_TEXT = _environment(autoescape=False)
_HTML = _environment(autoescape=True)


def render(context: Context) -> str:
    """Return the text of the context's template; a name that the context lacks is an error.

    Filters beside jinja2's own: `quote` makes one word of a POSIX shell, `json` a JSON (and TOML) literal.
    Templates that end in `.html.j2` escape what they print.
    """
    engine = _HTML if context.template.endswith(".html.j2") else _TEXT
    return engine.get_template(context.template).render(_fields(context))


def page_renderer(translations: NullTranslations) -> Callable[[Context], str]:
    """Return what renders pages in one language: their templates also have `_` and `ngettext`.

    Make one for each language and keep it: it keeps the compiled templates.
    """
    engine = _environment(autoescape=True)
    engine.add_extension("jinja2.ext.i18n")
    engine.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]

    def render_page(context: Context) -> str:
        return engine.get_template(context.template).render(_fields(context))

    return render_page


def _fields(context: Context) -> dict[str, Any]:
    return {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
