/* The gradient of a convolution's weights: each number of a window times the upstream gradient of
 * each output, summed up over all windows.
 *
 *     out[o, i, j, c] = Σ_n Σ_h Σ_w x[n, h·s + i·δ − p, w·s + j·δ − p, c] · y[n, h, w, o]
 *
 * The order in which memory is walked:
 *
 * 1. A chunk of the task is a part of all bands of lines. It has sums of its own for all weights, in
 *    the order (number of the window, output), and adds one band after the other.
 * 2. Of a band, R numbers of the window and V vectors of outputs at a time. Their R × V vectors of
 *    sums are in registers while all windows of the band are walked: for each one V vectors of y are
 *    loaded, and R numbers of x, which are next to each other, are each spread over a vector.
 * 3. Last, the parts are added up, and turned into the order of the result.
 *
 * Small pictures are not cut into parts: a chunk is one element of the window and some outputs, for
 * all pictures. A few pictures at a time stay in the first-level cache while step 2 walks them.
 *
 * How many parts there are depends on the shapes alone, and so do the bits of the result.
 */
#ifndef CONVOLUTION_WEIGHT_H
#define CONVOLUTION_WEIGHT_H

enum {
    COLUMNS = 16,   /* outputs are padded to a multiple of this: of whole vectors */
    MOST_NUMBERS = 12,
    NEAR = 1 << 13 /* numbers that stay in the first-level cache */
};

typedef struct {
    Geometry geometry;
    const void *x, *y;
    void *out, *sums;         /* sums: for each part window_size × padded_outputs numbers */
    Index band, bands, parts; /* lines in a band, bands in a picture */
    bool *not_finite;         /* set if a sum is not */
} ConvolutionWeight;

static inline Index padded_outputs(const Geometry *g)
{
    return ceil_div(g->outputs, COLUMNS) * COLUMNS;
}

#endif

#ifdef real

/* Where the same number stands in all the windows that are summed up, and their gradients. */
typedef struct {
    const real *x, *y;
    Index x_step[3], y_step[3], count[3]; /* of pictures, of lines, and of pixels */
    Index columns;                        /* from one number's sums to the next's */
} KERNEL(Pairs);

/* Add to the sums of R numbers × V vectors of outputs. */
INLINE void KERNEL(pair_block)(
    const int R, const int V, const KERNEL(Pairs) *pairs, Index number, Index output, real *sums)
{
    const KERNEL(Pairs) p = *pairs;
    KERNEL(vector) sum[MOST_NUMBERS][2], slope[2];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            sum[r][v] = KERNEL(load)(sums + r * p.columns + v * LANES);

    for (Index i = 0; i < p.count[0]; i++)
        for (Index j = 0; j < p.count[1]; j++) {
            const real *x = p.x + number + i * p.x_step[0] + j * p.x_step[1];
            const real *y = p.y + output + i * p.y_step[0] + j * p.y_step[1];
            for (Index k = 0; k < p.count[2]; k++, x += p.x_step[2], y += p.y_step[2]) {
                UNROLL for (int v = 0; v < V; v++)
                    slope[v] = KERNEL(load)(y + v * LANES);
                UNROLL for (int r = 0; r < R; r++)
                    UNROLL for (int v = 0; v < V; v++)
                        sum[r][v] = KERNEL(multiply_add)(KERNEL(spread)(x[r]), slope[v], sum[r][v]);
            }
        }

    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            KERNEL(store)(sums + r * p.columns + v * LANES, sum[r][v]);
}

typedef void KERNEL(Pair)(const KERNEL(Pairs) *, Index number, Index output, real *sums);

#define PAIR(R, V) \
    static __attribute__((noinline)) void KERNEL(pair_##R##_by_##V)( \
        const KERNEL(Pairs) *pairs, Index number, Index output, real *sums) \
    { \
        KERNEL(pair_block)(R, V, pairs, number, output, sums); \
    }
PAIR(1, 1) PAIR(2, 1) PAIR(3, 1) PAIR(4, 1) PAIR(1, 2) PAIR(2, 2) PAIR(3, 2) PAIR(4, 2)
#if REGISTERS == 32
PAIR(8, 1) PAIR(12, 1) PAIR(8, 2) PAIR(12, 2)
#else
PAIR(6, 1) PAIR(6, 2)
#endif
#undef PAIR

