"""What the RFCs of syslog fix: names, numbers, and how structured data is written."""

from __future__ import annotations

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news"),
    *("uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
HIGHEST = len(FACILITIES) * len(SEVERITIES) - 1
"""The largest priority: eight times the facility, and the severity."""

STRUCTURED_DATA = r'(?:\[[^ =\]"]+(?: [^ =\]"]+="(?:[^"\\]|\\.)*")*\])+'
"""A regular expression, for Python and for RE2, in which a dot means every character. A closing bracket in quotes needs
no backslash here, as many programs write none.
"""

NO_YEAR = "no timestamp to take the year from"
"""The line was accepted without its time."""
