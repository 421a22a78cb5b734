/* Pooling along one or two axes: the maximum of each window with its place, or the sum; and back,
 * where each window's number is added at that place, or in the whole window.
 *
 * A vector holds neighbouring channels of one window if the channels of a position are neighbours in
 * memory, else one channel of neighbouring windows, whose elements are then read one by one. A chunk
 * is some lines of windows forward, some pictures backward: windows may overlap, and no two threads
 * may add to one number.
 *
 * Maxima are compared as NumPy's path compares them, a line of the window at a time, so that NaN
 * and equal numbers end at the same place. A place is i · width + j for element (i, j).
 */
#ifndef POOLING_H
#define POOLING_H

enum { LINES, PIXELS, POOLED };   /* the axes: lines of a picture, pixels of a line */
enum { POOLING_CHUNK = 1 << 14 }; /* numbers of x, at least */

typedef struct {
    Index pictures, channels; /* with channels first: N · C pictures of one channel */
    Index size[POOLED], kernel[POOLED], stride[POOLED], before[POOLED], dilation[POOLED];
    Index count[POOLED];      /* of windows */
    Index each;               /* lines of windows, or pictures, of a chunk */
    const void *from;         /* forward x; backward a number for each window */
    void *to;
    uint8_t *places;          /* NULL: sums */
} Pooling;

/* The elements of a window inside the picture: from first to stop. */
typedef struct {
    Index start, first, stop;
} Extent;

static inline Extent extent(const Pooling *p, int axis, Index window)
{
    Extent e = {.start = window * p->stride[axis] - p->before[axis]};
    inside(p->kernel[axis], e.start, p->dilation[axis], p->size[axis], &e.first, &e.stop);
    return e;
}

/* The extents of all windows of a line, in scratch memory: each costs two divisions. */
static inline const Extent *extents_of_line(const Pooling *p, void *scratch)
{
    Extent *pixels = scratch;
    for (Index w = 0; w < p->count[PIXELS]; w++)
        pixels[w] = extent(p, PIXELS, w);
    return pixels;
}

/* How many windows from this one on lie wholly inside the line; at least one. */
static inline Index whole_windows(const Pooling *p, Extent pixel)
{
    const Index reach = pixel.start + (p->kernel[PIXELS] - 1) * p->dilation[PIXELS];
    if (pixel.start < 0 || reach >= p->size[PIXELS])
        return 1;
    return (p->size[PIXELS] - 1 - reach) / p->stride[PIXELS] + 1;
}

#endif

#ifdef real

#undef integer
#if FLOAT
#define integer int32_t
#else
#define integer int64_t
#endif

typedef integer KERNEL(integers) __attribute__((vector_size(VECTOR_BYTES)));

INLINE KERNEL(integers) KERNEL(chosen)(KERNEL(integers) mask, KERNEL(integers) a, KERNEL(integers) b)
{
    return (mask & a) | (~mask & b);
}

/* `count` numbers that are `step` apart. */
INLINE KERNEL(vector) KERNEL(load_every)(const real *from, Index step, Index count)
{
    if (step == 1)
        return KERNEL(load_some)(from, count);
    KERNEL(vector) value = {0};
    for (Index i = 0; i < count; i++)
        value[i] = from[i * step];
    return value;
}

/* Replace the maxima, and their places, where x is larger; NaN is larger than any number. */
INLINE void KERNEL(keep_larger)(KERNEL(vector) x, KERNEL(integers) at, KERNEL(vector) *best,
                                KERNEL(integers) *place)
{
    const KERNEL(integers) larger = x > *best, odd = x != x;
    *place = KERNEL(chosen)(larger, at, *place);
    *best = (KERNEL(vector))KERNEL(chosen)(larger | odd, (KERNEL(integers))x,
                                           (KERNEL(integers))*best);
}

