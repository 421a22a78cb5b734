/* Convolution with a window of 3 × 3 and stride 1 with 4/9 of the multiplications: Winograd's
 * F(2 × 2, 3 × 3), see Lavin & Gray 2015, "Fast Algorithms for Convolutional Neural Networks".
 *
 * A tile of 2 × 2 results reads 4 × 4 numbers d of each channel. With
 *
 *         ⎡1  0 −1  0⎤        ⎡ 1   0   0 ⎤        ⎡1  1  1  0⎤
 *    Bᵀ = ⎢0  1  1  0⎥    G = ⎢ ½   ½   ½ ⎥   Aᵀ = ⎣0  1 −1 −1⎦
 *         ⎢0 −1  1  0⎥        ⎢ ½  −½   ½ ⎥
 *         ⎣0  1  0 −1⎦        ⎣ 0   0   1 ⎦
 *
 *    V = Bᵀ d B,   U = G w Gᵀ,   M = Σ_channels V ⊙ U,   y = Aᵀ M A
 *
 * it takes 16 multiplications for each channel and output, not 36, and the sums over channels are 16
 * products of matrices, one for each place in a tile. The gradient of the weights turns the same
 * steps around: w̄ = Gᵀ (Σ_tiles V ⊙ (A ȳ Aᵀ)) G.
 *
 * The order in which memory is walked:
 *
 * 1. The weights are transformed and packed, once a call, as in convolution.h, place by place.
 * 2. A chunk of the task is a band of lines of one picture, copied into its frame of zeros.
 * 3. Some sixteen tiles at a time are transformed, to 16 matrices V of (tile, channel), multiplied
 *    with U by the blocks of convolution.h, and the results transformed to y. All this stays in the
 *    second-level cache. Between two matrices there is a gap: at a distance of 4096 bytes all of
 *    them would want the same lines of the first-level cache.
 *
 * A difference of infinite numbers is NaN, so one that is not finite would spoil its neighbours. The
 * results are checked (a number times zero is zero unless it is not finite), and what is not finite
 * the caller computes directly.
 */
#ifndef WINOGRAD_H
#define WINOGRAD_H

#include "geometry.h"

enum {
    PLACES = 16, /* in a tile */
    GAP = 16     /* numbers between two matrices */
};

typedef struct {
    Geometry geometry;        /* its counts are even: results beyond the last are dropped */
    Index lines, pixels;      /* of the result */
    const void *x, *w, *bias; /* the bias may be NULL */
    void *y, *packed;
    void *out, *sums;         /* the weights' gradient, and the parts' sums (place, channel, output) */
    Index band, bands;        /* lines in a band, bands in a picture */
    Index parts;
    Index rows, columns;      /* tiles that are transformed at a time */
    bool *not_finite;         /* set if a result is not */
} Winograd;

/* From one of the 16 matrices to the next, for as many tiles as are transformed at a time. */
static inline Index matrix_size(const Winograd *w, Index columns)
{
    return w->rows * w->columns * columns + GAP;
}

#endif

#ifdef real

/* ------------------------------------------------------------------- weights */

/* U of some outputs: for each block of outputs and each place the bias, and then for each channel
 * the weights of all outputs. Aᵀ M A adds the number at place (1, 1) to every result. */
