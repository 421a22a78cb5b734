/* Depthwise convolution, in which every channel is convolved by itself, and its weights' gradient.
 *
 *     y[n, h, w, c] = b[c] + Σ_i Σ_j x[n, h·s + i·δ − p, w·s + j·δ − p, c] · w[c, i, j]
 *     w̄[c, i, j]   = Σ_n Σ_h Σ_w x[n, h·s + i·δ − p, w·s + j·δ − p, c] · y[n, h, w, c]
 *
 * Channels are next to each other, so a vector holds some channels of one pixel, and there is
 * nothing to spread. The order in which memory is walked:
 *
 * 1. A chunk of the task is some bands of lines, each in its frame of zeros (see frame.h).
 * 2. Forward, for some vectors' channels after the others all pixels of the band, P at a time: their
 *    sums are in registers while the window is walked, and a vector of weights serves P times.
 * 3. The gradient, for each line of the window and T of its elements: their sums are in registers
 *    while all pixels of the band are walked, and a vector of y serves T times. Each part of the
 *    bands has sums of its own, and last the parts are added up.
 *
 * The last vector of a pixel may reach into the next one: those numbers are computed and dropped.
 */
#ifndef DEPTHWISE_H
#define DEPTHWISE_H

typedef struct {
    Geometry geometry;         /* outputs: as many as channels */
    const void *x, *w, *bias;  /* the bias may be NULL */
    void *y, *out;             /* out: the weights' gradient */
    void *packed;              /* packed weights, or the parts' sums */
    Index band, bands, share;  /* as in Convolution */
    Index parts;
    bool *not_finite;          /* set if a sum is not */
} Depthwise;

static inline Index padded_channels(const Geometry *g)
{
    return ceil_div(g->channels, COLUMNS) * COLUMNS;
}

/* Whether bands are read where they are: there is something behind a pixel that may be read. */
static inline bool depthwise_inside(const Geometry *g)
{
    return is_inside(g) && g->channels % COLUMNS == 0;
}

#endif

#ifdef real

/* The weights (element of the window, channel), after a line of the bias. */
static void KERNEL(depthwise_pack)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Depthwise *d = task;
    const Geometry *g = &d->geometry;
    Index columns = padded_channels(g), size = kernel_size(g);
    Index start = chunk * COLUMNS, stop = least(start + COLUMNS, g->channels);
    real *packed = d->packed;
    const real *w = d->w, *bias = d->bias;
    for (Index c = start; c < start + COLUMNS; c++) {
        packed[c] = c < stop && bias ? bias[c] : 0;
        for (Index t = 0; t < size; t++) {
            Index i = t / g->kernel[PIXEL] / g->kernel[LINE];
            Index j = t / g->kernel[PIXEL] % g->kernel[LINE], k = t % g->kernel[PIXEL];
            packed[(1 + t) * columns + c] =
                c >= stop ? 0 : w[c * g->w_output + i * g->w_step[PLANE] + j * g->w_step[LINE] +
                                  k * g->w_step[PIXEL]];
        }
    }
}

/* A line of windows, and the lines of a window that lie inside x. */
typedef struct {
    const real *x, *packed;
    real *y;
    Index x_step, y_step, element_step, columns, channels; /* channels: from here on */
    const Run *runs;
    Index run_count, run_pixels;
} KERNEL(Channels);

/* The sums of P pixels × a vector of channels. */
INLINE void KERNEL(channel_block)(const int P, const KERNEL(Channels) *line, Index start)
{
    const KERNEL(Channels) l = *line;
    KERNEL(vector) sum[8];
    UNROLL for (int p = 0; p < P; p++)
        sum[p] = KERNEL(load)(l.packed);

    for (Index run = 0; run < l.run_count; run++) {
        const real *x = l.x + start * l.x_step + l.runs[run].x;
        const real *weights = l.packed + (1 + l.runs[run].element) * l.columns;
        for (Index k = 0; k < l.run_pixels; k++, x += l.element_step, weights += l.columns) {
            KERNEL(vector) weight = KERNEL(load)(weights);
            UNROLL for (int p = 0; p < P; p++)
                sum[p] = KERNEL(multiply_add)(KERNEL(load)(x + p * l.x_step), weight, sum[p]);
        }
    }

    real *y = l.y + start * l.y_step, last[LANES];
    UNROLL for (int p = 0; p < P; p++, y += l.y_step) {
        KERNEL(store)(l.channels < LANES ? last : y, sum[p]);
        if (l.channels < LANES)
            memcpy(y, last, l.channels * sizeof(real));
    }
}

