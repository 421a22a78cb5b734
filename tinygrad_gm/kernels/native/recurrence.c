/* Recurrent networks over a sequence, as Python calls them; the kernels are lstm.h, gru.h and rnn.h. */
#include "convolutions.h"
#include "steps.h"

#include "pool.h"

/* Sequences of a chunk: eight fill the registers. Where the weights do not fit into the second-level
 * cache, chunks are larger, because each reads all weights at each step. Their number is even, for two
 * threads. */
static Index share_of_batch(Index batch, Index weight_bytes)
{
    const Index most = weight_bytes > (1 << 20) ? 32 : 8;
    return ceil_div(batch, 2 * ceil_div(batch, 2 * most));
}

/* Steps of (N, H) states; the weight U is (gates·H, H), in any memory order. */
static bool read_sizes(const char *name, const Array *state, const Array *states,
                       const Array *weight, Index gates, Recurrence *r)
{
    if (state->ndim != 2 || weight->ndim != 2 || !state->size ||
        weight->shape[0] != gates * state->shape[1] || weight->shape[1] != state->shape[1] ||
        states->size % state->size) {
        PyErr_Format(PyExc_ValueError, "%s: expected a weight (%zd*H, H), states (N, H) and a whole "
                     "number of steps", name, gates);
        return false;
    }
    r->batch = state->shape[0];
    r->size = state->shape[1];
    r->steps = states->size / state->size;
    return in_order_of_size(name, state->size, state, NULL) &&
           in_order_of_size(name, states->size, states, NULL);
}

/* Pack the weights and run all chunks; `backward` with the transpose of `weight`. */
static PyObject *run(Recurrence *r, int type, const Array *weight, bool backward,
                     Kernel *const *kernel, Index scratch)
{
    const Index out = backward ? 1 : 0;
    r->product.w = weight->data;
    r->product.geometry = (Geometry){
        .pictures = 1, .outputs = weight->shape[out], .channels = weight->shape[1 - out],
        .kernel = {1, 1, 1}, .w_output = weight->strides[out] / PyArray_ITEMSIZE(weight->array),
        .w_channel = weight->strides[1 - out] / PyArray_ITEMSIZE(weight->array)};
    const Geometry *g = &r->product.geometry;
    r->share = share_of_batch(r->batch, bytes_of(weight->size, type));
    void *memory = memory_for(packed_size(g), type);
    r->product.packed = aligned(memory);
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = memory &&
           run_chunks(kernels->convolution_pack[type], &r->product, ceil_div(g->outputs, OUTPUTS), 0) &&
           run_chunks(kernel[type], r, ceil_div(r->batch, r->share),
                      (size_t)bytes_of(scratch * r->share, type));
    Py_END_ALLOW_THREADS
    free(memory);
    if (!done)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------ LSTM */

/* lstm(inputs, hidden, cell, weight, states, cells, gates): fill the last three, (L, N, H) twice and
 * (L, N, 4, H), for inputs (L, N, 4·H). */
PyObject *enter_lstm(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "lstm";
    Array inputs, hidden, cell, weight, states, cells, gates;
    Recurrence r = {0};
    int type = unwrap(name, args, count, "aaaawww", &inputs, &hidden, &cell, &weight, &states, &cells,
                      &gates);
    if (type < 0 || !read_sizes(name, &hidden, &states, &weight, 4, &r) ||
        !in_order_of_size(name, hidden.size, &cell, NULL) ||
        !in_order_of_size(name, states.size, &cells, NULL) ||
        !in_order_of_size(name, 4 * states.size, &inputs, &gates, NULL))
        return NULL;
    r.inputs = inputs.data;
    r.hidden = hidden.data;
    r.cell = cell.data;
    r.states = states.data;
    r.cells = cells.data;
    r.gates = gates.data;
    return run(&r, type, &weight, false, kernels->lstm, 0);
}

/* lstm_backward(state_gradients, cell_gradients, cell, weight, cells, gates, slopes, into_hidden,
 * into_cell): fill the last three, (L, N, 4·H) and (N, H) twice. */
PyObject *enter_lstm_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "lstm_backward";
    Array state_gradients, cell_gradients, cell, weight, cells, gates, slopes, into_hidden, into_cell;
    Recurrence r = {0};
    int type = unwrap(name, args, count, "aaaaaawww", &state_gradients, &cell_gradients, &cell, &weight,
                      &cells, &gates, &slopes, &into_hidden, &into_cell);
    if (type < 0 || !read_sizes(name, &cell, &cells, &weight, 4, &r) ||
        !in_order_of_size(name, cell.size, &into_hidden, &into_cell, NULL) ||
        !in_order_of_size(name, cells.size, &state_gradients, &cell_gradients, NULL) ||
        !in_order_of_size(name, 4 * cells.size, &gates, &slopes, NULL))
        return NULL;
    r.state_gradients = state_gradients.data;
    r.cell_gradients = cell_gradients.data;
    r.cell = cell.data;
    r.cells = cells.data;
    r.gates = gates.data;
    r.slopes = slopes.data;
    r.into_hidden = into_hidden.data;
    r.into_cell = into_cell.data;
    return run(&r, type, &weight, true, kernels->lstm_backward, 0);
}

