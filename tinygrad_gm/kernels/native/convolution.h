/* Convolution: for each window and each output the sum of the window's numbers times its weights.
 *
 *     y[n, h, w, o] = b[o] + Σ_i Σ_j Σ_c x[n, h·s + i·δ − p, w·s + j·δ − p, c] · w[o, c, i, j]
 *
 * No matrix of windows is formed. The order in which memory is walked:
 *
 * 1. The weights are packed, once a call: in blocks of two vectors of outputs, and in a block number
 *    by number of the window, as the window lies in memory.
 * 2. A chunk of the task is a band of lines of one picture. Its frame of zeros stays in the
 *    second-level cache.
 * 3. For one block of outputs after the other, whose weights stay in a cache too, all lines of the
 *    band, and of a line P pixels at a time.
 * 4. Their sums, P pixels × V vectors of outputs, are in registers while the windows are walked. For
 *    each number of the window V vectors of weights are loaded, and P numbers of x, each spread over
 *    a vector: 2·P·V operations per P + V loads.
 *
 * A small picture has too few pixels in a line for that. There the block is the same window of P
 * pictures. Their margins are at the same place, so its elements are left out, without a frame.
 *
 * A sum is always taken in the order of the window's memory; how pixels are cut into blocks, and
 * blocks into chunks, does not change a bit of it.
 */
#ifndef CONVOLUTION_H
#define CONVOLUTION_H

#include "geometry.h"

enum {
    OUTPUTS = 32, /* of a chunk: a whole number of blocks for every target */
    MOST_PIXELS = 16
};

typedef struct {
    Geometry geometry;
    const void *x, *w, *bias; /* the bias may be NULL */
    void *y, *packed;         /* packed: packed_size numbers */
    Index band, bands;        /* lines in a band, bands in a picture */
    Index share;              /* bands in a chunk, or small pictures */
} Convolution;

static inline Index packed_size(const Geometry *g)
{
    return ceil_div(g->outputs, OUTPUTS) * OUTPUTS * (window_size(g) + 1);
}

#endif

#ifdef real

/* ------------------------------------------------------------------- packed weights */

#undef BLOCK
#define BLOCK (2 * LANES)

/* Vectors of the block that starts with this output: one for the rest, if that is enough. */
static int KERNEL(vectors)(const Geometry *g, Index output)
{
    return g->outputs - output > LANES ? 2 : 1;
}

/* Pack the weights of some outputs: for each block its bias, then for each number of a window the
 * weights of all its outputs; zeros where there are no more outputs. */
static void KERNEL(convolution_pack)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Convolution *c = task;
    const Geometry *g = &c->geometry;
    const Index *step = g->w_step;
    const real *bias = c->bias;
    Index stop = least((chunk + 1) * OUTPUTS, g->outputs);
    for (Index output = chunk * OUTPUTS; output < stop; output += BLOCK) {
        Index width = KERNEL(vectors)(g, output) * LANES, kept = least(width, g->outputs - output);
        real *to = (real *)c->packed + output * (window_size(g) + 1);
        memset(to, 0, width * (window_size(g) + 1) * sizeof(real));
        for (Index o = 0; o < kept && bias; o++)
            to[o] = bias[output + o];
        to += width;
        for (Index i = 0; i < g->kernel[PLANE]; i++)
            for (Index j = 0; j < g->kernel[LINE]; j++)
                for (Index k = 0; k < g->kernel[PIXEL]; k++)
                    for (Index channel = 0; channel < g->channels; channel++, to += width) {
                        const real *from = (const real *)c->w + output * g->w_output +
                                           channel * g->w_channel + i * step[PLANE] +
                                           j * step[LINE] + k * step[PIXEL];
                        for (Index o = 0; o < kept; o++)
                            to[o] = from[o * g->w_output];
                    }
    }
}

/* ------------------------------------------------------------------- blocks of sums */

/* A row of windows, x_step apart in memory: the pixels of a line, or one pixel of some pictures. */
typedef struct {
    const real *x, *packed;
    real *y;
    Index x_step, y_step, outputs; /* the outputs from here on: of a block, or less */
    const Run *runs;
    Index run_count, run_pixels, channels;
} KERNEL(Row);

