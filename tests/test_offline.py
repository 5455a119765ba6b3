"""The guard that keeps tests from the network."""

import socket

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org", "0.0.0.0"])  # noqa: S104 - not bound to
def test_no_test_reaches_another_machine(host: str):
    with pytest.raises(AssertionError, match="a test wants to reach"):
        socket.create_connection((host, 9), timeout=1)


def test_loopback_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"x")
            assert accepted.recv(1) == b"x"
