"""Letters as files."""

from __future__ import annotations

from delivering import letter, run
from hypothesis import given
from hypothesis import strategies as st

from digest.model import OutcomeKind
from digest.transports.maildir import MaildirTransport, file_name


async def yes() -> bool:
    return True


def test_a_letter_sent_twice_is_one_file(tmp_path):
    lane = MaildirTransport(tmp_path).lane()
    for _ in range(2):
        run(lane.send(letter(), yes))
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_letter_that_was_read_meanwhile_is_not_written_again(tmp_path):
    transport = MaildirTransport(tmp_path)
    run(transport.lane().send(letter(), yes))
    [there] = (tmp_path / "new").iterdir()
    there.rename(tmp_path / "cur" / f"{there.name}:2,S")
    outcome = run(transport.lane().send(letter(), yes))
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{there.name}:2,S"]


def test_a_letter_stands_beside_others_that_were_read(tmp_path):
    transport = MaildirTransport(tmp_path)
    run(transport.lane().send(letter(), yes))
    [there] = (tmp_path / "new").iterdir()
    there.rename(tmp_path / "cur" / f"{there.name}:2,S")
    run(transport.lane().send(letter(message_id="<2@example.org>"), yes))
    assert [len(list((tmp_path / part).iterdir())) for part in ("new", "cur")] == [1, 1]


def test_nothing_half_written_is_left(tmp_path):
    async def no() -> bool:
        return False

    run(MaildirTransport(tmp_path).lane().send(letter(), no))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@given(st.text(max_size=300))
def test_any_message_id_makes_a_file_name(message_id):
    name = file_name(message_id)
    assert not set(name) & set("/:\0")
    assert not name.startswith("..")
    assert 0 < len(name.encode()) < 200


def test_two_message_ids_never_share_a_file():
    assert file_name("<a/b@c>") != file_name("<a_b@c>")