static void KERNEL(winograd_pack)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Winograd *c = task;
    const Geometry *g = &c->geometry;
    Index stop = least((chunk + 1) * OUTPUTS, g->outputs);
    for (Index output = chunk * OUTPUTS; output < stop; output += BLOCK) {
        Index width = KERNEL(vectors)(g, output) * LANES, plane = (1 + g->channels) * width;
        real *to = (real *)c->packed + output * PLACES * (1 + g->channels);
        for (Index place = 0; place < PLACES; place++)
            for (Index o = 0; o < width; o++)
                to[place * plane + o] = place == 5 && c->bias ? ((real *)c->bias)[output + o] : 0;
        for (Index channel = 0; channel < g->channels; channel++) {
            to += width;
            const real *from = (const real *)c->w + output * g->w_output + channel * g->w_channel;
            real w[3][3][BLOCK];
            for (Index i = 0; i < 3; i++)
                for (Index j = 0; j < 3; j++)
                    for (Index o = 0; o < width; o++)
                        w[i][j][o] = from[i * g->w_step[LINE] + j * g->w_step[PIXEL] + o * g->w_output];
            for (Index o = 0; o < width; o++) {
                real u[4][3];
                for (int j = 0; j < 3; j++) {
                    real outer = (w[0][j][o] + w[2][j][o]) / 2, inner = w[1][j][o] / 2;
                    u[0][j] = w[0][j][o];
                    u[1][j] = outer + inner;
                    u[2][j] = outer - inner;
                    u[3][j] = w[2][j][o];
                }
                for (int i = 0; i < 4; i++) {
                    real outer = (u[i][0] + u[i][2]) / 2, inner = u[i][1] / 2;
                    to[(4 * i) * plane + o] = u[i][0];
                    to[(4 * i + 1) * plane + o] = outer + inner;
                    to[(4 * i + 2) * plane + o] = outer - inner;
                    to[(4 * i + 3) * plane + o] = u[i][2];
                }
            }
        }
    }
}

/* ------------------------------------------------------------------- tiles of x */

/* Bᵀ of one column of a tile, a vector of channels. */
INLINE void KERNEL(tile_column)(const real *x, Index line, KERNEL(vector) to[4])
{
    KERNEL(vector) a = KERNEL(load)(x), b = KERNEL(load)(x + line);
    KERNEL(vector) c = KERNEL(load)(x + 2 * line), d = KERNEL(load)(x + 3 * line);
    to[0] = a - c;
    to[1] = b + c;
    to[2] = c - b;
    to[3] = b - d;
}

/* V of a row of tiles; the first one starts at x. Neighbours share two columns. */
static void KERNEL(transform_tiles)(
    const real *x, Index line, Index tiles, Index channels, Index matrix, real *to)
{
    for (Index channel = 0; channel < channels; channel += LANES, x += LANES, to += LANES) {
        KERNEL(vector) column[4][4];
        KERNEL(tile_column)(x, line, column[0]);
        KERNEL(tile_column)(x + channels, line, column[1]);
        for (Index tile = 0; tile < tiles; tile++) {
            const real *next = x + (2 * tile + 2) * channels;
            KERNEL(tile_column)(next, line, column[2]);
            KERNEL(tile_column)(next + channels, line, column[3]);
            UNROLL for (int i = 0; i < 4; i++) {
                real *row = to + tile * channels + 4 * i * matrix;
                KERNEL(store)(row, column[0][i] - column[2][i]);
                KERNEL(store)(row + matrix, column[1][i] + column[2][i]);
                KERNEL(store)(row + 2 * matrix, column[2][i] - column[1][i]);
                KERNEL(store)(row + 3 * matrix, column[1][i] - column[3][i]);
                column[0][i] = column[2][i];
                column[1][i] = column[3][i];
            }
        }
    }
}

/* ------------------------------------------------------------------- results */

/* y of one tile from M; `lines` and `pixels` say how much of the tile is needed. Returns zeros, or
 * NaN in lanes where a result is not finite. */
INLINE KERNEL(vector) KERNEL(untransform_tile)(
    const real *from, Index matrix, const Geometry *g, Index lines, Index pixels, real *y)
{
    KERNEL(vector) row[2][4], check = {0};
    UNROLL for (int j = 0; j < 4; j++) {
        KERNEL(vector) m0 = KERNEL(load)(from + j * matrix), m1 = KERNEL(load)(from + (4 + j) * matrix);
        KERNEL(vector) m2 = KERNEL(load)(from + (8 + j) * matrix);
        row[0][j] = m0 + m1 + m2;
        row[1][j] = m1 - m2 - KERNEL(load)(from + (12 + j) * matrix);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        if (i == lines)
            break;
        KERNEL(vector) left = row[i][0] + row[i][1] + row[i][2];
        KERNEL(vector) right = row[i][1] - row[i][2] - row[i][3];
        real *to = y + i * g->y_step[LINE];
        KERNEL(store)(to, left);
        check += left * 0;
        if (pixels > 1) {
            KERNEL(store)(to + g->y_step[PIXEL], right);
            check += right * 0;
        }
    }
    return check;
}