/* ------------------------------------------------------------------------------------ GRU */

/* gru(inputs, hidden, weight, bias, states, gates): fill the last two, (L, N, H) and (L, N, 4, H), for
 * inputs (L, N, 3·H) and a bias (3·H,) or None. */
PyObject *enter_gru(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "gru";
    Array inputs, hidden, weight, bias, states, gates;
    Recurrence r = {0};
    int type = unwrap(name, args, count, "aaaoww", &inputs, &hidden, &weight, &bias, &states, &gates);
    if (type < 0 || !read_sizes(name, &hidden, &states, &weight, 3, &r) ||
        !in_order_of_size(name, 3 * r.size, &bias, NULL) ||
        !in_order_of_size(name, 3 * states.size, &inputs, NULL) ||
        !in_order_of_size(name, 4 * states.size, &gates, NULL))
        return NULL;
    r.inputs = inputs.data;
    r.hidden = hidden.data;
    r.product.bias = bias.data;
    r.states = states.data;
    r.gates = gates.data;
    return run(&r, type, &weight, false, kernels->gru, 0);
}

/* gru_backward(state_gradients, hidden, weight, states, gates, input_slopes, slopes, into_hidden): fill
 * the last three, (L, N, 3·H) twice and (N, H). */
PyObject *enter_gru_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "gru_backward";
    Array state_gradients, hidden, weight, states, gates, input_slopes, slopes, into_hidden;
    Recurrence r = {0};
    int type = unwrap(name, args, count, "aaaaawww", &state_gradients, &hidden, &weight, &states, &gates,
                      &input_slopes, &slopes, &into_hidden);
    if (type < 0 || !read_sizes(name, &hidden, &states, &weight, 3, &r) ||
        !in_order_of_size(name, hidden.size, &into_hidden, NULL) ||
        !in_order_of_size(name, states.size, &state_gradients, NULL) ||
        !in_order_of_size(name, 3 * states.size, &input_slopes, &slopes, NULL) ||
        !in_order_of_size(name, 4 * states.size, &gates, NULL))
        return NULL;
    r.state_gradients = state_gradients.data;
    r.hidden = hidden.data;
    r.states = states.data;
    r.gates = gates.data;
    r.input_slopes = input_slopes.data;
    r.slopes = slopes.data;
    r.into_hidden = into_hidden.data;
    return run(&r, type, &weight, true, kernels->gru_backward, r.size);
}

/* ------------------------------------------------------------------------------------ RNN */

/* rnn(inputs, hidden, weight, states, bounded): fill the states (L, N, H), for inputs of that size. */
PyObject *enter_rnn(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "rnn";
    Array inputs, hidden, weight, states;
    Recurrence r = {0};
    int type = unwrap(name, args, count, "aaawi", &inputs, &hidden, &weight, &states, &r.bounded);
    if (type < 0 || !read_sizes(name, &hidden, &states, &weight, 1, &r) ||
        !in_order_of_size(name, states.size, &inputs, NULL))
        return NULL;
    r.inputs = inputs.data;
    r.hidden = hidden.data;
    r.states = states.data;
    return run(&r, type, &weight, false, kernels->rnn, 0);
}

/* rnn_backward(state_gradients, weight, states, slopes, into_hidden, bounded): fill the slopes (L, N, H)
 * and into_hidden (N, H). */
PyObject *enter_rnn_backward(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "rnn_backward";
    Array state_gradients, weight, states, slopes, into_hidden;
    Recurrence r = {0};
    int type = unwrap(name, args, count, "aaawwi", &state_gradients, &weight, &states, &slopes,
                      &into_hidden, &r.bounded);
    if (type < 0 || !read_sizes(name, &into_hidden, &states, &weight, 1, &r) ||
        !in_order_of_size(name, states.size, &state_gradients, &slopes, NULL))
        return NULL;
    r.state_gradients = state_gradients.data;
    r.states = states.data;
    r.slopes = slopes.data;
    r.into_hidden = into_hidden.data;
    return run(&r, type, &weight, true, kernels->rnn_backward, 0);
}
