"""Lines of syslog: RFC 5424, RFC 3164, and what rsyslog and others write into files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Annotated, ClassVar

import pyarrow as pa

from ingest.api import ConfigError, Int64s, Options, arrow_type, instant_of_text, option
from ingest.connectors.parsers.civil import MONTHS
from ingest.connectors.parsers.reasons import CUT, Reject
from ingest.connectors.parsers.syslog_columns import split
from ingest.connectors.parsers.syslog_times import EPOCH, FIRST_MOMENT, LAST_MOMENT, in_year, latest, to_utc, zone_named
from ingest.connectors.parsers.syslog_words import FACILITIES, HIGHEST, NO_YEAR, SEVERITIES, STRUCTURED_DATA
from ingest.connectors.parsers.text_parser import Fields, TextParser

BAD_PRIORITY = "bad priority"
BAD_HEADER = "not a header of RFC 5424"
BAD_DATA = "bad structured data"
NO_TIME = "no time"
NO_HOST = "no hostname"
UNFIT_TIME = "does not fit timestamp"

_SCHEMA = pa.schema(
    [
        ("facility", pa.string()),
        ("severity", pa.string()),
        ("time", arrow_type("timestamp")),
        ("hostname", pa.string()),
        ("app_name", pa.string()),
        ("proc_id", pa.string()),
        ("msg_id", pa.string()),
        ("structured_data", pa.string()),
        ("message", pa.string()),
    ]
)
_PRIORITY = re.compile(r"<(0|[1-9]\d{0,2})>", re.ASCII)
_VERSION = "1 "
_HEADER = re.compile(r"1 ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) (.*)", re.DOTALL)
_DATA = re.compile(rf"(-|{STRUCTURED_DATA})(?: \ufeff?(.*))?", re.DOTALL)
_LOCAL = re.compile(rf"({'|'.join(MONTHS)}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (?:((?:19|20)\d\d) )?", re.ASCII)
_ISO = re.compile(r"(\d{4}-\d\d-\d\dT[^ ]+) ", re.ASCII)
_ZONE = re.compile(r".*(?:[Zz]|[+-]\d\d(?::?\d\d)?)", re.ASCII)
_HOST = re.compile(r"([^ ]+)(?: (.*))?", re.DOTALL)
_TAG = re.compile(r"([^ ]+):(?: (.*))?", re.DOTALL)
_PROCESS = re.compile(r"([^\[]+)\[([^\]]*)\]")


class SyslogOptions(Options):
    """What times mean that do not say it."""

    zone: Annotated[str, option("The zone of times that say none, by its IANA name.", example="Europe/Berlin")] = "UTC"

    def __post_init__(self) -> None:
        """Refuse a zone that is not known here."""
        try:
            zone_named(self.zone)
        except ValueError as error:
            raise ConfigError("zone", str(error)) from error


class SyslogParser(TextParser[SyslogOptions]):
    """Reads three kinds of lines, whatever the one before was.

        <PRI>1 TIME HOST APP PROCID MSGID DATA MESSAGE      RFC 5424, DATA as it is written
        [<PRI>]Mmm dd hh:mm:ss HOST TAG[PID]: MESSAGE       RFC 3164, also without PRI, as in files
        [<PRI>]TIME HOST TAG[PID]: MESSAGE                  the same with a time of ISO 8601

    Of the last two, a first word that ends with a colon is the tag, and there is no host; a word behind the host that
    does not end with one begins the message. "-" in the header is null, also for DATA. `Mmm dd hh:mm:ss yyyy` is a time
    as well.
    A time without a year has the latest one in which it is at most a day after the timestamp of its record; where there
    is none, the time is null, and that is counted. A carriage return at the end is no part of the line.
    """

    Options: ClassVar[type[SyslogOptions]] = SyslogOptions

    def __init__(self, options: SyslogOptions) -> None:
        super().__init__(options)
        self._zone = zone_named(options.zone)

    def schema(self) -> pa.Schema:
        """Return the columns, the same for all lines."""
        return _SCHEMA

    def split(self, text: pa.StringArray, moments: Int64s, schema: pa.Schema) -> Sequence[Fields]:
        """See `TextParser`."""
        return split(text, moments, self._zone)

    def read(self, text: str, moment: int, counted: Counter[str]) -> Mapping[str, str | None]:
        """See `TextParser`."""
        text, said = text.removesuffix("\r"), dict[str, str]()
        if text[:1] == "<":
            match = _PRIORITY.match(text)
            if match is None or int(match[1]) > HIGHEST:
                raise Reject(BAD_PRIORITY)
            facility, severity = divmod(int(match[1]), len(SEVERITIES))
            said = {"facility": FACILITIES[facility], "severity": SEVERITIES[severity]}
            text = text[match.end() :]
            if text.startswith(_VERSION):
                return {**said, **self._modern(text, counted)}
        return {**said, **self._old(text, moment, counted)}

    def _modern(self, text: str, counted: Counter[str]) -> dict[str, str | None]:
        """Read what RFC 5424 has behind the priority."""
        match = _HEADER.fullmatch(text)
        if match is None:
            raise Reject(BAD_HEADER)
        time, host, app, process, message_id, tail = match.groups()
        found = _DATA.fullmatch(tail)
        if found is None:
            raise Reject(BAD_DATA)
        fields = {
            "time": time if time == "-" else self._zoned(time, counted),
            "hostname": host,
            "app_name": app,
            "proc_id": process,
            "msg_id": message_id,
            "structured_data": found[1],
        }
        return {**{name: _nil(field) for name, field in fields.items()}, "message": found[2]}

    def _old(self, text: str, moment: int, counted: Counter[str]) -> dict[str, str | None]:
        """Read what RFC 3164 has behind the priority."""
        if match := _LOCAL.match(text):
            time = self._dated(match, moment, counted)
        elif match := _ISO.match(text):
            time = self._zoned(match[1], counted)
        else:
            raise Reject(NO_TIME)
        fields, tag = {"time": time}, _TAG.fullmatch(text, match.end())
        if tag is None:
            head = _HOST.fullmatch(text, match.end())
            if head is None:
                raise Reject(NO_HOST)
            fields |= {"hostname": _nil(head[1]), "message": head[2]}
            tag = _TAG.fullmatch(head[2] or "")
        if tag is not None:
            process = _PROCESS.fullmatch(tag[1])
            app, number = (tag[1], None) if process is None else process.groups()
            fields |= {"app_name": _nil(app), "proc_id": _nil(number), "message": tag[2]}
        return fields

    def _dated(self, match: re.Match[str], moment: int, counted: Counter[str]) -> str | None:
        """Return a time that may lack a year as ISO 8601."""
        month, (day, hour, minute, second) = MONTHS.index(match[1]) + 1, map(int, match.groups()[1:5])
        known = FIRST_MOMENT <= moment <= LAST_MOMENT
        clock = timedelta(hours=hour, minutes=minute, seconds=second)
        right = hour <= 23 and minute <= 59 and second <= 59
        if match[6]:
            found = in_year(int(match[6]), month, day, clock)
        else:
            found = latest(month, day, clock, moment if known else 0)
        if found is None or not right:
            raise Reject(UNFIT_TIME)
        if not known and not match[6]:
            counted[NO_YEAR] += 1
            return None
        return f"{to_utc(found, self._zone).isoformat()}Z"

    def _zoned(self, text: str, counted: Counter[str]) -> str:
        """Return a time that may lack a zone as one that has one, unless it is no time."""
        instant = None if self._zone is UTC or _ZONE.fullmatch(text, 10) else instant_of_text(text)
        if instant is None:
            return text
        if instant.cut:
            counted[CUT] += 1
        try:
            return f"{to_utc(EPOCH + timedelta(microseconds=instant.us), self._zone).isoformat()}Z"
        except OverflowError as error:
            raise Reject(UNFIT_TIME) from error


def _nil(text: str | None) -> str | None:
    return None if text == "-" else text
