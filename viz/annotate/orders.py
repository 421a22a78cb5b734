"""Orders of differentiation: which operations compute the function, which its derivatives.

A backward pass with `create_graph=True` records its operations. Their scopes tell them apart: an
operation recorded by the gradient rule of a forward operation has order 1, one recorded by the rule
of an operation of order 1 has order 2, and so on.
"""

from __future__ import annotations

from ..graph.view import Group, View

WORDS = "forward", "first derivative", "second derivative", "third derivative"


def tell(view: View) -> None:
    """Mark every node and edge of a graph with derivatives in it with `order`, a word.

    A graph without them gets no marks. `Part.order` is the number.
    """
    parts = [part for part in view.nodes if not isinstance(part, Group)]
    if not any(part.order for part in parts):
        return
    for part in (*parts, *view.edges):
        part.marks["order"] = word(part.order)


def word(order: int) -> str:
    """Return the name of an order.

    >>> word(0), word(2), word(5)
    ('forward', 'second derivative', 'derivative of order 5')
    """
    return WORDS[order] if order < len(WORDS) else f"derivative of order {order}"
