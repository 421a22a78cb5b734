/* Windows that slide over pictures: the arithmetic that all kernels of convolution share.
 *
 * Pictures lie in memory with their channels together, (N, D, H, W, C). A convolution along two axes
 * has one plane (D = 1), along one axis one line as well. A window has `kernel` elements per axis,
 * `dilation` apart; the next one starts `stride` further; the first one `before` elements outside
 * the picture, where everything is zero (inside the picture if negative). Steps through memory are
 * counted in numbers.
 *
 * A window is read in runs, stretches of memory without a gap: all pixels of a line of the window
 * with all their channels or, if they are dilated, one pixel.
 */
#ifndef GEOMETRY_H
#define GEOMETRY_H

enum { PLANE, LINE, PIXEL, AXES };

typedef struct {
    int64_t pictures, channels, outputs;
    int64_t size[AXES], kernel[AXES], count[AXES]; /* elements of x and of a window; windows */
    int64_t stride[AXES], dilation[AXES], before[AXES];
    int64_t x_picture, x_step[AXES]; /* steps from picture to picture and along each axis; */
    int64_t y_picture, y_step[AXES]; /* channels are next to each other */
    int64_t w_output, w_channel, w_step[AXES];
} Geometry;

/* Where a run starts in x, counted from its window's first number, and its first element. */
typedef struct {
    Index x, element;
} Run;

enum { MOST_RUNS = 1024 };

static inline Index kernel_size(const Geometry *g) /* elements of a window */
{
    return g->kernel[PLANE] * g->kernel[LINE] * g->kernel[PIXEL];
}

static inline Index window_size(const Geometry *g) /* numbers of a window */
{
    return kernel_size(g) * g->channels;
}

/* Elements from the first to the last that `count` windows read along an axis. */
static inline Index reach(const Geometry *g, int axis, Index count)
{
    return (count - 1) * g->stride[axis] + (g->kernel[axis] - 1) * g->dilation[axis] + 1;
}

/* Which of x's elements along an axis is a window's first; it may lie outside. */
static inline Index window_start(const Geometry *g, int axis, Index window)
{
    return window * g->stride[axis] - g->before[axis];
}

/* Whether a window's lines are runs of x's own memory. */
static inline bool has_runs(const Geometry *g)
{
    return g->kernel[PIXEL] == 1 || g->dilation[PIXEL] > 1 || g->x_step[PIXEL] == g->channels;
}

/* Whether all windows lie inside the pictures and can be read where they are. */
static inline bool is_inside(const Geometry *g)
{
    for (int axis = 0; axis < AXES; axis++)
        if (g->before[axis] || reach(g, axis, g->count[axis]) > g->size[axis])
            return false;
    return has_runs(g);
}

/* The i from *first to *stop, of `count`, with 0 ≤ start + i·step < size. */
static inline void inside(Index count, Index start, Index step, Index size, Index *first, Index *stop)
{
    *first = start < 0 ? least(count, ceil_div(-start, step)) : 0;
    *stop = size > start ? least(count, ceil_div(size - start, step)) : 0;
    if (*stop < *first)
        *stop = *first;
}

/* A window's elements inside x. */
static inline void elements_inside(
    const Geometry *g, int axis, Index window, Index *first, Index *stop)
{
    Index start = window_start(g, axis, window);
    inside(g->kernel[axis], start, g->dilation[axis], g->size[axis], first, stop);
}

/* The windows whose element number `element` is inside x. */
static inline void windows_inside(
    const Geometry *g, int axis, Index element, Index *first, Index *stop)
{
    Index start = element * g->dilation[axis] - g->before[axis];
    inside(g->count[axis], start, g->stride[axis], g->size[axis], first, stop);
}

/* List the runs of a window, only of planes and lines inside x, and of a line only the pixels from
 * first to stop. `step`: from one element of a window to the next in memory. Returns their number.
 */
static inline Index list_runs(
    const Geometry *g, Index plane, Index line, Index first, Index stop, const Index step[AXES],
    Run *runs)
{
    Index plane_first, plane_stop, line_first, line_stop, found = 0;
    Index pixels = g->dilation[PIXEL] == 1 && stop > first ? stop - first : 1; /* of a run */
    elements_inside(g, PLANE, plane, &plane_first, &plane_stop);
    elements_inside(g, LINE, line, &line_first, &line_stop);
    for (Index i = plane_first; i < plane_stop; i++)
        for (Index j = line_first; j < line_stop; j++)
            for (Index k = first; k < stop; k += pixels) {
                runs[found].x = i * step[PLANE] + j * step[LINE] + k * step[PIXEL];
                runs[found++].element = (i * g->kernel[LINE] + j) * g->kernel[PIXEL] + k;
            }
    return found;
}

/* The pixels of one run, if `pixels` of a window's line are needed. */
static inline Index run_pixels(const Geometry *g, Index pixels)
{
    return g->dilation[PIXEL] == 1 ? pixels : 1;
}

/* Numbers of the frame (see frame.h) that `lines` lines of windows read. */
static inline Index frame_size(const Geometry *g, Index lines)
{
    Index line = reach(g, PIXEL, g->count[PIXEL]) * g->channels;
    return g->kernel[PLANE] * reach(g, LINE, lines) * line;
}

#endif
