"""The doors by which reports come in: each is removed after it is recorded, and not before."""

from __future__ import annotations

import asyncio
import imaplib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dovecot import PASSWORD, USER, Imap, running_dovecot
from meddling import meddler
from returning import LINKS, NOW, Sent, away, bounce, complaint, desk, now, reader, sent, suppressed

from digest.bounces import (
    Desk,
    Kind,
    MailboxError,
    Taken,
    Watch,
    doors,
    lmtp,
    maildir,
    take_imap,
    take_maildir,
)
from digest.bounces import imap as imap_door
from digest.bounces import record as recording
from digest.config import load
from digest.errors import Broken, Refused
from digest.model import DeliveryState
from digest.store import Database, reports

HUMAN = b"From: bob@example.net\nSubject: Hello\n\nDear daemon, how are you?\n"


def letters(db: Database, number: int) -> list[Sent]:
    return [sent(db, reader(db, f"r{n}@example.com")) for n in range(number)]


def recorded(db: Database) -> int:
    with db.reading() as tx:
        return len(reports.listed(tx))


# ------------------------------------------------------------------ Maildir


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("new", "cur", "tmp"):
        (tmp_path / "bounces" / name).mkdir(parents=True)
    return tmp_path / "bounces"


def drop(folder: Path, *messages: bytes, into: str = "new", flags: str = "") -> None:
    for number, message in enumerate(messages):
        (folder / into / f"1773306000.{number}.mx{flags}").write_bytes(message)


def names(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in found)


def process(db: Database, folder: Path) -> tuple[list[Taken], list[str]]:
    taken: list[Taken] = []
    faults: list[str] = []
    take_maildir(desk(db), folder, taken.append, faults.append)
    return taken, faults


def test_new_and_seen_reports_are_taken_and_removed(sqlite: Database, folder: Path) -> None:
    ada, bob = letters(sqlite, 2)
    drop(folder, bounce(ada))
    drop(folder, bounce(bob), into="cur", flags=":2,S")
    taken, faults = process(sqlite, folder)
    assert ([one.kind for one in taken], faults) == ([Kind.BOUNCE] * 2, [])
    assert (names(folder), suppressed(sqlite, ada.to), suppressed(sqlite, bob.to)) == (
        *([], "bounced", "bounced"),
    )


def test_what_is_half_written_is_left_alone(sqlite: Database, folder: Path) -> None:
    drop(folder, bounce(sent(sqlite)), into="tmp")
    assert process(sqlite, folder) == ([], [])
    assert len(names(folder)) == 1


def test_what_a_person_wrote_stays_flagged_and_is_not_read_again(
    sqlite: Database, folder: Path
) -> None:
    drop(folder, HUMAN)
    taken, _ = process(sqlite, folder)
    assert ([one.kind for one in taken], names(folder)) == (
        *([Kind.UNRECOGNISED], ["cur/1773306000.0.mx:2,F"]),
    )
    assert (folder / "cur" / "1773306000.0.mx:2,F").read_bytes() == HUMAN
    assert process(sqlite, folder) == ([], [])


def test_flags_that_were_there_stay(sqlite: Database, folder: Path) -> None:
    drop(folder, HUMAN, into="cur", flags=":2,RS")
    process(sqlite, folder)
    assert names(folder) == ["cur/1773306000.0.mx:2,FRS"]


def test_a_report_in_hand_when_the_database_breaks_stays_where_it_is(
    sqlite: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, *(bounce(letter) for letter in letters(sqlite, 3)))
    finish = recording.reports.finish
    calls = iter(range(9))

    def full(*given: object) -> None:
        if next(calls) == 1:
            raise Broken("the disk is full")
        finish(*given)

    monkeypatch.setattr(recording.reports, "finish", full)
    with pytest.raises(Broken):
        process(sqlite, folder)
    assert (recorded(sqlite), len(names(folder))) == (1, 2)
    process(sqlite, folder)
    assert (recorded(sqlite), names(folder)) == (3, [])


def test_a_report_that_was_recorded_and_not_removed_does_nothing_the_next_time(
    sqlite: Database, folder: Path
) -> None:
    letter = sent(sqlite)
    desk(sqlite).take(bounce(letter), "maildir")
    drop(folder, bounce(letter))
    [taken], _ = process(sqlite, folder)
    assert (list(taken.parts), names(folder), recorded(sqlite)) == ([], [], 1)


