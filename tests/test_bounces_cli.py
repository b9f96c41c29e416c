"""`digest bounce ...` as an operator and as a mail server meet it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from returning import LINKS, NOW, away, bounce, complaint, dsn, failed, sent, suppressed

from digest import cli
from digest.app import App, held_clock
from digest.cli import daemon
from digest.config import load
from digest.errors import SourceError
from digest.store import Database, reports

HUMAN = b"From: bob@example.net\nSubject: Hello\n\nDear daemon\n"
COMMAND = [sys.executable, "-c", "import sys; from digest.cli import main; main(sys.argv[1:])"]
SECRET = "a secret for tests that is long enough"


@pytest.fixture
def site(sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A site whose commands work in this process."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(sqlite).items():
        monkeypatch.setenv(name, value)
    yield sqlite


def environment(db: Database) -> dict[str, str]:
    return {
        "DIGEST_DATABASE__URL": db.url,
        "DIGEST_SITE__URL": LINKS.base_url,
        "DIGEST_SECRET_KEY": SECRET,
        "DIGEST_NOW": NOW.isoformat(),
    }


def run(*words: object) -> int:
    return cli.run([str(word) for word in words])


def maildir(folder: Path, *messages: bytes) -> Path:
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    for number, message in enumerate(messages):
        (folder / "new" / f"1773306000.{number}.mx").write_bytes(message)
    return folder


# ------------------------------------------------------------------ process


def test_a_maildir_is_taken_and_told_of(
    site: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = sent(site)
    folder = maildir(tmp_path / "mail", bounce(letter), away(letter), HUMAN)
    assert run("bounce", "process", "--maildir", folder) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "1 bounce, 1 reply, 1 unrecognised"
    assert "bounce        hard    suppressed  ada@example.com  5.1.1" in out


def test_what_is_set_up_is_taken_where_nothing_is_named(
    site: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = maildir(tmp_path / "mail", bounce(sent(site)))
    monkeypatch.setenv("DIGEST_BOUNCES__MAILDIR", str(folder))
    assert run("bounce", "process", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["read"], told["known"], told["faults"]) == (1, 0, [])
    assert [one["effect"] for one in told["reports"]] == ["suppressed"]


def test_a_file_is_taken_and_left_where_it_is(
    site: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "returned.eml").write_bytes(bounce(sent(site)))
    codes = [run("bounce", "process", "returned.eml") for _ in range(2)]
    assert (codes, suppressed(site)) == ([0, 0], "bounced")
    assert capsys.readouterr().out.endswith("1 known already\n")
    assert (tmp_path / "returned.eml").exists()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_message_of_an_mbox_is_taken(site: Database, tmp_path: Path, end: bytes) -> None:
    line = b"From MAILER-DAEMON Thu Mar 12 08:00:00 2026\n"
    human = HUMAN + b"\nFrom here on I have questions.\n"
    report = bounce(sent(site))
    mbox = b"".join(line + one + b"\n" for one in (human, report, HUMAN, report))
    (tmp_path / "mbox").write_bytes(mbox.replace(b"\n", end))
    assert (run("bounce", "process", "mbox"), suppressed(site)) == (0, "bounced")
    with site.reading() as tx:
        assert len(reports.listed(tx)) == 3


def test_a_folder_in_place_of_a_file_is_refused_with_the_option_for_it(
    site: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bounce", "process", tmp_path) == 2
    assert "is a folder; for a Maildir --maildir" in capsys.readouterr().err


def test_a_report_that_cannot_be_read_is_listed_and_the_others_go_on(
    site: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = maildir(tmp_path / "mail", bounce(sent(site)))
    (folder / "new" / "0.link").symlink_to("/etc/hostname")
    assert run("bounce", "process", "--maildir", folder) == 1
    assert "0.link: Too many levels of symbolic links" in capsys.readouterr().err
    assert suppressed(site) == "bounced"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to take: name a FILE, --maildir DIR, or set bounces.maildir"),
        (("--imap",), "no mailbox to read bounces from; set bounces.imap_host"),
        (("nowhere.eml",), "no file nowhere.eml"),
        (("--maildir", "nowhere"), "nowhere: no Maildir"),
        (("--maildir", ".", "--imap"), "one of FILE, --maildir and --imap"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_one_line(
    site: Database, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run("bounce", "process", *words) == 2
    told = capsys.readouterr()
    assert (said in told.err, told.out) == (True, "")


def test_a_folder_that_cannot_be_opened_is_refused(site: Database) -> None:
    assert run("bounce", "process", "--maildir", "x" * 300) == 2


def test_thousands_of_reports_are_told_of_in_a_few_lines(
    site: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    strangers = (dsn("x@example.org", failed(f"r{n}@example.com", "5.1.1", "")) for n in range(53))
    assert run("bounce", "process", "--maildir", maildir(tmp_path / "mail", *strangers)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[51][:10], lines[52], caplog.records) == (
        *(53, "and 3 more", "53 bounce", []),
    )


def test_a_terminal_sees_how_far_it_is(
    site: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    told = lambda what: nullcontext(lambda done, total: seen.append((done, total)))  # noqa: E731
    monkeypatch.setattr("digest.cli.bounce.progress", told)
    run("bounce", "process", "--maildir", maildir(tmp_path / "mail", HUMAN, bounce(sent(site))))
    assert seen == [(0, 2), (1, 2), (2, 2)]


# ------------------------------------------------------------------ the pipe of a mail server


@pytest.fixture
def pipe(site: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`digest bounce process -` with a message on stdin; its exit code."""

    def piped(raw: bytes, *words: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        return run("bounce", "process", "-", *words)

    return piped


def test_the_pipe_records_and_says_nothing(sqlite: Database, tmp_path: Path) -> None:
    letter = sent(sqlite)
    raw = dsn("somebody", failed(letter.to, "5.1.1", "550 no"))
    words = ["bounce", "process", "-", "--to", letter.verp]
    env = {**os.environ, **environment(sqlite)}
    done = subprocess.run(
        [*COMMAND, *words], input=raw, env=env, cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert suppressed(sqlite) == "bounced"


def test_the_pipe_keeps_what_nobody_understands(sqlite: Database, pipe: Callable[..., int]) -> None:
    assert pipe(HUMAN) == 0
    with sqlite.reading() as tx:
        assert reports.get(tx, 1)[1] == HUMAN


def test_the_pipe_swallows_a_mail_of_any_size(sqlite: Database, pipe: Callable[..., int]) -> None:
    assert pipe(bounce(sent(sqlite)) + b"x" * 20_000_000) == 0
    assert suppressed(sqlite) == "bounced"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIGEST_DATABASE__URL", "sqlite:////nowhere/digest.db"),
        ("DIGEST_DATABASE__URL", "sqlite:////etc/hostname"),
        ("DIGEST_SMTP__PORT", "nonsense"),
        ("DIGEST_CONFIG", "/nowhere.toml"),
    ],
)
def test_whatever_is_wrong_the_mail_server_keeps_the_mail(
    sqlite: Database,
    pipe: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
) -> None:
    raw = bounce(sent(sqlite))
    monkeypatch.setenv(name, value)
    assert pipe(raw) == 75
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n"), said.err[:8]) == ("", 1, "digest: ")