static bool KERNEL(untransform_tiles)(
    const Winograd *c, const real *from, Index line, Index pixel, Index tiles, real *y)
{
    const Geometry *g = &c->geometry;
    Index matrix = matrix_size(c, g->outputs), lines = least(2, c->lines - line);
    KERNEL(vector) check = {0};
    y += line * g->y_step[LINE] + pixel * g->y_step[PIXEL];
    for (Index tile = 0; tile < tiles; tile++)
        for (Index output = 0; output < g->outputs; output += LANES)
            check += KERNEL(untransform_tile)(
                from + tile * g->outputs + output, matrix, g, lines,
                least(2, c->pixels - pixel - 2 * tile), y + 2 * tile * g->y_step[PIXEL] + output);
    for (int lane = 0; lane < LANES; lane++)
        if (check[lane] != 0)
            return false;
    return true;
}

/* ------------------------------------------------------------------- chunks */

/* The 16 products of some tiles. */
static void KERNEL(multiply_tiles)(const Winograd *c, const real *v, Index tiles, real *m)
{
    const Geometry *g = &c->geometry;
    Index plane = 1 + g->channels;
    const Run run = {0, 0};
    for (Index output = 0; output < g->outputs; output += BLOCK) {
        Index vectors = KERNEL(vectors)(g, output);
        KERNEL(Block) block = KERNEL(best_block)(tiles, vectors);
        KERNEL(Row) row = {
            .packed = (const real *)c->packed + output * PLACES * plane, .x = v, .y = m + output,
            .x_step = g->channels, .y_step = g->outputs, .outputs = g->outputs - output,
            .runs = &run, .run_count = 1, .run_pixels = 1, .channels = g->channels,
        };
        for (int place = 0; place < PLACES; place++) {
            KERNEL(sum_row)(block, &row, tiles);
            row.packed += plane * vectors * LANES;
            row.x += matrix_size(c, g->channels);
            row.y += matrix_size(c, g->outputs);
        }
    }
}

/* A band of lines of a picture. Scratch: its frame, V and M. */
static void KERNEL(winograd_band)(const void *task, Index chunk, void *scratch)
{
    const Winograd *c = task;
    const Geometry *g = &c->geometry;
    Index top = chunk % c->bands * c->band, lines = least(c->band, g->count[LINE] - top);
    Index plane = chunk / c->bands % g->count[PLANE], picture = chunk / c->bands / g->count[PLANE];
    const real *x = (const real *)c->x + picture * g->x_picture;
    real *y = (real *)c->y + picture * g->y_picture + plane * g->y_step[PLANE];
    real *v = (real *)scratch + frame_size(g, c->band) + GAP;
    real *m = v + PLACES * matrix_size(c, g->channels);
    KERNEL(Frame) frame = KERNEL(framed)(g, x, plane, top, lines, scratch);
    bool finite = true;
    for (Index line = 0; line < lines; line += 2 * c->rows)
        for (Index pixel = 0; pixel < g->count[PIXEL]; pixel += 2 * c->columns) {
            Index rows = least(c->rows, (lines - line) / 2);
            Index columns = least(c->columns, (g->count[PIXEL] - pixel) / 2);
            for (Index row = 0; row < rows; row++)
                KERNEL(transform_tiles)(
                    frame.start + (line + 2 * row) * frame.next_line + pixel * frame.next_pixel,
                    frame.next_line, columns, g->channels, matrix_size(c, g->channels),
                    v + row * columns * g->channels);
            KERNEL(multiply_tiles)(c, v, rows * columns, m);
            for (Index row = 0; row < rows; row++)
                finite &= KERNEL(untransform_tiles)(
                    c, m + row * columns * g->outputs, top + line + 2 * row, pixel, columns, y);
        }
    if (!finite)
        *c->not_finite = true;
}

#endif
