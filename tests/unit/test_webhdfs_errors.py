import json

import pytest
import requests

from ingest.api import FileExists, FileMissing, OutcomeUnknown, Refused, Unavailable
from ingest.connectors.filesystems.webhdfs_errors import (
    REACTIONS,
    Answer,
    Failure,
    Reaction,
    failure,
    meaning,
    to_error,
)


def remote(name, message="because", status=403):
    return Answer(status, json.dumps({"RemoteException": {"exception": name, "message": message}}).encode())


QUESTION_AND_CHANGE = [
    (remote("StandbyException"), Reaction.NEXT, Reaction.NEXT),
    (remote("RetriableException"), Reaction.NEXT, Reaction.NEXT),
    (remote("SafeModeException"), Reaction.WAIT, Reaction.WAIT),
    (remote("NSQuotaExceededException"), Reaction.WAIT, Reaction.WAIT),
    (remote("DSQuotaExceededException"), Reaction.WAIT, Reaction.WAIT),
    (remote("FileAlreadyExistsException"), Reaction.EXISTS, Reaction.EXISTS),
    (remote("FileNotFoundException", status=404), Reaction.MISSING, Reaction.MISSING),
    (remote("AccessControlException"), Reaction.REFUSE, Reaction.REFUSE),
    (remote("InvalidToken"), Reaction.REFUSE, Reaction.REFUSE),
    (remote("IOException", "File /x could only be written to 0 of the 1 nodes"), Reaction.WAIT, Reaction.WAIT),
    (remote("IOException", "Source /a and destination /d must both be directories"), Reaction.EXISTS, Reaction.EXISTS),
    (remote("IOException", "something else"), Reaction.WAIT, Reaction.UNKNOWN),
    (remote("NullPointerException", status=500), Reaction.WAIT, Reaction.UNKNOWN),
    (Answer(401, b""), Reaction.REFUSE, Reaction.REFUSE),
    (Answer(403, b"<html>"), Reaction.REFUSE, Reaction.REFUSE),
    (Answer(404, b"<html>"), Reaction.REFUSE, Reaction.REFUSE),
    (Answer(411, b""), Reaction.REFUSE, Reaction.REFUSE),
    (Answer(413, b""), Reaction.REFUSE, Reaction.REFUSE),
    (Answer(302, b"", "http://elsewhere/"), Reaction.REFUSE, Reaction.REFUSE),
    (Answer(429, b""), Reaction.WAIT, Reaction.WAIT),
    (Answer(500, b"<html>"), Reaction.WAIT, Reaction.UNKNOWN),
    (Answer(502, b""), Reaction.WAIT, Reaction.UNKNOWN),
    (Answer(500, b'{"RemoteException": null}'), Reaction.WAIT, Reaction.UNKNOWN),
    (Failure(sent=False, reason="no connection"), Reaction.NEXT, Reaction.NEXT),
    (Failure(sent=True, reason="no answer in time"), Reaction.NEXT, Reaction.UNKNOWN),
    (Failure(sent=False, reason="certificate", lasting=True), Reaction.REFUSE, Reaction.REFUSE),
]


@pytest.mark.parametrize(("outcome", "question", "change"), QUESTION_AND_CHANGE)
def test_an_answer_means(outcome, question, change):
    assert meaning(outcome, changes=False).reaction is question
    assert meaning(outcome, changes=True).reaction is change


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_the_status_does_not_decide_where_hadoop_speaks(status):
    for name, reaction in REACTIONS.items():
        assert meaning(remote(name, status=status), changes=True).reaction is reaction


def test_a_lost_ticket_may_come_back():
    assert meaning(Answer(401, b""), changes=True, kerberos=True).reaction is Reaction.WAIT


def test_no_answer_but_hadoops_own_means_missing():
    for status in (403, 404, 500, 502):
        assert meaning(Answer(status, b"not found"), changes=False).reaction is not Reaction.MISSING


def test_a_message_is_its_first_line_and_what_to_do():
    text = meaning(remote("SafeModeException", "Cannot create\n\tat java.lang"), changes=True).text
    assert text.startswith("SafeModeException: Cannot create; ")
    assert "safe mode" in text
    assert "java.lang" not in text
    assert len(meaning(remote("IOException", "x" * 9000), changes=True).text) < 400


@pytest.mark.parametrize(
    ("reaction", "error"),
    [
        (Reaction.NEXT, Unavailable),
        (Reaction.WAIT, Unavailable),
        (Reaction.EXISTS, FileExists),
        (Reaction.MISSING, FileMissing),
        (Reaction.REFUSE, Refused),
        (Reaction.UNKNOWN, OutcomeUnknown),
    ],
)
def test_every_reaction_has_an_error(reaction, error):
    assert type(to_error(reaction, "text")) is error


@pytest.mark.parametrize(
    ("error", "sent", "lasting"),
    [
        (requests.exceptions.ConnectTimeout(), False, False),
        (requests.exceptions.ReadTimeout(), True, False),
        (requests.exceptions.ConnectionError("hung up"), True, False),
        (requests.exceptions.ChunkedEncodingError(), True, False),
        (requests.exceptions.SSLError("bad record"), True, False),
        (requests.exceptions.InvalidURL(), False, True),
    ],
)
def test_a_failure_is_taken_for_sent_unless_it_can_not_have_been(error, sent, lasting):
    found = failure(error)
    assert (found.sent, found.lasting) == (sent, lasting)
