#!/usr/bin/env python3
"""Makes the first corpus of the fuzz targets from Tests/Captures. Input formats: see Fuzz/Targets."""
import pathlib
import struct

root = pathlib.Path(__file__).resolve().parent
seen = set()


def seed(target, name, octets):
    if (target, octets) not in seen:
        seen.add((target, octets))
        (root / "Corpus" / target).mkdir(parents=True, exist_ok=True)
        (root / "Corpus" / target / name).write_bytes(octets)


def frames(octets):
    while len(octets) >= 8:
        kind, channel, size = struct.unpack(">BHI", octets[:7])
        yield kind, channel, octets[7 : 7 + size]
        octets = octets[size + 8 :]


def counted(octets):
    if len(octets) < 255:
        return bytes([len(octets)]) + octets
    return b"\xff" + struct.pack(">H", len(octets)) + octets


def method(class_id, method_id, arguments=b"", channel=1):
    return bytes([1, channel, class_id, method_id]) + counted(arguments)


def short(text):
    return bytes([len(text)]) + text


kinds = set()
for path in sorted((root.parent / "Tests" / "Captures").glob("*.txt")):
    said = {">": b"", "<": b""}
    for line in path.read_text().splitlines():
        said[line[0]] += bytes.fromhex(line[2:])
    seed("frames", path.stem, b"\x03\x00\x06\x29\xff" + said["<"][:4000])
    for kind, channel, payload in [*frames(said[">"][8:]), *frames(said["<"])]:
        if kind == 1 and (id := struct.unpack(">HH", payload[:4])) not in kinds:
            kinds.add(id)
            seed("methods", f"method-{id[0]}-{id[1]}", b"\0" + payload)
        elif kind == 2 and (flags := struct.unpack(">H", payload[12:14])[0]) not in kinds:
            kinds.add(flags)
            seed("methods", f"header-{flags:04x}", b"\1" + payload)
    for _, _, payload in frames(said["<"]):
        if payload[:4] == b"\0\x0a\0\x0a":
            seed("table", f"{path.stem}-server", payload[6 : 10 + struct.unpack(">I", payload[6:10])[0]])
        at = payload.find(b"\6string")
        if at > 4:
            seed("table", f"{path.stem}-headers", payload[at - 4 : at + struct.unpack(">I", payload[at - 4 : at])[0]])
    # A login as that server gave it.
    login = [counted(part) for part in (said["<"][:700],)]
    seed("conversation", f"login-{path.stem}", b"\x0f" + b"".join(b"\0" + part for part in login))

opened = b"\x0f\x04\x08\x05\x01"  # options, handshake, a call for a channel, channel.open-ok
declared = b"\x09\0" + method(50, 11, short(b"q") + bytes(8))
consumed = b"\x0c\1\0" + method(60, 11) + b"\x19\1"
seed("conversation", "declare", opened + declared + b"\x16\0" + method(60, 11) + b"\x17\0" + method(50, 21))
seed("conversation", "publish", opened + b"\x0a\0\5" + method(85, 11) + b"\x06\1\1\x0a\0\5\x06\1\2")
seed("conversation", "publish-many", opened + b"\x18\0\5" + method(85, 11) + b"\x26\1\3\x26\1\5")
returned = method(60, 50, struct.pack(">H", 312) + short(b"NO_ROUTE") + short(b"e") + short(b"k"))
seed("conversation", "return", opened + b"\x0a\5\0" + method(85, 11) + returned + b"\2\1\5\2\0\0" + b"\3\1\5abcde\x06\1\1")
seed("conversation", "consume", opened + consumed + b"\7\1\1\5\7\1\2\0\x0d\0\7\x0d\0\7\x11\0" + method(60, 31, short(b"consumer-1")))
got = method(60, 71, struct.pack(">QB", 1, 0) + short(b"") + short(b"q") + bytes(4))
seed("conversation", "get", opened + b"\x0e\0" + got + b"\2\1\2\3\1\2xy" + b"\x12\0\1\0" + b"\x0e\0" + method(60, 72, b"\0"))
closed = struct.pack(">H", 404) + short(b"NOT_FOUND") + struct.pack(">HH", 50, 10)
seed("conversation", "channel-error", opened + b"\x13\0" + method(20, 40, closed) + b"\x08\x05\2" + declared)
seed("conversation", "close", opened + b"\x0f\0" + method(20, 40, closed) + method(20, 41) + b"\x10" + method(10, 51, channel=0))
seed("conversation", "closed", opened + b"\x0a\0\5" + method(10, 50, closed, channel=0))
seed("conversation", "blocked", opened + method(10, 60, short(b"memory"), channel=0) + b"\x0a\0\5" + method(10, 61, channel=0))
seed("conversation", "flow", opened + method(20, 20, b"\0") + b"\x0b\0\5" + method(20, 20, b"\1"))
seed("conversation", "cancelled", opened + consumed + b"\x15\0" + method(60, 30, short(b"consumer-1") + b"\1"))