/* The sums of `numbers` numbers that are next to each other and of the outputs from..to. */
static void KERNEL(pair_all)(
    const KERNEL(Pairs) *pairs, Index numbers, Index from, Index to, real *sums)
{
    static const struct { Index numbers; KERNEL(Pair) *one, *two; } blocks[] = {
#if REGISTERS == 32
        {12, KERNEL(pair_12_by_1), KERNEL(pair_12_by_2)},
        {8, KERNEL(pair_8_by_1), KERNEL(pair_8_by_2)},
#else
        {6, KERNEL(pair_6_by_1), KERNEL(pair_6_by_2)},
#endif
        {4, KERNEL(pair_4_by_1), KERNEL(pair_4_by_2)},
        {3, KERNEL(pair_3_by_1), KERNEL(pair_3_by_2)},
        {2, KERNEL(pair_2_by_1), KERNEL(pair_2_by_2)},
        {1, KERNEL(pair_1_by_1), KERNEL(pair_1_by_2)},
    };
    for (Index number = 0, block = 0; number < numbers; number += blocks[block].numbers) {
        Index left = numbers - number;
        while (blocks[block].numbers > left)
            block++;
        for (Index output = from; output < to;) {
            bool two = to - output > LANES;
            real *at = sums + number * pairs->columns + output;
            (two ? blocks[block].two : blocks[block].one)(pairs, number, output, at);
            output += two ? 2 * LANES : LANES;
        }
    }
}

/* y's numbers of `lines` lines, outputs padded with zeros to whole vectors. */
static void KERNEL(padded_slopes)(
    const Geometry *g, const real *y, Index lines, Index columns, real *to)
{
    for (Index line = 0; line < lines; line++, y += g->y_step[LINE])
        for (Index pixel = 0; pixel < g->count[PIXEL]; pixel++, to += columns) {
            memcpy(to, y + pixel * g->y_step[PIXEL], g->outputs * sizeof(real));
            memset(to + g->outputs, 0, (columns - g->outputs) * sizeof(real));
        }
}

/* One part: its sums over a fixed share of all bands. Scratch: a frame, unless all windows are
 * inside, and y's numbers of a band, where its outputs are no whole vectors. */
static void KERNEL(convolution_weight_part)(const void *task, Index part, void *scratch)
{
    const ConvolutionWeight *c = task;
    const Geometry *g = &c->geometry;
    Index columns = padded_outputs(g), size = window_size(g), pixels = g->count[PIXEL];
    Index items = g->pictures * g->count[PLANE] * c->bands, first, stop;
    real *sums = (real *)c->sums + part * size * columns, *memory = is_inside(g) ? NULL : scratch;
    real *slopes = (real *)scratch + (memory ? frame_size(g, c->band) : 0);
    memset(sums, 0, size * columns * sizeof(real));
    for (Index item = part * items / c->parts; item < (part + 1) * items / c->parts; item++) {
        Index top = item % c->bands * c->band, lines = least(c->band, g->count[LINE] - top);
        Index plane = item / c->bands % g->count[PLANE];
        Index picture = item / c->bands / g->count[PLANE];
        const real *x = (const real *)c->x + picture * g->x_picture;
        KERNEL(Frame) frame = KERNEL(framed)(g, x, plane, top, lines, memory);
        KERNEL(Pairs) pairs = {
            .x_step = {0, frame.next_line, frame.next_pixel}, .count = {1, 0, pixels},
            .y_step = {0, g->y_step[LINE], g->y_step[PIXEL]}, .columns = columns,
        };
        const real *y = (const real *)c->y + picture * g->y_picture +
                        plane * g->y_step[PLANE] + top * g->y_step[LINE];
        if (columns != g->outputs) {
            KERNEL(padded_slopes)(g, y, lines, columns, slopes);
            y = slopes;
            pairs.y_step[1] = pixels * columns;
            pairs.y_step[2] = columns;
        }
        Index plane_first, plane_stop, length = run_pixels(g, g->kernel[PIXEL]) * g->channels;
        Index line_pixels = g->kernel[PIXEL] * g->channels;
        elements_inside(g, PLANE, plane, &plane_first, &plane_stop);
        for (Index i = plane_first; i < plane_stop; i++)
            for (Index j = 0; j < g->kernel[LINE]; j++) {
                windows_inside(g, LINE, j, &first, &stop);
                first = first > top ? first - top : 0; /* lines of the band that reach into x */
                stop = least(lines, stop - top);
                if (first >= stop)
                    continue;
                pairs.y = y + first * pairs.y_step[1];
                pairs.count[1] = stop - first;
                for (Index number = 0, k = 0; number < line_pixels; number += length, k++) {
                    pairs.x = frame.start + first * frame.next_line + i * frame.step[PLANE] +
                              j * frame.step[LINE] + k * frame.step[PIXEL];
                    Index row = (i * g->kernel[LINE] + j) * line_pixels + number;
                    KERNEL(pair_all)(&pairs, length, 0, columns, sums + row * columns);
                }
            }
    }
}

