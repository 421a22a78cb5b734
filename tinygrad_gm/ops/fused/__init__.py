"""Operations fused for speed or stability, each with its decomposition.

A decomposition is the textbook definition, composed of primitives. Tests compare
value, gradient and second derivative of the two; `with tg.textbook():` records the decomposition,
so that a drawing shows its steps.
"""