static void KERNEL(channel_line)(const KERNEL(Channels) *line, Index pixels)
{
    Index start = 0;
    if (pixels >= 8)
        for (; start < pixels; start += 8) /* the last block ends with the line */
            KERNEL(channel_block)(8, line, least(start, pixels - 8));
    else if (pixels >= 4)
        for (; start < pixels; start += 4)
            KERNEL(channel_block)(4, line, least(start, pixels - 4));
    else
        for (; start < pixels; start++)
            KERNEL(channel_block)(1, line, start);
}

static void KERNEL(depthwise_band)(const Depthwise *d, Index band, real *memory)
{
    const Geometry *g = &d->geometry;
    Index top = band % d->bands * d->band, lines = least(d->band, g->count[LINE] - top);
    Index planes = band / d->bands, plane = planes % g->count[PLANE];
    Index picture = planes / g->count[PLANE];
    const real *x = (const real *)d->x + picture * g->x_picture;
    real *y = (real *)d->y + picture * g->y_picture + plane * g->y_step[PLANE];
    KERNEL(Frame) frame = KERNEL(framed)(g, x, plane, top, lines, memory);
    Run runs[MOST_RUNS];
    KERNEL(Channels) line = {
        .x_step = frame.next_pixel, .y_step = g->y_step[PIXEL], .columns = padded_channels(g),
        .element_step = frame.step[PIXEL], .runs = runs,
        .run_pixels = run_pixels(g, g->kernel[PIXEL]),
    };
    for (Index i = 0; i < lines; i++) {
        line.run_count = list_runs(g, plane, top + i, 0, g->kernel[PIXEL], frame.step, runs);
        for (Index channel = 0; channel < g->channels; channel += LANES) {
            line.x = frame.start + i * frame.next_line + channel;
            line.y = y + (top + i) * g->y_step[LINE] + channel;
            line.packed = (const real *)d->packed + channel;
            line.channels = g->channels - channel;
            KERNEL(channel_line)(&line, g->count[PIXEL]);
        }
    }
}

/* Some bands. Scratch: a frame, unless bands are read where they are. */
static void KERNEL(depthwise_bands)(const void *task, Index chunk, void *scratch)
{
    const Depthwise *d = task;
    const Geometry *g = &d->geometry;
    Index first = chunk * d->share, bands = g->pictures * g->count[PLANE] * d->bands;
    for (Index band = first; band < least(first + d->share, bands); band++)
        KERNEL(depthwise_band)(d, band, scratch);
}

/* ------------------------------------------------------------------- the weights' gradient */

/* A band: where its windows' first element stands, and their gradients. */
typedef struct {
    const real *x, *y;
    Index x_line, x_pixel, y_line, y_pixel, lines, pixels;
    Index element_step, columns;
} KERNEL(Slopes);

/* Add to the sums of T elements of a line of the window × V vectors of channels. */
INLINE void KERNEL(slope_block)(const int T, const int V, const KERNEL(Slopes) *band, real *sums)
{
    const KERNEL(Slopes) b = *band;
    KERNEL(vector) sum[3][4], slope;
    UNROLL for (int t = 0; t < T; t++)
        UNROLL for (int v = 0; v < V; v++)
            sum[t][v] = KERNEL(load)(sums + t * b.columns + v * LANES);
    for (Index line = 0; line < b.lines; line++) {
        const real *x = b.x + line * b.x_line, *y = b.y + line * b.y_line;
        for (Index pixel = 0; pixel < b.pixels; pixel++, x += b.x_pixel, y += b.y_pixel)
            UNROLL for (int v = 0; v < V; v++) {
                slope = KERNEL(load)(y + v * LANES);
                UNROLL for (int t = 0; t < T; t++)
                    sum[t][v] = KERNEL(multiply_add)(
                        KERNEL(load)(x + t * b.element_step + v * LANES), slope, sum[t][v]);
            }
    }
    UNROLL for (int t = 0; t < T; t++)
        UNROLL for (int v = 0; v < V; v++)
            KERNEL(store)(sums + t * b.columns + v * LANES, sum[t][v]);
}

