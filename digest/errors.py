"""One base, few branches; each error names its subject and, where there is one, the mend."""

from __future__ import annotations


class DigestError(Exception):
    """Base of every error of ours. `str()` is one line that names the thing and the mend.

    `exit_code` is what the command ends with: 1 listed failures, 2 refused, 3 broken.
    """

    exit_code = 1

    def __init__(self, message: str, *, subject: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.subject = subject


class Refused(DigestError):
    """The request cannot be taken as it is: usage, an unknown name, a bad value."""

    exit_code = 2


class ConfigError(Refused):
    """The configuration is wrong. `faults` holds one line for each fault, all at once."""

    def __init__(self, faults: list[str], *, subject: str = "") -> None:
        super().__init__("; ".join(faults), subject=subject)
        self.faults = faults


class ProfileError(Refused):
    """A profile cannot be read. `faults` holds one `line:column message` for each fault."""

    def __init__(self, faults: list[str], *, subject: str = "") -> None:
        super().__init__("; ".join(faults), subject=subject)
        self.faults = faults


class TokenError(Refused):
    """A signed link is forged, damaged, or meant for another purpose."""


class Broken(DigestError):
    """The ground is gone: the database or the disk. Nothing was half done."""

    exit_code = 3


class RenderError(DigestError):
    """One letter could not be rendered; its edition is named, all others go on."""


class SourceError(DigestError):
    """A source could not be asked or read; carries the verdict's word in `subject`."""
