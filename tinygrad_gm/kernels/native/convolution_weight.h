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
 *    sums are in registers while the windows are walked: for each one V vectors of y are
 *    loaded, and R numbers of x, which are next to each other, are each spread over a vector. Where
 *    the windows stand is listed before. Some windows at a time stay in the first-level cache.
 * 3. Last, the parts are added up, and turned into the order of the result.
 *
 * Small pictures are not cut into parts: a chunk is some elements of the window and a block of
 * outputs, for all pictures. A few pictures at a time stay in a cache while step 2 walks them for one
 * element after the other.
 *
 * How many parts there are depends on the shapes alone, and so do the bits of the result.
 */
#ifndef CONVOLUTION_WEIGHT_H
#define CONVOLUTION_WEIGHT_H

enum {
    COLUMNS = 16,   /* outputs are padded to a multiple of this: of whole vectors */
    MOST_NUMBERS = 12,
    NEAR = 1 << 13, /* numbers that stay in the first-level cache */
    AT_A_TIME = 64, /* windows, at least */
    EVEN = 6,       /* chunks that threads can share */
    MOST_WINDOWS = 1 << 12 /* of a small picture; their places are listed */
};

/* Where a window and its gradients stand in x and y, counted from the first one's. */
typedef struct {
    Index x, y;
} Place;

/* List the places of windows along the axes, of some pictures; returns their number. */
static inline Index list_places(
    Index pictures, const Index picture_step[2], const Index count[AXES], const Index x_step[AXES],
    const Index y_step[AXES], Place *to)
{
    Place *next = to;
    for (Index n = 0; n < pictures; n++)
        for (Index i = 0; i < count[PLANE]; i++)
            for (Index j = 0; j < count[LINE]; j++)
                for (Index k = 0; k < count[PIXEL]; k++, next++) {
                    next->x = n * picture_step[0] + i * x_step[PLANE] + j * x_step[LINE];
                    next->y = n * picture_step[1] + i * y_step[PLANE] + j * y_step[LINE];
                    next->x += k * x_step[PIXEL];
                    next->y += k * y_step[PIXEL];
                }
    return next - to;
}

/* Bytes of a list of places; what comes after it is as well aligned. */
static inline size_t bytes_of_places(Index count)
{
    return (size_t)ceil_div(count, 4) * 4 * sizeof(Place);
}

typedef struct {
    Geometry geometry;
    const void *x, *y;
    void *out, *sums;         /* sums: for each part window_size × padded_outputs numbers */
    Index band, bands, parts; /* lines in a band, bands in a picture */
    Index some;               /* windows at a time; of small pictures, pictures */
    Index elements;           /* of a window, in a chunk of small pictures */
    bool *not_finite;         /* set if a sum is not */
} ConvolutionWeight;

static inline Index padded_outputs(const Geometry *g)
{
    return ceil_div(g->outputs, COLUMNS) * COLUMNS;
}

#endif

#ifdef real