/* The maxima, or sums, of `count` windows whose first elements are at x, `step` numbers apart. */
INLINE void KERNEL(pool_windows)(const Pooling *p, const real *x, Index step, Index count, Extent line,
                                 Extent pixel, real *to, uint8_t *places)
{
    const Index width = p->kernel[PIXELS], pixel_step = p->dilation[PIXELS] * p->channels;
    const Index line_step = p->dilation[LINES] * p->size[PIXELS] * p->channels;
    const KERNEL(vector) lowest = KERNEL(spread)((real)-INFINITY);
    const KERNEL(integers) zero = {0};
    KERNEL(vector) result = places ? lowest : KERNEL(spread)(0);
    KERNEL(integers) place = zero + (integer)(line.first * width + pixel.first);
    for (Index i = line.first; i < line.stop; i++) {
        KERNEL(vector) of_line = places ? lowest : KERNEL(spread)(0);
        KERNEL(integers) at = zero + (integer)(i * width + pixel.first);
        for (Index j = pixel.first; j < pixel.stop; j++) {
            const real *from = x + i * line_step + j * pixel_step;
            const KERNEL(vector) value = KERNEL(load_every)(from, step, count);
            if (places)
                KERNEL(keep_larger)(value, zero + (integer)(i * width + j), &of_line, &at);
            else
                of_line += value;
        }
        if (!places)
            result += of_line;
        else if (i > 0)
            KERNEL(keep_larger)(of_line, at, &result, &place);
        else {
            result = of_line;
            place = at;
        }
    }
    memcpy(to, &result, count * sizeof(real));
    for (Index i = 0; places && i < count; i++)
        places[i] = (uint8_t)place[i];
}

static void KERNEL(pool)(const void *task, Index chunk, void *scratch)
{
    const Pooling *p = task;
    const Extent *pixels = extents_of_line(p, scratch);
    const Index lines = p->pictures * p->count[LINES], stop = least((chunk + 1) * p->each, lines);
    const Index channels = p->channels;
    for (Index number = chunk * p->each; number < stop; number++) {
        const Index picture = number / p->count[LINES];
        const Extent line = extent(p, LINES, number % p->count[LINES]);
        const Index start = (picture * p->size[LINES] + line.start) * p->size[PIXELS];
        const Index done = number * p->count[PIXELS];
        Index together;
        for (Index w = 0; w < p->count[PIXELS]; w += together) {
            const Extent pixel = pixels[w];
            const real *x = (const real *)p->from + (start + pixel.start) * channels;
            real *to = (real *)p->to + (done + w) * channels;
            uint8_t *places = p->places ? p->places + (done + w) * channels : NULL;
            together = 1;
            if (channels == 1) {
                together = least(LANES, least(whole_windows(p, pixel), p->count[PIXELS] - w));
                KERNEL(pool_windows)(p, x, p->stride[PIXELS], together, line, pixel, to, places);
                continue;
            }
            Index c = 0;
            for (; c + LANES <= channels; c += LANES)
                KERNEL(pool_windows)
                (p, x + c, 1, LANES, line, pixel, to + c, places ? places + c : NULL);
            if (c < channels)
                KERNEL(pool_windows)
                (p, x + c, 1, channels - c, line, pixel, to + c, places ? places + c : NULL);
        }
    }
}

/* The numbers whose place is this one; 0 for the others. */
INLINE KERNEL(vector) KERNEL(where_found)(KERNEL(vector) value, const uint8_t *places, Index count,
                                          Index place)
{
    KERNEL(integers) found = {0};
    for (Index i = 0; i < count; i++)
        found[i] = places[i];
    return (KERNEL(vector))((KERNEL(integers))value & (found == (integer)place));
}

/* Add a vector of neighbouring channels of a window to its elements. */
INLINE void KERNEL(unpool_vector)(const Pooling *p, const real *from, const uint8_t *places,
                                  Extent line, Extent pixel, real *to)
{
    const Index width = p->kernel[PIXELS], pixel_step = p->dilation[PIXELS] * p->channels;
    const Index line_step = p->dilation[LINES] * p->size[PIXELS] * p->channels;
    const KERNEL(vector) value = KERNEL(load)(from);
    for (Index i = line.first; i < line.stop; i++)
        for (Index j = pixel.first; j < pixel.stop; j++) {
            real *at = to + i * line_step + j * pixel_step;
            const Index place = i * width + j;
            const KERNEL(vector) share =
                places ? KERNEL(where_found)(value, places, LANES, place) : value;
            KERNEL(store)(at, KERNEL(load)(at) + share);
        }
}

