/* Products of matrices: out[i, j] = bias[j] + Σ_k x[i, k] · y[k, j].
 *
 * The order in which memory is walked:
 *
 * 1. A chunk is a block of one matrix of results: some rows × some panels. A panel is as many columns
 *    as PANEL vectors hold.
 * 2. For each DEPTH terms of the sums, and one panel after the other, the numbers of y are packed:
 *    those of one k side by side, one k after the other. A packed panel stays in the first-level
 *    cache for all rows. Where several blocks of rows need the same panels, a first task packs all of
 *    y; else a chunk packs each panel when it comes to it.
 * 3. Down the rows, TILE at a time: their sums, TILE rows × PANEL vectors, are in registers. For
 *    each k, PANEL vectors of y are loaded, and TILE numbers of x, each spread over a vector:
 *    2·TILE·PANEL operations per TILE + PANEL loads. x is read where it lies, and the lines of the
 *    cache that the next TILE rows will need are asked for beforehand.
 *
 * So each number of the result is one sum, which begins with the bias and follows k. How the result
 * is cut into chunks does not change a bit of it, and a row does not depend on the rows beside it.
 */
#ifndef PRODUCT_H
#define PRODUCT_H

enum {
    TILE = 6,
    DEPTH = 128,
    BREADTH = 64, /* of a chunk, a multiple: whole panels for every target */
    MOST_AXES = 6
};

typedef struct {
    const void *data;
    Index row_step, column_step; /* in numbers */
    Index steps[MOST_AXES];      /* from matrix to matrix along each leading axis; 0: the same one */
} Factor;

typedef struct {
    Factor x, y;
    const void *bias;            /* NULL, or a number for each column */
    void *out;                   /* in order */
    void *packed;                /* all of y, or NULL: each chunk packs what it needs */
    Index rows, columns, inner;
    Index axes, shape[MOST_AXES];
    Index row_step, column_step; /* a chunk */
    Index row_chunks, column_chunks;
} Product;

/* Numbers of scratch: a packed panel, where its sums begin, and a tile. */
enum { PRODUCT_SCRATCH = (DEPTH + 1 + TILE) * BREADTH };

static inline Index padded(Index columns) { return ceil_div(columns, BREADTH) * BREADTH; }

#endif

#ifdef real

#undef PANEL
#define PANEL (REGISTERS / 8)

/* The factors of a block. Steps are in numbers, from row to row and from column to column. */
typedef struct {
    const real *x, *y, *bias; /* bias NULL: the sums begin with 0, or, if `adds`, with `out` */
    real *out;
    Index rows, columns, inner;
    Index x_row, x_column, y_row, y_column, out_row;
    bool adds;
    const real *packed; /* NULL, or these columns of y packed; */
    Index packed_depth; /* from DEPTH terms to the next */
} KERNEL(Factors);

/* ------------------------------------------------------------------- sums in registers */

