"""The site: subscribe, confirm, preferences, leave in one click, rate, read, health.

`create_site(SiteParts(...))` makes it; `listen` and `serve_site` run it. GET never changes
anything; POST acts. There are no cookies and no logins: a signed link is the key.
"""

from __future__ import annotations

from digest.web.parts import SiteParts
from digest.web.serve import listen, serve_site
from digest.web.site import create_site

__all__ = ["SiteParts", "create_site", "listen", "serve_site"]
