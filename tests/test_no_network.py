"""The guard in conftest.py works: no other test can reach another machine."""

import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.invalid", 443)])
def test_refuses_other_machines(address):
    with socket.socket() as opened, pytest.raises(AssertionError, match="tried to connect"):
        opened.connect(address)
    with socket.socket() as opened, pytest.raises(AssertionError, match="tried to connect"):
        opened.connect_ex(address)


def test_leaves_this_machine_reachable():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as opened:
        opened.connect(server.getsockname())
        assert opened.getpeername() == server.getsockname()