/* A line of the window and all channels. */
static void KERNEL(slope_line)(const KERNEL(Slopes) *band, Index elements, real *sums)
{
    for (Index channel = 0; channel < band->columns;) {
        KERNEL(Slopes) b = *band;
        b.x += channel;
        b.y += channel;
        bool four = b.columns - channel >= 4 * LANES && REGISTERS == 32;
        for (Index left = elements; left;) {
            real *at = sums + (elements - left) * b.columns + channel;
            Index taken = left >= 3 ? 3 : 1;
            if (taken == 3 && four)
                KERNEL(slope_block)(3, 4, &b, at);
            else if (taken == 3)
                KERNEL(slope_block)(3, 1, &b, at);
            else if (four)
                KERNEL(slope_block)(1, 4, &b, at);
            else
                KERNEL(slope_block)(1, 1, &b, at);
            b.x += taken * b.element_step;
            left -= taken;
        }
        channel += four ? 4 * LANES : LANES;
    }
}

/* One part: its sums over a fixed share of all bands. */
static void KERNEL(depthwise_part)(const void *task, Index part, void *scratch)
{
    const Depthwise *d = task;
    const Geometry *g = &d->geometry;
    Index columns = padded_channels(g), size = kernel_size(g), pixels = g->count[PIXEL];
    Index bands = g->pictures * g->count[PLANE] * d->bands, first, stop, plane_first, plane_stop;
    real *memory = depthwise_inside(g) ? NULL : scratch;
    real *slopes = (real *)scratch + (memory ? frame_size(g, d->band) + COLUMNS : 0);
    real *sums = (real *)d->packed + part * size * columns;
    memset(sums, 0, size * columns * sizeof(real));
    for (Index band = part * bands / d->parts; band < (part + 1) * bands / d->parts; band++) {
        Index top = band % d->bands * d->band, lines = least(d->band, g->count[LINE] - top);
        Index planes = band / d->bands, plane = planes % g->count[PLANE];
        Index picture = planes / g->count[PLANE];
        const real *x = (const real *)d->x + picture * g->x_picture;
        const real *y = (const real *)d->y + picture * g->y_picture +
                        plane * g->y_step[PLANE] + top * g->y_step[LINE];
        KERNEL(Frame) frame = KERNEL(framed)(g, x, plane, top, lines, memory);
        KERNEL(Slopes) b = {
            .x_line = frame.next_line, .x_pixel = frame.next_pixel, .y_line = g->y_step[LINE],
            .y_pixel = g->y_step[PIXEL], .pixels = pixels, .element_step = frame.step[PIXEL],
            .columns = columns,
        };
        if (columns != g->channels) {
            KERNEL(padded_slopes)(g, y, lines, columns, slopes);
            y = slopes;
            b.y_line = pixels * columns;
            b.y_pixel = columns;
        }
        elements_inside(g, PLANE, plane, &plane_first, &plane_stop);
        for (Index i = plane_first; i < plane_stop; i++)
            for (Index j = 0; j < g->kernel[LINE]; j++) {
                windows_inside(g, LINE, j, &first, &stop);
                first = first > top ? first - top : 0; /* lines of the band that reach into x */
                stop = least(lines, stop - top);
                if (first >= stop)
                    continue;
                b.lines = stop - first;
                b.x = frame.start + i * frame.step[PLANE] + j * frame.step[LINE] +
                      first * b.x_line;
                b.y = y + first * b.y_line;
                Index element = (i * g->kernel[LINE] + j) * g->kernel[PIXEL];
                KERNEL(slope_line)(&b, g->kernel[PIXEL], sums + element * columns);
            }
    }
}

/* Add up the parts' sums: (channel, element of the window). */
static void KERNEL(depthwise_sum)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Depthwise *d = task;
    const Geometry *g = &d->geometry;
    Index columns = padded_channels(g), size = kernel_size(g);
    Index start = chunk * COLUMNS, stop = least(start + COLUMNS, g->channels);
    real check = 0;
    for (Index c = start; c < stop; c++)
        for (Index t = 0; t < size; t++) {
            real total = 0;
            for (Index part = 0; part < d->parts; part++)
                total += ((const real *)d->packed)[(part * size + t) * columns + c];
            ((real *)d->out)[c * size + t] = total;
            check += total * 0; /* zero, or NaN */
        }
    if (check != 0)
        *d->not_finite = true;
}

#endif
