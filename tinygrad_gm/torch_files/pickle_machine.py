"""`interpret`: an interpreter of pickles that runs no code.

A pickle is a program for a small machine. The machine has a stack, and a memo of values that are
used more than once. Most instructions push a value (a number, a string, an empty list), or collect
the values above a mark in a tuple, a list or a dict. Three of them make pickles dangerous:

    GLOBAL  module name    push the object of this name; Python's machine imports the module
    REDUCE                 pop a tuple of arguments and a function, and push what the call returns
    BUILD                  pop a state, and let the object below it take the state over

Objects of any class are pickled by these: "call this function with those arguments". A program that
names `os.system` is a valid pickle, and Python's machine runs it. The machine here imports nothing.
A name stands for what the caller's table says: GLOBAL is a lookup in that table, REDUCE calls
functions of that table only, and BUILD discards the state. Any other name is refused when it is
read.

Every instruction takes at least one byte of the program and adds at most one value, so time and
memory are linear in its length. The instructions are those of protocols 2 to 5, `pickletools` in
Python's library describes each; the text instructions of protocols 0 and 1 are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}  # BININT1, BININT2, BININT, BINFLOAT
_INTEGERS = {b"\x8a": "<B", b"\x8b": "<I"}  # LONG1, LONG4: the length, and the bytes of an integer
_STRINGS = {b"\x8c": "<B", b"X": "<I", b"\x8d": "<Q"}  # (SHORT_)BINUNICODE(8): length and UTF-8
_BYTES = {b"C": "<B", b"B": "<I", b"\x8e": "<Q", b"\x96": "<Q"}  # BINBYTES …, BYTEARRAY8
_COLLECTIONS: dict[bytes, Callable[[], Any]] = {b")": tuple, b"]": list, b"\x8f": list}  # a set
_SIZES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}  # TUPLE1, TUPLE2, TUPLE3
_PUT = {b"q": "<B", b"r": "<I"}  # BINPUT, LONG_BINPUT
_GET = {b"h": "<B", b"j": "<I"}  # BINGET, LONG_BINGET
_LONGEST_INTEGER = 64  # bytes; converting long ones takes quadratic time
_MOST_ARGUMENTS = 16  # of a call: the memo can use a long tuple over and over


class Pairs(list[tuple[Any, Any]]):
    """A dict of a pickle, as the list of its keys and values: keys may be of any type."""

    __slots__ = ()


class Opaque:
    """An object that is not reproduced; what is appended to it or set in it is discarded."""


class ForbiddenNameError(ValueError):
    """A pickle asks for a name that the table does not contain."""


class Global:
    """A name in a pickle, and its meaning in the table: a function, or any other value."""

    def __init__(self, name: str, meaning: Any) -> None:
        self.name, self.meaning = name, meaning


def interpret(
    program: bytes, table: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None
) -> Any:
    """Return the value that a pickle describes, without running any code of it.

    Dicts are returned as `Pairs`, sets as lists; the other plain values are Python's.

    Args:
        program: the bytes of the pickle.
        table: what names such as "collections.OrderedDict" stand for. A callable is called with
            the arguments in the pickle, and raises ValueError if they are wrong.
        persistent: returns the value of an identifier, which the instruction BINPERSID replaces.

    Raises:
        ForbiddenNameError: a name is not in the table.
        ValueError: an instruction is unknown or damaged.

    >>> import pickle
    >>> from tinygrad_gm.torch_files.pickle_machine import interpret
    >>> interpret(pickle.dumps({"a": [1, 2.5, None]}), table={})
    [('a', [1, 2.5, None])]
    >>> interpret(pickle.dumps(print), table={})     # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ForbiddenNameError: it asks for builtins.print, which is not among the permitted names
    """
    return _Machine(program, table, persistent).run()


class _Machine:
    def __init__(
        self,
        program: bytes,
        table: Mapping[str, Any],
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.program, self.position = program, 0
        self.table, self.persistent = table, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []  # the heights of the stack at the marks
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        while (code := self.take(1)) != b".":  # STOP
            self.step(code)
        return self.pop()

    def step(self, code: bytes) -> None:
        """Carry out one instruction."""
        if code in _CONSTANTS:
            self.push(_CONSTANTS[code])
        elif code in _NUMBERS:
            self.push(self.number(_NUMBERS[code]))
        elif code in _INTEGERS:
            length = self.number(_INTEGERS[code])
            if length > _LONGEST_INTEGER:
                raise ValueError(f"it has an integer of {length} bytes")
            self.push(int.from_bytes(self.take(length), "little", signed=True))
        elif code in _STRINGS:
            self.push(_decoded(self.take(self.number(_STRINGS[code]))))
        elif code in _BYTES:
            self.push(self.take(self.number(_BYTES[code])))
        elif code in _COLLECTIONS:
            self.push(_COLLECTIONS[code]())
        elif code == b"}":  # EMPTY_DICT
            self.push(Pairs())
        elif code == b"(":  # MARK
            self.marks.append(len(self.stack))
        elif code == b"t":  # TUPLE
            self.push(tuple(self.pop_to_mark()))
        elif code == b"\x91":  # FROZENSET
            self.push(self.pop_to_mark())
        elif code in _SIZES:
            self.push(tuple(self.pop_many(_SIZES[code])))
        elif code == b"a":  # APPEND
            self.extend([self.pop()])
        elif code in (b"e", b"\x90"):  # APPENDS, ADDITEMS
            self.extend(self.pop_to_mark())
        elif code == b"s":  # SETITEM
            self.update(self.pop_many(2))
        elif code == b"u":  # SETITEMS
            self.update(self.pop_to_mark())
        elif code in _PUT:
            self.memo[self.number(_PUT[code])] = self.top()
        elif code == b"\x94":  # MEMOIZE
            self.memo[len(self.memo)] = self.top()
        elif code in _GET:
            index = self.number(_GET[code])
            if index not in self.memo:
                raise ValueError(f"its memo has no entry {index}")
            self.push(self.memo[index])
        elif code == b"c":  # GLOBAL
            self.push(self.lookup(self.line(), self.line()))
        elif code == b"\x93":  # STACK_GLOBAL
            self.push(self.lookup(*self.pop_many(2)))
        elif code == b"i":  # INST, of protocol 0: read for the name in the error
            self.lookup(self.line(), self.line())
            raise ValueError("it has the instruction INST of protocol 0")
        elif code in (b"R", b"\x81"):  # REDUCE, NEWOBJ
            self.push(self.call(*self.pop_many(2)))
        elif code == b"b":  # BUILD
            self.pop()
            self.top()
        elif code == b"Q":  # BINPERSID
            if self.persistent is None:
                raise ValueError("it refers to a persistent object")
            self.push(self.persistent(self.pop()))
        elif code == b"0":  # POP
            self.pop()
        elif code == b"1":  # POP_MARK
            self.pop_to_mark()
        elif code in (b"\x80", b"\x95"):  # PROTO and FRAME: a version, a length
            self.take(1 if code == b"\x80" else 8)
        else:
            raise ValueError(f"it has the instruction {code!r}, which is not supported")

    # ------------------------------------------------------------- the program

    def take(self, length: int) -> bytes:
        """The next bytes of the program."""
        start, self.position = self.position, self.position + length
        if self.position > len(self.program):
            raise ValueError("it ends in the middle")
        return self.program[start : self.position]

    def number(self, kind: str) -> Any:
        return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]

    def line(self) -> str:
        end = self.program.find(b"\n", self.position)
        if end < 0:
            raise ValueError("it ends in the middle")
        return _decoded(self.take(end + 1 - self.position)[:-1])

    # ------------------------------------------------------------- the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_many(self, count: int) -> list[Any]:
        """Remove the topmost values, which must be above the last mark."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise ValueError("its stack is too short for an instruction")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop(self) -> Any:
        return self.pop_many(1)[0]

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise ValueError("its stack has no mark")
        values = self.pop_many(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values

    def top(self) -> Any:
        value = self.pop()
        self.push(value)
        return value

    # ------------------------------------------------------------- objects

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is list:
            target.extend(values)
        elif not isinstance(target, Opaque):
            raise ValueError(f"it appends to a {type(target).__name__}")

    def update(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Pairs):
            if len(values) % 2:
                raise ValueError("it has a key without a value")
            target.extend(zip(values[::2], values[1::2], strict=True))
        elif not isinstance(target, Opaque):
            raise ValueError(f"it sets items of a {type(target).__name__}")

    def lookup(self, module: Any, name: Any) -> Global:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "?"
        if full not in self.table:
            shown = "".join(c if c.isprintable() else "?" for c in full[:100])
            raise ForbiddenNameError(f"it asks for {shown}, which is not among the permitted names")
        return Global(full, self.table[full])

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or not callable(function.meaning):
            raise ValueError("it calls something that is not a function")
        if not isinstance(arguments, tuple) or len(arguments) > _MOST_ARGUMENTS:
            raise ValueError(f"the arguments of {function.name} are not a short tuple")
        return function.meaning(*arguments)


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("it has a string that is not UTF-8") from None
