"""The pages in Chromium: small screens, light and dark, and the buttons pressed for real."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from visiting import LINKS, PAGES, SITE, parts, pending, reader, remember, state

from digest.links import Purpose
from digest.matching.lexical import LexicalMatcher
from digest.model import Interest, SubscriberState, Term
from digest.publish import Press, Rehearsals
from digest.store import Database, people
from digest.web import create_site, listen, serve_site

pytestmark = pytest.mark.browser

ASKED = ["Now look into your inbox", "What you would have got"]
LONG = "unbreakable" * 40
PATIENCE = 60
FORM = b"application/x-www-form-urlencoded"

# Loads each page in a frame of the asked width (a window has a minimum), looks, and writes down
# what it saw where --dump-dom finds it.
LOOK = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<body><script>
const asked = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
function ground(element, view) {
  for (let e = element; e; e = e.parentElement) {
    const colour = numbers(view.getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
}
function contrast(element, view) {
  const a = light(numbers(view.getComputedStyle(element).color)), b = light(ground(element, view));
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
function look(frame) {
  const page = frame.contentDocument, view = frame.contentWindow;
  for (const part of page.querySelectorAll("details")) part.open = true;
  const has_text = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const fields = [...page.querySelectorAll("input:not([type=hidden]), select, textarea")];
  const told = [...page.body.querySelectorAll("*")].filter(
    (e) => e.getClientRects().length && (has_text(e) || fields.includes(e)));
  return {
    title: page.title, heading: page.querySelector("h1").textContent,
    width: page.documentElement.scrollWidth,
    faint: told.filter((e) => contrast(e, view) < 4.5).map((e) => e.outerHTML.slice(0, 120)),
    nameless: fields.filter((e) => !e.labels.length).map((e) => e.outerHTML.slice(0, 120)),
    small: [...page.querySelectorAll("button, input:not([type=hidden]), select, summary")]
      .filter((e) => e.getClientRects().length && e.getBoundingClientRect().height < 24
              && !e.closest(".trap")).map((e) => e.outerHTML.slice(0, 120)),
    dark: light(ground(page.body, view)) < 0.2,
  };
}
const loaded = (frame) => new Promise((done) => frame.addEventListener("load", done, {once: true}));
async function visit({path, width, press, fill}) {
  const frame = document.createElement("iframe");
  Object.assign(frame, {src: path, width, height: 700});
  const first = loaded(frame);
  document.body.append(frame);
  await first;
  if (press) {
    const page = frame.contentDocument;
    for (const [id, value] of Object.entries(fill ?? {})) page.getElementById(id).value = value;
    const next = loaded(frame);
    page.querySelector(press).click();
    await next;
  }
  const seen = look(frame);
  frame.remove();
  return {path, ...seen};
}
(async () => {
  const seen = [];
  for (const one of asked) seen.push(await visit(one));
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = "SEEN" + JSON.stringify(seen) + "END";
})();
</script>"""


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium: install it (Debian: chromium) or set $CHROMIUM")
    return found