@pytest.mark.parametrize("words", [("--too", "x"), ("--maildir", "x"), ("--to", "\udcff@x")])
def test_a_pipe_that_is_called_wrongly_keeps_the_mail_at_the_server(
    site: Database, pipe: Callable[..., int], words: tuple[str, ...]
) -> None:
    assert (pipe(bounce(sent(site)), *words), suppressed(site)) == (75, None)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_nobody_hears_keeps_the_mail_at_the_server(
    site: Database, unbuffered: str
) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    words = [*COMMAND, "--config", "/nowhere.toml", "bounce", "process", "-"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stderr=full, input=b"x", env=environment, check=False)
    assert done.returncode == 75


def test_a_pipe_begins_no_site_of_its_own(
    site: Database, pipe: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw = bounce(sent(site))
    monkeypatch.setenv("DIGEST_DATABASE__URL", f"sqlite:///{tmp_path}/another.db")
    assert (pipe(raw), (tmp_path / "another.db").exists()) == (75, False)


def test_a_locked_database_keeps_the_mail_at_the_server(
    sqlite: Database,
    pipe: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Database.__init__, "__kwdefaults__", {"busy": 0.05})
    raw = bounce(sent(sqlite))
    with sqlite.writing():
        assert pipe(raw) == 75
    assert "locked" in capsys.readouterr().err
    assert suppressed(sqlite) is None


# ------------------------------------------------------------------ list, show


@pytest.fixture
def lived(site: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Database:
    letter = sent(site)
    messages = (bounce(letter, "5.7.1", "550 5.7.1 not you"), complaint(letter), HUMAN)
    run("bounce", "process", "--maildir", maildir(tmp_path / "mail", *messages))
    capsys.readouterr()
    return site


def test_the_list_shows_what_came_back_the_newest_first(
    lived: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    run("bounce", "list", "--json")
    found = [
        (one["kind"], one["weight"], one["effect"]) for one in json.loads(capsys.readouterr().out)
    ]
    assert found == [
        ("unrecognised", None, "listed"),
        ("complaint", None, "ended"),
        ("bounce", "policy", "bounced"),
    ]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("--kind", "complaint"), [2]),
        (("--weight", "policy"), [1]),
        (("--kind", "delay"), []),
        (("--limit", "1"), [3]),
    ],
)
def test_the_list_can_be_narrowed(
    lived: Database, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], ids: list[int]
) -> None:
    run("bounce", "list", "--json", *words)
    assert ids == [one["id"] for one in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize(
    "words", [("list", "--kind", "odd"), ("list", "--weight", "x"), ("show", "9")]
)
def test_what_there_is_not_is_refused(
    lived: Database, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run("bounce", *words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_one_report_is_shown_whole(lived: Database, capsys: pytest.CaptureFixture[str]) -> None:
    run("bounce", "show", "1")
    said = capsys.readouterr().out
    assert "text      smtp; 550 5.7.1 not you" in said
    assert "door      maildir" in said


def test_the_bytes_of_a_report_do_nothing_to_a_terminal(
    site: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    from returning import desk

    desk(site).take(b"Subject: x\n\n\x1b]0;gotcha\x07\xff\n", "pipe", keep_raw=True)
    run("bounce", "show", "1")
    said = capsys.readouterr().out
    assert "gotcha" in said
    assert "\x1b" not in said


def test_the_list_shows_what_wants_to_be_looked_at(
    lived: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bounce", "list", "--effect", "listed", "--json") == 0
    assert {row["effect"] for row in json.loads(capsys.readouterr().out)} == {"listed"}
    assert run("bounce", "list", "--effect", "nonsense") == 2


def test_the_list_is_of_one_address_where_it_is_named(
    lived: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for address in ("ADA@example.com", "bob@example.com"):
        run("bounce", "list", "--address", address, "--json")
        found.append(len(json.loads(capsys.readouterr().out)))
    assert found == [2, 0]


def test_a_letter_shows_what_came_back_for_it(
    lived: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    run("delivery", "show", 1)
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        "2026-03-12 09:00Z came back by maildir: bounce policy 5.7.1 smtp; 550 5.7.1 not you; "
        "`digest bounce show 1`",
        "2026-03-12 09:00Z came back by maildir: complaint abuse Isp-Feedback/1.0; "
        "`digest bounce show 2`",
    ]
    run("delivery", "show", 1, "--json")
    assert len(json.loads(capsys.readouterr().out)["came_back"]) == 2


# ------------------------------------------------------------------ doctor


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ({}, [("odd", "what comes back stops no address")]),
        ({"MAIL__BOUNCE_DOMAIN": "b.example.org"}, [("fine", "what comes back to b.example.org")]),
        ({"BOUNCES__MAILDIR": "mail"}, [("fine", "mail: 1 waiting")]),
        ({"BOUNCES__MAILDIR": "nowhere"}, [("wrong", "nowhere: no Maildir")]),
        (
            {"BOUNCES__IMAP_HOST": "127.0.0.1", "POSTMARK_SECRET": "s3cret"},
            [("fine", "open webhooks: postmark"), ("wrong", "no mailbox to read bounces from")],
        ),
        (
            {"WEBHOOKS__SENDGRID_PUBLIC_KEY": "bm9uZQ=="},
            [("wrong", "webhooks.sendgrid_public_key: no public key")],
        ),
    ],
)
def test_the_doctor_says_whether_what_comes_back_is_read(
    site: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: dict[str, str],
    found: list[tuple[str, str]],
) -> None:
    maildir(tmp_path / "mail", HUMAN)
    for name, value in setting.items():
        monkeypatch.setenv(f"DIGEST_{name}", value)
    run("doctor", "--json")
    findings = json.loads(capsys.readouterr().out)["findings"]
    begun = [(one["state"], one["message"]) for one in findings if one["part"] == "bounces"]
    assert len(begun) == len(found)
    for (state, message), (wanted, said) in zip(begun, found, strict=True):
        assert (wanted, True) == (state, message.startswith(said))


def test_the_doctor_tells_of_reports_that_want_to_be_looked_at(
    lived: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    run("doctor", "--json")
    assert "reports of the last week want to be looked at" in capsys.readouterr().out


# ------------------------------------------------------------------ lmtp


def test_lmtp_listens_until_it_is_asked_to_end(sqlite: Database, tmp_path: Path) -> None:
    import smtplib
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["bounce", "lmtp", "--listen", f"127.0.0.1:{port}"]
    env = {**os.environ, **environment(sqlite)}
    letter = sent(sqlite)
    with subprocess.Popen(
        [*COMMAND, *words], env=env, cwd=tmp_path, stderr=subprocess.PIPE
    ) as server:
        try:
            assert b"listening for LMTP" in server.stderr.readline()
            with smtplib.LMTP("127.0.0.1", port, timeout=10) as client:
                client.sendmail("", [letter.verp], bounce(letter))
        finally:
            server.stderr.close()  # nobody hears that it stops, and it stops all the same
            server.terminate()
        assert server.wait(10) in {0, 120}  # 120: its last words could not be said
    assert suppressed(sqlite) == "bounced"


@pytest.mark.parametrize("listen", ["8024", "host:", ":8024", "host:99999", "host:x"])
def test_an_address_that_is_none_is_refused(
    site: Database, capsys: pytest.CaptureFixture[str], listen: str
) -> None:
    assert run("bounce", "lmtp", "--listen", listen) == 2
    assert "HOST:PORT" in capsys.readouterr().err


# ------------------------------------------------------------------ the daemon


def app(db: Database, **more: str) -> App:
    return App(load(None, {**environment(db), **more}), held_clock(NOW))


def test_the_daemon_looks_for_what_came_back(site: Database, tmp_path: Path) -> None:
    folder = maildir(tmp_path / "mail", bounce(sent(site)))
    ticks = daemon.ticks(app(site, DIGEST_BOUNCES__MAILDIR=str(folder)))
    ticks["bounces"].job(threading.Event())
    assert (suppressed(site), list((folder / "new").iterdir())) == ("bounced", [])


def test_the_daemon_begins_no_other_report_once_it_is_to_end(
    site: Database, tmp_path: Path
) -> None:
    folder, stop = maildir(tmp_path / "mail", bounce(sent(site))), threading.Event()
    stop.set()
    daemon.ticks(app(site, DIGEST_BOUNCES__MAILDIR=str(folder)))["bounces"].job(stop)
    assert (suppressed(site), len(list((folder / "new").iterdir()))) == (None, 1)


def test_the_daemon_looks_nowhere_where_nothing_is_set_up(site: Database) -> None:
    assert "bounces" not in daemon.ticks(app(site))


def test_the_daemons_site_has_the_webhooks_whose_keys_are_set(site: Database) -> None:
    hooks = daemon.site_parts(app(site, DIGEST_POSTMARK_SECRET="s3cret")).hooks
    assert (hooks.postmark_secret, hooks.mailgun_signing_key) == ("s3cret", "")
    assert "s3cret" not in repr(hooks)


def test_what_a_webhook_asks_for_is_not_looked_for_elsewhere(site: Database) -> None:
    def lead(request: httpx.Request) -> httpx.Response:
        there = {"location": "https://1.0.0.1/x.pem"}
        return httpx.Response(200 if "1.0.0.1" in str(request.url) else 302, headers=there)

    asking = app(site)
    asking.network = httpx.MockTransport(lead)
    with pytest.raises(SourceError, match="redirects elsewhere"):
        asyncio.run(asking.fetch("https://1.1.1.1/x.pem"))


def test_nobody_makes_the_site_ask_a_private_address(site: Database) -> None:
    with pytest.raises(SourceError, match="private network"):
        asyncio.run(app(site).fetch("https://127.0.0.1/SimpleNotificationService.pem"))
