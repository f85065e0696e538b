"""Threads for what may wait long."""

import threading
import time
import weakref
from functools import partial

import pytest

from ingest.sink.patience import FIRST, LONGEST, Patience
from ingest.sink.threads import Threads


@pytest.fixture
def threads():
    made = Threads("test", 2)
    yield made
    made.close()


def test_results_and_errors_come_through_the_future(threads):
    assert threads.submit(lambda: threading.current_thread().name).result(10).startswith("test-")
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(10)


def test_only_so_many_run_at_once_and_the_others_wait(threads):
    gate, reached = threading.Event(), threading.Semaphore(0)

    def work():
        reached.release()
        assert gate.wait(10)

    futures = [threads.submit(work) for _ in range(3)]
    for _ in range(2):
        assert reached.acquire(timeout=10)
    assert not reached.acquire(blocking=False)
    gate.set()
    for future in futures:
        future.result(10)


def test_closing_does_not_wait_and_begins_nothing_more():
    threads = Threads("test", 1)
    begun, gate, ran = threading.Event(), threading.Event(), []
    hanging = threads.submit(lambda: begun.set() or gate.wait())
    assert begun.wait(10)
    never = threads.submit(lambda: ran.append(1))
    threads.close()
    assert not hanging.done()
    assert never.cancelled()  # whoever waits for it does not wait for ever
    gate.set()
    for thread in threads._threads:
        thread.join(10)
    assert ran == []


def test_a_thread_that_waits_for_more_holds_on_to_nothing(threads):
    class Large:
        pass

    large = Large()
    gone = weakref.ref(large)
    threads.submit(partial(id, large)).result(10)
    del large
    ends = time.monotonic() + 10
    while gone() is not None and time.monotonic() < ends:
        threads.submit(lambda: None).result(10)
    assert gone() is None


def test_what_was_cancelled_before_it_began_does_not_run(threads):
    gate, ran = threading.Event(), []
    for _ in range(2):
        threads.submit(gate.wait)
    waiting = threads.submit(lambda: ran.append(1))
    assert waiting.cancel()
    gate.set()
    threads.submit(lambda: None).result(10)
    assert ran == []


def test_they_do_not_hold_up_the_end_of_the_process(threads):
    assert all(thread.daemon for thread in threads._threads)


def test_pauses_double_up_to_a_limit_and_begin_anew_after_a_success():
    patience = Patience()
    pauses = [patience.after_failure(1.0) for _ in range(50)]
    assert pauses[:3] == [FIRST, FIRST * 2, FIRST * 4]
    assert pauses[-1] == LONGEST
    patience.after_success()
    assert FIRST / 2 <= patience.after_failure(0.0) <= FIRST
