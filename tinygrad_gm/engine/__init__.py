"""The engine: from one recorded call to the gradients of every leaf, in five files.

Read them in this order; together they take about an hour.

1. this page;
2. `op.py`: an operation is a function on arrays with one gradient rule per argument;
3. `record.py`: a Tensor's place in the record, and the nodes that calls leave behind;
4. `call.py`: one call, from the arguments that a user types to the node that is recorded;
5. `backward.py`: the chain rule, and the walk from the loss to the leaves.

The other files have one subject each, for later reading: `fast_call.py` (the same call, generated
for speed), `results.py` and `half.py` (results and their dtypes), `higher_order.py` and
`decompositions.py` (rules that run on Tensors), `in_place.py` (writes into arrays that a rule still
needs), `memory.py` (the memory of a record), `replay.py` (the forward pass again), `modes.py`
(no_grad and its kin), `hooks.py`, `anomaly.py`, `checkpointing.py`, `messages.py` and `checks.py`
(errors).
"""
