import os
import random
import re
import socket

import pytest

from ingest.api import Flag, Framing, Refused
from ingest.connectors.listen.address import Address, bind, parse
from ingest.connectors.listen.framing import Messages, pieces_of_datagrams

FRAMING = Framing(20, False)


def rows(piece):
    """Each message of a piece: its value, the end of its interval, its flag."""
    return [
        (piece.data[start:end], after, piece.flags.get(row))
        for row, (start, end, after) in enumerate(
            zip(piece.starts.tolist(), piece.ends.tolist(), piece.after.tolist(), strict=True)
        )
    ]


def read(chunks, framing=FRAMING, closing=True):
    """Return all messages of a connection on which these chunks come, with positions that go on."""
    messages, found, span, dropped = Messages(framing), [], 0, {}
    for number, chunk in enumerate(chunks):
        piece = messages.feed(chunk, closing and number == len(chunks) - 1)
        if piece is not None:
            found += [(value, after + span, flag) for value, after, flag in rows(piece)]
            span += piece.span
            dropped |= {reason: count + dropped.get(reason, 0) for reason, count in piece.dropped.items()}
    return found, span, dropped


def values(data, **options):
    return [value for value, _, _ in read([data], **options)[0]]


# ── addresses ──


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("udp://0.0.0.0:514", Address("udp://0.0.0.0:514", "udp", "0.0.0.0", 514)),
        ("tcp://[::]:601", Address("tcp://[::]:601", "tcp", "::", 601)),
        ("tcp://localhost:601", Address("tcp://localhost:601", "tcp", "localhost", 601)),
        ("unix:///run/log", Address("unix:///run/log", "unix", path="/run/log")),
        ("unix-stream:///run/log", Address("unix-stream:///run/log", "unix-stream", path="/run/log")),
    ],
)
def test_an_address_is_understood(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "514",
        "udp://:514",
        "udp://::1:514",
        "tcp://host",
        "tcp://host:65536",
        "unix://run/log",
        "unix:///" + "x" * 107,
    ],
)
def test_what_is_no_address_is_told_what_would_be(text):
    with pytest.raises(ValueError, match="expected"):
        parse(text)


def taken():
    other = socket.create_server(("127.0.0.1", 0))
    return f"tcp://127.0.0.1:{other.getsockname()[1]}", other


def test_a_taken_port_is_named():
    text, other = taken()

    with other, pytest.raises(Refused, match=f"{re.escape(text)}: .*another program listens there"):
        bind(parse(text), 1 << 16)


def test_a_host_that_is_not_ours_is_named():
    with pytest.raises(Refused, match=r"udp://192\.0\.2\.1:5514: .*no address of this machine"):
        bind(parse("udp://192.0.2.1:5514"), 1 << 16)


def test_a_directory_that_is_missing_is_named(tmp_path):
    with pytest.raises(Refused, match="make its directory first"):
        bind(parse(f"unix://{tmp_path}/none/log"), 1 << 16)


@pytest.mark.parametrize("kind", ["unix", "unix-stream"])
def test_the_socket_of_a_dead_process_is_replaced_that_of_a_live_one_is_not(tmp_path, kind):
    address = parse(f"{kind}://{tmp_path}/log")
    bind(address, 1 << 16).close()

    with bind(address, 1 << 16), pytest.raises(Refused, match="another program listens there"):
        bind(address, 1 << 16)


def test_a_file_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "log").write_text("precious")

    with pytest.raises(Refused, match="no socket"):
        bind(parse(f"unix://{tmp_path}/log"), 1 << 16)

    assert (tmp_path / "log").read_text() == "precious"


def test_everybody_may_send_to_a_path(tmp_path):
    with bind(parse(f"unix://{tmp_path}/log"), 1 << 16):
        assert os.stat(tmp_path / "log").st_mode & 0o777 == 0o666


