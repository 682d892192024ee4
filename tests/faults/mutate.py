"""Damage to files, drawn from a seed."""

import random
import re

__all__ = ["MUTATORS", "mutated"]


def _place(content, rng, size=1):
    return rng.randrange(max(len(content) - size, 0) + 1)


def flip_a_bit(content, rng):
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def change_a_byte(content, rng):
    at = rng.randrange(len(content))
    return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]


def change_a_digit(content, rng):
    """A number becomes another one, which no parser can see."""
    digits = [found.start() for found in re.finditer(rb"[0-9]", content)]
    if not digits:
        return change_a_byte(content, rng)
    at = rng.choice(digits)
    return content[:at] + str(rng.randrange(10)).encode() + content[at + 1 :]


def change_a_letter(content, rng):
    letters = [found.start() for found in re.finditer(rb"[A-Za-z]", content)]
    if not letters:
        return change_a_byte(content, rng)
    at = rng.choice(letters)
    return content[:at] + bytes([rng.choice(b"abcdefgXYZ")]) + content[at + 1 :]


def zero_a_block(content, rng):
    size = min(len(content), rng.choice((1, 16, 512, 4096)))
    at = _place(content, rng, size)
    return content[:at] + bytes(size) + content[at + size :]


def fill_a_block(content, rng):
    size = min(len(content), rng.choice((4, 64, 512)))
    at = _place(content, rng, size)
    return content[:at] + rng.randbytes(size) + content[at + size :]


def cut_the_end(content, rng):
    return content[: rng.randrange(len(content))]


def cut_the_middle(content, rng):
    size = min(len(content), rng.choice((1, 7, 100, 4096)))
    at = _place(content, rng, size)
    return content[:at] + content[at + size :]


def repeat_a_block(content, rng):
    size = min(len(content), rng.choice((1, 16, 512, 4096)))
    at = _place(content, rng, size)
    return content[: at + size] + content[at:]


def swap_blocks(content, rng):
    size = min(len(content) // 2, rng.choice((1, 8, 512, 4096)))
    first, second = sorted((_place(content, rng, 2 * size), _place(content, rng, size)))
    second = max(second, first + size)
    a, b = content[first : first + size], content[second : second + size]
    whole = bytearray(content)
    whole[first : first + size], whole[second : second + size] = b, a
    return bytes(whole)


def insert_bytes(content, rng):
    at = rng.randrange(len(content) + 1)
    return (
        content[:at]
        + rng.choice((b"\0", b"\n", b"\t", b"\xff\xfe", b"{}", b"9" * 40))
        + content[at:]
    )


def append_bytes(content, rng):
    return content + rng.choice((b"\0", b"\n\n", b"x", b"\x1a", rng.randbytes(64)))


def drop_a_line(content, rng):
    lines = content.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def repeat_a_line(content, rng):
    lines = content.splitlines(keepends=True)
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"".join(lines)


def swap_lines(content, rng):
    lines = content.splitlines(keepends=True)
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def empty(content, rng):  # as the others
    return b""


MUTATORS = (
    *(flip_a_bit, flip_a_bit, change_a_byte, change_a_digit, change_a_letter, zero_a_block),
    *(fill_a_block, cut_the_end, cut_the_middle, repeat_a_block, swap_blocks, insert_bytes),
    *(append_bytes, drop_a_line, repeat_a_line, swap_lines, empty),
)


def mutated(content, seed):
    """The content with a damage of the seed, which is a damage indeed, and what was done.

    Args:
        content: bytes, not empty.
        seed: an int; the mutators take turns.
    """
    rng = random.Random(seed)
    for mutate in (MUTATORS[seed % len(MUTATORS)], *rng.sample(MUTATORS, len(MUTATORS))):
        for _ in range(20):
            changed = mutate(content, rng)
            if changed != content:
                return changed, mutate.__name__
    raise AssertionError("nothing changes this content")
