"""Kinds of damage to the bytes of a file, drawn from a generator."""

from __future__ import annotations


def flips(content, rng):
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(damaged)


def a_cut(content, rng):
    return content[: rng.integers(len(content))]


def a_block(content, rng):
    start, longest = int(rng.integers(len(content))), min(13, len(content).bit_length() - 3)
    return start, start + min(int(2 ** rng.uniform(0, longest)), len(content) - start)


def a_zeroed_block(content, rng):
    start, end = a_block(content, rng)
    return content[:start] + bytes(end - start) + content[end:]


def a_block_over_another(content, rng):
    start, end = a_block(content, rng)
    to = int(rng.integers(len(content) - (end - start) + 1))
    return content[:to] + content[start:end] + content[to + end - start :]


def a_block_twice(content, rng):
    start, end = a_block(content, rng)
    return content[:end] + content[start:]


def a_block_left_out(content, rng):
    start, end = a_block(content, rng)
    return content[:start] + content[end:]


KINDS = (
    flips,
    a_cut,
    a_zeroed_block,
    a_block_over_another,
    a_block_twice,
    a_block_left_out,
)
