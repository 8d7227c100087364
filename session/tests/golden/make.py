"""Writes the golden files of format version 1 from its description in docs/file-format.md.

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


def binary(data):
    assert len(data) < 256
    return b"\xc4" + bytes([len(data)]) + data


def record(key, *, last_seen, expires, revision, created, proof, persist_for=None, end_at=None,
           idle_within=None, owner=None, owner_since=0, replaced=(), saves=(), saves_floor=0,
           deadlines=None, fields=None):
    deadlines, fields = deadlines or {}, fields or {}

    def build(checksum):
        entries = [
            text("session") + b"\x01",
            text("checksum") + b"\xce" + checksum,
            text("last_seen") + number(last_seen),
            text("expires") + number(expires),
            text("revision") + number(revision),
            text("created") + number(created),
            text("proof") + binary(proof),
        ]
        if persist_for is not None:
            entries.append(text("persist_for") + number(persist_for))
        if end_at is not None:
            entries.append(text("end_at") + number(end_at))
        if idle_within is not None:
            entries.append(text("idle_within") + number(idle_within))
        if owner is not None:
            entries.append(text("owner") + text(owner))
            entries.append(text("owner_since") + number(owner_since))
        if replaced:
            packed = b"".join(old + struct.pack(">Q", since) for old, since in replaced)
            entries.append(text("replaced") + binary(packed))
        if saves:
            packed = b"".join(struct.pack(">QI", save, at & 0xFFFFFFFF) for save, at in saves)
            entries.append(text("saves") + binary(packed))
        if saves_floor:
            entries.append(text("saves_floor") + number(saves_floor))
        if deadlines:
            pairs = b"".join(text(name) + number(at) for name, at in sorted(deadlines.items()))
            entries.append(text("deadlines") + bytes([0x80 | len(deadlines)]) + pairs)
        pairs = b"".join(text(name) + value for name, value in sorted(fields.items()))
        entries.append(text("fields") + bytes([0x80 | len(fields)]) + pairs)
        return b"\xde\0" + bytes([len(entries)]) + b"".join(entries)

    blank = build(b"\0\0\0\0")
    crc = zlib.crc32(key.encode() + blank[:CHECKSUM_AT] + blank[CHECKSUM_AT + 4 :])
    return build(struct.pack(">I", crc))


CHECKSUM_AT = 3 + 8 + 1 + 9 + 1
KEY = "0123456789abcdef" * 2
LINE = b"\x82\xa7product%c\xa8quantity%c"
GOLDEN = {
    "v1-full.session": record(
        KEY,
        last_seen=1_767_225_660_000,
        expires=1_767_227_400_000,
        revision=7,
        created=1_767_225_600_000,
        proof=bytes(range(32)),
        persist_for=86_400_000,
        end_at=1_767_300_000_000,
        idle_within=600_000,
        owner="ada",
        owner_since=1_767_225_600_001,
        replaced=[(b"\x01" * 32, 1_767_225_600_002), (b"\x02" * 32, 1_767_225_600_003)],
        saves=[(1, 5), (2**64 - 1, 7)],
        saves_floor=4,
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
        proof=bytes(32),
    ),
}

# What a later version may look like to this one: the same beginning, and something else after it.
rest = b"\xa5shape" + text("unknown to version 1")
blank = b"\xde\0\x03" + text("session") + b"\x02" + text("checksum") + b"\xce\0\0\0\0" + rest
crc = zlib.crc32(KEY.encode() + blank[:CHECKSUM_AT] + blank[CHECKSUM_AT + 4 :])
GOLDEN["newer.session"] = blank[:CHECKSUM_AT] + struct.pack(">I", crc) + blank[CHECKSUM_AT + 4 :]

for name, data in GOLDEN.items():
    path = pathlib.Path(__file__).with_name(name)
    if path.exists() and path.stat().st_size > 0:
        assert path.read_bytes() == data, f"{name} differs from its description"
    else:
        path.write_bytes(data)
