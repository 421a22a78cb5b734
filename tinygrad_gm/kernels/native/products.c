/* Products of matrices, cut into blocks that the pool hands to NumPy's own BLAS.
 *
 * OpenBLAS threads a product itself, but its idle threads spin on their cores for a while, and the
 * kernels that follow, which want those cores, wait. So its number of threads is set to one around
 * our work, and back, and each block of the result is one call of it on one of our threads. How the
 * result is cut depends on its shape alone, and so do its bits.
 *
 * The function is the one that NumPy has loaded; see `find_blas`. Where NumPy uses another library
 * there is none, and `multiplies` refuses everything.
 */
#define _GNU_SOURCE
#include "entries.h"
#include "pool.h"

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 }; /* of cblas.h */

typedef void FloatProduct(int order, int transpose_a, int transpose_b, int64_t m, int64_t n,
                          int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                          int64_t ldb, float beta, float *c, int64_t ldc);
typedef void DoubleProduct(int order, int transpose_a, int transpose_b, int64_t m, int64_t n,
                           int64_t k, double alpha, const double *a, int64_t lda, const double *b,
                           int64_t ldb, double beta, double *c, int64_t ldc);

static struct {
    FloatProduct *multiply_floats;
    DoubleProduct *multiply_doubles;
    void (*set_threads)(int);
    int (*get_threads)(void);
} blas;

/* find_blas(path): look in a library that is loaded, and in those it depends on; whether it is there. */
PyObject *enter_find_blas(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const char *path = count == 1 ? PyUnicode_AsUTF8(args[0]) : NULL;
    if (!path)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "find_blas: one path");
#if !defined(_WIN32)
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (library) {
        *(void **)&blas.multiply_floats = dlsym(library, "scipy_cblas_sgemm64_");
        *(void **)&blas.multiply_doubles = dlsym(library, "scipy_cblas_dgemm64_");
        *(void **)&blas.set_threads = dlsym(library, "scipy_openblas_set_num_threads64_");
        *(void **)&blas.get_threads = dlsym(library, "scipy_openblas_get_num_threads64_");
        dlclose(library);
    }
#endif
    if (!blas.multiply_floats || !blas.multiply_doubles || !blas.set_threads || !blas.get_threads)
        blas.multiply_floats = NULL;
    return PyBool_FromLong(blas.multiply_floats != NULL);
}

/* ------------------------------------------------------------------------ a product */

/* A matrix as BLAS sees it: rows one after the other, or columns, `lead` numbers apart. */
typedef struct {
    const char *data;
    Index rows, columns, lead;
    bool by_columns;
} Matrix;

static bool as_matrix(PyObject *value, Matrix *to)
{
    if (!is_plain(value) || PyArray_NDIM((PyArrayObject *)value) != 2)
        return false;
    PyArrayObject *array = (PyArrayObject *)value;
    const Index *shape = PyArray_DIMS(array), *strides = PyArray_STRIDES(array);
    Index one = PyArray_ITEMSIZE(array);
    *to = (Matrix){.data = PyArray_BYTES(array), .rows = shape[0], .columns = shape[1]};
    if (strides[1] == one && strides[0] >= shape[1] * one) {
        to->lead = strides[0] / one;
        return true;
    }
    to->by_columns = true;
    to->lead = strides[1] / one;
    return strides[0] == one && strides[1] >= shape[0] * one;
}

static bool as_factors(PyObject *const *args, Matrix *a, Matrix *b)
{
    return as_matrix(args[0], a) && as_matrix(args[1], b) && a->columns == b->rows &&
           PyArray_TYPE((PyArrayObject *)args[0]) == PyArray_TYPE((PyArrayObject *)args[1]);
}

/* Multiplications from which OpenBLAS would use its threads: smaller products are best left alone. */
static const double FEW = 64 * 64 * 64;

/* multiplies(a, b): whether `product` takes these. Not a matrix times its own transpose, of which
 * NumPy computes one half. */