# ── framing ──


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<13>one\n<13>two\n", [b"<13>one", b"<13>two"]),
        (b"7 <13>one7 <13>two", [b"<13>one", b"<13>two"]),
        (b"<13>one\0<13>two\0", [b"<13>one", b"<13>two"]),
        (b"<13>one\n7 <13>two<13>three\n", [b"<13>one", b"<13>two", b"<13>three"]),
        (b"9 <13>a\nb\0c7 <13>one", [b"<13>a\nb\0c", b"<13>one"]),
        (b"7 <13>one\n7 <13>two\n", [b"<13>one", b"<13>two"]),
        (b"7 <13>one\n\n<1>x\n", [b"<13>one", b"", b"<1>x"]),
        (b"one\0two\n", [b"one\0two"]),
        (b"0 x\n12\n1234567890123 x\n", [b"0 x", b"12", b"1234567890123 x"]),
        (b"\n\n", [b"", b""]),
        (b"one\r\n", [b"one\r"]),
        (b"", []),
    ],
)
def test_each_message_says_how_it_is_framed(data, expected):
    assert values(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"half", [(b"half", 4, Flag(("partial",)))]),
        (b"a\n12", [(b"a", 2, None), (b"12", 4, Flag(("partial",)))]),
        (b"12 half", [(b"half", 4, Flag(("partial",)))]),
        (b"12 ", []),
        (b"x" * 30, [(b"x" * 20, 30, Flag(("truncated", "partial"), 30))]),
        (b"90 " + b"x" * 30, [(b"x" * 20, 30, Flag(("truncated", "partial"), 30))]),
    ],
)
def test_a_message_whose_end_never_came_is_flagged(data, expected):
    assert read([data])[0] == expected


@pytest.mark.parametrize(
    ("data", "value", "length"),
    [
        (b"x" * 5000 + b"\n", b"x" * 20, 5000),
        (b"5000 " + b"x" * 5000, b"x" * 20, 5000),
        (b"<" + b"x" * 4999 + b"\0", b"<" + b"x" * 19, 5000),
        ("é".encode() * 15 + b"\n", "é".encode() * 10, 30),
        (b"x" + "é".encode() * 15 + b"\n", b"x" + "é".encode() * 9, 31),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_overlong_message_is_cut_and_its_neighbours_are_whole(data, value, length, size):
    whole = b"before\n" + data + b"7 <13>one<13>after\n"

    found, span, dropped = read([whole[at : at + size] for at in range(0, len(whole), size)])

    assert [each[0] for each in found] == [b"before", value, b"<13>one", b"<13>after"]
    assert found[1][1:] == (7 + length + 1, Flag(("truncated",), length))
    assert span == 7 + length + 1 + 8 + 10
    assert dropped == {"truncated": 1}


def test_of_an_overlong_message_only_the_beginning_is_kept_in_memory():
    messages = Messages(FRAMING)
    for _ in range(1000):
        assert messages.feed(b"x" * 1000) is None

    assert len(messages._rest) == 21
    assert rows(messages.feed(b"\n")) == [(b"x" * 20, 1_000_001, Flag(("truncated",), 1_000_000))]


def test_empty_messages_that_are_dropped_are_inside_of_the_next_interval():
    found, span, dropped = read([b"\na\n\n\nb\n\n"], framing=Framing(20, True))

    assert found == [(b"a", 3, None), (b"b", 7, None)]
    assert (span, dropped) == (8, {"empty_line": 4})


@pytest.mark.parametrize("seed", range(50))
def test_how_the_bytes_arrive_makes_no_difference(seed):
    chance = random.Random(seed)
    parts = [
        b"<13>a\n",
        b"<13>a b\0",
        b"5 hello",
        b"5 hello\n",
        b"\n",
        b"12\n",
        b"text\n",
        b"x" * 50 + b"\n",
        b"40 " + b"y" * 40,
    ]
    data = b"".join(chance.choices(parts, k=60)) + chance.choice([b"", b"half", b"30 half", b"3"])
    cuts = sorted(chance.choices(range(len(data) + 1), k=chance.randrange(40)))
    chunks = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    assert read(chunks) == read([data])


def test_a_datagram_is_a_message_without_the_newline_or_nul_at_its_end():
    piece = pieces_of_datagrams([b"<13>one\n", b"two\0", b"th\nree\n\n", b"", b"7 <13>x"], FRAMING)

    assert [value for value, _, _ in rows(piece)] == [b"<13>one", b"two", b"th\nree\n", b"", b"7 <13>x"]
    assert piece.span == 8 + 4 + 8 + 1 + 8


def test_an_overlong_datagram_is_cut():
    piece = pieces_of_datagrams([b"a", b"x" * 30, b"b"], FRAMING)

    assert rows(piece) == [(b"a", 2, None), (b"x" * 20, 33, Flag(("truncated",), 30)), (b"b", 35, None)]