def test_one_that_cannot_be_removed_is_named_and_the_others_go_on(
    sqlite: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, *(bounce(letter) for letter in letters(sqlite, 2)))
    put_away = maildir._put_away

    def stubborn(path: Path, understood: bool) -> None:
        if ".0." in path.name:
            raise PermissionError(13, "Permission denied")
        put_away(path, understood)

    monkeypatch.setattr(maildir, "_put_away", stubborn)
    _, [fault] = process(sqlite, folder)
    assert fault.endswith("1773306000.0.mx: recorded, but not removed: Permission denied")
    assert len(names(folder)) == 1


def test_what_somebody_else_put_away_first_is_no_fault(
    sqlite: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, HUMAN)
    put_away = maildir._put_away

    def twice(path: Path, understood: bool) -> None:
        put_away(path, understood)
        put_away(path, understood)

    monkeypatch.setattr(maildir, "_put_away", twice)
    assert process(sqlite, folder)[1] == []


def test_what_is_no_file_is_not_waited_for(sqlite: Database, folder: Path) -> None:
    os.mkfifo(folder / "new" / "1.pipe")
    (folder / "new" / "2.folder").mkdir()
    (folder / "new" / "3.link").symlink_to("/etc/hostname")
    (folder / "new" / ".hidden").write_bytes(HUMAN)
    taken, faults = process(sqlite, folder)
    assert (taken, [fault.rpartition("/")[2].partition(":")[0] for fault in faults]) == (
        *([], ["3.link"]),
    )


def defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first report meets a defect of ours."""
    finish, calls = recording.reports.finish, iter(range(9))

    def odd(*given: object) -> None:
        if next(calls) == 0:
            raise ValueError("a defect")
        finish(*given)

    monkeypatch.setattr(recording.reports, "finish", odd)


def test_a_report_that_meets_a_defect_is_named_and_the_others_go_on(
    sqlite: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, *(bounce(letter) for letter in letters(sqlite, 2)))
    defect(monkeypatch)
    taken, [fault] = process(sqlite, folder)
    assert (len(taken), recorded(sqlite), len(names(folder))) == (1, 1, 1)
    assert fault.endswith("0.mx: ValueError: a defect; it stays where it is, please report it")


def test_a_folder_that_is_no_maildir_is_refused(sqlite: Database, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no Maildir"):
        process(sqlite, tmp_path)


KILLED = """
import os, sys
from datetime import datetime
from pathlib import Path
from digest.bounces import Desk, maildir
from digest.links import Links
from digest.store import Database

