/* Adding rows to rows, as Python calls it; the kernel is scatter.h. */
#include "entries.h"

#include <stdlib.h>

#include "pool.h"
#include "scatter.h"

/* Sort the numbers of the rows by counting; `start` has room for one of each row, and one more. */
static void sort(const Index *row, Index read, Index *start, Index count, Index *order)
{
    memset(start, 0, (size_t)(count + 1) * sizeof(Index));
    for (Index i = 0; i < read; i++)
        start[row[i] + 1]++;
    for (Index k = 0; k < count; k++)
        start[k + 1] += start[k];
    for (Index i = 0; i < read; i++)
        order[start[row[i]]++] = i;
}

/* add_rows(values, index, out): out[:, index[i]] = Σ values[:, i], for values (lead, read, width), zeros
 * (lead, count, width) and an index in int64 whose negative numbers count from the end. False: a number
 * is out of range, and nothing was added. */
PyObject *enter_add_rows(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *name = "add_rows";
    Array values, index, out;
    int type = unwrap(name, args, count, "aa*w", &values, &index, &out);
    if (type < 0)
        return NULL;
    if (values.ndim != 3 || out.ndim != 3 || !values.size || !out.size ||
        values.shape[0] != out.shape[0] || values.shape[2] != out.shape[2])
        return PyErr_Format(PyExc_ValueError, "%s: expected values and zeros with three axes", name);
    if (PyTypeNum_ISBOOL(index.type) || !PyTypeNum_ISSIGNED(index.type) ||
        PyArray_ITEMSIZE(index.array) != sizeof(int64_t))
        return PyErr_Format(PyExc_TypeError, "%s: expected an index in int64", name);
    Scatter s = {.values = values.data, .out = out.data, .lead = out.shape[0], .read = values.shape[1],
                 .count = out.shape[1], .width = out.shape[2]};
    if (!in_order_of_size(name, values.size, &values, NULL) ||
        !in_order_of_size(name, out.size, &out, NULL) ||
        !in_order_of_size(name, s.read, &index, NULL))
        return NULL;
    Index *memory = malloc((size_t)(2 * s.read + s.count + 1) * sizeof(Index));
    if (!memory)
        return PyErr_NoMemory();
    for (Index i = 0; i < s.read; i++) {
        const Index given = ((const int64_t *)index.data)[i];
        memory[i] = given < 0 ? given + s.count : given;
        if (memory[i] < 0 || memory[i] >= s.count) {
            free(memory);
            Py_RETURN_FALSE;
        }
    }
    sort(memory, s.read, memory + 2 * s.read, s.count, memory + s.read);
    s.row = memory;
    s.order = memory + s.read;
    s.parts = ceil_div(s.read, ceil_div(SCATTERED, least(s.width, SCATTERED_COLUMNS)));
    s.blocks = ceil_div(s.width, SCATTERED_COLUMNS);
    PyObject *none = compute(kernels->add_rows[type], &s, s.lead * s.parts * s.blocks, 0);
    free(memory);
    Py_XDECREF(none);
    return none ? PyBool_FromLong(true) : NULL;
}
