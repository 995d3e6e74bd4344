"""Clients of the examples that need nothing but Python's standard library: foreign_clients.py EXAMPLE PORT."""

import socket
import struct
import sys


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(client, length):
    received = b""
    while len(received) < length:
        piece = client.recv(length - len(received))
        assert piece, "closed early"
        received += piece
    return received


def broker(port):
    """What one of three clients sends comes to all, in the same order."""
    clients = [connect(port) for _ in range(3)]

    def message(client):
        (length,) = struct.unpack(">I", receive(client, 4))
        return receive(client, length)

    # Whoever has its own message back is in the room.
    for number, client in enumerate(clients):
        client.sendall(struct.pack(">I", 1) + bytes([number]))
        while message(client) != bytes([number]):
            pass
    for length in (1000, 1, 16 * 1024, 500, 0, 1 << 20, 96, 124):
        sent = bytes(i % 251 for i in range(length))
        frame = struct.pack(">I", length) + sent
        # In two pieces, cut in mid-header or after it.
        clients[0].sendall(frame[: 3 + length // 2])
        clients[0].sendall(frame[3 + length // 2 :])
        for client in clients:
            got = message(client)
            # What the later ones said when they came.
            while len(got) == 1 and got != sent:
                got = message(client)
            assert got == sent, length


def udp_game_loop(port):
    """Moves are played in turn, and only once."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", port))
    client.settimeout(1)
    played = 0
    while played < 200:
        client.send(b"no move")
        for number in range(played, min(played + 16, 200)):
            client.send(struct.pack("<Q", number << 32 | number))
        try:
            (answer,) = struct.unpack("<Q", client.recv(100))
        except TimeoutError:
            continue
        played = max(played, answer >> 32)
        assert answer & 0xFFFFFFFF == sum(range(answer >> 32)), answer
    assert played == 200


def tokio_server(port):
    """All bytes come back."""
    client = connect(port)
    for length in (1, 100, 8192, 100_000):
        sent = bytes(i % 251 for i in range(length))
        client.sendall(sent)
        assert receive(client, length) == sent, length


def game_server(port):
    """Whole frames come back, beside clients that send a byte and wait."""
    waiting = [connect(port) for _ in range(300)]
    for client in waiting:
        client.sendall(b"\x40")
    good = connect(port)
    for length in (1, 64, 65, 512, 2048, 8192, 32768):
        frame = struct.pack("<I", length) + bytes(i % 251 for i in range(length))
        good.sendall(frame)
        assert receive(good, len(frame)) == frame, length


if __name__ == "__main__":
    _, example, port = sys.argv
    globals()[example](int(port))
