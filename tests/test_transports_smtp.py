"""The SMTP lane against a relay that misbehaves at every step."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from dataclasses import replace

import pytest
from delivering import SHORT, letter, run
from hypothesis import given
from hypothesis import strategies as st
from scripted_relay import CUT, HANG, PAUSE, ScriptedRelay
from talking import (
    ACCEPTED,
    AT_EVERY_STEP,
    DEFERRED,
    ONE_BY_ONE,
    PIPELINING,
    REFUSED,
    RETURNED,
    TINY,
    WITHDRAWN,
    lane_to,
    no,
    said,
    talk,
    yes,
)

from digest.model import Phase
from digest.transports.envelope import Unsendable, envelope, xtext
from digest.transports.replies import bounded, enhanced
from digest.transports.smtp import Relay, SmtpTransport
from digest.transports.wire import stuffed


@pytest.mark.parametrize("offers", [ONE_BY_ONE, PIPELINING], ids=["one by one", "in one write"])
@pytest.mark.parametrize(("script", "expected"), AT_EVERY_STEP)
def test_every_answer_at_every_step_has_its_outcome(script, expected, offers):
    [outcome], _ = talk(dict(script), timeouts=TINY, relay_options=offers)
    assert expected == said(outcome)


def test_nobody_listening_is_returned_with_the_reason():
    async def go():
        async with ScriptedRelay() as relay:
            lane = lane_to(relay)
        return await lane.send(letter(), yes)

    outcome = run(go())
    assert (outcome.kind, outcome.phase) == (RETURNED, Phase.CONNECT)
    assert "connecting to 127.0.0.1" in outcome.text


def test_a_lane_whose_person_left_cuts_before_a_single_byte():
    [outcome], relay = talk(before=no)
    assert (outcome.kind, relay.bodies) == (WITHDRAWN, [])


def test_after_a_refusal_the_envelope_is_reset_and_the_connection_kept():
    outcomes, relay = talk({"RCPT": ["550 5.1.1 no"]}, [letter()] * 2, relay_options=ONE_BY_ONE)
    assert [o.kind for o in outcomes] == [REFUSED, ACCEPTED]
    assert [command.split()[0] for command in relay.commands] == [
        "EHLO",
        "MAIL",
        "RCPT",
        "RSET",
        "MAIL",
        "RCPT",
        "DATA",
        "QUIT",
    ]
    assert relay.connections == 1


def test_after_an_accepted_letter_no_reset_is_needed():
    _, relay = talk({}, [letter()] * 3)
    assert "RSET" not in relay.commands
    assert relay.connections == 1


def test_where_it_is_offered_the_envelope_goes_out_in_one_write():
    """This relay says nothing before it has heard all three commands."""

    async def patient(reader, writer):
        writer.write(b"220 hello\r\n")
        for heard, answer in (
            (b"EHLO test\r\n", b"250-relay\r\n250 PIPELINING\r\n"),
            (b"DATA\r\n", b"250 ok\r\n250 ok\r\n354 go ahead\r\n"),
            (b"\r\n.\r\n", b"250 2.0.0 queued\r\n"),
        ):
            await reader.readuntil(heard)
            writer.write(answer)
        writer.close()

    async def go():
        async with await asyncio.start_server(patient, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            lane = SmtpTransport(
                Relay("127.0.0.1", port, "none", timeouts=SHORT, hello="test")
            ).lane()
            outcome = await lane.send(letter(), yes)
            await lane.close()
            return outcome

    assert said(run(go())) == (ACCEPTED, Phase.DOT, 250, "2.0.0")


def test_a_relay_that_takes_data_for_nobody_gets_a_lone_dot_and_is_used_again():
    outcomes, relay = talk({"RCPT": ["550 5.1.1 no"]}, [letter()] * 2, relay_options=PIPELINING)
    assert [said(o)[:3] for o in outcomes] == [
        (REFUSED, Phase.RCPT, 550),
        (ACCEPTED, Phase.DOT, 250),
    ]
    assert (relay.bodies[0], relay.connections) == (b".\r\n", 1)
    assert [command.split()[0] for command in relay.commands].count("RSET") == 0


def test_a_relay_that_refuses_data_for_nobody_is_reset_and_used_again():
    script = {"RCPT": ["450 4.2.0 later"], "DATA": ["503 5.5.1 nobody is there"]}
    outcomes, relay = talk(script, [letter()] * 2, relay_options=PIPELINING)
    assert [o.kind for o in outcomes] == [DEFERRED, ACCEPTED]
    assert (len(relay.bodies), relay.connections) == (1, 1)
    assert "RSET" in relay.commands


def test_no_empty_letter_goes_to_a_recipient_whom_a_relay_took_without_a_sender():
    script = {"MAIL": ["451 4.3.0 later"]}
    outcomes, relay = talk(script, [letter()] * 2, relay_options=PIPELINING)
    assert [o.kind for o in outcomes] == [DEFERRED, ACCEPTED]
    assert (len(relay.bodies), relay.connections) == (1, 2)


@pytest.mark.parametrize("then", [CUT, HANG, "nonsense", "421 4.3.2 closing"])
def test_a_refusal_stands_whatever_becomes_of_the_rest_of_its_group(then):
    script = {"RCPT": ["550 5.1.1 no"], "DATA": [then]}
    outcomes, relay = talk(script, [letter()] * 2, relay_options=PIPELINING, timeouts=TINY)
    assert [o.kind for o in outcomes] == [REFUSED, ACCEPTED]
    assert len(relay.bodies) == 1


def test_a_person_who_left_gets_no_body_from_a_group_either():
    [outcome], relay = talk(before=no, relay_options=PIPELINING)
    assert (outcome.kind, relay.bodies) == (WITHDRAWN, [])


def test_a_failed_reset_opens_a_new_connection():
    script = {"RCPT": ["550 5.1.1 no"], "RSET": "500 what?"}
    outcomes, relay = talk(script, [letter()] * 2, relay_options=ONE_BY_ONE)
    assert ([o.kind for o in outcomes], relay.connections) == ([REFUSED, ACCEPTED], 2)


def test_a_cut_connection_is_opened_again_for_the_next_letter():
    outcomes, relay = talk({"DATA": [CUT]}, [letter()] * 2)
    assert ([o.kind for o in outcomes], relay.connections) == ([RETURNED, ACCEPTED], 2)


def test_a_connection_takes_only_so_many_letters():
    _, relay = talk({}, [letter()] * 5, per_connection=2)
    assert relay.connections == 3


def test_an_old_connection_is_replaced():
    _, relay = talk({}, [letter()] * 2, seconds=0.0)
    assert relay.connections == 2


def test_a_cap_that_the_relay_never_told_is_learnt():
    async def go():
        async with ScriptedRelay({"MAIL": ["", "", CUT, "", "", CUT]}) as relay:
            transport = SmtpTransport(Relay("127.0.0.1", relay.port, "none", hello="t"))
            lane = transport.lane()
            kinds = [(await lane.send(letter(), yes)).kind for _ in range(8)]
            await lane.close()
            return transport.cap, kinds

    cap, kinds = run(go())
    assert (cap, kinds) == (2, [ACCEPTED, ACCEPTED, RETURNED] * 2 + [ACCEPTED] * 2)


def test_a_connection_that_is_closed_because_it_was_idle_tells_of_no_cap(monkeypatch):
    monkeypatch.setattr("digest.transports.smtp.IDLE", 0.0)

    async def go():
        async with ScriptedRelay() as relay:
            transport = SmtpTransport(Relay("127.0.0.1", relay.port, "none", hello="t"))
            lane, caps = transport.lane(), []
            for _ in range(3):
                await lane.send(letter(), yes)
                for task in relay._tasks:
                    task.cancel()
                await asyncio.sleep(0.02)
                caps.append(transport.cap)
            await lane.close()
            return caps, relay.connections

    assert run(go()) == ([1000] * 3, 3)


def test_replies_are_kept_bounded_and_without_control_characters():
    [outcome], _ = talk({"RCPT": "550 5.1.1 \x1b[31mred\x07\x00" + "x" * 3000})
    assert outcome.text.startswith("5.1.1 [31mred")
    assert outcome.text.isprintable()
    assert len(outcome.text) == 500


def test_only_offered_parameters_are_used():
    _, relay = talk(relay_options={"offered": ("PIPELINING",)})
    assert "MAIL FROM:<b+1@bounces.example.org>" in relay.commands
    _, relay = talk({}, [letter(body="Grüße\r\n".encode(), message_id="<a+b@c>")])
    [mail] = [command for command in relay.commands if command.startswith("MAIL")]
    assert mail.endswith(" BODY=8BITMIME RET=HDRS ENVID=a+2Bb@c")
    assert f" SIZE={len(relay.bodies[0]) - 3} " in mail


def test_an_address_that_needs_smtputf8_is_refused_where_the_relay_lacks_it():
    [outcome], relay = talk({}, [letter("jürgen@example.org")], relay_options={"offered": ()})
    assert (outcome.kind, outcome.enhanced) == (REFUSED, "5.6.7")
    assert "SMTPUTF8" in outcome.text
    assert not any(command.startswith("MAIL") for command in relay.commands)


def test_an_address_that_needs_smtputf8_goes_out_in_utf8():
    [outcome], relay = talk({}, [letter("jürgen@bücher.example")])
    assert outcome.kind == ACCEPTED
    assert "RCPT TO:<jürgen@xn--bcher-kva.example>" in relay.commands


def test_an_international_domain_alone_needs_no_extension():
    _, relay = talk({}, [letter("ada@bücher.example")], relay_options={"offered": ()})
    assert "RCPT TO:<ada@xn--bcher-kva.example>" in relay.commands


def test_a_letter_over_the_relays_size_is_not_offered():
    [outcome], _ = talk(relay_options={"offered": ("SIZE 50",)})
    assert (outcome.kind, outcome.enhanced) == (REFUSED, "5.3.4")


def test_eight_bit_text_is_refused_where_the_relay_lacks_it():
    [outcome], _ = talk({}, [letter(body=b"\xc3\xa9\r\n")], relay_options={"offered": ()})
    assert (outcome.kind, outcome.enhanced) == (REFUSED, "5.6.3")


def test_dots_and_line_ends_reach_the_relay_as_rfc_5321_wants_them():
    _, relay = talk({}, [letter(body=b".\r\n..two\r\nlast without end")])
    assert relay.bodies[0].endswith(b"\r\n\r\n..\r\n...two\r\nlast without end\r\n.\r\n")


def test_a_letter_that_is_said_to_be_ready_goes_out_as_it_is():
    ready = replace(letter(), stuffed=True)
    _, relay = talk({}, [ready])
    assert relay.bodies == [ready.raw + b".\r\n"]


# ------------------------------------------------------------------ what before_body raises


def test_what_before_body_raises_is_raised_after_the_cut():
    async def broken() -> bool:
        raise TimeoutError("the database")

    async def go():
        async with ScriptedRelay() as relay:
            lane = lane_to(relay)
            with pytest.raises(TimeoutError, match="the database"):
                await lane.send(letter(), broken)
            again = await lane.send(letter(), yes)
            await lane.close()
            return again, relay

    outcome, relay = run(go())
    assert (outcome.kind, len(relay.bodies), relay.connections) == (ACCEPTED, 1, 2)


def test_a_cancelled_lane_cuts():
    async def go():
        async with ScriptedRelay({"RCPT": HANG}) as relay:
            lane = lane_to(relay)
            task = asyncio.create_task(lane.send(letter(), yes))
            while not relay.tries["RCPT"]:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return lane._wire

    assert run(go()) is None


def test_a_letter_given_up_in_the_body_does_not_go_out_behind_our_back():
    """A relay that stops reading: after our timeout the rest never reaches it, and we know."""

    async def go():
        async with ScriptedRelay({"body": PAUSE}, offered=()) as relay:
            lane = lane_to(relay, timeouts=TINY)
            outcome = await lane.send(letter(body=(b"x" * 998 + b"\r\n") * 20_000), yes)
            await relay.ended.wait()
            return outcome.kind, relay.bodies

    assert run(go()) == (RETURNED, [])


# ------------------------------------------------------------------ TLS and passwords


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody has signed."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    made = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -keyout {key} -out {cert} -subj /CN=relay -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(made.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(cert)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_letter_goes_through_tls_with_a_trusted_certificate(certificate, security):
    context, ca_file = certificate
    [outcome], relay = talk(relay_options={security: context}, security=security, ca_file=ca_file)
    assert (outcome.kind, len(relay.bodies)) == (ACCEPTED, 1)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_an_untrusted_certificate_is_never_downgraded(certificate, security):
    context, _ = certificate
    outcomes, relay = talk(
        letters=[letter()] * 2, relay_options={security: context}, security=security
    )
    assert [(o.kind, o.phase) for o in outcomes] == [(RETURNED, Phase.CONNECT)] * 2
    assert "certificate" in outcomes[0].text.lower()
    assert not any(command.startswith("MAIL") for command in relay.commands)


def test_a_relay_without_starttls_gets_nothing_where_it_is_required():
    [outcome], relay = talk(security="starttls")
    assert (outcome.kind, outcome.phase) == (RETURNED, Phase.CONNECT)
    assert "STARTTLS" in outcome.text
    assert not any(command.startswith("MAIL") for command in relay.commands)


def test_a_relay_that_offers_starttls_and_fails_it_gets_nothing(certificate):
    [outcome], relay = talk(
        {"STARTTLS": "454 4.7.0 no TLS today"},
        relay_options={"starttls": certificate[0]},
        security="opportunistic",
    )
    assert (outcome.kind, outcome.phase, outcome.code) == (RETURNED, Phase.CONNECT, 454)
    assert relay.bodies == []


def test_opportunistic_takes_any_certificate_and_none(certificate):
    [with_tls], relay = talk(relay_options={"starttls": certificate[0]}, security="opportunistic")
    [without], _ = talk(security="opportunistic")
    assert (with_tls.kind, relay.over_tls, without.kind) == (ACCEPTED, True, ACCEPTED)


def test_a_password_goes_out_only_under_tls_where_tls_is_opportunistic(certificate):
    login = {"username": "ada", "password": "secret", "security": "opportunistic"}
    offered = ("AUTH PLAIN LOGIN",)
    [plain], relay = talk(relay_options={"offered": offered}, **login)
    assert (plain.kind, plain.phase) == (RETURNED, Phase.CONNECT)
    assert not any(command.startswith("AUTH") for command in relay.commands)
    options = {"offered": offered, "starttls": certificate[0]}
    [private], relay = talk(relay_options=options, **login)
    assert (private.kind, relay.tries["AUTH"]) == (ACCEPTED, 1)


def test_a_wrong_password_is_our_configuration_and_not_the_letters_fault():
    [outcome], _ = talk(
        {"AUTH": "535 5.7.8 bad credentials"},
        relay_options={"offered": ("AUTH PLAIN",)},
        username="ada",
        password="wrong",
    )
    assert said(outcome)[:3] == (RETURNED, Phase.CONNECT, 535)


def test_a_password_is_not_shown():
    assert "secret" not in repr(Relay("relay", username="ada", password="secret"))


# ------------------------------------------------------------------ pure parts


@given(st.binary(max_size=300))
def test_no_letter_ends_early_or_smuggles_another(raw):
    wire = stuffed(raw)
    assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"
    assert wire.find(b"\r\n.\r\n", 0, len(wire) - 1) == -1
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")


@given(
    st.lists(st.binary(max_size=40).filter(lambda b: not set(b) & {10, 13}), min_size=1, max_size=8)
)
def test_a_letter_is_read_back_as_it_was_written(lines):
    raw = b"".join(line + b"\r\n" for line in lines)
    wire = b"\r\n" + stuffed(raw).removesuffix(b".\r\n")
    assert raw == wire.replace(b"\r\n.", b"\r\n")[2:]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example.org\r\nRCPT TO:<eve@example.org>",
        "ada\0@example.org",
        "ada@exam ple.org",
        "ada b@example.org",
        "ada>@example.org",
        "a@b@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 320 + ".org",
        "a@" + ".".join(["b" * 60] * 6),
        "a@-b.org",
        "a@b..org",
        "ada@exa\udcffmple.org",
        "a\udcff@example.org",
    ],
)
def test_an_address_that_no_command_line_can_hold_is_refused(address):
    with pytest.raises(Unsendable) as caught:
        envelope(letter(address), {"smtputf8": ""})
    assert (caught.value.enhanced, caught.value.phase) == ("5.1.3", Phase.RCPT)


@pytest.mark.parametrize(
    "address",
    [
        "a+b@example.org",
        '"ada lovelace"@example.org',
        '"a@b"@example.org',
        "o'hara!#$%&*/=?^`{|}~@example.org",
        "ada@[127.0.0.1]",
        "ada@[IPv6:::1]",
        "a" * 64 + "@example.org",
    ],
)
def test_a_legal_and_odd_address_goes_out_as_it_is(address):
    assert f"RCPT TO:<{address}>".encode() == envelope(letter(address), {})[1]


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_the_address_the_command_stays_one_line(sender, recipient):
    try:
        mail, rcpt = envelope(letter(recipient, mail_from=sender), {"smtputf8": ""})
    except Unsendable:
        return
    for line in (mail, rcpt):
        assert not any(byte < 32 or byte == 127 for byte in line)
        assert line.count(b">") == 1 or b'"' in line


@given(st.text())
def test_any_reply_becomes_one_short_printable_line(text):
    line = bounded(text)
    assert len(line) <= 500
    assert line.isprintable()


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (550, "5.1.1 nobody", "5.1.1"),
        (550, "#5.1.0 nobody", "5.1.0"),
        (550, "(5.7.26) unauthenticated", "5.7.26"),
        (250, "2.0.0", "2.0.0"),
        (550, "nobody at 5.1.1.2", None),
        (550, "5.1.1.2 is listed", None),
        (550, "4.1.1 does not fit", None),
        (550, "", None),
    ],
)
def test_an_enhanced_code_is_read_at_the_head_of_the_reply_only(code, text, expected):
    assert expected == enhanced(code, text)


def test_an_envelope_id_holds_only_what_xtext_allows():
    assert xtext("a+b=c@d\u00e9 ".strip()) == "a+2Bb+3Dc@d"
