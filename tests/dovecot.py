"""An IMAP server of the tests' own: Dovecot in a temporary folder, with a certificate made here."""

from __future__ import annotations

import imaplib
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from digest.bounces import Mailbox

HOW = "install it with `apt-get install dovecot-imapd`"
USER, PASSWORD = "bounces", 'a "quoted" \\ password'

CONFIGURATION = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
listen = 127.0.0.1
protocols = imap
ssl = yes
ssl_cert = <{home}/cert.pem
ssl_key = <{home}/key.pem
disable_plaintext_auth = no
auth_failure_delay = 0 secs
default_login_user = {login}
default_internal_user = {internal}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{home}/mail
mailbox_list_index = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner_group} home={home}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


@dataclass(frozen=True)
class Imap:
    """A running server with one mailbox."""

    plain: int
    tls: int
    context: ssl.SSLContext

    def mailbox(self, **other: object) -> Mailbox:
        usual = {"security": "tls", "port": self.tls, "context": self.context}
        return Mailbox("127.0.0.1", USER, PASSWORD, **{**usual, **other})

    @contextmanager
    def session(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.plain, timeout=10) as server:
            server.login(USER, PASSWORD)
            server.select()
            yield server

    def put(self, *messages: bytes, folder: str = "INBOX") -> None:
        with self.session() as server:
            for message in messages:
                crlf = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                assert server.append(folder, "", "", crlf)[0] == "OK"

    def left(self) -> list[str]:
        """The flags of each message that is there, without what the server sets itself."""
        with self.session() as server:
            _, found = server.uid("FETCH", "1:*", "(FLAGS)")
        flags = (imaplib.ParseFlags(line) for line in found if line)
        return [" ".join(f.decode() for f in one if f != rb"\Recent") for one in flags]

    def clear(self) -> None:
        with self.session() as server:
            server.uid("STORE", "1:*", "+FLAGS", r"(\Deleted)")
            server.expunge()


def _owner() -> dict[str, object]:
    """Whose processes these are. As root Dovecot insists on users of its own."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        users = {"login": "dovenull", "internal": "dovecot", "group": "dovecot"}
        return {**users, "owner": nobody.pw_uid, "owner_group": nobody.pw_gid}
    import grp

    name, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    users = {"login": name, "internal": name, "group": group}
    return {**users, "owner": os.geteuid(), "owner_group": os.getegid()}


def _ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def certificate(home: Path) -> None:
    """cert.pem and key.pem for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    (home / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, way = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (home / "key.pem").write_bytes(key.private_bytes(pem, way, serialization.NoEncryption()))


@contextmanager
def running_dovecot() -> Iterator[Imap]:
    """A server that ends with the block; skipped where there is none to start."""
    binary = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")
    if binary is None:
        pytest.skip(f"no Dovecot: {HOW}")
    home = Path(f"/tmp/digest-imap-{uuid.uuid4().hex[:8]}")  # a short path, for its sockets
    home.mkdir(mode=0o755)
    owner, (plain, tls) = _owner(), _ports(2)
    (home / "mail").mkdir()
    shutil.chown(home / "mail", owner["owner"], owner["owner_group"])
    shutil.chown(home, owner["owner"], owner["owner_group"])
    (home / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    certificate(home)
    words = CONFIGURATION.format(home=home, plain=plain, tls=tls, **owner)
    (home / "conf").write_text(words)
    server = subprocess.Popen(
        [binary, "-F", "-c", str(home / "conf")], stderr=subprocess.DEVNULL, cwd=home
    )
    try:
        _wait(plain, server, home / "log")
        context = ssl.create_default_context(cafile=str(home / "cert.pem"))
        yield Imap(plain, tls, context)
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(home, ignore_errors=True)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"Dovecot did not start: {log.read_text() if log.exists() else ''}")
