#!/usr/bin/env python3
"""Records what a command says to the broker of RABBITMQ_URL, and what the broker answers.

    record-amqp.py PREFIX COMMAND [ARGUMENT...]

The command finds the relay in RABBITMQ_URL. Each of its connections becomes a file PREFIX-N.txt with a line per piece
as it passed, ">" of the client and "<" of the server, in hexadecimal.
"""
import itertools
import os
import selectors
import socket
import subprocess
import sys
import threading
import urllib.parse


def relay(client, broker, path):
    server = socket.create_connection((broker.hostname, broker.port or 5672))
    selector = selectors.DefaultSelector()
    selector.register(client, selectors.EVENT_READ, (server, ">"))
    selector.register(server, selectors.EVENT_READ, (client, "<"))
    with open(path, "w") as file:
        while selector.get_map():
            for key, _ in selector.select():
                other, mark = key.data
                try:
                    octets = key.fileobj.recv(1 << 16)
                    other.sendall(octets)
                except OSError:
                    octets = b""
                if octets:
                    print(mark, octets.hex(), file=file)
                else:
                    selector.unregister(key.fileobj)
                    try:
                        other.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass


def main():
    prefix, *command = sys.argv[1:]
    broker = urllib.parse.urlsplit(os.environ["RABBITMQ_URL"])
    listener = socket.create_server(("127.0.0.1", 0))
    credentials = broker.netloc.rpartition("@")[0]
    netloc = f"{credentials}@127.0.0.1:{listener.getsockname()[1]}"
    url = urllib.parse.urlunsplit(broker._replace(netloc=netloc))

    def serve():
        for number in itertools.count(1):
            client, _ = listener.accept()
            path = f"{prefix}-{number:02}.txt"
            threading.Thread(target=relay, args=(client, broker, path), daemon=False).start()

    threading.Thread(target=serve, daemon=True).start()
    sys.exit(subprocess.run(command, env={**os.environ, "RABBITMQ_URL": url}).returncode)


if __name__ == "__main__":
    main()
