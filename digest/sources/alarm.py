"""pure: when the operator is told of a source: once when it turned bad, once when it is well."""

from __future__ import annotations

from datetime import datetime, timedelta

from digest.model import Notice, SourceReport, Verdict

PATIENCE = timedelta(hours=3)  # what often mends itself may last so long
A_DAY = timedelta(hours=20)  # between two letters about one source; runs by cron drift a little
_PASSING = {Verdict.HTTP_ERROR, Verdict.TIMEOUT, Verdict.LATE}


def due(
    report: SourceReport, healthy_at: datetime | None, last: Notice | None, now: datetime
) -> Notice | None:
    """What the operator is to be told after this report; None: nothing. `healthy_at`: when the
    source was last well, before this report; `last`: what they were told of it last."""
    well = report.verdict.healthy
    told_well = last is None or last.well
    if well == told_well or (last is not None and now - last.at < A_DAY):
        return None
    if well:
        since = last.at if last else None
        return Notice(report.source, now, True, report.verdict, report.message, since)
    passing = report.verdict in _PASSING and healthy_at is not None
    if passing and healthy_at is not None and now - healthy_at < PATIENCE:
        return None
    return Notice(report.source, now, False, report.verdict, report.message, healthy_at)
