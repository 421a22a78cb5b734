"""Names of other libraries and their equivalents here: one table, used only in errors. For a name
of PyTorch (`t.unsqueeze`, `tg.cat`, `dim=1`) or an old one of NumPy (`arctan`), the error suggests
ours.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

WORDS = {  # their word: (how they use it, how we write that)
    "absolute": ("absolute()", "abs(x)"),
    "add_": ("x.add_(y)", "x += y, for a parameter under tg.no_grad()"),
    "addmm": ("addmm(b, x, y)", "b + x @ y"),
    "amax": ("amax(dim=1)", "max(x, axis=1)"),
    "amin": ("amin(dim=1)", "min(x, axis=1)"),
    "arccos": ("arccos(x)", "acos(x)"),
    "arcsin": ("arcsin(x)", "asin(x)"),
    "arctan": ("arctan(x)", "atan(x)"),
    "arctan2": ("arctan2(y, x)", "atan2(y, x)"),
    "array": ("array([1.0])", "tensor([1.0])"),
    "as_tensor": ("as_tensor(a)", "asarray(a)"),
    "autograd": ("autograd.grad(y, x)", "grad(y, x)"),
    "bmm": ("bmm(x, y)", "x @ y"),
    "cat": ("cat([x, y], dim=1)", "concat([x, y], axis=1)"),
    "cholesky": ("cholesky(x)", "linalg.cholesky(x)"),
    "chunk": ("chunk(3, dim=1)", "split(x, 3, axis=1)"),
    "clamp": ("clamp(0, 1)", "clip(x, 0, 1)"),
    "clamp_max": ("clamp_max(1)", "clip(x, None, 1)"),
    "clamp_min": ("clamp_min(0)", "clip(x, 0)"),
    "clone": ("clone()", "x.copy()"),
    "concatenate": ("concatenate([x, y])", "concat([x, y])"),
    "contiguous": ("contiguous()", "x: every operation takes any memory order"),
    "cpu": ("x.cpu()", 'x.to("cpu")'),
    "cuda": ("x.cuda()", 'x.to("cuda")'),
    "cumprod": ("cumprod(1)", "cumulative_prod(x, 1)"),
    "cumsum": ("cumsum(1)", "cumulative_sum(x, 1)"),
    "det": ("det(x)", "linalg.det(x)"),
    "device": ('device("cuda")', '"cuda", a string'),
    "dim": ("x.dim()", "x.ndim"),
    "div": ("div(x, y)", "x / y"),
    "dot": ("dot(x, y)", "vecdot(x, y), or x @ y"),
    "double": ("x.double()", "x.astype(tg.float64)"),
    "eq": ("eq(x, y)", "x == y"),
    "expand": ("expand(2, 3)", "broadcast_to(x, (2, 3))"),
    "expand_as": ("expand_as(y)", "broadcast_to(x, y.shape)"),
    "fill_": ("x.fill_(1)", "x[...] = 1"),
    "float": ("x.float()", "x.astype(tg.float32)"),
    "fmod": ("fmod(x, y)", "remainder(x, y), with the sign of y"),
    "from_numpy": ("from_numpy(a)", "asarray(a)"),
    "gather": ("gather(1, indices)", "take_along_axis(x, indices, 1)"),
    "ge": ("ge(x, y)", "x >= y"),
    "gt": ("gt(x, y)", "x > y"),
    "half": ("x.half()", "x.astype(tg.float16)"),
    "hstack": ("hstack([x, y])", "concat([x, y], axis=1)"),
    "index_add": ("index_add(0, indices, y)", "x + ops.scatter(y, indices, x.shape)"),
    "index_select": ("index_select(0, indices)", "take(x, indices, 0)"),
    "inference_mode": ("inference_mode()", "no_grad()"),
    "inner": ("inner(x, y)", "vecdot(x, y)"),
    "int": ("x.int()", "x.astype(tg.int32)"),
    "inv": ("inv(x)", "linalg.inv(x)"),
    "inverse": ("inverse(x)", "linalg.inv(x)"),
    "invert": ("invert(x)", "~x"),
    "is_tensor": ("is_tensor(x)", "isinstance(x, tg.Tensor)"),
    "le": ("le(x, y)", "x <= y"),
    "long": ("x.long()", "x.astype(tg.int64)"),
    "lt": ("lt(x, y)", "x < y"),
    "masked_fill": ("masked_fill(mask, 0)", "where(mask, 0, x)"),
    "masked_select": ("masked_select(mask)", "x[mask]"),
    "mm": ("mm(x, y)", "x @ y"),
    "mod": ("mod(x, y)", "x % y"),
    "movedim": ("movedim(0, 1)", "moveaxis(x, 0, 1)"),
    "mul": ("mul(x, y)", "x * y"),
    "mul_": ("x.mul_(y)", "x *= y, for a parameter under tg.no_grad()"),
    "mv": ("mv(x, y)", "x @ y"),
    "narrow": ("narrow(0, 1, 2)", "x[1:3]"),
    "ne": ("ne(x, y)", "x != y"),
    "neg": ("neg(x)", "-x"),
    "numel": ("x.numel()", "x.size"),
    "permute": ("permute(0, 2, 1)", "permute_dims(x, (0, 2, 1))"),
    "power": ("power(x, 2)", "pow(x, 2)"),
    "repeat_interleave": ("repeat_interleave(2, dim=0)", "repeat(x, 2, axis=0)"),
    "reshape_as": ("reshape_as(y)", "reshape(x, y.shape)"),
    "rsqrt": ("rsqrt(x)", "1 / sqrt(x)"),
    "select": ("select(0, 1)", "x[1]"),
    "slogdet": ("slogdet(x)", "linalg.slogdet(x)"),
    "solve": ("solve(x, y)", "linalg.solve(x, y)"),
    "sub": ("sub(x, y)", "x - y"),
    "sub_": ("x.sub_(y)", "x -= y, for a parameter under tg.no_grad()"),
    "swapdims": ("swapdims(0, 1)", "swapaxes(x, 0, 1)"),
    "t": ("x.t()", "x.T"),
    "transpose": ("transpose(1, 2)", "swapaxes(x, 1, 2)"),
    "type": ("x.type(dtype)", "x.astype(dtype)"),
    "unbind": ("unbind(0)", "unstack(x, 0)"),
    "unsqueeze": ("unsqueeze(1)", "expand_dims(x, 1)"),
    "utils": ("utils.data.DataLoader", "data.DataLoader"),
    "view": ("view(2, -1)", "reshape(x, (2, -1))"),
    "view_as": ("view_as(y)", "reshape(x, y.shape)"),
    "vstack": ("vstack([x, y])", "concat([x, y], axis=0)"),
    "zero_": ("x.zero_()", "x[...] = 0"),
}
KEYWORDS = {
    "dim": "axis",
    "dim0": "axis1",
    "dim1": "axis2",
    "dims": "axis",
    "end_dim": "end_axis",
    "input": "x",
    "keepdim": "keepdims",
    "other": "y",
    "p": "ord",
    "start_dim": "start_axis",
    "unbiased": "correction",
    "value": "constant_values",
}
INNER_NAMES = re.compile(r"^(?:[a-z]\w*: )+")  # that a message starts with
FORMER = {"twin": "decomposition"}  # keywords of earlier versions
NUMPYS = ("absolute", "arccos", "arcsin", "arctan", "arctan2", "array", "concatenate")
UFUNCS = {  # NumPy's names of the binary operators, and ours
    **{name: name for name in (
        "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "matmul", "equal",
        "not_equal", "less", "less_equal", "greater", "greater_equal", "bitwise_and", "bitwise_or",
        "bitwise_xor",
    )},
    "power": "pow",
}  # fmt: skip
RENAMED = {  # NumPy's other ufuncs whose names differ from ours
    "absolute": "abs",
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "arctan2": "atan2",
    "invert": "bitwise_invert",
}


def missing(owner: str, word: str) -> str:
    """The message for a missing attribute of `owner`, with our name for it if known."""
    message = f"{owner} has no attribute {word!r}"
    if word not in WORDS:
        return message
    theirs, ours = WORDS[word]
    return f"{message}: {'NumPy' if word in NUMPYS else 'PyTorch'}'s `{theirs}` is `{ours}` here"


class Hint:
    """A descriptor under another library's name that suggests ours. A `__getattr__` would do the
    same, but make every other attribute access twice as slow.
    """

    def __init__(self, word: str) -> None:
        self.word = word

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(missing(f"a {owner.__name__}", self.word))


def give_hints(owner: type) -> None:
    """Add a hint to a class for each name that it does not have."""
    words = [word for word in WORDS if not hasattr(owner, word)]
    for word in words:
        setattr(owner, word, Hint(word))

    def names(self: object) -> list[str]:
        return sorted({*object.__dir__(self)} - {*words})  # completion offers existing names only

    owner.__dir__ = names  # type: ignore[assignment, method-assign]


def refuse_keywords(name: str, keywords: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError for another library's keyword, naming the function's own."""
    known = set(known)
    for word in keywords:
        ours = KEYWORDS.get(word)
        if word not in known and FORMER.get(word) in known:
            raise TypeError(
                f"{name}: unexpected keyword argument {word!r}: it is called `{FORMER[word]}` now"
            )
        if word not in known and ours in known:
            raise TypeError(
                f"{name}: unexpected keyword argument {word!r}: PyTorch's `{word}` is `{ours}` here"
            )


def named(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function composed of primitives, so that errors name it instead of them. For
    another library's keyword the error suggests ours.
    """
    name = function.__name__
    code: Any = function.__code__
    names = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])

    @functools.wraps(function)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        if keywords and not names.issuperset(keywords):
            refuse_keywords(name, keywords, names)
        try:
            return function(*args, **keywords)
        except (TypeError, ValueError, IndexError) as error:
            if str(error).startswith(name):
                raise
            raise renamed(error, name) from error

    return call


def renamed(error: Exception, name: str) -> Exception:
    """The error of an operation inside the function `name` as one of that function."""
    return kind_of(error)(f"{name}: {INNER_NAMES.sub('', str(error))}")


def kind_of(error: Exception) -> type[Exception]:
    """IndexError, ValueError or TypeError; NumPy's own classes belong to one of them."""
    return next(kind for kind in (IndexError, ValueError, TypeError) if isinstance(error, kind))
