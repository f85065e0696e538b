"""Callbacks from the I/O thread served by the thread that polls."""

import asyncio
import threading

import pytest

from ingest.broker.rebalance import Desk


class Loop:
    """Stands for kafka-python's I/O thread: drives a coroutine that awaits kafka futures."""

    @staticmethod
    def drive(coroutine):
        try:
            future = coroutine.send(None)
        except StopIteration:
            return
        done = threading.Event()
        future.add_both(lambda _: done.set())
        assert done.wait(30)
        with pytest.raises(StopIteration):
            coroutine.send(None)


@pytest.fixture
def desk():
    desk = Desk("test", lambda future: future.success(None))
    yield desk
    desk.end()


def test_errands_run_on_the_calling_thread_while_the_call_runs_on_another(desk):
    threads = {}

    def call():
        threads["call"] = threading.current_thread()
        Loop.drive(desk.errand(lambda: threads.update(errand=threading.current_thread())))
        return "done"

    outcome, failure = desk.run(call)
    assert (outcome.result(), failure) == ("done", None)
    assert threads["errand"] is threading.current_thread()
    assert threads["call"] is not threading.current_thread()


def test_what_is_done_meanwhile_runs_first_on_the_calling_thread(desk):
    done = []
    begun = threading.Event()
    early = threading.Thread(target=lambda: Loop.drive(desk.errand(lambda: done.append("early errand"))))
    early.start()  # as of a join that ended between two polls
    while desk._errands.empty():
        assert early.is_alive()

    def meanwhile():
        assert begun.wait(30)
        done.append(threading.current_thread())

    def call():
        begun.set()
        Loop.drive(desk.errand(lambda: done.append("errand")))

    outcome, failure = desk.run(call, meanwhile)
    early.join()
    assert (outcome.result(), failure) == (None, None)
    assert done == [threading.current_thread(), "early errand", "errand"]


def test_no_errand_runs_after_what_is_done_meanwhile_failed(desk):
    """A revoke would commit what it left half done."""
    done = []

    def meanwhile():
        raise LookupError("meanwhile")

    outcome, failure = desk.run(lambda: Loop.drive(desk.errand(lambda: done.append("errand"))), meanwhile)
    assert outcome.result() is None
    assert isinstance(failure, LookupError)
    assert done == []
    desk.run(lambda: Loop.drive(desk.errand(lambda: done.append("later"))))
    assert done == ["later"]


def test_a_failing_errand_does_not_stop_the_call_and_comes_back_beside_its_outcome(desk):
    def fail():
        raise LookupError("first")

    def call():
        Loop.drive(desk.errand(fail))
        Loop.drive(desk.errand(lambda: None))
        return "done"

    outcome, failure = desk.run(call)
    assert outcome.result() == "done"
    assert isinstance(failure, LookupError)


def test_an_error_of_the_call_is_its_outcome(desk):
    def call():
        raise ValueError("no")

    outcome, failure = desk.run(call)
    assert failure is None
    with pytest.raises(ValueError, match="no"):
        outcome.result()


def test_a_closed_desk_runs_no_errands_and_keeps_nobody_waiting(desk):
    desk.close()
    ran = []
    outcome, failure = desk.run(lambda: asyncio.run(desk.errand(lambda: ran.append(1))))
    assert (outcome.result(), failure, ran) == (None, None, [])