database, folder, secret, url, now = sys.argv[1:]
desk = Desk(Database(database), Links(secret, url), lambda: datetime.fromisoformat(now))
maildir._put_away = lambda path, understood: os.kill(os.getpid(), 9)
maildir.process(desk, Path(folder), print, print)
"""


def test_a_process_killed_between_recording_and_removing_harms_nothing(
    sqlite: Database, folder: Path
) -> None:
    ada = sent(sqlite)
    drop(folder, bounce(ada, "5.2.2"))
    given = (sqlite.url, str(folder), "a secret for tests that is long enough", LINKS.base_url)
    died = subprocess.run([sys.executable, "-c", KILLED, *given, NOW.isoformat()], check=False)
    assert (died.returncode, recorded(sqlite), len(names(folder))) == (-signal.SIGKILL, 1, 1)
    [again], _ = process(sqlite, folder)
    assert (list(again.parts), names(folder), recorded(sqlite)) == ([], [], 1)
    assert now(sqlite, ada).state is DeliveryState.BOUNCED


# ------------------------------------------------------------------ IMAP


@pytest.fixture(scope="module")
def server() -> Iterator[Imap]:
    with running_dovecot() as running:
        yield running


@pytest.fixture
def imap(server: Imap) -> Imap:
    server.clear()
    return server


def fetch(db: Database, imap: Imap, **other: object) -> tuple[list[Taken], list[str]]:
    taken: list[Taken] = []
    faults: list[str] = []
    take_imap(desk(db), imap.mailbox(**other), taken.append, faults.append)
    return taken, faults


@pytest.mark.dovecot
@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_reports_are_taken_from_a_mailbox_and_removed(
    sqlite: Database, imap: Imap, security: str
) -> None:
    ada = sent(sqlite)
    imap.put(bounce(ada), away(ada), HUMAN)
    port = imap.tls if security == "tls" else imap.plain
    taken, faults = fetch(sqlite, imap, security=security, port=port)
    kinds = [one.kind for one in taken]
    assert (kinds, faults) == ([Kind.BOUNCE, Kind.REPLY, Kind.UNRECOGNISED], [])
    assert (imap.left(), suppressed(sqlite, ada.to)) == ([r"\Flagged"], "bounced")
    assert fetch(sqlite, imap) == ([], [])


@pytest.mark.dovecot
def test_a_report_has_one_hash_in_a_mailbox_and_in_a_maildir(sqlite: Database, imap: Imap) -> None:
    raw = complaint(sent(sqlite))
    desk(sqlite).take(raw, "maildir")
    imap.put(raw)
    [taken], _ = fetch(sqlite, imap)
    assert (list(taken.parts), recorded(sqlite), imap.left()) == ([], 1, [])


@pytest.mark.dovecot
def test_a_mailbox_keeps_what_was_not_recorded(
    sqlite: Database, imap: Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    imap.put(*(bounce(letter) for letter in letters(sqlite, 3)))
    finish, calls = recording.reports.finish, iter(range(9))

    def full(*given: object) -> None:
        if next(calls) == 1:
            raise Broken("the disk is full")
        finish(*given)

    monkeypatch.setattr(recording.reports, "finish", full)
    with pytest.raises(Broken):
        fetch(sqlite, imap)
    assert (recorded(sqlite), len(imap.left())) == (1, 2)
    fetch(sqlite, imap)
    assert (recorded(sqlite), imap.left()) == (3, [])


@pytest.mark.dovecot
def test_what_an_earlier_run_marked_and_did_not_live_to_remove_is_removed(
    sqlite: Database, imap: Imap
) -> None:
    raw = bounce(sent(sqlite))
    desk(sqlite).take(raw, "imap")
    imap.put(raw)
    with imap.session() as session:
        session.store("1", "+FLAGS", r"(\Deleted)")
    fetch(sqlite, imap)
    assert (imap.left(), recorded(sqlite)) == ([], 1)


@pytest.mark.dovecot
def test_what_others_marked_for_removal_in_another_folder_stays(
    sqlite: Database, imap: Imap
) -> None:
    with imap.session() as session:
        session.create('"Returned mail"')
    imap.put(bounce(sent(sqlite)), folder='"Returned mail"')
    imap.put(HUMAN)
    [taken], _ = fetch(sqlite, imap, folder="Returned mail")
    assert (taken.kind, imap.left()) == (Kind.BOUNCE, [""])


@pytest.mark.dovecot
@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"password": "wrong"}, "AUTHENTICATIONFAILED"),
        ({"password": "пароль"}, "ascii"),
        ({"folder": "Nowhere"}, "no folder Nowhere"),
        ({"context": None}, "certificate verify failed"),
        ({"host": "localhost"}, "certificate"),
    ],
)
def test_a_mailbox_that_cannot_be_opened_is_named(
    sqlite: Database, imap: Imap, other: dict[str, object], said: str
) -> None:
    from dataclasses import replace

    box = replace(imap.mailbox(), **other)
    with pytest.raises(MailboxError, match=rf"(?s)mailbox bounces@.*{said}.*check \[bounces\]"):
        take_imap(desk(sqlite), box, print, print)


@pytest.mark.dovecot
@pytest.mark.parametrize("way", ["cut", "cut after"])
@pytest.mark.parametrize("word", ["FETCH", "STORE", "EXPUNGE"])
def test_a_conversation_that_is_cut_is_named_and_costs_nothing(
    sqlite: Database, imap: Imap, word: str, way: str
) -> None:
    imap.put(*(bounce(letter) for letter in letters(sqlite, 3)))
    said = pytest.raises(MailboxError, match=r"EOF.*the rest is taken the next time")
    with meddler(imap.plain, word, way, 1 if word == "EXPUNGE" else 2) as port, said:
        fetch(sqlite, imap, security="none", port=port)
    fetch(sqlite, imap)
    assert (recorded(sqlite), imap.left()) == (3, [])


@pytest.mark.dovecot
@pytest.mark.parametrize(
    ("word", "said", "left"),
    [
        ("FETCH", "message .* is left for the next time .*not this one", 1),
        ("STORE", "message .* is left for the next time .*cannot mark.*not this one", 1),
        ("EXPUNGE", "3 reports recorded, but not removed .*not this one", 3),
    ],
)
def test_what_a_server_refuses_is_told_and_the_others_go_on(
    sqlite: Database, imap: Imap, word: str, said: str, left: int
) -> None:
    imap.put(*(bounce(letter) for letter in letters(sqlite, 3)))
    with meddler(imap.plain, word, "refuse") as port:
        taken, [fault] = fetch(sqlite, imap, security="none", port=port)
    assert (re.search(said, fault) is None, len(imap.left())) == (False, left)
    assert len(taken) == recorded(sqlite) == (2 if word == "FETCH" else 3)
    fetch(sqlite, imap)
    assert (recorded(sqlite), imap.left()) == (3, [])


@pytest.mark.dovecot
def test_a_server_that_refuses_all_is_asked_no_more(
    sqlite: Database, imap: Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(server: imaplib.IMAP4, uid: str) -> bytes:
        raise imaplib.IMAP4.error("not today")

    monkeypatch.setattr(imap_door, "_fetch", no)
    imap.put(*[HUMAN] * 4)
    monkeypatch.setattr(imap_door, "MOST_REFUSED", 3)
    faults: list[str] = []
    with pytest.raises(MailboxError, match="not today"):
        take_imap(desk(sqlite), imap.mailbox(), print, faults.append)
    assert len(faults) == 2


@pytest.mark.dovecot
def test_what_somebody_else_took_in_the_meantime_is_no_fault(sqlite: Database, imap: Imap) -> None:
    imap.put(*(bounce(letter) for letter in letters(sqlite, 2)))
    faults: list[str] = []
    take_imap(desk(sqlite), imap.mailbox(), lambda one: imap.clear(), faults.append)
    assert (recorded(sqlite), faults) == (1, [])


@pytest.mark.dovecot
def test_a_long_mailbox_is_asked_for_in_stretches(
    sqlite: Database, imap: Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """imaplib takes no answer of more than a million bytes."""
    asking, answers = imaplib.IMAP4.uid, []

    def heard(self: imaplib.IMAP4, *words: str) -> object:
        said = asking(self, *words)
        answers.extend(len(said[1][0].split()) for word in words if word == "SEARCH")
        return said

    monkeypatch.setattr(imaplib.IMAP4, "uid", heard)
    monkeypatch.setattr(imap_door, "AT_ONCE", 2, raising=False)
    imap.put(*(bounce(letter) for letter in letters(sqlite, 5)))
    assert (len(fetch(sqlite, imap)[0]), imap.left(), answers) == (5, [], [2, 2, 1])


@pytest.mark.dovecot
def test_a_long_mailbox_is_removed_bit_by_bit(
    sqlite: Database, imap: Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_door, "BATCH", 2)
    imap.put(*(bounce(letter) for letter in letters(sqlite, 5)))
    with meddler(imap.plain, "FETCH", "cut", 5) as port, pytest.raises(MailboxError):
        fetch(sqlite, imap, security="none", port=port)
    assert (recorded(sqlite), len(imap.left())) == (4, 1)


@pytest.mark.dovecot
@pytest.mark.parametrize("word", ["LOGIN", "FETCH"])
def test_a_server_that_falls_silent_is_named(
    sqlite: Database, imap: Imap, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(imap_door, "TIMEOUT", 0.3)
    imap.put(HUMAN)
    said = pytest.raises(MailboxError, match=r"no answer within 0\.3 seconds")
    with meddler(imap.plain, word, "silent") as port, said:
        fetch(sqlite, imap, security="none", port=port)


@pytest.mark.dovecot
def test_a_mail_that_meets_a_defect_is_named_and_the_others_go_on(
    sqlite: Database, imap: Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    imap.put(*(bounce(letter) for letter in letters(sqlite, 2)))
    defect(monkeypatch)
    taken, [fault] = fetch(sqlite, imap)
    assert (len(taken), recorded(sqlite), imap.left()) == (1, 1, [""])
    assert "ValueError: a defect; it stays where it is" in fault


@pytest.mark.dovecot
def test_a_maildir_that_is_gone_keeps_no_mailbox_waiting(sqlite: Database, imap: Imap) -> None:
    imap.put(bounce(sent(sqlite)))
    set_up = {
        "DIGEST_BOUNCES__MAILDIR": "/nowhere",
        "DIGEST_BOUNCES__IMAP_HOST": "127.0.0.1",
        "DIGEST_BOUNCES__IMAP_PORT": str(imap.plain),
        "DIGEST_BOUNCES__IMAP_SECURITY": "none",
        "DIGEST_BOUNCES__IMAP_USERNAME": USER,
        "DIGEST_IMAP_PASSWORD": PASSWORD,
    }
    with pytest.raises(Refused, match="/nowhere: no Maildir"):
        doors.take_all(desk(sqlite), load(None, set_up), lambda one: None, print)
    assert (suppressed(sqlite), imap.left()) == ("bounced", [])


@pytest.mark.dovecot
def test_a_mailbox_is_left_when_the_daemon_is_to_end(sqlite: Database, imap: Imap) -> None:
    imap.put(*(bounce(letter) for letter in letters(sqlite, 2)))
    waiting: list[int] = []
    watch = Watch(waiting.append, lambda: recorded(sqlite) == 1)
    take_imap(desk(sqlite), imap.mailbox(), lambda one: None, print, watch)
    assert (waiting, recorded(sqlite), len(imap.left())) == ([2], 1, 1)


def test_a_server_that_is_not_there_is_named(sqlite: Database) -> None:
    from digest.bounces import Mailbox

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        box = Mailbox("127.0.0.1", "bounces", "x", port=taken.getsockname()[1])
        with pytest.raises(MailboxError, match="refused"):
            take_imap(desk(sqlite), box, print, print)


# ------------------------------------------------------------------ LMTP


async def _with_lmtp(desk_: Desk, talk) -> object:
    server = await lmtp.serve(desk_, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await asyncio.get_running_loop().run_in_executor(None, talk, port)


def hand_in(desk_: Desk, raw: bytes, *to: str) -> list[object]:
    """What the server answers to each recipient."""

    def talk(port: int) -> list[object]:
        with smtplib.LMTP("127.0.0.1", port, timeout=10) as server:
            server.ehlo_or_helo_if_needed()
            assert server.mail("")[0] == 250
            assert [server.rcpt(one)[0] for one in to] == [250] * len(to)
            server.docmd("DATA")
            server.send(smtplib._fix_eols(raw.decode()).encode() + b"\r\n.\r\n")
            return [server.getreply()[0] for _ in to]

    return asyncio.run(_with_lmtp(desk_, talk))


def test_lmtp_answers_when_a_report_is_recorded(sqlite: Database) -> None:
    ada = sent(sqlite)
    raw = bounce(ada).replace(f"To: {ada.verp}".encode(), b"To: somebody", 1)
    assert hand_in(desk(sqlite), raw, ada.verp) == [250]
    assert suppressed(sqlite, ada.to) == "bounced"


def test_lmtp_answers_for_each_recipient(sqlite: Database) -> None:
    ada = sent(sqlite)
    assert hand_in(desk(sqlite), bounce(ada), ada.verp, "postmaster@bounces.example.org") == [
        *(250, 250),
    ]


def test_lmtp_leaves_the_mail_with_the_server_while_the_database_is_broken(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Broken("the disk is full")

    ada = sent(sqlite)
    with monkeypatch.context() as broken:
        broken.setattr(recording.reports, "finish", full)
        assert hand_in(desk(sqlite), bounce(ada), ada.verp) == [451]
    assert hand_in(desk(sqlite), bounce(ada), ada.verp) == [250]


def test_lmtp_leaves_the_mail_with_the_server_whatever_is_wrong_here(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defect(*_: object) -> None:
        raise ValueError("a defect")

    ada = sent(sqlite)
    monkeypatch.setattr(recording.reports, "finish", defect)
    assert hand_in(desk(sqlite), bounce(ada), ada.verp, "x@bounces.example.org") == [451, 451]
    assert ("a defect" in caplog.text, recorded(sqlite)) == (True, 0)


def test_lmtp_answers_for_each_recipient_also_where_it_takes_nothing(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmtp, "LARGEST", 1000)
    ada = sent(sqlite)
    assert hand_in(desk(sqlite), bounce(ada) * 2, ada.verp, ada.unsub) == [552, 552]


def test_lmtp_forgets_whoever_hangs_up_in_the_midst(sqlite: Database) -> None:
    ada = sent(sqlite)

    def talk(port: int) -> None:
        server = smtplib.LMTP("127.0.0.1", port, timeout=10)
        server.ehlo_or_helo_if_needed()
        server.mail("")
        server.rcpt(ada.verp)
        server.docmd("DATA")
        server.send(bounce(ada))
        server.close()

    asyncio.run(_with_lmtp(desk(sqlite), talk))
    assert recorded(sqlite) == 0


def test_lmtp_says_where_it_cannot_listen(sqlite: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match="choose another --listen"):
            asyncio.run(lmtp.serve(desk(sqlite), "127.0.0.1", port))