PyObject *enter_multiplies(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Matrix a, b;
    if (!enabled || !blas.multiply_floats || count != 2 || !as_factors(args, &a, &b))
        Py_RETURN_FALSE;
    bool symmetric = a.data == b.data && a.by_columns != b.by_columns;
    return PyBool_FromLong((double)a.rows * b.columns * a.columns > FEW && !symmetric);
}

typedef struct {
    Matrix a, b;
    char *out;
    Index row_step, column_step; /* a block of the result */
    Index column_blocks;
    bool is_double;
} Product;

/* How to cut the result: into halves of the longer side, until a block has few enough products that
 * there are some for every thread, but not so few that packing the factors, which BLAS does for each
 * block again, takes longer than 5 % of its time. A product of a few microseconds stays whole. */
static void cut(Product *p)
{
    const double worth_two = 1 << 20, enough = 1 << 25;
    Index rows = p->a.rows, columns = p->b.columns, shortest = 64;
    double left = (double)rows * columns * p->a.columns;
    for (int halves = 0; left > (halves ? enough : worth_two); halves++, left /= 2) {
        Index *longer = rows > columns ? &rows : &columns;
        if (*longer < 2 * shortest)
            break;
        *longer = ceil_div(ceil_div(*longer, 2), 16) * 16;
    }
    p->row_step = rows;
    p->column_step = columns;
    p->column_blocks = ceil_div(p->b.columns, columns);
}

static void multiply_block(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Product *p = task;
    const Matrix *a = &p->a, *b = &p->b;
    Index row = chunk / p->column_blocks * p->row_step;
    Index column = chunk % p->column_blocks * p->column_step;
    Index rows = least(p->row_step, a->rows - row);
    Index columns = least(p->column_step, b->columns - column);
    Index size = p->is_double ? sizeof(double) : sizeof(float);
    const void *x = a->data + size * row * (a->by_columns ? 1 : a->lead);
    const void *y = b->data + size * column * (b->by_columns ? b->lead : 1);
    void *out = p->out + size * (row * b->columns + column);
    int turn_a = a->by_columns ? TRANSPOSED : PLAIN, turn_b = b->by_columns ? TRANSPOSED : PLAIN;
    if (p->is_double)
        blas.multiply_doubles(ROW_MAJOR, turn_a, turn_b, rows, columns, a->columns, 1.0, x, a->lead,
                              y, b->lead, 0.0, out, b->columns);
    else
        blas.multiply_floats(ROW_MAJOR, turn_a, turn_b, rows, columns, a->columns, 1.0f, x, a->lead,
                             y, b->lead, 0.0f, out, b->columns);
}

/* The first product sets BLAS to one thread and the last sets it back, where several Python threads
 * compute at once. Both hold the GIL, so that the count is right. */
static int borrowers, threads_of_blas;

static void borrow_blas(void)
{
    if (borrowers++)
        return;
    threads_of_blas = blas.get_threads();
    if (threads_of_blas != 1)
        blas.set_threads(1);
}

static void return_blas(void)
{
    if (!--borrowers && threads_of_blas != 1)
        blas.set_threads(threads_of_blas);
}

/* product(a, b): a new array, the product of two matrices that `multiplies` has seen. */
PyObject *enter_product(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Product p;
    if (!blas.multiply_floats || count != 2 || !as_factors(args, &p.a, &p.b))
        return PyErr_Format(PyExc_ValueError, "product: not two matrices that `multiplies` accepts");
    int type = PyArray_TYPE((PyArrayObject *)args[0]);
    p.is_double = type == NPY_DOUBLE;
    Index shape[2] = {p.a.rows, p.b.columns};
    PyObject *out = PyArray_SimpleNew(2, shape, type);
    if (!out)
        return NULL;
    p.out = PyArray_BYTES((PyArrayObject *)out);
    cut(&p);
    Index chunks = ceil_div(p.a.rows, p.row_step) * p.column_blocks;
    borrow_blas();
    PyObject *result = compute(multiply_block, &p, chunks, 0);
    return_blas();
    if (!result)
        Py_CLEAR(out);
    Py_XDECREF(result);
    return out;
}
