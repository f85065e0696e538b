"""Fixtures that every test may ask for; each server's are in a module of its own."""

pytest_plugins = ["tests.servers.plugin", "tests.servers.hdfs_plugin"]
