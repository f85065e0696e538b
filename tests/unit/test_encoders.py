"""Work on several threads, handed on in the order of each key."""

import random
import threading

from ingest.broker.encoders import Encoders


def test_each_keys_outcomes_come_in_order_whoever_finishes_first():
    encoders = Encoders(threads=4)
    gates = {(key, number): threading.Event() for key in "ab" for number in range(20)}
    found = {"a": [], "b": []}

    def work(key, number):
        gates[key, number].wait(20)
        if number == 7:
            raise ValueError(number)
        return number

    def take(key):
        return lambda future: found[key].append(7 if future.exception() else future.result())

    for key, number in gates:
        encoders.submit(key, lambda key=key, number=number: work(key, number), take(key))
    order = list(gates)
    random.Random(3).shuffle(order)
    for gate in order:
        gates[gate].set()
    encoders.close()

    assert found == {"a": list(range(20)), "b": list(range(20))}


def test_a_slow_key_holds_no_other_up():
    encoders = Encoders(threads=2)
    slow, done = threading.Event(), threading.Event()
    encoders.submit("slow", lambda: slow.wait(20), lambda _: None)
    encoders.submit("quick", lambda: None, lambda _: done.set())

    assert done.wait(20)
    slow.set()
    encoders.close()
