"""The site's templates: rendered pages, its sheet and its script."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from starlette.responses import HTMLResponse

from digest.errors import RenderError
from digest.render.letter import Site, our_templates

ASSETS = {"site.css": "text/css", "site.js": "text/javascript"}


class Pages:
    """Renders `web/*.html`; `folder` is the site's own, looked for before ours.

    Raises RenderError for a template that is missing or cannot be read, at once.
    """

    def __init__(self, site: Site, folder: Path | None = None) -> None:
        self.root = urlsplit(site.url).path.rstrip("/")
        self._environment = _environment([f for f in (folder, our_templates()) if f])
        self.assets = {name: self._source(name) for name in ASSETS}
        self._environment.globals.update(
            site=site, root=self.root, version=_version(self.assets.values())
        )
        if broken := self.fault():
            raise RenderError(broken, subject="web")

    def show(
        self,
        name: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> HTMLResponse:
        """The page `web/{name}.html`. Every value is escaped."""
        template = self._environment.get_template(f"web/{name}.html")
        return HTMLResponse(template.render(context), status, headers)

    def fault(self) -> str:
        """What is wrong with the first template that does not compile; "" where all do."""
        names = self._environment.list_templates(filter_func=_is_page)
        for name in names:
            try:
                self._environment.get_template(name)
            except (TemplateError, OSError, UnicodeDecodeError) as error:
                return f"template {name}: {error}"
        return "" if "web/base.html" in names else "template web/base.html is missing"

    def _source(self, name: str) -> bytes:
        loader = self._environment.loader
        assert loader is not None
        try:
            return loader.get_source(self._environment, f"web/{name}")[0].encode()
        except TemplateError as error:
            raise RenderError(f"template web/{name}: {error}", subject=name) from error


def _environment(folders: list[Path]) -> Environment:
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _is_page(name: str) -> bool:
    return name.startswith("web/") and name.endswith(".html")


def _version(texts: Any) -> str:
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]