def looked_at(site: ASGIApp) -> ASGIApp:
    """The site, with leave to be framed, a page that looks, and answers to posts by address."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/_look":
            head = [(b"content-type", b"text/html")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": LOOK.encode()})
            return
        if scope["type"] == "http" and scope["path"] == "/_post":
            asked = parse_qs(scope["query_string"].decode())
            path, body = asked["path"][0], asked.get("body", [""])[0].encode()
            scope = {**scope, "method": "POST", "path": path, "headers": [(b"content-type", FORM)]}
            receive = partial(_body, body)
        await site(scope, receive, partial(_framed, send))

    return app


async def _body(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": False}


async def _framed(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [
            (name, value.replace(b"; frame-ancestors 'none'", b""))
            for name, value in message["headers"]
            if name != b"x-frame-options"
        ]
    await send(message)


@contextmanager
def served(db: Database) -> Iterator[str]:
    """The address of a site over this database."""
    rehearsals = Rehearsals(Press(db, LexicalMatcher(), LINKS, "example.org"))
    site = looked_at(create_site(parts(db, rehearse=rehearsals.letters), PAGES))
    stop, listening = threading.Event(), listen("127.0.0.1", 0)
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    thread = threading.Thread(target=serve_site, args=(site, listening, stop))
    thread.start()
    try:
        yield base
    finally:
        stop.set()
        thread.join(PATIENCE)


def visit(
    base: str, asked: list[dict[str, Any]], folder: Path, *, dark: bool = False, zone: str = "UTC"
) -> tuple[list[dict[str, Any]], str]:
    """(what the looking page saw of each page, what the browser complained of)."""
    quiet = ["gpu", "background-networking", "component-update", "sync", "extensions"]
    done = subprocess.run(
        [
            chromium(),
            "--headless",
            "--no-sandbox",
            *(f"--disable-{name}" for name in quiet),
            "--no-first-run",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--virtual-time-budget=60000",
            f"--user-data-dir={folder / 'chromium'}",
            "--dump-dom",
            f"{base}/_look#{quote(json.dumps(asked))}",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env={**os.environ, "TZ": zone},
    )
    found = re.search(r"SEEN(.*)END", html.unescape(done.stdout))
    assert found, done.stdout[-500:] + done.stderr[-2000:]
    said = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(found[1]), said


def way(purpose: Purpose, key: int, tail: str = "") -> str:
    return LINKS.url(purpose, key, tail).removeprefix(SITE.url)


def posted(path: str, **values: str) -> str:
    return "/_post?" + urlencode({"path": path, "body": urlencode(values)})


def every_page(db: Database) -> list[str]:
    """The address of each page and of each state that a page has."""
    ids = remember(db, "Graphs", LONG, "שלום עולם", "漢字" * 60, votes=120)
    wants = {
        "interests": (Interest(LONG[:80], terms=(Term(LONG[:300]),)), Interest("R", query="ti:a")),
        "follow_authors": (LONG[:300],),
    }
    ada = reader(db, f"{'a' * 60}@{'b' * 60}.{'c' * 60}.example.org", **wants)
    grace, leaver = pending(db, "grace@example.org", **wants), reader(db, "leaver@example.org")
    preferences = way(Purpose.PREFERENCES, ada.key)
    feedback = way(Purpose.FEEDBACK, ada.key)
    return [
        "/",
        "/nowhere",
        posted("/subscribe", email="x", hour="99", zone=LONG, interests="++", authors="!"),
        posted("/subscribe", email="new@example.org"),
        posted("/preview", interests=LONG),
        posted("/preview", trending="12"),
        way(Purpose.CONFIRM, grace.key),
        posted(way(Purpose.CONFIRM, grace.key)),
        preferences,
        posted(preferences, act="change", budget="0", muted="!"),
        posted(preferences, act="change", budget="9"),
        posted(preferences, act="file", text=f'x = 1\ny = "{LONG}"'),
        posted(preferences, act="pause", until="2026-04-10"),
        f"{feedback}?{urlencode({'paper': ids[1]})}&more",
        posted(feedback, paper=ids[0], say="less"),
        posted(feedback, paper=ids[1], mute="nowhere"),
        posted(feedback, paper=ids[3], mute="漢字" * 60),
        way(Purpose.UNSUBSCRIBE, leaver.key),
        posted(way(Purpose.UNSUBSCRIBE, leaver.key)),
    ]


@pytest.mark.parametrize(("dark", "widths"), [(False, (320, 600)), (True, (320,))])
def test_every_page_fits_small_screens_and_can_be_read(
    sqlite: Database, tmp_path: Path, dark: bool, widths: tuple[int, ...]
) -> None:
    pages = every_page(sqlite)
    asked = [{"path": page, "width": width} for page in pages for width in widths]
    with served(sqlite) as base:
        seen, said = visit(base, asked, tmp_path, dark=dark)
    assert len(asked) == len(seen)
    for want, page in zip(asked, seen, strict=True):
        assert want["width"] == page["width"], f"{page['path']} scrolls sideways"
        assert (page["faint"], page["nameless"], page["small"]) == ([], [], []), page["path"]
        assert page["dark"] is dark
    assert said == ""  # nothing was refused by the site's own policy


def test_buttons_work_under_the_sites_own_policy(sqlite: Database, tmp_path: Path) -> None:
    ada, grace = reader(sqlite), pending(sqlite, "grace@example.org")
    asked = [
        {"path": way(Purpose.CONFIRM, grace.key), "press": "main button"},
        {"path": way(Purpose.UNSUBSCRIBE, ada.key), "press": "main button"},
        {"path": "/", "press": "#subscribe button", "fill": {"email": "new@example.org"}},
        {"path": "/", "press": "button.plain", "fill": {"interests": "ants"}},
    ]
    with served(sqlite) as base:
        wide = [{"width": 500, **one} for one in asked]
        seen, said = visit(base, wide, tmp_path, zone="Asia/Tokyo")
    headings = [page["heading"] for page in seen]
    assert headings == ["You are in", "You are unsubscribed", *ASKED]
    assert state(sqlite, grace) is SubscriberState.ACTIVE
    assert state(sqlite, ada) is SubscriberState.ENDED
    assert said == ""
    with sqlite.reading() as tx:
        newcomer = people.get(tx, "new@example.org")
    assert newcomer is not None
    assert newcomer.cadence.zone == "Asia/Tokyo"  # the browser's own was offered
