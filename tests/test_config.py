"""Settings: one file and the environment, every fault at once, secrets never shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from digest import config
from digest.config import Settings, masked
from digest.errors import ConfigError

EVERYTHING = """
[site]
name = "Papers of our group"
url = "https://digest.example.org/"
postal_address = "1 Example Street\\nExample"
operator = "ops@example.org"
[database]
url = "postgresql://digest:s3cr3t@db.example.org/digest"
[mail]
from = "Paper Digest <digest@example.org>"
reply_to = "help@example.org"
bounce_domain = "bounces.example.org"
[smtp]
host = "relay.example.org"
port = 587
security = "starttls"
username = "digest"
lanes = 20
[delivery]
ambiguous = "hold"
[web]
listen = "[::1]:8080"
[[sources]]
name = "arxiv-ml"
kind = "arxiv"
categories = ["cs.LG", "stat.ML"]
[[sources]]
name = "nature"
kind = "feed"
url = "https://reader:s3cr3t@www.nature.com/nature.rss"
timeout = 20
"""


def load(folder: Path, toml: str = "", environ: Mapping[str, str] | None = None) -> Settings:
    path = folder / "digest.toml"
    path.write_text(toml, encoding="utf-8")
    return config.load(str(path), environ or {})


def faults(folder: Path, toml: str = "", environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, toml, environ)
    return [fault.replace(f"{folder}/", "") for fault in caught.value.faults]


# ---------------------------------------------------------------- where values come from


def test_without_any_configuration_everything_has_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings() == config.load(None, {})


def test_every_key_of_the_contract_is_taken(tmp_path: Path) -> None:
    settings = load(tmp_path, EVERYTHING)
    assert (settings.site.url, settings.smtp.port) == ("https://digest.example.org", 587)
    assert settings.web.address == ("::1", 8080)
    assert settings.sources[0].options == {"categories": ["cs.LG", "stat.ML"]}


def test_a_plain_postgresql_address_means_our_driver(tmp_path: Path) -> None:
    expected = "postgresql+psycopg://digest:s3cr3t@db.example.org/digest"
    assert expected == load(tmp_path, EVERYTHING).database.url


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = {"DIGEST_SMTP__PORT": "2525", "DIGEST_MAIL__FROM": "a@example.org"}
    settings = load(tmp_path, EVERYTHING, environ)
    assert (
        settings.smtp.port,
        settings.mail.from_,
        settings.smtp.lanes,
    ) == (2525, "a@example.org", 20)


def test_a_value_that_looks_like_json_stays_a_text(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"DIGEST_SITE__NAME": '{"a": 1}'})
    assert settings.site.name == '{"a": 1}'


def test_sources_can_be_given_whole_in_the_environment(tmp_path: Path) -> None:
    given = json.dumps([{"name": "hf", "kind": "huggingface", "base_url": "http://127.0.0.1:9"}])
    settings = load(tmp_path, EVERYTHING, {"DIGEST_SOURCES": given})
    assert [source.name for source in settings.sources] == ["hf"]


def test_the_file_is_looked_for_here_then_in_etc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load(tmp_path, "[smtp]\nport = 26")
    assert config.load(None, {}).smtp.port == 26


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    load(tmp_path, "[smtp]\nport = 26")
    assert config.load(None, {"DIGEST_CONFIG": str(tmp_path / "digest.toml")}).smtp.port == 26


def test_a_file_that_is_not_there_is_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no configuration file at .*nope.toml; make one with"):
        config.load(str(tmp_path / "nope.toml"), {})


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff[smtp]\nport = 26").smtp.port == 26


# ---------------------------------------------------------------- faults


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    toml = """
secret_key = "x"
[site]
nme = "x"
url = "ftp://example.org"
[zzz]
[smtp]
host = "relay.example.org"
security = "none"
[[sources]]
name = "two words"
"""
    environ = {
        "DIGEST_SMPT__HOST": "x",
        "DIGEST_WEB__LISTEN": "8080",
        "DIGEST_SMTP_PASSWORD_FILE": "/nowhere/password",
    }
    expected = [
        "digest.toml: secret_key: secrets come only from the environment or from files; "
        "set $DIGEST_SECRET_KEY or $DIGEST_SECRET_KEY_FILE",
        "$DIGEST_SMPT__HOST: unknown; a setting is written DIGEST_SECTION__KEY",
        "$DIGEST_SMTP_PASSWORD_FILE: /nowhere/password: No such file or directory",
        "digest.toml: site.url: must begin with http:// or https:// and name a host",
        "digest.toml: site.nme: unknown key; did you mean name?",
        'digest.toml: smtp: security = "none" is only for a relay on loopback; use "starttls" '
        'or "tls", or say allow_plaintext = true',
        "$DIGEST_WEB__LISTEN: must be HOST:PORT, as in 127.0.0.1:8080",
        "digest.toml: sources.#1.name: String should match pattern "
        "'^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'",
        "digest.toml: sources.#1.kind: Field required",
        "digest.toml: zzz: unknown key",
    ]
    assert expected == faults(tmp_path, toml, environ)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[mail]\nfrom = 'a@example.org, b@example.org'", "mail.from: must be one address, as in "),
        ("[mail]\nfrom = ''", "mail.from: must not be empty: letters come from somebody"),
        ("[mail]\nfrom = 'digest'", "mail.from: must be one address, as in "),
        ('[mail]\nreply_to = "a@example.org\\r\\nBcc: b@example.org"', "mail.reply_to: must not "),
        ('[mail]\nreply_to = "A\\n <a@example.org>"', "mail.reply_to: must not "),
        ('[site]\nname = "a\\nSubject: b"', "site.name: must be one line"),
        ('[site]\nname = "a\\u0000b"', "site.name: must not hold control characters"),
        ("[site]\nurl = 'https://'", "site.url: must begin with http:// or https:// and name"),
        ("[mail]\nbounce_domain = 'a b'", "mail.bounce_domain: must be a domain, as in "),
        ("[database]\nurl = 'mysql://x'", "database.url: must begin with sqlite:/// or "),
        ("[smtp]\nport = 0", "smtp.port: Input should be greater than or equal to 1"),
        ("[smtp]\nlanes = 'many'", "smtp.lanes: Input should be a valid integer"),
        ("[smtp]\nhost = ''", "smtp.host: String should have at least 1 character"),
        ("[smtp]\nsecurity = 'ssl'", "smtp.security: Input should be 'tls', 'starttls', "),
        ("[web]\nlisten = '127.0.0.1:99999'", "web.listen: must be HOST:PORT, as in "),
        ("[delivery]\nambiguous = 'drop'", "delivery.ambiguous: Input should be 'resend' or"),
        ("site = 3", "site: Input should be a valid dictionary or instance of SiteSettings"),
        ("[[sources]]\nname='a'\nkind='x'\ntimeout=nan", "sources.#1.timeout: Input should be "),
        ("[site", "not TOML: "),
        ("[smtp]\npassword = 'x'", "smtp.password: secrets come only from the environment or "),
    ],
)
def test_a_wrong_value_is_named_with_its_mend(tmp_path: Path, toml: str, expected: str) -> None:
    (fault,) = faults(tmp_path, toml)
    assert fault.startswith(f"digest.toml: {expected}")


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    toml = "[[sources]]\nname='a'\nkind='feed'\n[[sources]]\nname='a'\nkind='arxiv'"
    assert faults(tmp_path, toml) == ["digest.toml: sources: two sources are named a"]


@pytest.mark.parametrize(
    "name", ["DIGEST_PORT", "DIGEST_SMTP", "DIGEST_SOURCES__0__URL", "DIGEST_SECRET_KEY__X"]
)
def test_a_variable_that_sets_nothing_is_a_fault(tmp_path: Path, name: str) -> None:
    expected = [f"${name}: unknown; a setting is written DIGEST_SECTION__KEY"]
    assert expected == faults(tmp_path, environ={name: "x"})


def test_an_unknown_key_in_the_environment_is_named_as_its_variable(tmp_path: Path) -> None:
    expected = ["$DIGEST_SMTP__PROT: unknown key; did you mean port?"]
    assert expected == faults(tmp_path, environ={"DIGEST_SMTP__PROT": "25"})


@pytest.mark.parametrize("given", ["{}", "hf", "[" * 100_000])
def test_sources_in_the_environment_must_be_a_json_list(tmp_path: Path, given: str) -> None:
    (fault,) = faults(tmp_path, environ={"DIGEST_SOURCES": given})
    assert fault.startswith("$DIGEST_SOURCES: must be a JSON list")


def test_a_fault_in_sources_of_the_environment_is_named_so(tmp_path: Path) -> None:
    expected = ["$DIGEST_SOURCES: sources.#1.kind: Field required"]
    assert expected == faults(tmp_path, environ={"DIGEST_SOURCES": '[{"name": "a"}]'})


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    environ = {"DIGESTIVE": "x", "SMTP__HOST": "y", "DIGEST_NOW": "2026-01-01"}
    assert Settings() == load(tmp_path, environ=environ)


# ---------------------------------------------------------------- never in the clear


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "none"),
        ("localhost", "none"),
        ("::1", "none"),
        ("relay.example.org", "starttls"),
        ("10.0.0.1", "starttls"),
        ("localhost.example.org", "starttls"),
        ("127.0.0.1.example.org", "starttls"),
    ],
)
def test_tls_is_required_unless_the_relay_is_this_machine(
    tmp_path: Path, host: str, expected: str
) -> None:
    settings = load(tmp_path, f"[smtp]\nhost = '{host}'")
    assert expected == settings.smtp.effective_security


def test_plain_text_to_another_machine_must_be_asked_for_by_name(tmp_path: Path) -> None:
    toml = "[smtp]\nhost = 'relay'\nsecurity = 'none'\nallow_plaintext = true"
    assert load(tmp_path, toml).smtp.effective_security == "none"


# ---------------------------------------------------------------- secrets


def secret(folder: Path, environ: Mapping[str, str]) -> str | None:
    key = load(folder, environ=environ).secret_key
    return key.get_secret_value() if key else None


def test_a_secret_comes_from_the_environment(tmp_path: Path) -> None:
    assert secret(tmp_path, {"DIGEST_SECRET_KEY": "open sesame"}) == "open sesame"


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("open sesame\n")
    assert secret(tmp_path, {"DIGEST_SECRET_KEY_FILE": str(tmp_path / "key")}) == "open sesame"


def test_a_secret_comes_from_the_credentials_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "digest_secret_key").write_text("open sesame\n")
    assert secret(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "open sesame"


def test_a_secret_comes_from_the_folder_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / config.SECRETS_FOLDER).mkdir()
    (tmp_path / config.SECRETS_FOLDER / "digest_secret_key").write_text("open sesame\n")
    assert secret(tmp_path, {}) == "open sesame"


def test_the_environment_wins_over_files(tmp_path: Path) -> None:
    environ = {"DIGEST_SECRET_KEY": "a", "DIGEST_SECRET_KEY_FILE": str(tmp_path / "nowhere")}
    assert secret(tmp_path, environ) == "a"


def test_no_secret_anywhere_is_no_fault_of_the_configuration(tmp_path: Path) -> None:
    assert None is secret(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(("written", "said"), [(b" \n", "is empty"), (b"\xff\xfe", "is not text")])
def test_a_secret_file_without_a_secret_is_a_fault(
    tmp_path: Path, written: bytes, said: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(written)
    expected = [f"$DIGEST_SECRET_KEY_FILE: key: {said}"]
    assert expected == faults(tmp_path, environ={"DIGEST_SECRET_KEY_FILE": str(path)})


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    toml = EVERYTHING + "api_key = 's3cr3t'\nmirror = 'https://x.example.org/?token=s3cr3t&a=1'\n"
    environ = {"DIGEST_SECRET_KEY": "s3cr3t", "DIGEST_SMTP_PASSWORD": "s3cr3t"}
    settings = load(tmp_path, toml, environ)
    assert "s3cr3t" not in json.dumps(masked(settings)) + repr(settings.secret_key)


def test_what_hides_a_secret_still_tells_where_it_belongs(tmp_path: Path) -> None:
    shown = masked(load(tmp_path, EVERYTHING, {"DIGEST_SECRET_KEY": "s3cr3t"}))
    assert shown["database"]["url"] == "postgresql+psycopg://digest:********@db.example.org/digest"
    assert (shown["secret_key"], shown["smtp_password"]) == ("********", None)


def test_a_database_password_with_odd_characters_is_hidden_whole(tmp_path: Path) -> None:
    toml = "[database]\nurl = 'postgresql://digest:a/b:c@d#e?f@db.example.org/digest'"
    shown = masked(load(tmp_path, toml))
    assert shown["database"]["url"] == "postgresql+psycopg://digest:********@db.example.org/digest"


def test_a_database_password_in_the_query_is_hidden(tmp_path: Path) -> None:
    toml = "[database]\nurl = 'postgresql://db/digest?user=digest&password=s3cr3t'"
    expected = "postgresql+psycopg://db/digest?user=digest&password=********"
    assert expected == masked(load(tmp_path, toml))["database"]["url"]


def test_the_security_in_force_is_shown(tmp_path: Path) -> None:
    shown = masked(load(tmp_path, "[smtp]\nhost = 'relay.example.org'"))
    assert shown["smtp"]["security"] == "starttls"


# ------------------------------------------------------------------ several relays

RELAYS = """
[smtp]
host = "smtp.example.org"
port = 587
username = "digest"
lanes = 12
[[smtp.relays]]
name = "east"
weight = 3
[[smtp.relays]]
name = "west"
host = "smtp.example.net"
port = 465
security = "tls"
username = "us"
lanes = 4
per_minute = 300
[[smtp.relays]]
name = "spare-1"
host = "127.0.0.1"
port = 25
username = ""
weight = 0
"""


def test_what_a_relay_leaves_out_is_that_of_smtp(tmp_path: Path) -> None:
    smtp = load(tmp_path, RELAYS).smtp
    assert [
        (r.name, s.host, s.port, s.effective_security, s.username, s.lanes, s.per_minute, r.weight)
        for r, s in smtp.effective_relays
    ] == [
        ("east", "smtp.example.org", 587, "starttls", "digest", 12, 0, 3),
        ("west", "smtp.example.net", 465, "tls", "us", 4, 300, 1),
        ("spare-1", "127.0.0.1", 25, "none", "", 12, 0, 0),
    ]


def test_without_any_relays_smtp_itself_is_the_one(tmp_path: Path) -> None:
    smtp = load(tmp_path, '[smtp]\nhost = "smtp.example.org"\nport = 587').smtp
    assert [(relay.name, own) for relay, own in smtp.effective_relays] == [
        ("smtp.example.org:587", smtp)
    ]


def test_each_relay_may_have_a_password_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "spare").write_text("from a file\n")
    environ = {
        "DIGEST_SMTP_PASSWORD": "for all",
        "DIGEST_SMTP_PASSWORD_WEST": "for west",
        "DIGEST_SMTP_PASSWORD_SPARE_1_FILE": str(tmp_path / "spare"),
    }
    settings = load(tmp_path, RELAYS, environ)
    own = {name: word.get_secret_value() for name, word in settings.relay_passwords.items()}
    assert own == {"west": "for west", "spare-1": "from a file"}
    assert "for west" not in json.dumps(masked(settings)) + repr(settings)


def test_a_relays_password_may_be_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "digest_smtp_password_west").write_text("sealed")
    settings = load(tmp_path, RELAYS, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.relay_passwords["west"].get_secret_value() == "sealed"


def test_relays_can_be_given_whole_in_the_environment(tmp_path: Path) -> None:
    environ = {
        "DIGEST_SMTP__RELAYS": '[{"name": "a", "port": 2525}, {"name": "b", "port": 2526}]',
        "DIGEST_SMTP_PASSWORD_B": "word",
    }
    settings = load(tmp_path, "", environ)
    assert [(r.name, r.port) for r in settings.smtp.relays] == [("a", 2525), ("b", 2526)]
    assert settings.relay_passwords["b"].get_secret_value() == "word"


@pytest.mark.parametrize(
    ("toml", "environ", "expected"),
    [
        ('[[smtp.relays]]\nhost = "x"', {}, "smtp.relays.#1.name: Field required"),
        ('[[smtp.relays]]\nname = "East"', {}, "smtp.relays.#1.name: String should match"),
        ('[[smtp.relays]]\nname = "my-file"', {}, 'must not end with "file"'),
        (RELAYS.replace('"west"', '"east"'), {}, "two relays are named east"),
        (RELAYS.replace("weight = 3", "wieght = 3"), {}, "smtp.relays.#1.wieght: unknown key"),
        (
            RELAYS.replace('name = "east"', 'name = "east"\npassword = "x"'),
            {},
            "smtp.relays.#1.password: secrets come only from the environment",
        ),
        (
            RELAYS.replace('security = "tls"', 'security = "none"'),
            {},
            'smtp: relay west: security = "none" is only for a relay on loopback',
        ),
        (
            RELAYS,
            {"DIGEST_SMTP_PASSWORD_WETS": "x"},
            "$DIGEST_SMTP_PASSWORD_WETS: no relay has that name; there are: east, west, spare-1",
        ),
        ("", {"DIGEST_SMTP_PASSWORD_EAST": "x"}, "there are: none in [[smtp.relays]]"),
        ("", {"DIGEST_SMTP__RELAYS": "east"}, "$DIGEST_SMTP__RELAYS: must be a JSON list"),
        ("[smtp]\nrelays = 3", {}, "smtp.relays: Input should be a valid"),
        ("smtp = 3", {}, "smtp: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_with_relays_is_told(
    tmp_path: Path, toml: str, environ: Mapping[str, str], expected: str
) -> None:
    [fault] = faults(tmp_path, toml, environ)
    assert expected in fault


def test_limits_of_domains_and_a_transport_are_taken(tmp_path: Path) -> None:
    toml = """
[delivery]
transport = "pipe"
options = { program = "/usr/sbin/sendmail" }
domain_lanes = 5
[[delivery.domains]]
name = "example.edu"
lanes = 2
per_minute = 60
"""
    delivery = load(tmp_path, toml).delivery
    [domain] = delivery.domains
    assert (delivery.transport, dict(delivery.options)) == (
        "pipe",
        {"program": "/usr/sbin/sendmail"},
    )
    assert (domain.name, domain.lanes, domain.per_minute) == ("example.edu", 2, 60)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('[[delivery.domains]]\nname = "@example.org"', "delivery.domains.#1.name: String should"),
        ("[delivery.options]\nprogram = 1", "options are those of a transport"),
        ('[delivery]\nsecret = "x"', "set $DIGEST_TRANSPORT_SECRET"),
    ],
)
def test_what_is_wrong_with_delivery_is_told(tmp_path: Path, toml: str, expected: str) -> None:
    [fault] = faults(tmp_path, toml)
    assert expected in fault
