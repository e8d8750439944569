#!/usr/bin/env python3
"""A second reader of the wire format, written from docs/wire.md: slow, and to the letter.

    decode.py LANE.bin       prints a digest of what each frame says, one a line
    decode.py -v LANE.bin    prints what each frame says

Needs the `zstd` program. `tests/wire/stored.rs` describes the file and compares the digests.
"""

import hashlib
import os
import struct
import subprocess
import sys
import tempfile
import zlib

MASK = (1 << 64) - 1
HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(HERE, "../../src/wire/columns/start.hex")


def table(path):
    digits = open(path).read().replace("\n", "")
    return [int(digits[at : at + 4], 16) for at in range(0, len(digits), 4)]


START = table(TABLE)
TEMPLATE = table(TABLE.replace("start.hex", "template.hex"))
LEVELS = [6, 8, 10, 13, 17, 22, 28, 36, 45, 63]
FLOAT, ABSENT = 23, 24
SPREAD = 0x9E3779B97F4A7C15
STALE = 0x7FF0000000000002
FRESH, CHAINED, NEAR = 0, 1, 2


def level(length):
    if length <= 6:
        return length
    return 6 + next(at for at, last in enumerate(LEVELS) if length <= last)


def signed(value):
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def unzstd(data, length, prefix=b""):
    with tempfile.TemporaryDirectory() as folder:
        command = ["zstd", "-dcq", "--long=27"]
        if prefix:
            path = os.path.join(folder, "prefix")
            open(path, "wb").write(prefix)
            command.append("--patch-from=" + path)
        path = os.path.join(folder, "data.zst")
        open(path, "wb").write(data)
        out = subprocess.run(command + [path], stdout=subprocess.PIPE, check=True).stdout
    assert len(out) == length
    return out


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, length):
        assert length <= self.left()
        self.at += length
        return self.data[self.at - length : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                assert value <= MASK
                return value

    def zigzag(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def string(self):
        return self.take(self.varint()).decode()

    def target(self):
        return [(self.string(), self.string()) for _ in range(self.varint())]


class Coder:
    def __init__(self, coded, raw, start=START):
        self.coded, self.at = coded, 0
        self.raw_bits, self.raw_at = int.from_bytes(raw, "little"), 0
        self.raw_length = len(raw) * 8
        self.low, self.high, self.window = 0, 0xFFFFFFFF, 0
        for _ in range(4):
            self.shift()
        self.contexts = [[value, value] for value in start]

    def shift(self):
        byte = self.coded[self.at] if self.at < len(self.coded) else 255
        self.at += 1
        self.window = (self.window << 8 | byte) & 0xFFFFFFFF

    def bit(self, index):
        context = self.contexts[index]
        p = min(max((context[0] + context[1]) >> 1, 48), 65487)
        middle = self.low + (((self.high - self.low) * p) >> 16)
        bit = self.window <= middle
        if bit:
            self.high = middle
            context[0] += (65535 - context[0]) >> 4
            context[1] += (65535 - context[1]) >> 7
        else:
            self.low = middle + 1
            context[0] -= context[0] >> 4
            context[1] -= context[1] >> 7
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
            self.shift()
        return int(bit)

    def raw(self, width):
        assert self.raw_at + width <= self.raw_length
        value = self.raw_bits >> self.raw_at & ((1 << width) - 1)
        self.raw_at += width
        return value

    def finish(self):
        assert self.at == len(self.coded) + 3
        assert self.raw_length - self.raw_at < 8 and self.raw_bits >> self.raw_at == 0

    def tree(self, first, bits):
        node = 1
        for _ in range(bits):
            node = node * 2 + self.bit(first + node)
        return node - (1 << bits)

    def whole(self, tree, sign, top):
        length = self.tree(tree, 6)
        negative = self.bit(sign)
        value, node, left = 1, 1, length
        while left and node < 4:
            bit = self.bit(top + 4 * length + node)
            value, node, left = value * 2 + bit, node * 2 + bit, left - 1
        value = value << left | self.raw(left)
        return -value if negative else value

    def mantissa(self, length, sign, top):
        if length == 63:
            return signed(self.raw(64))
        negative = self.bit(sign)
        value, left = 1, length - 1
        if left:
            value, left = 2 + self.bit(top + 4 * length), left - 1
        value = value << left | self.raw(left)
        return -value if negative else value


def ordered(bits):
    return signed(bits ^ 0x7FFFFFFFFFFFFFFF) if bits >> 63 else bits


def bits_of(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def bits_of_value(mantissa, scale):
    if scale == ABSENT:
        return STALE
    if scale == FLOAT:
        bits = mantissa & MASK
        return bits ^ 0x7FFFFFFFFFFFFFFF if bits >> 63 else bits
    return bits_of(float(mantissa) / 10.0**scale)


def number_of(mantissa, scale):
    return struct.unpack("<d", struct.pack("<Q", bits_of_value(mantissa, scale)))[0]


def on_scale(mantissa, own, scale):
    if own == scale:
        return mantissa
    if ABSENT in (own, scale):
        return 0
    if scale == FLOAT:
        return ordered(bits_of_value(mantissa, own))
    if scale > own and own != FLOAT:
        moved = mantissa * 10 ** (scale - own)
        return moved if -(1 << 63) <= moved < 1 << 63 else 0
    return 0


class Shape:
    """A shape by its content, or by what stands before the template in it."""

    def __init__(self, content, template=None):
        reader = Reader(content)
        self.format = reader.byte()
        self.target = reader.target()
        count = reader.varint()
        self.text = reader.string()
        lines = self.text.split("\n")[:-1]
        self.keys = [line for line in lines if not line.startswith("#")]
        self.flags = reader.take(count)
        self.front = content[: reader.at]
        if template:
            self.template = template(self)
            content += bytes(scale for _, scale in self.template)
            content += b"".join(varint(zigzag(value)) for value, _ in self.template)
        else:
            scales = reader.take(count)
            self.template = [(reader.zigzag(), scale) for scale in scales]
        self.content = content
        assert len(self.keys) == count and reader.left() == 0

    def values(self):
        return dict(zip(self.keys, self.template))


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def zigzag(value):
    return (value << 1 ^ value >> 63) & MASK


def shortest(value, scale):
    while 0 < scale < FLOAT and value % 10 == 0:
        value, scale = value // 10, scale - 1
    return value, scale


def template_of(shape, base, second, coded, raw):
    """Decodes the template of a shape beside one or two siblings."""
    bases, seconds, cells = base.values(), second.values(), []
    for key in shape.keys:
        cell = Cell(bases.get(key, (0, 0)))
        if second is base:
            cell.kind = 1
        elif key not in bases or key not in seconds:
            cell.kind = 2
        else:
            value, scale = seconds[key]
            if scale == cell.scale or scale < cell.scale < FLOAT:
                difference = signed(on_scale(value, scale, cell.scale) - cell.mantissa)
                last = min(abs(difference).bit_length(), 63)
                cell.kind = last << 2 | 3 if last else 0
            else:
                cell.kind = 2
        cells.append(cell)
    coder = Coder(coded, raw, TEMPLATE)
    values = series(coder, NEAR, shape.flags, cells)
    coder.finish()
    return [shortest(*value) for value in values]


class Cell:
    def __init__(self, value):
        self.mantissa, self.scale = value
        self.kind, self.source, self.candidate, self.time = 0, None, None, 0


def series(coder, mode, flags, cells):
    """Decodes the values of a record."""
    if mode == FRESH:
        above = 0
        for cell in cells:
            cell.kind = above = coder.tree(12648 + (above > 0) * 256, 8)
    c1 = c2 = d1 = d2 = kind = grid = 0
    moves, firsts, values = [], {}, []
    for at, (cell, flag) in enumerate(zip(cells, flags)):
        relation = flag & 3
        base, scale = cell.mantissa, cell.scale
        last, history = cell.kind >> 2, cell.kind & 3
        given, copied, move = 1, 0, 0
        if relation == 1:
            move = d1
        elif relation == 2:
            move = d2
        elif mode == CHAINED and cell.source is not None:
            copied, move = 1, moves[cell.source]
        else:
            given = 0
        predicted = signed(base + move) if scale < FLOAT else base
        context = mode * 1024 + (level(last) * 4 + history) * 16
        same = coder.bit(context + c1 * 8 + c2 * 4 + given * 2 + (move != 0))
        by_last = (mode * 2 + given) * 16 + level(last)
        sign = 9248 + by_last
        value, residual, own = predicted, 0, scale
        if same:
            pass
        elif scale < FLOAT and last and coder.bit(4096 + by_last):
            residual = coder.mantissa(last, sign, 9376)
            value = signed(predicted + residual)
        elif scale == ABSENT or coder.bit(4224 + (scale == FLOAT) * 16 + level(last)):
            own = coder.tree(4256 + kind * 32, 5)
            assert own <= ABSENT
            kind = {0: 0, FLOAT: 2, ABSENT: 3}.get(own, 1)
            value = 0
            if own != ABSENT:
                value = on_scale(base, scale, own)
                if not coder.bit(13226):
                    residual = coder.whole(8992 + kind * 64, 13227, 9376)
                    value = signed(value + residual)
        elif scale == FLOAT:
            is_step = coder.bit(12512 + grid)
            grid = (grid << 1 | is_step) & 7
            if is_step:
                residual = coder.whole(12520, 13228, 9888)
                start = number_of(base, FLOAT)
                value = base
                if start - start == 0:
                    value = ordered(bits_of(start + float(residual) / 1e9))
                if not coder.bit(13229):
                    value = signed(value + coder.whole(12584, 13230, 10144))
            else:
                residual = coder.whole(4896 + (mode * 16 + level(last)) * 64, sign, 9632)
                value = signed(predicted + residual)
        else:
            if last == 0:
                residual = coder.whole(4384 + (mode * 2 + given) * 64, sign, 9376)
            else:
                group, steps = mode * 16 + level(last), 0
                longer = coder.bit(10400 + group)
                further = 10464 + (group * 2 + longer) * 16
                if longer:
                    length = min(last + 1, 63)
                    while length < 63 and coder.bit(further + steps):
                        length, steps = length + 1, min(steps + 1, 15)
                else:
                    length = max(last - 1, 1)
                    while length > 1 and coder.bit(further + steps):
                        length, steps = length - 1, min(steps + 1, 15)
                residual = coder.mantissa(length, sign, 9376)
            value = signed(predicted + residual)
        moved = signed(value - base) if own == scale and scale < FLOAT else 0
        moves.append(moved)
        if mode == CHAINED:
            if copied:
                if not same:
                    cell.source = None
            elif relation == 0 and abs(moved) >= 16:
                slot = (moved * SPREAD & MASK) >> 56
                first = None
                if firsts.get(slot, (None,))[0] == moved:
                    first = firsts[slot][1]
                else:
                    firsts[slot] = (moved, at)
                if cell.candidate == first:
                    cell.source = first
                cell.candidate = first
            if not same:
                last = min(abs(residual).bit_length(), 63)
            cell.kind = last << 2 | (history & 1) << 1 | (1 - same)
        if mode in (FRESH, CHAINED):
            cell.mantissa, cell.scale = value, own
        values.append((value, own))
        c1, c2, d1, d2 = 1 - same, c1, moved, d1
    return values


def times(coder, mode, now, flags, cells, values):
    """Decodes the explicit timestamps of a record."""
    table, previous, moved, result = {}, 0, 0, {}
    for at, (cell, flag) in enumerate(zip(cells, flags)):
        if not flag & 4 or values[at][1] == ABSENT:
            continue
        key, start = (previous, now) if mode == FRESH else (cell.time, cell.time)
        slot = (key * SPREAD & MASK) >> 52
        for _ in range(8):
            if slot not in table or table[slot][0] == key:
                break
            slot = (slot + 1) % 4096
        known = slot in table and table[slot][0] == key
        time = table[slot][1] if known else signed(start + moved)
        if not coder.bit(13160 + known):
            time = signed(time + coder.whole(13162, 13231, 9376))
        moved, previous, table[slot] = signed(time - start), time, (key, time)
        if mode in (FRESH, CHAINED):
            cell.time = time
        result[at] = time
    return result


class Lane:
    def __init__(self):
        self.shapes, self.targets, self.state = {}, {}, None

    def read_shapes(self, payload):
        reader = Reader(payload)
        assert reader.byte() == 1
        while reader.left():
            kind, name = reader.byte(), reader.take(16)
            assert kind in (1, 2, 3)
            needed = [self.shapes[reader.take(16)] for _ in range(kind - 1)]
            length = reader.varint()
            packed = reader.take(reader.varint())
            if kind == 3:
                front = unzstd(packed, length, needed[0].front)
                coded = [reader.take(reader.varint()) for _ in range(2)]
                shape = Shape(front, lambda shape: template_of(shape, *needed, *coded))
            else:
                shape = Shape(unzstd(packed, length, needed[0].content if needed else b""))
            assert hashlib.sha256(shape.content).digest()[:16] == name
            self.shapes[name] = shape

    def read_frame(self, payload):
        reader = Reader(payload)
        assert reader.byte() == 1
        flags, epoch, number = reader.byte(), reader.varint(), reader.varint()
        base, now = number - reader.varint(), reader.zigzag()
        assert flags in (0, 1, 2) and (flags == 1) == (base == number)
        check, sections = payload[: reader.at], {}
        while reader.left() > 4:
            tag, coding, length = reader.byte(), reader.byte(), reader.varint()
            if coding == 1:
                data = unzstd(reader.take(reader.varint()), length)
            else:
                data = reader.take(length)
            sections[tag], check = data, check + data
        assert zlib.crc32(check) == int.from_bytes(reader.take(4), "little")
        said = ["frame %d %d %d" % (epoch, number, base)]
        coded = sections.get(3, b"")
        if flags == 1:
            self.targets = {}
        elif flags == 2 or coded:
            assert self.state == (epoch, base)
        coder, crc = Coder(coded[4:], sections.get(4, b"")), 0
        reader, texts = Reader(sections[1]), Reader(sections.get(2, b""))
        for _ in range(reader.varint()):
            kind, time = reader.byte(), now + reader.zigzag()
            if kind == 6:
                said.append("part %d %d" % (reader.varint(), reader.varint()))
                kind, time = reader.byte(), now + reader.zigzag()
            if kind == 5:
                crc = self.read_columns(reader, coder, time, (flags, crc), said)
                continue
            if kind in (7, 8):
                self.read_attached(kind, reader, texts, said)
                continue
            said.append("record %d" % time)
            if kind == 4:
                reader.varint()
                reader.take(8 * reader.varint())
                continue
            reader.target()
            if kind in (1, 2):
                reader.varint(), reader.byte()
            if kind == 1:
                texts.take(reader.varint())
        assert reader.left() == 0 and texts.left() == 0
        if coded:
            coder.finish()
            assert crc == int.from_bytes(coded[:4], "little")
        if flags:
            self.state = (epoch, number)
        return "\n".join(said) + "\n"

    def read_attached(self, kind, reader, texts, said):
        at = 0
        for _ in range(reader.varint()):
            first, second = reader.varint(), reader.varint()
            if kind == 7:
                at += first
                said.append("exemplar %d %s" % (at, texts.take(second).decode()))
                at += 1
            else:
                series, message = texts.take(first).decode(), texts.take(second)
                said.append("histogram %s %s" % (series, message.hex()))

    def read_columns(self, reader, coder, time, frame, said):
        (frame_flags, crc), flags, target = frame, reader.byte(), reader.varint()
        mode = flags & 3
        shape = self.shapes[reader.take(16)] if flags & 4 else None
        took = reader.varint()
        if mode == FRESH:
            cells = [Cell(value) for value in shape.template]
        else:
            old, cells = self.targets[target]
            if shape:
                places = {key: at for at, key in enumerate(old.keys)}
                new = []
                for key, value in zip(shape.keys, shape.template):
                    cell = Cell(value)
                    if key in places:
                        was = cells[places[key]]
                        cell.mantissa, cell.scale = was.mantissa, was.scale
                        cell.kind, cell.time = was.kind, was.time
                    new.append(cell)
                cells = new
            shape = shape or old
        values = series(coder, mode, shape.flags, cells)
        stamps = times(coder, mode, time, shape.flags, cells, values)
        if frame_flags:
            self.targets[target] = (shape, cells)
        said.append("scrape %d %d %d" % (target, time, took))
        for at, (key, value) in enumerate(zip(shape.keys, values)):
            bits = bits_of_value(*value)
            crc = zlib.crc32(struct.pack("<Q", bits), crc)
            if value[1] != ABSENT:
                line = "%s %016x" % (key, bits)
                said.append(line + (" %d" % stamps[at] if at in stamps else ""))
        for stamp in stamps.values():
            crc = zlib.crc32(struct.pack("<q", stamp), crc)
        return crc


def main():
    data, lane = Reader(open(sys.argv[-1], "rb").read()), Lane()
    while data.left():
        kind = data.byte()
        payload = data.take(int.from_bytes(data.take(4), "little"))
        if kind == ord("s"):
            lane.read_shapes(payload)
            continue
        said = lane.read_frame(payload)
        if "-v" in sys.argv:
            sys.stdout.write(said)
        else:
            print(hashlib.sha256(said.encode()).hexdigest()[:32])


main()