/* The sums of P windows × V vectors of outputs. */
INLINE void KERNEL(sum_block)(const int P, const int V, const KERNEL(Row) *row, Index start)
{
    const KERNEL(Row) r = *row;
    const Index width = V * LANES, step = r.x_step, length = r.run_pixels * r.channels;
    KERNEL(vector) sum[MOST_PIXELS][2], weight[2];
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < V; v++)
            sum[p][v] = KERNEL(load)(r.packed + v * LANES);

    for (Index run = 0; run < r.run_count; run++) {
        const real *x = r.x + start * step + r.runs[run].x;
        const real *weights = r.packed + (1 + r.runs[run].element * r.channels) * width;
        for (Index i = 0; i < length; i++, x++, weights += width) {
            UNROLL for (int v = 0; v < V; v++)
                weight[v] = KERNEL(load)(weights + v * LANES);
            UNROLL for (int p = 0; p < P; p++)
                UNROLL for (int v = 0; v < V; v++)
                    sum[p][v] = KERNEL(multiply_add)(KERNEL(spread)(x[p * step]), weight[v], sum[p][v]);
        }
    }

    real *y = r.y + start * r.y_step, last[BLOCK];
    UNROLL for (int p = 0; p < P; p++, y += r.y_step) {
        UNROLL for (int v = 0; v < V; v++)
            KERNEL(store)((r.outputs < width ? last : y) + v * LANES, sum[p][v]);
        if (r.outputs < width)
            memcpy(y, last, r.outputs * sizeof(real));
    }
}

/* P and V are constants in each of these, so that the sums are registers. */
#define SUM(P, V) \
    static __attribute__((noinline)) void KERNEL(sum_##P##_by_##V)( \
        const KERNEL(Row) *row, Index start) \
    { \
        KERNEL(sum_block)(P, V, row, start); \
    }
SUM(1, 1) SUM(2, 1) SUM(4, 1) SUM(1, 2) SUM(2, 2) SUM(4, 2)
#if REGISTERS == 32
SUM(8, 1) SUM(16, 1) SUM(8, 2) SUM(14, 2)
#else
SUM(6, 1) SUM(12, 1) SUM(6, 2)
#endif
#undef SUM

typedef struct {
    Index windows, vectors;
    void (*sum)(const KERNEL(Row) *, Index start);
} KERNEL(Block);

static const KERNEL(Block) KERNEL(blocks)[] = {
#if REGISTERS == 32
    {14, 2, KERNEL(sum_14_by_2)}, {8, 2, KERNEL(sum_8_by_2)},
    {16, 1, KERNEL(sum_16_by_1)}, {8, 1, KERNEL(sum_8_by_1)},
#else
    {6, 2, KERNEL(sum_6_by_2)}, {12, 1, KERNEL(sum_12_by_1)}, {6, 1, KERNEL(sum_6_by_1)},
#endif
    {4, 2, KERNEL(sum_4_by_2)}, {2, 2, KERNEL(sum_2_by_2)}, {1, 2, KERNEL(sum_1_by_2)},
    {4, 1, KERNEL(sum_4_by_1)}, {2, 1, KERNEL(sum_2_by_1)}, {1, 1, KERNEL(sum_1_by_1)},
};

/* The block that takes the least time for a row of `windows` windows. A block takes as long as
 * its multiplications, but not less than eight, the number that can be under way at a time. */
static KERNEL(Block) KERNEL(best_block)(Index windows, Index vectors)
{
    KERNEL(Block) best = {0};
    Index least_time = 0;
    for (size_t i = 0; i < sizeof KERNEL(blocks) / sizeof *KERNEL(blocks); i++) {
        KERNEL(Block) block = KERNEL(blocks)[i];
        Index size = block.windows * vectors, blocks = ceil_div(windows, block.windows);
        Index time = blocks * (size > 8 ? size : 8);
        if (block.vectors != vectors || block.windows > windows || (best.sum && time >= least_time))
            continue;
        best = block;
        least_time = time;
    }
    return best;
}

/* All windows of a row. The last block is moved back so that it ends with the row; what is summed up
 * twice gets the same bits. */
static void KERNEL(sum_row)(KERNEL(Block) block, const KERNEL(Row) *row, Index windows)
{
    for (Index start = 0; start < windows; start += block.windows)
        block.sum(row, least(start, windows - block.windows));
}

