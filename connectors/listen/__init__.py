"""Sockets that a source listens on: addresses, connections, datagrams, and how messages are told apart on them."""