/* Small pictures: one element of the window and some outputs, which are whole vectors. */
static void KERNEL(convolution_weight_small)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const ConvolutionWeight *c = task;
    const Geometry *g = &c->geometry;
    Index groups = ceil_div(g->outputs, OUTPUTS), element = chunk / groups;
    Index from = chunk % groups * OUTPUTS, to = least(from + OUTPUTS, g->outputs);
    Index at[AXES] = {element / g->kernel[PIXEL] / g->kernel[LINE],
                      element / g->kernel[PIXEL] % g->kernel[LINE], element % g->kernel[PIXEL]};
    Index first[AXES], stop[AXES], x_start = 0, y_start = 0;
    for (int axis = 0; axis < AXES; axis++) {
        windows_inside(g, axis, at[axis], &first[axis], &stop[axis]);
        x_start += (window_start(g, axis, first[axis]) + at[axis] * g->dilation[axis]) * g->x_step[axis];
        y_start += first[axis] * g->y_step[axis];
    }
    real *sums = (real *)c->sums + element * g->channels * g->outputs;
    for (Index number = 0; number < g->channels; number++)
        memset(sums + number * g->outputs + from, 0, (to - from) * sizeof(real));
    Index lines = stop[LINE] - first[LINE], pixels = stop[PIXEL] - first[PIXEL];
    Index fit = NEAR / (lines * pixels * (g->channels + to - from) + 1), some = fit > 1 ? fit : 1;
    for (Index picture = 0; picture < g->pictures; picture += some)
        for (Index plane = 0; plane < stop[PLANE] - first[PLANE]; plane++) {
            KERNEL(Pairs) pairs = {
                .x = (const real *)c->x + x_start + picture * g->x_picture +
                     plane * g->stride[PLANE] * g->x_step[PLANE],
                .y = (const real *)c->y + y_start + picture * g->y_picture + plane * g->y_step[PLANE],
                .x_step = {g->x_picture, g->stride[LINE] * g->x_step[LINE],
                           g->stride[PIXEL] * g->x_step[PIXEL]},
                .y_step = {g->y_picture, g->y_step[LINE], g->y_step[PIXEL]},
                .count = {least(some, g->pictures - picture), lines, pixels},
                .columns = g->outputs,
            };
            KERNEL(pair_all)(&pairs, g->channels, from, to, sums);
        }
}

/* Add up the parts' sums of some outputs, and write each output's numbers one after the other. */
static void KERNEL(convolution_weight_sum)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const ConvolutionWeight *c = task;
    Index size = window_size(&c->geometry), columns = padded_outputs(&c->geometry);
    Index from = chunk * COLUMNS, outputs = least(COLUMNS, c->geometry.outputs - from);
    real *out = (real *)c->out + from * size, check = 0;
    for (Index start = 0; start < size; start += COLUMNS) { /* squares that stay in the cache */
        Index numbers = least(COLUMNS, size - start);
        real total[COLUMNS][COLUMNS] = {{0}};
        for (Index part = 0; part < c->parts; part++) {
            const real *sums = (const real *)c->sums + (part * size + start) * columns + from;
            for (Index number = 0; number < numbers; number++)
                for (Index o = 0; o < COLUMNS; o++)
                    total[number][o] += sums[number * columns + o];
        }
        for (Index o = 0; o < outputs; o++)
            for (Index number = 0; number < numbers; number++) {
                out[o * size + start + number] = total[number][o];
                check += total[number][o] * 0; /* zero, or NaN */
            }
    }
    if (check != 0)
        *c->not_finite = true;
}

#endif
