import contextlib
import json
import socket
import threading

import pytest

from ingest.api import ConfigError, Refused, StreamState
from ingest.connectors.sources import syslog as module
from ingest.connectors.sources.syslog import SyslogOptions, SyslogSource
from ingest.testing.clock import ManualClock
from tests.builders.sources import Events, all_values, context
from tests.builders.waiting import until


def options(*listen, **others):
    return SyslogOptions(name="sys", type="syslog", topic="logs", listen=list(listen), **others)


class Receiver:
    """A syslog source on these addresses, and the checkpoint that its house would keep."""

    def __init__(self, directory, *listen, max_line=1000, once=False, **others):
        self.directory = directory
        self.clock = ManualClock()
        self.events = Events()
        self.max_line = max_line
        self.once = once
        self.options = options(*listen, **others)
        self.states = {}
        self.begun = 0

    def start(self):
        self.begun += 1
        given = context(
            self.directory,
            clock=self.clock,
            max_line=self.max_line,
            once=self.once,
            first_generation=100 * self.begun,
            events=self.events,
        )
        self.source = SyslogSource(self.options, given)
        self.source.resume(list(self.states.values()))
        return self

    def address(self, kind="tcp"):
        """The port that a socket got."""
        [port] = [port for port in self.source._ports() if port.stream.startswith(kind)]
        return port.socket.getsockname()

    def lines(self, count):
        """Poll until there are so many messages."""
        found = []

        def enough():
            found.extend(self.source.poll(1 << 20))
            return sum(block.rows for block in found) >= count

        until(enough)
        return found

    def acknowledge(self, blocks):
        for block in blocks:
            generation, state = block.stream.generation, json.loads(json.dumps(dict(block.state)))
            self.states[generation] = StreamState(
                generation, block.stream.path, block.end, int(block.positions[-1]), (), state, state
            )
            self.source.acknowledged(generation, block.end)

    def said(self):
        return [text for text, _ in self.events]


@pytest.fixture
def receivers(tmp_path):
    made = []

    def make(*listen, **others):
        made.append(Receiver(tmp_path, *listen, **others))
        return made[-1].start()

    yield make
    for each in made:
        each.source.close()


@pytest.fixture
def senders():
    made = []

    def connect(address, kind=socket.SOCK_STREAM):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        made.append(socket.socket(family, kind))
        made[-1].connect(address)
        return made[-1]

    yield connect
    for each in made:
        each.close()


TCP, UDP = "tcp://127.0.0.1:0", "udp://127.0.0.1:0"


# ── options ──


@pytest.mark.parametrize(
    ("listen", "problem"), [(["nowhere"], "expected"), ([TCP, TCP], "twice"), ([], "names no address")]
)
def test_addresses_that_can_not_be_are_refused(listen, problem):
    with pytest.raises((ConfigError, ValueError), match=problem):
        options(*listen)


