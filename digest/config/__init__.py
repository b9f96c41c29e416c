"""Settings: one TOML file and the environment, read once, all faults reported at once.

The environment wins over the file: `DIGEST_SECTION__KEY` is `key` of `[section]`, and
`DIGEST_SOURCES` is the whole list of sources as JSON. Secrets never stand in the TOML file; each is
taken from the first of these that has it:

1. the environment: `DIGEST_SECRET_KEY`, `DIGEST_SMTP_PASSWORD`, ...: see SECRETS;
2. the file that `DIGEST_SECRET_KEY_FILE`, `DIGEST_SMTP_PASSWORD_FILE` names;
3. systemd's credentials: `digest_secret_key`, `digest_smtp_password` in `$CREDENTIALS_DIRECTORY`;
4. files of those names in the folder `secrets/` beside the TOML file.
"""

from digest.config.mask import masked
from digest.config.read import SECRETS_FOLDER, find_config, load
from digest.config.settings import Settings, SmtpSettings, SourceSettings, is_loopback

__all__ = [
    "SECRETS_FOLDER",
    "Settings",
    "SmtpSettings",
    "SourceSettings",
    "find_config",
    "is_loopback",
    "load",
    "masked",
]