/* R × V vectors of sums over `depth` terms; they begin with those at `begin`. */
INLINE void KERNEL(sum_tile)(const int R, const int V, const real *x, Index x_row, Index x_step,
                             const real *y, Index y_step, Index depth, const real *begin,
                             Index begin_row, real *out, Index out_row)
{
    KERNEL(vector) sum[TILE][4], right[4];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            sum[r][v] = KERNEL(load)(begin + r * begin_row + v * LANES);
    const bool by_rows = x_step == 1; /* else a line of the cache holds numbers of several rows */
    for (Index left = depth; left > 0; left -= LANES) {
        UNROLL for (int r = 0; by_rows && r < R; r++)
            __builtin_prefetch(x + (r + TILE) * x_row);
        for (Index k = least(left, LANES); k > 0; k--, x += x_step, y += y_step) {
            if (!by_rows)
                __builtin_prefetch(x + LANES);
            UNROLL for (int v = 0; v < V; v++)
                right[v] = KERNEL(load)(y + v * LANES);
            UNROLL for (int r = 0; r < R; r++)
                UNROLL for (int v = 0; v < V; v++)
                    sum[r][v] =
                        KERNEL(multiply_add)(KERNEL(spread)(x[r * x_row]), right[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            KERNEL(store)(out + r * out_row + v * LANES, sum[r][v]);
}

typedef struct {
    const real *x, *y, *begin; /* begin: where the sums begin, with a row for each or one for all */
    real *out, *tile;
    Index rows, columns, depth;
    Index x_row, x_step, y_step, begin_row, out_row;
} KERNEL(Panel);

/* A panel of V vectors, of which `columns` are wanted, down all rows. */
INLINE void KERNEL(sum_panel)(const int V, KERNEL(Panel) p)
{
    const bool whole = p.columns == V * LANES;
    for (Index i = 0, count; i < p.rows; i += count) {
        const Index left = p.rows - i;
        const real *x = p.x + i * p.x_row;
        const real *from = p.begin + i * p.begin_row;
        real *to = p.out + i * p.out_row;
        Index from_row = p.begin_row, to_row = p.out_row;
        count = left >= TILE ? TILE : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (!whole) {
            for (Index r = 0; p.begin_row && r < count; r++)
                memcpy(p.tile + r * BREADTH, from + r * p.begin_row, p.columns * sizeof(real));
            from = p.begin_row ? p.tile : p.begin;
            from_row = p.begin_row ? BREADTH : 0;
            to = p.tile;
            to_row = BREADTH;
        }
#define SUM_TILE(R)                                                                             \
    KERNEL(sum_tile)(R, V, x, p.x_row, p.x_step, p.y, p.y_step, p.depth, from, from_row, to, to_row)
        if (count == TILE)
            SUM_TILE(TILE);
        else if (count == 4)
            SUM_TILE(4);
        else if (count == 2)
            SUM_TILE(2);
        else
            SUM_TILE(1);
#undef SUM_TILE
        for (Index r = 0; !whole && r < count; r++)
            memcpy(p.out + (i + r) * p.out_row, p.tile + r * BREADTH, p.columns * sizeof(real));
    }
}

/* ------------------------------------------------------------------- packing */

/* Interleave blocks of `half` lanes: the even ones of a and b, or the odd ones. */
INLINE KERNEL(vector) KERNEL(blocks_of)(KERNEL(vector) a, KERNEL(vector) b, const int half,
                                        const bool odd)
{
    const KERNEL(places) lane = NUMBERED_LANES, of_b = (lane & half) * ((int)LANES / half);
    return KERNEL(choose)(a, b, (odd ? lane | half : lane & ~half) + of_b);
}

/* LANES × LANES numbers, turned: columns of y become rows of `to`. */
INLINE void KERNEL(turn)(real *to, Index to_row, const real *from, Index from_row)
{
    KERNEL(vector) line[VECTOR_BYTES / sizeof(real)];
    UNROLL for (Index i = 0; i < LANES; i++)
        line[i] = KERNEL(load)(from + i * from_row);
    UNROLL for (int half = LANES / 2; half; half /= 2)
        UNROLL for (int i = 0; i < LANES; i++)
            if (!(i & half)) {
                const KERNEL(vector) a = line[i], b = line[i | half];
                line[i] = KERNEL(blocks_of)(a, b, half, false);
                line[i | half] = KERNEL(blocks_of)(a, b, half, true);
            }
    UNROLL for (Index i = 0; i < LANES; i++)
        KERNEL(store)(to + i * to_row, line[i]);
}

/* Pack `depth` rows of some columns of y; zeros behind them up to `width`. */
INLINE void KERNEL(pack_panel)(real *to, Index width, const real *y, Index y_row, Index y_column,
                               Index depth, Index columns)
{
    if (columns < width)
        memset(to, 0, width * depth * sizeof(real));
    if (y_column == 1) {
        for (Index k = 0; k < depth; k++)
            if (columns == PANEL * LANES) /* a size that the compiler knows */
                memcpy(to + k * width, y + k * y_row, PANEL * LANES * sizeof(real));
            else
                memcpy(to + k * width, y + k * y_row, columns * sizeof(real));
        return;
    }
    Index column = 0;
    for (; y_row == 1 && column + LANES <= columns; column += LANES) {
        const real *from = y + column * y_column;
        Index k = 0;
        for (; k + LANES <= depth; k += LANES)
            KERNEL(turn)(to + k * width + column, width, from + k, y_column);
        for (; k < depth; k++)
            for (Index j = 0; j < LANES; j++)
                to[k * width + column + j] = from[k + j * y_column];
    }
    for (; column < columns; column++)
        for (Index k = 0; k < depth; k++)
            to[k * width + column] = y[k * y_row + column * y_column];
}

/* ------------------------------------------------------------------- blocks */

/* Vectors of a panel with so many columns. */
INLINE int KERNEL(vectors_of)(Index columns)
{
    return columns > 2 * LANES ? PANEL : columns > LANES ? 2 : 1;
}

static void KERNEL(multiply_block)(const KERNEL(Factors) *b, real *scratch)
{
    real *packed = scratch, *begin = packed + DEPTH * BREADTH, *tile = begin + BREADTH;
    for (Index k = 0; k < b->inner; k += DEPTH) {
        const Index depth = least(DEPTH, b->inner - k);
        for (Index column = 0; column < b->columns; column += PANEL * LANES) {
            const Index columns = least(PANEL * LANES, b->columns - column);
            const int V = KERNEL(vectors_of)(columns);
            const Index width = V * LANES;
            KERNEL(Panel) panel = {
                .x = b->x + k * b->x_column,
                .x_row = b->x_row,
                .x_step = b->x_column,
                .y = b->y + k * b->y_row + column * b->y_column,
                .y_step = b->y_row,
                .out = b->out + column,
                .out_row = b->out_row,
                .tile = tile,
                .rows = b->rows,
                .columns = columns,
                .depth = depth,
            };
            if (b->packed) {
                panel.y = b->packed + k / DEPTH * b->packed_depth + column * DEPTH;
                panel.y_step = width;
            } else if (columns < width || b->y_column != 1 ||
                       (b->rows > 2 * TILE && b->y_row != width)) {
                /* few rows, or rows of y that lie side by side, are not worth it */
                KERNEL(pack_panel)(packed, width, panel.y, b->y_row, b->y_column, depth, columns);
                panel.y = packed;
                panel.y_step = width;
            }
            if (k || b->adds) {
                panel.begin = panel.out;
                panel.begin_row = b->out_row;
            } else {
                panel.begin = begin;
                memset(begin, 0, width * sizeof(real));
                if (b->bias)
                    memcpy(begin, b->bias + column, columns * sizeof(real));
            }
            if (V == 1)
                KERNEL(sum_panel)(1, panel);
            else if (V == PANEL)
                KERNEL(sum_panel)(PANEL, panel);
#if REGISTERS == 32
            else
                KERNEL(sum_panel)(2, panel);
#endif
        }
    }
}

/* ------------------------------------------------------------------- tasks */

/* Pack all of y, which is one matrix: DEPTH rows after DEPTH rows, panel after panel, as if each had
 * DEPTH rows. A chunk has BREADTH columns of DEPTH rows. */
static void KERNEL(product_pack)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Product *p = task;
    const Index width = padded(p->columns), parts = width / BREADTH;
    const Index k = chunk / parts * DEPTH, first = chunk % parts * BREADTH;
    const Index depth = least(DEPTH, p->inner - k);
    for (Index column = first; column < least(first + BREADTH, p->columns); column += PANEL * LANES) {
        const Index columns = least(PANEL * LANES, p->columns - column);
        KERNEL(pack_panel)((real *)p->packed + k * width + column * DEPTH,
                           KERNEL(vectors_of)(columns) * LANES,
                           (const real *)p->y.data + k * p->y.row_step + column * p->y.column_step,
                           p->y.row_step, p->y.column_step, depth, columns);
    }
}

static void KERNEL(product)(const void *task, Index chunk, void *scratch)
{
    const Product *p = task;
    const Index column = chunk % p->column_chunks * p->column_step;
    chunk /= p->column_chunks;
    const Index row = chunk % p->row_chunks * p->row_step;
    Index matrix = chunk / p->row_chunks, x = row * p->x.row_step, y = column * p->y.column_step;
    real *out = (real *)p->out + (matrix * p->rows + row) * p->columns + column;
    for (Index axis = p->axes - 1; axis >= 0; axis--) {
        x += matrix % p->shape[axis] * p->x.steps[axis];
        y += matrix % p->shape[axis] * p->y.steps[axis];
        matrix /= p->shape[axis];
    }
    KERNEL(Factors) block = {
        .x = (const real *)p->x.data + x,
        .y = (const real *)p->y.data + y,
        .bias = p->bias ? (const real *)p->bias + column : NULL,
        .out = out,
        .rows = least(p->row_step, p->rows - row),
        .columns = least(p->column_step, p->columns - column),
        .inner = p->inner,
        .x_row = p->x.row_step,
        .x_column = p->x.column_step,
        .y_row = p->y.row_step,
        .y_column = p->y.column_step,
        .out_row = p->columns,
    };
    if (p->packed) {
        block.packed = (const real *)p->packed + column * DEPTH;
        block.packed_depth = padded(p->columns) * DEPTH;
    }
    KERNEL(multiply_block)(&block, scratch);
}

#endif