/* The windows that are summed up, and their gradients. */
typedef struct {
    const real *x, *y;
    const Place *places;
    Index count, columns; /* columns: from one number's sums to the next's */
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

    const real *x_start = p.x + number, *y_start = p.y + output;
    for (Index i = 0; i < p.count; i++) {
        const real *x = x_start + p.places[i].x, *y = y_start + p.places[i].y;
        UNROLL for (int v = 0; v < V; v++)
            slope[v] = KERNEL(load)(y + v * LANES);
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++)
                sum[r][v] = KERNEL(multiply_add)(KERNEL(spread)(x[r]), slope[v], sum[r][v]);
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

/* One part: its sums over a fixed share of all bands. Scratch: the places of a band's windows; a
 * frame, unless all windows are inside; y's numbers of a band, where its outputs are no whole vectors.
 */
static void KERNEL(convolution_weight_part)(const void *task, Index part, void *scratch)
{
    const ConvolutionWeight *c = task;
    const Geometry *g = &c->geometry;
    Index columns = padded_outputs(g), size = window_size(g), pixels = g->count[PIXEL];
    Index items = g->pictures * g->count[PLANE] * c->bands, first, stop;
    Place *places = scratch;
    real *rest = (real *)((char *)scratch + bytes_of_places(c->band * pixels));
    real *memory = is_inside(g) ? NULL : rest, *slopes = rest + (memory ? frame_size(g, c->band) : 0);
    real *sums = (real *)c->sums + part * size * columns;
    bool padded = columns != g->outputs;
    memset(sums, 0, size * columns * sizeof(real));
    for (Index item = part * items / c->parts; item < (part + 1) * items / c->parts; item++) {
        Index top = item % c->bands * c->band, lines = least(c->band, g->count[LINE] - top);
        Index plane = item / c->bands % g->count[PLANE];
        Index picture = item / c->bands / g->count[PLANE];
        const real *x = (const real *)c->x + picture * g->x_picture;
        KERNEL(Frame) frame = KERNEL(framed)(g, x, plane, top, lines, memory);
        KERNEL(Pairs) pairs = {.columns = columns};
        const real *y = (const real *)c->y + picture * g->y_picture +
                        plane * g->y_step[PLANE] + top * g->y_step[LINE];
        Index y_line = padded ? pixels * columns : g->y_step[LINE];
        if (padded) {
            KERNEL(padded_slopes)(g, y, lines, columns, slopes);
            y = slopes;
        }
        pairs.y = y;
        if (item == part * items / c->parts) { /* the same for each band */
            Index count[] = {1, c->band, pixels}, x_step[] = {0, frame.next_line, frame.next_pixel};
            Index y_step[] = {0, y_line, padded ? columns : g->y_step[PIXEL]}, none[] = {0, 0};
            list_places(1, none, count, x_step, y_step, places);
        }
        Index plane_first, plane_stop, length = run_pixels(g, g->kernel[PIXEL]) * g->channels;
        Index line_pixels = g->kernel[PIXEL] * g->channels;
        elements_inside(g, PLANE, plane, &plane_first, &plane_stop);
        Index windows = lines * pixels;
        for (Index start = 0; start < windows; start += c->some)
            for (Index i = plane_first; i < plane_stop; i++)
                for (Index j = 0; j < g->kernel[LINE]; j++) {
                    windows_inside(g, LINE, j, &first, &stop); /* lines that reach into x */
                    first = -least(-start, (top - first) * pixels);
                    stop = least(least(start + c->some, windows), (stop - top) * pixels);
                    pairs.places = places + first;
                    pairs.count = stop - first;
                    for (Index number = 0, k = 0; number < line_pixels && first < stop;
                         number += length, k++) {
                        pairs.x = frame.start + i * frame.step[PLANE] + j * frame.step[LINE] +
                                  k * frame.step[PIXEL];
                        Index row = (i * g->kernel[LINE] + j) * line_pixels + number;
                        KERNEL(pair_all)(&pairs, length, 0, columns, sums + row * columns);
                    }
                }
    }
}

/* The places of the windows, of `some` small pictures, for one element of the window; returns where
 * the first one's element and gradients are. */
static Place KERNEL(list_small)(const ConvolutionWeight *c, Index element, Place *places, Index *count)
{
    const Geometry *g = &c->geometry;
    Index at[AXES] = {element / g->kernel[PIXEL] / g->kernel[LINE],
                      element / g->kernel[PIXEL] % g->kernel[LINE], element % g->kernel[PIXEL]};
    Index windows[AXES], x_step[AXES], y_step[AXES], picture[] = {g->x_picture, g->y_picture};
    Place start = {0, 0};
    for (int axis = 0; axis < AXES; axis++) {
        Index first, stop;
        windows_inside(g, axis, at[axis], &first, &stop);
        start.x += (window_start(g, axis, first) + at[axis] * g->dilation[axis]) * g->x_step[axis];
        start.y += first * g->y_step[axis];
        windows[axis] = stop - first;
        x_step[axis] = g->stride[axis] * g->x_step[axis];
        y_step[axis] = g->y_step[axis];
    }
    *count = list_places(c->some, picture, windows, x_step, y_step, places) / c->some;
    return start;
}

/* Small pictures: some elements of the window and a block of outputs, which are whole vectors.
 * Scratch: for each of the elements a list of places. */
static void KERNEL(convolution_weight_small)(const void *task, Index chunk, void *scratch)
{
    const ConvolutionWeight *c = task;
    const Geometry *g = &c->geometry;
    Index blocks = ceil_div(g->outputs, OUTPUTS), element = chunk / blocks * c->elements;
    Index elements = least(c->elements, kernel_size(g) - element);
    Index from = chunk % blocks * OUTPUTS, to = least(from + OUTPUTS, g->outputs);
    Index each = c->some * g->count[PLANE] * g->count[LINE] * g->count[PIXEL], count[MOST_RUNS];
    Place *places = scratch, start[MOST_RUNS];
    real *sums = (real *)c->sums + element * g->channels * g->outputs;
    for (Index e = 0; e < elements; e++)
        start[e] = KERNEL(list_small)(c, element + e, places + e * each, count + e);
    for (Index number = 0; number < elements * g->channels; number++)
        memset(sums + number * g->outputs + from, 0, (to - from) * sizeof(real));
    for (Index picture = 0; picture < g->pictures; picture += c->some)
        for (Index e = 0; e < elements; e++) {
            KERNEL(Pairs) pairs = {
                .x = (const real *)c->x + picture * g->x_picture + start[e].x,
                .y = (const real *)c->y + picture * g->y_picture + start[e].y,
                .places = places + e * each, .columns = g->outputs,
                .count = least(c->some, g->pictures - picture) * count[e],
            };
            KERNEL(pair_all)(&pairs, g->channels, from, to, sums + e * g->channels * g->outputs);
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
