"""Writes the golden files of format version 1 from its description in ARCHITECTURE.md.

A second writer, independent of the library's: it uses Python's struct, zlib and nothing else. It
never overwrites a file that has bytes in it, because golden files are for ever.
"""
import pathlib
import struct
import zlib


def text(value):
    data = value.encode()
    assert len(data) < 32
    return bytes([0xA0 | len(data)]) + data


def number(value):
    return b"\xcf" + struct.pack(">Q", value)


def record(key, *, last_seen, expires, revision, created, persist_for, owner, deadlines, fields):
    def build(checksum):
        out = b"\x8a" + text("session") + b"\x01"
        out += text("checksum") + b"\xce" + checksum
        out += text("last_seen") + number(last_seen)
        out += text("expires") + number(expires)
        out += text("revision") + number(revision)
        out += text("created") + number(created)
        out += text("persist_for") + (b"\xc0" if persist_for is None else number(persist_for))
        out += text("owner") + (b"\xc0" if owner is None else text(owner))
        out += text("deadlines") + bytes([0x80 | len(deadlines)])
        for name, deadline in sorted(deadlines.items()):
            out += text(name) + number(deadline)
        out += text("fields") + bytes([0x80 | len(fields)])
        for name, value in sorted(fields.items()):
            out += text(name) + value
        return out

    at = 1 + 8 + 1 + 9 + 1
    blank = build(b"\0\0\0\0")
    crc = zlib.crc32(key.encode() + blank[:at] + blank[at + 4 :])
    return build(struct.pack(">I", crc))


KEY = "0123456789abcdef" * 4
LINE = b"\x82\xa7product%c\xa8quantity%c"
GOLDEN = {
    "v1-full.session": record(
        KEY,
        last_seen=1_767_225_660_000,
        expires=1_767_227_400_000,
        revision=7,
        created=1_767_225_600_000,
        persist_for=86_400_000,
        owner="ada",
        deadlines={"sudo": 1_767_226_200_000},
        fields={
            "cart": b"\x92" + LINE % (1, 2) + LINE % (5, 1),
            "notice": b"\xc0",
            "sudo": b"\xc3",
            "user": text("ada"),
        },
    ),
    "v1-empty.session": record(
        KEY,
        last_seen=1,
        expires=2**64 - 1,
        revision=1,
        created=1,
        persist_for=None,
        owner=None,
        deadlines={},
        fields={},
    ),
}

# What a later version may look like to this one: the same beginning, and something else after it.
rest = b"\xa5shape" + text("unknown to version 1")
blank = b"\x83" + text("session") + b"\x02" + text("checksum") + b"\xce\0\0\0\0" + rest
at = 1 + 8 + 1 + 9 + 1
crc = zlib.crc32(KEY.encode() + blank[:at] + blank[at + 4 :])
GOLDEN["newer.session"] = blank[:at] + struct.pack(">I", crc) + blank[at + 4 :]

for name, data in GOLDEN.items():
    path = pathlib.Path(__file__).with_name(name)
    if path.exists() and path.stat().st_size > 0:
        assert path.read_bytes() == data, f"{name} differs from its description"
    else:
        path.write_bytes(data)