/* ------------------------------------------------------------------- chunks */

/* A band of lines of one plane of results. */
static void KERNEL(sum_band)(const Convolution *c, Index band, real *memory)
{
    const Geometry *g = &c->geometry;
    Index top = band % c->bands * c->band, lines = least(c->band, g->count[LINE] - top);
    Index planes = band / c->bands, plane = planes % g->count[PLANE];
    Index picture = planes / g->count[PLANE], pixels = g->count[PIXEL];
    const real *x = (const real *)c->x + picture * g->x_picture;
    real *y = (real *)c->y + picture * g->y_picture + plane * g->y_step[PLANE];
    KERNEL(Frame) frame = KERNEL(framed)(g, x, plane, top, lines, memory);
    Run runs[MOST_RUNS];
    KERNEL(Row) row = {
        .x_step = frame.next_pixel, .y_step = g->y_step[PIXEL],
        .runs = runs, .run_pixels = run_pixels(g, g->kernel[PIXEL]), .channels = g->channels,
    };
    for (Index output = 0; output < g->outputs; output += BLOCK) {
        KERNEL(Block) block = KERNEL(best_block)(pixels, KERNEL(vectors)(g, output));
        row.packed = (const real *)c->packed + output * (window_size(g) + 1);
        row.outputs = g->outputs - output;
        for (Index line = 0; line < lines; line++) {
            row.x = frame.start + line * frame.next_line;
            row.y = y + (top + line) * g->y_step[LINE] + output;
            row.run_count = list_runs(g, plane, top + line, 0, g->kernel[PIXEL], frame.step, runs);
            KERNEL(sum_row)(block, &row, pixels);
        }
    }
}

/* Some bands. Scratch: the frame of a band, unless all windows are inside. */
static void KERNEL(convolution_bands)(const void *task, Index chunk, void *scratch)
{
    const Convolution *c = task;
    const Geometry *g = &c->geometry;
    Index first = chunk * c->share, bands = g->pictures * g->count[PLANE] * c->bands;
    for (Index band = first; band < least(first + c->share, bands); band++)
        KERNEL(sum_band)(c, band, scratch);
}

/* Some small pictures, and some outputs of them. */
static void KERNEL(convolution_small)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Convolution *c = task;
    const Geometry *g = &c->geometry;
    Index groups = ceil_div(g->outputs, OUTPUTS), first = chunk / groups * c->share;
    Index pictures = least(c->share, g->pictures - first), output = chunk % groups * OUTPUTS;
    Index stop = least(output + OUTPUTS, g->outputs), step[AXES], k_first, k_stop;
    for (int axis = 0; axis < AXES; axis++)
        step[axis] = g->dilation[axis] * g->x_step[axis];
    Run runs[MOST_RUNS];
    KERNEL(Row) row = {.x_step = g->x_picture, .y_step = g->y_picture, .runs = runs,
                       .channels = g->channels};
    for (; output < stop; output += BLOCK) {
        KERNEL(Block) block = KERNEL(best_block)(pictures, KERNEL(vectors)(g, output));
        row.packed = (const real *)c->packed + output * (window_size(g) + 1);
        row.outputs = g->outputs - output;
        for (Index i = 0; i < g->count[PLANE]; i++)
            for (Index j = 0; j < g->count[LINE]; j++)
                for (Index k = 0; k < g->count[PIXEL]; k++) {
                    elements_inside(g, PIXEL, k, &k_first, &k_stop);
                    row.run_count = list_runs(g, i, j, k_first, k_stop, step, runs);
                    row.run_pixels = run_pixels(g, k_stop - k_first);
                    row.x = (const real *)c->x + first * g->x_picture +
                            window_start(g, PLANE, i) * g->x_step[PLANE] +
                            window_start(g, LINE, j) * g->x_step[LINE] +
                            window_start(g, PIXEL, k) * g->x_step[PIXEL];
                    row.y = (real *)c->y + first * g->y_picture + i * g->y_step[PLANE] +
                            j * g->y_step[LINE] + k * g->y_step[PIXEL] + output;
                    KERNEL(sum_row)(block, &row, pictures);
                }
    }
}

#endif
