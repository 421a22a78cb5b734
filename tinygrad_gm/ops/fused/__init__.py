"""Operations fused for speed or stability, each beside its decomposition.

A decomposition is the definition that a course would write, composed of primitives. Tests compare
value, gradient and second derivative of the two; `with tg.textbook():` records the decomposition,
so that a drawing shows its steps.
"""
