"""Functions of functions: products with Jacobians, whole Jacobians and Hessians.

Each of `vjp jvp jacobian hessian hvp` calls the function once, on new variables: the inputs need
not require a gradient, and their `.grad` is unchanged. With `create_graph=True` the result is
recorded: it can be differentiated with respect to the inputs and to all that the function closes
over, and the transforms can be nested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ops
from .backend import module_of
from .engine.backward import grad
from .engine.modes import enable_grad, is_grad_enabled
from .engine.record import Traced, wrap
from .tensor import Tensor, asarray

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vjp"]

Inputs = Tensor | Sequence[Any]


def vjp(
    fn: Callable[..., Any], *inputs: Any, create_graph: bool = False
) -> tuple[Any, Callable[..., tuple[Tensor, ...]]]:
    """The value of a function and its pullback v ↦ vᵀJ, J = ∂outputs/∂inputs (reverse mode).

    Args:
        fn: called with the inputs; returns a Tensor or a sequence of them.
        inputs: floating Tensors, arrays or numbers.
        create_graph: record what the pullback computes, for further derivatives.

    Returns:
        (outputs, pullback). The pullback takes one array per output, of its shape, and returns a
        tuple of one Tensor per input. It may be called any number of times; each call costs a
        backward pass.

    >>> value, pullback = tg.vjp(lambda x, y: x * y, tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    >>> value.tolist(), [g.tolist() for g in pullback([1.0, 10.0])]
    ([3.0, 8.0], [[3.0, 40.0], [1.0, 20.0]])
    """
    variables = _variables("vjp", inputs, create_graph)
    raw, outputs = _outputs("vjp", fn, variables)

    def pullback(*gradients: Any) -> tuple[Tensor, ...]:
        if len(gradients) != len(outputs):
            raise ValueError(f"vjp: {len(outputs)} outputs but {len(gradients)} gradients")
        seeds = [_like("vjp", v, out) for v, out in zip(gradients, outputs, strict=True)]
        return _pulled_back(outputs, variables, seeds, create_graph)

    return (raw if create_graph else _detached(raw)), pullback


def jvp(
    fn: Callable[..., Any], inputs: Inputs, tangents: Any, create_graph: bool = False
) -> tuple[Any, Any]:
    """The value of a function and J·t, its change along `tangents` (a directional derivative).

    There is no forward mode here. The pullback g(u) = uᵀJ is linear in u, and its own pullback is
    therefore t ↦ J t: two reverse passes, the first of them recorded. That costs about twice a
    `vjp`, and the memory of the record, which a forward mode would not need.

    Args:
        fn: called with the inputs; returns a Tensor or a sequence of them.
        inputs: a floating Tensor, or a sequence of them (arrays and numbers too).
        tangents: one array, or a sequence with one per input, of the inputs' shapes.
        create_graph: record the result for further derivatives.

    Returns:
        (outputs, tangents of the outputs), both structured as what `fn` returns.

    >>> value, slope = tg.jvp(lambda x: x**3, tg.tensor(2.0), tg.tensor(1.0))
    >>> value.item(), slope.item()
    (8.0, 12.0)
    """
    variables = _variables("jvp", _several(inputs), create_graph)
    directions = _directions("jvp", inputs, tangents, variables)
    raw, outputs = _outputs("jvp", fn, variables)
    dual = [wrap(module_of(o._data).zeros(o.shape, o.dtype)).requires_grad_() for o in outputs]
    pulled = _pulled_back(outputs, variables, dual, create_graph=True)
    pushed = _pulled_back(pulled, dual, directions, create_graph)
    return (raw if create_graph else _detached(raw)), _structured(raw, pushed)


def jacobian(fn: Callable[..., Any], inputs: Inputs, create_graph: bool = False) -> Any:
    """All partial derivatives: J[i…, j…] = ∂output[i…] / ∂input[j…], one reverse pass per row.

    Args:
        fn: called with the inputs; returns a Tensor or a sequence of them.
        inputs: a floating Tensor, or a sequence of them.
        create_graph: record the result for further derivatives.

    Returns:
        A Tensor of shape output.shape + input.shape; for a sequence of inputs a tuple with one per
        input; for a sequence of outputs a tuple with one such entry per output.

    >>> tg.jacobian(lambda x: tg.stack([x[0] * x[1], x[1] ** 2]), tg.tensor([3.0, 4.0])).tolist()
    [[4.0, 3.0], [0.0, 8.0]]
    """
    variables = _variables("jacobian", _several(inputs), create_graph)
    raw, outputs = _outputs("jacobian", fn, variables)
    blocks = []
    for output in outputs:
        row = _blocks(output, variables, create_graph)
        blocks.append(row[0] if isinstance(inputs, Traced) else row)
    return blocks[0] if isinstance(raw, Traced) else tuple(blocks)


def hessian(fn: Callable[..., Any], inputs: Inputs, create_graph: bool = False) -> Any:
    """All second derivatives of a function with one number as its value: the gradient's Jacobian.

    It costs one recorded reverse pass, and one through that for each element of the inputs.

    Returns:
        A Tensor of shape input.shape + input.shape; for a sequence of inputs a tuple of tuples,
        whose entry [a][b] is ∂²f / ∂input_a ∂input_b.

    >>> tg.hessian(lambda x: x[0] ** 2 * x[1], tg.tensor([3.0, 5.0])).tolist()
    [[10.0, 6.0], [6.0, 0.0]]
    """
    variables = _variables("hessian", _several(inputs), create_graph)
    first = _gradient("hessian", fn, variables)
    rows = [_blocks(gradient, variables, create_graph) for gradient in first]
    return rows[0][0] if isinstance(inputs, Traced) else tuple(rows)


def hvp(fn: Callable[..., Any], inputs: Inputs, v: Any, create_graph: bool = False) -> Any:
    """H·v, the Hessian of a function with one number as its value times a vector, without H.

    It is the gradient of ⟨∇f, v⟩: two reverse passes, however many elements the inputs have.

    Args:
        fn: called with the inputs; returns a Tensor of one element.
        inputs: a floating Tensor, or a sequence of them.
        v: one array, or a sequence with one per input, of the inputs' shapes.
        create_graph: record the result for further derivatives.

    Returns:
        A Tensor; a tuple of them for a sequence of inputs.

    >>> tg.hvp(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]), tg.tensor([1.0, 10.0])).tolist()
    [6.0, 120.0]
    """
    variables = _variables("hvp", _several(inputs), create_graph)
    directions = _directions("hvp", inputs, v, variables)
    first = _gradient("hvp", fn, variables)
    product = _pulled_back(first, variables, directions, create_graph)
    return product[0] if isinstance(inputs, Traced) else product


def _several(inputs: Any) -> Sequence[Any]:
    return [inputs] if not isinstance(inputs, (list, tuple)) else inputs


def _variables(caller: str, inputs: Sequence[Any], create_graph: bool) -> list[Tensor]:
    """The function's own variables; with `create_graph` they hang on the inputs' history.

    One per input even where an input is given twice, or is closed over as well.
    """
    variables = []
    for position, value in enumerate(inputs):
        x = asarray(value)
        if x.dtype.kind != "f":
            raise TypeError(
                f"{caller}: input {position} is of {x.dtype}; only floating inputs have derivatives"
            )
        linked = create_graph and x._requires_grad and is_grad_enabled()
        variables.append(ops.reshape(x, x.shape) if linked else x.detach().requires_grad_())
    return variables


def _outputs(caller: str, fn: Any, variables: list[Tensor]) -> tuple[Any, list[Any]]:
    """What the function returns, and that as a list of Tensors."""
    with enable_grad():
        raw = fn(*variables)
    outputs = [raw] if isinstance(raw, Traced) else raw
    if not (isinstance(outputs, (list, tuple)) and all(isinstance(o, Traced) for o in outputs)):
        raise TypeError(
            f"{caller}: the function returned {type(raw).__name__}; expected a Tensor or a list or "
            "tuple of them"
        )
    return raw, list(outputs)


def _detached(raw: Any) -> Any:
    several = [raw] if isinstance(raw, Tensor) else raw
    return _structured(raw, [output.detach() for output in several])


def _structured(raw: Any, values: Sequence[Any]) -> Any:
    """One value, a list or a tuple, as the function returned."""
    if isinstance(raw, Traced):
        return values[0]
    return list(values) if isinstance(raw, list) else tuple(values)


def _like(caller: str, value: Any, tensor: Any) -> Any:
    given = asarray(value).astype(tensor.dtype)
    if given.shape != tensor.shape:
        raise ValueError(f"{caller}: expected a vector of shape {tensor.shape}; got {given.shape}")
    return given


def _directions(caller: str, inputs: Any, given: Any, variables: list[Tensor]) -> list[Any]:
    """The vectors for the inputs, one each."""
    vectors = given if isinstance(inputs, (list, tuple)) else [given]
    if not isinstance(vectors, (list, tuple)) or len(vectors) != len(variables):
        count = len(vectors) if isinstance(vectors, (list, tuple)) else 1
        raise ValueError(f"{caller}: {len(variables)} inputs but {count} vectors")
    return [_like(caller, v, x) for v, x in zip(vectors, variables, strict=True)]


def _gradient(caller: str, fn: Any, variables: list[Tensor]) -> tuple[Tensor, ...]:
    """The recorded gradient of a function with one number as its value."""
    _, outputs = _outputs(caller, fn, variables)
    if len(outputs) != 1 or outputs[0].size != 1:
        shapes = ", ".join(str(o.shape) for o in outputs)
        raise ValueError(f"{caller}: the function's value is one number, not of shape {shapes}")
    seed = _zeros(outputs[0].shape, outputs[0])
    seed._data[...] = 1
    return _pulled_back(outputs, variables, [seed], create_graph=True)


def _pulled_back(
    outputs: Sequence[Any], variables: Sequence[Any], seeds: Sequence[Any], create_graph: bool
) -> tuple[Tensor, ...]:
    """seedsᵀ · ∂outputs/∂variables, zeros where nothing depends on a variable."""
    live = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o._requires_grad]
    found: Sequence[Any] = [None] * len(variables)
    if live:
        roots, gradients = zip(*live, strict=True)
        found = grad(
            roots,
            variables,
            list(gradients),
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    pairs = zip(found, variables, strict=True)
    return tuple(_zeros(x.shape, x) if g is None else g for g, x in pairs)


def _blocks(output: Any, variables: list[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    """∂output/∂variable for each variable: a backward pass per element of the output."""
    rows = []
    for index in np.ndindex(output.shape):
        seed = _zeros(output.shape, output)
        seed._data[index] = 1
        rows.append(_pulled_back([output], variables, [seed], create_graph))
    if not rows:
        return tuple(_zeros(output.shape + x.shape, output) for x in variables)
    return tuple(
        ops.reshape(ops.stack(column), output.shape + x.shape)
        for column, x in zip(zip(*rows, strict=True), variables, strict=True)
    )


def _zeros(shape: tuple[int, ...], like: Any) -> Any:
    return wrap(module_of(like._data).zeros(shape, like.dtype))