def test_a_taken_port_is_told_and_the_others_are_let_go(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        receiver = Receiver(tmp_path, f"unix://{tmp_path}/log", f"tcp://127.0.0.1:{port}")

        with pytest.raises(Refused, match=f"tcp://127.0.0.1:{port}: can't listen there"):
            receiver.start()

    assert not (tmp_path / "log").exists()


# ── receiving ──


def test_datagrams_and_connections_are_streams_of_their_own(receivers, senders, tmp_path):
    paths = [f"unix://{tmp_path}/log", f"unix-stream://{tmp_path}/stream"]
    receiver = receivers(UDP, TCP, *paths)
    senders(receiver.address("udp"), socket.SOCK_DGRAM).send(b"<13>by udp\n")
    senders(receiver.address("tcp")).sendall(b"<13>by tcp\n")
    senders(f"{tmp_path}/log", socket.SOCK_DGRAM).send(b"<13>by unix\0")
    senders(f"{tmp_path}/stream").sendall(b"13 <13>by\nstream\n")

    blocks = receiver.lines(4)

    assert {block.stream.path: all_values([block]) for block in blocks} == {
        UDP: [b"<13>by udp"],
        TCP: [b"<13>by tcp"],
        paths[0]: [b"<13>by unix"],
        paths[1]: [b"<13>by\nstream"],
    }
    assert len({block.stream.generation for block in blocks}) == 4


def test_a_message_in_pieces_from_two_senders_is_never_mixed(receivers, senders):
    receiver = receivers(TCP)
    one, two = senders(receiver.address()), senders(receiver.address())
    one.sendall(b"<13>on")
    two.sendall(b"<13>tw")
    receiver.source.poll(1 << 20)
    two.sendall(b"o\n")
    one.sendall(b"e\n")

    assert sorted(all_values(receiver.lines(2))) == [b"<13>one", b"<13>two"]


def test_a_sender_that_floods_does_not_starve_another(receivers, senders, tmp_path):
    receiver = receivers(f"unix-stream://{tmp_path}/log")
    flood, small = senders(f"{tmp_path}/log"), senders(f"{tmp_path}/log")
    receiver.source.poll(1 << 20)
    flood.setblocking(False)
    rounds, found = 0, []

    while b"<13>small" not in found:
        with contextlib.suppress(BlockingIOError):
            while True:
                flood.send(b"<13>flood\n" * 1000)
        if rounds == 0:
            small.sendall(b"<13>small\n")
        found += all_values(receiver.source.poll(1))
        rounds += 1
        assert rounds < 5


def test_a_sender_that_goes_away_leaves_a_partial_message(receivers, senders):
    receiver = receivers(TCP)
    sender = senders(receiver.address())
    sender.sendall(b"<13>whole\n<13>ha")
    sender.close()

    blocks = receiver.lines(2)

    assert all_values(blocks) == [b"<13>whole", b"<13>ha"]
    assert [flag.names for block in blocks for flag in block.flags.values()] == [("partial",)]
    assert blocks[-1].boundary


def test_one_connection_too_many_is_hung_up_on_and_said(receivers, senders):
    receiver = receivers(TCP, max_connections=1)
    first, second = senders(receiver.address()), senders(receiver.address())
    receiver.source.poll(1 << 20)
    first.sendall(b"<13>one\n")

    assert all_values(receiver.lines(1)) == [b"<13>one"]
    second.settimeout(30)
    assert second.recv(1) == b""
    assert receiver.said() == ["too many connections: a sender was hung up on"]


def test_a_silent_connection_is_closed_after_a_while(receivers, senders):
    receiver = receivers(TCP, idle_timeout=60.0)
    sender = senders(receiver.address())
    sender.sendall(b"<13>half")
    until(lambda: receiver.source.poll(1 << 20) == [] and len(receiver.source._ports()) == 2)
    receiver.clock.advance(59.0)
    assert receiver.source.poll(1 << 20) == []

    receiver.clock.advance(61.0)

    assert all_values(receiver.lines(1)) == [b"<13>half"]
    sender.settimeout(30)
    assert sender.recv(1) == b""


def test_datagrams_that_the_kernel_dropped_are_counted(receivers, senders):
    receiver = receivers(UDP, receive_buffer=4096)
    sender = senders(receiver.address("udp"), socket.SOCK_DGRAM)
    for _ in range(200):
        sender.send(b"x" * 100)
    first = receiver.lines(1)
    sender.send(b"last")
    blocks = first + receiver.lines(1)

    lines = sum(block.rows for block in blocks)
    dropped = sum(block.dropped.get("kernel_drop", 0) for block in blocks)
    assert dropped > 0
    assert lines + dropped == 201
    assert "datagrams were dropped: nobody read them in time" in receiver.said()


def test_a_full_queue_stops_reading_and_goes_on_when_kafka_does(receivers, senders, tmp_path):
    receiver = receivers(f"unix-stream://{tmp_path}/log", queue_bytes=1 << 20)
    sender = senders(f"{tmp_path}/log")
    lines = [b"<13>%0100d" % number for number in range(30_000)]
    sending = threading.Thread(target=sender.sendall, args=[b"".join(line + b"\n" for line in lines)])
    sending.start()

    until(lambda: receiver.source.absorb() or not receiver.source.queues.room(receiver.options.listen[0]))
    for _ in range(10):
        receiver.source.absorb()
    assert sending.is_alive(), "the sender has to wait"
    blocks = []
    while sum(block.rows for block in blocks) < len(lines):
        some = receiver.source.poll(1 << 20)
        receiver.acknowledge(some)
        blocks += some

    sending.join()
    assert all_values(blocks) == lines


# ── a crash, an end ──


def test_what_was_read_comes_again_after_a_crash(receivers, senders, tmp_path):
    receiver = receivers(TCP)
    sender = senders(receiver.address())
    sender.sendall(b"<13>one\n")
    first = receiver.lines(1)
    receiver.acknowledge(first)
    sender.sendall(b"<13>two\n9 <13>a\nb\0c")
    before = receiver.lines(2)

    receiver.source._hang_up()  # as kill -9 does
    receiver.start()
    again = receiver.lines(2)

    assert all_values(again) == all_values(before) == [b"<13>two", b"<13>a\nb\0c"]
    assert [place for block in again for place in block.positions.tolist()] == [
        place for block in before for place in block.positions.tolist()
    ]
    assert {block.stream.generation for block in again} == {first[0].stream.generation}


def test_what_had_come_when_it_ends_is_kept(receivers, senders, tmp_path):
    receiver = receivers(f"unix-stream://{tmp_path}/log")
    sender = senders(f"{tmp_path}/log")
    sender.sendall(b"<13>one\n")
    receiver.acknowledge(receiver.lines(1))
    sender.sendall(b"<13>two\n<13>ha")

    receiver.source.close()
    assert not (tmp_path / "log").exists()
    receiver.start()

    assert all_values(receiver.lines(2)) == [b"<13>two", b"<13>ha"]


def test_an_address_that_is_no_longer_listened_on_is_drained_and_forgotten(receivers, senders, tmp_path):
    receiver = receivers(TCP, f"unix://{tmp_path}/log")
    senders(receiver.address()).sendall(b"<13>one\n")
    [block] = receiver.lines(1)
    receiver.source.close()
    receiver.options = options(f"unix://{tmp_path}/log")
    receiver.start()

    [again] = receiver.lines(1)
    assert all_values([again]) == all_values([block])
    assert again.stream.generation not in receiver.source.forgettable()
    receiver.acknowledge([again])

    assert again.stream.generation in receiver.source.forgettable()
    assert list((tmp_path / "spool").iterdir()) == []


def test_with_once_it_is_finished_when_what_had_come_was_read(receivers, senders, tmp_path):
    receiver = receivers(f"unix://{tmp_path}/log", once=True)
    senders(f"{tmp_path}/log", socket.SOCK_DGRAM).send(b"<13>one")
    assert not receiver.source.finished()

    assert all_values(receiver.lines(1)) == [b"<13>one"]

    until(lambda: receiver.source.poll(1 << 20) == [] and receiver.source.finished())


def test_where_no_more_files_may_be_open_it_waits_and_goes_on(receivers, senders, monkeypatch):
    receiver = receivers(TCP)
    accept = module.Door.accept
    monkeypatch.setattr(module.Door, "accept", lambda door: (_ for _ in ()).throw(OSError(24, "Too many open files")))
    senders(receiver.address()).sendall(b"<13>one\n")
    until(lambda: receiver.source.poll(1 << 20) == [] and receiver.said())

    monkeypatch.setattr(module.Door, "accept", accept)
    assert receiver.source.poll(1 << 20) == []
    receiver.clock.advance(1.0)

    assert all_values(receiver.lines(1)) == [b"<13>one"]
    assert receiver.said() == ["no connection can be accepted"]
