"""The interpreter of pickles: Python's values, and no code, whatever a pickle asks for."""

from __future__ import annotations

import os
import pickle
import struct

import numpy as np
import pytest

from tinygrad_gm.torch_files.pickle_machine import (
    ForbiddenNameError,
    Opaque,
    Pairs,
    interpret,
)

VALUES = [
    None,
    True,
    False,
    *(0, 1, 255, 256, 65535, 65536, -1, 2**31, -(2**31) - 1, 2**63, -(2**200)),
    *(0.5, -1e300, float("inf")),
    *("", "ü", "∂" * 300, "x" * 70000),
    *((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], list(range(3000))),
    [[1], [2, (3, [4])]],
    [b"", b"ab", b"c" * 300],
]


def pairs(value):
    """Python's value as the interpreter returns it."""
    if isinstance(value, dict):
        return Pairs((key, pairs(entry)) for key, entry in value.items())
    return list(value) if isinstance(value, (set, frozenset)) else value


def same(ours, theirs):
    return type(ours) is type(theirs) and ours == theirs


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_plain_values_are_those_of_python(protocol, value):
    table = {"_codecs.encode": lambda text, encoding: text.encode(encoding)}
    table["__builtin__.bytes"] = lambda *_: b""
    assert same(interpret(pickle.dumps(value, protocol), table), value)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_dicts_are_pairs_and_shared_values_are_shared(protocol):
    shared = ["once"]
    value = {"a": shared, 1: shared, None: {(1, 2): {}}, "many": dict.fromkeys(range(3000), 0)}
    found = interpret(pickle.dumps(value, protocol), {})
    assert found == pairs(value)
    assert found[0][1] is found[1][1]


def test_sets_and_byte_arrays_of_new_protocols_are_lists_and_bytes():
    assert interpret(pickle.dumps({1, 2, 3}, 4), {}) == [1, 2, 3]
    assert interpret(pickle.dumps(frozenset([7]), 4), {}) == [7]
    assert interpret(pickle.dumps(bytearray(b"ab"), 5), {}) == b"ab"


def test_a_value_that_contains_itself_is_built():
    value = []
    value.append(value)
    found = interpret(pickle.dumps(value), {})
    assert found[0] is found


class Called:
    """Pickled as any call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def text(value):
    """A text of a pickle: BINUNICODE."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


TOUCH = "touch called"
ATTACKS = {
    "posix.system": pickle.dumps(Called(os.system, TOUCH)),
    "os.system": b"\x80\x02cos\nsystem\n" + text(TOUCH) + b"\x85R.",
    "subprocess.Popen": b"csubprocess\nPopen\n(](" + text("touch") + text("called") + b"etR.",
    "builtins.eval": pickle.dumps(Called(eval, "__import__('os').system('touch called')")),
    "builtins.exec": pickle.dumps(Called(exec, "open('called', 'w')"), 5),
    "__builtin__.eval": pickle.dumps(Called(eval, "open('called', 'w')"), 2),
    "builtins.getattr": pickle.dumps(Called(getattr, Called(__import__, "os"), "system")),
    "io.open": pickle.dumps(Called(open, "called", "w")),
    "importlib.import_module": b"cimportlib\nimport_module\n" + text("called") + b"\x85R.",
    "torch.hub.load": text("torch.hub") + text("load") + b"\x93)R.",
    "torch._utils.sys.modules": text("torch._utils") + text("sys.modules") + b"\x93.",
    "os.path.os.system": text("os.path") + text("os.system") + b"\x93.",
    "nt.system": b"(" + text(TOUCH) + b"int\nsystem\n.",
    "webbrowser.open": b"cwebbrowser\nopen\n)\x81.",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_pickle_that_asks_for_code_is_refused_with_the_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    allowed = {"collections.OrderedDict": Pairs, "torch.Size": tuple}
    with pytest.raises(ForbiddenNameError, match=name.replace(".", r"\.")):
        interpret(ATTACKS[name], allowed)
    assert list(tmp_path.iterdir()) == []


def test_the_attacks_are_real(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(ATTACKS["posix.system"])
    assert (tmp_path / "called").exists()


def test_names_of_the_table_are_called_with_their_arguments():
    program = b"cpackage.module\nadd\n" + b"K\x02K\x03\x86R."
    assert interpret(program, {"package.module.add": lambda a, b: a + b}) == 5


def test_what_the_table_does_not_call_is_not_called():
    for program in (b"ca\nb\n)R.", b"K\x01)R.", text("print") + b")R.", b")K\x01R.", b"ca\nf\nNR."):
        with pytest.raises(ValueError, match=r"calls something|arguments of a\.f"):
            interpret(program, {"a.b": "os.system", "a.f": print})


def test_a_state_is_discarded_and_items_of_opaque_objects_too():
    table = {"a.b": lambda: Opaque()}
    state = b"}" + text("__class__") + b"K\x01sb"
    found = interpret(b"ca\nb\n)R" + state + b"K\x01aK\x01K\x02s.", table)
    assert isinstance(found, Opaque)
    assert vars(found) == {}
    assert interpret(b"]" + state + b".", {}) == []


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"", "ends in the middle"),
        (b"K", "ends in the middle"),
        (b"cos", "ends in the middle"),
        (b"X\xff\xff\xff\xffab.", "ends in the middle"),
        (b"B\xff\xff\xff\x7f.", "ends in the middle"),
        (b"\x8d" + b"\xff" * 8 + b".", "ends in the middle"),
        (b".", "stack is too short"),
        (b"(.", "stack is too short"),
        (b"K\x01(a.", "stack is too short"),
        (b"K\x01R.", "stack is too short"),
        (b"t.", "no mark"),
        (b"h\x05.", "memo has no entry 5"),
        (b"(K\x01q\x00u.", "stack is too short"),
        (b"}(K\x01u.", "key without a value"),
        (b"NK\x01a.", "appends to a NoneType"),
        (b"]K\x01K\x01s.", "sets items of a list"),
        (b"\x8b\x00\x00\x00\x10", "integer of 268435456 bytes"),
        (b"NQ.", "persistent object"),
        (b"I01\n.", r"instruction b'I'"),
        (b"\x82\x01.", r"instruction b'\\x82'"),
        (b"\xff.", r"instruction b'\\xff'"),
        (b"X\x01\x00\x00\x00\xff.", "string that is not UTF-8"),
        (b"c\xff\nsystem\n.", "string that is not UTF-8"),
        (b"K\x01K\x02\x93.", r"asks for \?"),
    ],
)
def test_damaged_pickles_are_refused_in_one_line(program, words):
    with pytest.raises(ValueError, match=words) as caught:
        interpret(program, {})
    assert len(str(caught.value).splitlines()) == 1


def test_deeply_nested_values_are_built_and_released():
    depth = 100_000
    for inner, outer in ((b"]", b"a"), (b"(", b"t"), (b"}N", b"s")):
        interpret(inner * depth + b"N" + outer * depth + b".", {})


def test_random_programs_give_a_value_or_one_error():
    rng = np.random.default_rng(0)
    codes = np.frombuffer(
        b"N\x88KMJG\x8a\x8cXC)]\x8f}(t\x91\x85\x86ae\x90suqrh\x94jcRb0\x80\x01\x02", "u1"
    )
    finished = 0
    for _ in range(3000):
        program = b"(" + bytes(rng.choice(codes, rng.integers(1, 40))) + b"."
        try:
            interpret(program, {})
            finished += 1
        except ValueError:
            pass
    assert 0 < finished < 3000
