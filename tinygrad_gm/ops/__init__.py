"""Every operation on arrays, one file per kind; `registry` holds the primitives by name.

`__all__` is what a user types; names imported `as` themselves are for the engine and its rules.
"""

from ..engine.op import registry as registry
from .choosing import (
    clip,
    leaky_relu,
    maximum,
    minimum,
    relu,
    where,
)
from .choosing import (
    hardswish as hardswish,
)
from .choosing import (
    hardtanh as hardtanh,
)
from .choosing import (
    select as select,
)
from .comparison import (
    allclose,
    bitwise_and,
    bitwise_invert,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    isclose,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
)
from .conv import conv, conv_transpose
from .conv import conv_weight_gradient as conv_weight_gradient
from .einsum import (
    contract as contract,
)
from .einsum import (
    einsum,
    outer,
    tensordot,
    vecdot,
)
from .elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    astype,
    atan,
    atan2,
    atanh,
    ceil,
    cos,
    cosh,
    divide,
    exp,
    expm1,
    floor,
    floor_divide,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    multiply,
    negative,
    pow,
    reciprocal,
    remainder,
    round,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    trunc,
)
from .elementwise import (
    hypot as hypot,
)
from .elementwise import (
    softsign as softsign,
)
from .elementwise import (
    to_device as to_device,
)
from .fused import (
    attention as attention,
)
from .fused import (
    batch_norm,
    binary_cross_entropy_with_logits,
    cross_entropy,
    embedding,
    gelu,
    group_norm,
    gru_cell,
    layer_norm,
    linear,
    log_softmax,
    lstm_cell,
    mish,
    mse_loss,
    nll_loss,
    rms_norm,
    scaled_dot_product_attention,
    silu,
    softmax,
    softplus,
)
from .fused import (
    binary_cross_entropy as binary_cross_entropy,
)
from .fused import (
    gru_sequence as gru_sequence,
)
from .fused import (
    lstm_sequence as lstm_sequence,
)
from .fused import (
    rnn_sequence as rnn_sequence,
)
from .indexing import (
    check_index as check_index,
)
from .indexing import (
    getitem as getitem,
)
from .indexing import (
    one_hot,
    scatter_add,
    take,
    take_along_axis,
)
from .indexing import (
    plain_index as plain_index,
)
from .indexing import (
    scatter as scatter,
)
from .indexing import (
    scatter_along_axis as scatter_along_axis,
)
from .linalg import (
    cholesky as cholesky,
)
from .linalg import (
    cofactor as cofactor,
)
from .linalg import (
    det as det,
)
from .linalg import (
    diagonal,
    trace,
)
from .linalg import (
    inv as inv,
)
from .linalg import (
    log_abs_det as log_abs_det,
)
from .linalg import (
    sign_det as sign_det,
)
from .linalg import (
    slogdet as slogdet,
)
from .linalg import (
    solve as solve,
)
from .matmul import matmul
from .pooling import (
    argmax_pool as argmax_pool,
)
from .pooling import (
    avg_pool,
    max_pool,
)
from .pooling import (
    avg_pool_transpose as avg_pool_transpose,
)
from .pooling import (
    gather_windows as gather_windows,
)
from .pooling import (
    scatter_windows as scatter_windows,
)
from .products import cross, kron, lerp
from .reduction import (
    all,
    any,
    argmax,
    argmin,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    diff,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from .reduction import (
    vector_norm as vector_norm,
)
from .resampling import resample as resample
from .shape import (
    broadcast_arrays,
    broadcast_to,
    concat,
    expand_dims,
    flatten,
    flip,
    matrix_transpose,
    moveaxis,
    pad,
    permute_dims,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    unstack,
)
from .sorting import (
    argsort,
    bincount,
    median,
    nonzero,
    searchsorted,
    sort,
    topk,
    unique,
)
from .special import erf

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "allclose",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "avg_pool",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "bincount",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_or",
    "bitwise_xor",
    "broadcast_arrays",
    "broadcast_to",
    "ceil",
    "clip",
    "concat",
    "conv",
    "conv_transpose",
    "cos",
    "cosh",
    "count_nonzero",
    "cross",
    "cross_entropy",
    "cumulative_prod",
    "cumulative_sum",
    "diagonal",
    "diff",
    "divide",
    "einsum",
    "embedding",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "flatten",
    "flip",
    "floor",
    "floor_divide",
    "gelu",
    "greater",
    "greater_equal",
    "group_norm",
    "gru_cell",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "kron",
    "layer_norm",
    "leaky_relu",
    "lerp",
    "less",
    "less_equal",
    "linear",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "lstm_cell",
    "matmul",
    "matrix_transpose",
    "max",
    "max_pool",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "mish",
    "moveaxis",
    "mse_loss",
    "multiply",
    "negative",
    "nll_loss",
    "nonzero",
    "norm",
    "not_equal",
    "one_hot",
    "outer",
    "pad",
    "permute_dims",
    "pow",
    "prod",
    "reciprocal",
    "relu",
    "remainder",
    "repeat",
    "reshape",
    "rms_norm",
    "roll",
    "round",
    "scaled_dot_product_attention",
    "scatter_add",
    "searchsorted",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "topk",
    "trace",
    "trunc",
    "unique",
    "unstack",
    "var",
    "vecdot",
    "where",
]