/* Add the number of one channel of a window. */
INLINE void KERNEL(unpool_number)(const Pooling *p, real value, const uint8_t *place, Extent line,
                                  Extent pixel, real *to)
{
    const Index width = p->kernel[PIXELS], pixel_step = p->dilation[PIXELS] * p->channels;
    const Index line_step = p->dilation[LINES] * p->size[PIXELS] * p->channels;
    if (place) {
        const Index i = *place / (uint32_t)width, j = *place % (uint32_t)width;
        if (i >= line.first && i < line.stop && j >= pixel.first && j < pixel.stop)
            to[i * line_step + j * pixel_step] += value;
        return;
    }
    for (Index i = line.first; i < line.stop; i++)
        for (Index j = pixel.first; j < pixel.stop; j++)
            to[i * line_step + j * pixel_step] += value;
}

/* Add the numbers of a picture of one channel at their places, one window after the other. */
INLINE void KERNEL(unpool_places)(
    const Pooling *p, const Extent *pixels, const real *from, const uint8_t *places, real *out)
{
    const Index height = p->kernel[LINES], width = p->kernel[PIXELS], size = p->size[PIXELS];
    Index step[UINT8_MAX + 1]; /* to the element of each place */
    for (Index place = 0; place < height * width; place++)
        step[place] = place / width * p->dilation[LINES] * size + place % width * p->dilation[PIXELS];
    for (Index h = 0; h < p->count[LINES]; h++) {
        const Extent line = extent(p, LINES, h);
        const bool whole = line.stop - line.first == height;
        for (Index w = 0; w < p->count[PIXELS]; w++, from++, places++) {
            const Extent pixel = pixels[w];
            real *to = out + line.start * size + pixel.start;
            if (whole && pixel.stop - pixel.first == width && *places < height * width)
                to[step[*places]] += *from;
            else
                KERNEL(unpool_number)(p, *from, places, line, pixel, to);
        }
    }
}

/* Add the numbers of a picture of one channel to their windows: to one element of all windows of a
 * line at a time. */
INLINE void KERNEL(unpool_sums)(const Pooling *p, const real *from, real *out)
{
    const Index stride = p->stride[PIXELS], count = p->count[PIXELS];
    for (Index j = 0; j < p->kernel[PIXELS]; j++) {
        const Index offset = j * p->dilation[PIXELS] - p->before[PIXELS];
        Index first, stop; /* windows whose element j is inside */
        inside(count, offset, stride, p->size[PIXELS], &first, &stop);
        for (Index h = 0; h < p->count[LINES]; h++) {
            const Extent line = extent(p, LINES, h);
            const real *restrict value = from + h * count;
            for (Index i = line.first; i < line.stop; i++) {
                real *restrict to =
                    out + (line.start + i * p->dilation[LINES]) * p->size[PIXELS] + offset;
                for (Index w = first; w < stop; w++)
                    to[w * stride] += value[w];
            }
        }
    }
}

static void KERNEL(unpool)(const void *task, Index chunk, void *scratch)
{
    const Pooling *p = task;
    const Extent *pixels = extents_of_line(p, scratch);
    const Index channels = p->channels, stop = least((chunk + 1) * p->each, p->pictures);
    const Index size = p->size[LINES] * p->size[PIXELS] * channels;
    for (Index picture = chunk * p->each; picture < stop; picture++) {
        real *out = (real *)p->to + picture * size;
        Index done = picture * p->count[LINES] * p->count[PIXELS] * channels;
        memset(out, 0, size * sizeof(real));
        if (channels == 1) {
            const real *from = (const real *)p->from + done;
            if (p->places)
                KERNEL(unpool_places)(p, pixels, from, p->places + done, out);
            else
                KERNEL(unpool_sums)(p, from, out);
            continue;
        }
        for (Index h = 0; h < p->count[LINES]; h++) {
            const Extent line = extent(p, LINES, h);
            for (Index w = 0; w < p->count[PIXELS]; w++, done += channels) {
                const Extent pixel = pixels[w];
                real *to = out + (line.start * p->size[PIXELS] + pixel.start) * channels;
                const real *from = (const real *)p->from + done;
                const uint8_t *places = p->places ? p->places + done : NULL;
                Index c = 0;
                for (; c + LANES <= channels; c += LANES)
                    KERNEL(unpool_vector)
                    (p, from + c, places ? places + c : NULL, line, pixel, to + c);
                for (; c < channels; c++)
                    KERNEL(unpool_number)
                    (p, from[c], places ? places + c : NULL, line, pixel, to + c);
            }
        }
    }
}

#endif
