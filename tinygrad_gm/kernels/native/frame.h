/* A band of lines of a picture in a frame of zeros, so that windows need not ask where it ends.
 *
 * The frame is copied once and read many times: by each block of output channels, and by all the
 * windows that overlap. It is small enough to stay in the second-level cache.
 */
#ifdef real

/* Memory with the picture's numbers in it; its steps from one window to the next along a line and
 * between lines, and from one element of a window to the next. */
typedef struct {
    const real *start;
    Index next_line, next_pixel, step[AXES];
} KERNEL(Frame);

/* One line of x with zeros before and after it; NULL: a line of zeros. */
static void KERNEL(frame_line)(const Geometry *g, const real *x, Index width, real *to)
{
    Index channels = g->channels, step = g->x_step[PIXEL], before = g->before[PIXEL];
    Index margin = before > 0 ? before : 0, start = margin - before;
    Index pixels = least(width - margin, g->size[PIXEL] - start);
    if (!x || pixels <= 0) {
        memset(to, 0, width * channels * sizeof(real));
        return;
    }
    memset(to, 0, margin * channels * sizeof(real));
    x += start * step;
    to += margin * channels;
    if (step == channels)
        memcpy(to, x, pixels * channels * sizeof(real));
    else
        for (Index i = 0; i < pixels; i++)
            memcpy(to + i * channels, x + i * step, channels * sizeof(real));
    memset(to + pixels * channels, 0, (width - margin - pixels) * channels * sizeof(real));
}

/* What `lines` lines of windows read of a picture, copied to `memory`; NULL: left where it is.
 *
 * A frame has a plane for each plane of a window; what dilation skips is not copied. */
static KERNEL(Frame) KERNEL(framed)(
    const Geometry *g, const real *x, Index plane, Index line, Index lines, real *memory)
{
    KERNEL(Frame) frame;
    const int64_t *step = g->x_step, *dilation = g->dilation;
    Index top = window_start(g, LINE, line), first = window_start(g, PLANE, plane);
    if (!memory) {
        frame.start = x + first * step[PLANE] + top * step[LINE];
        frame.next_line = g->stride[LINE] * step[LINE];
        frame.next_pixel = g->stride[PIXEL] * step[PIXEL];
        for (int axis = 0; axis < AXES; axis++)
            frame.step[axis] = dilation[axis] * step[axis];
        return frame;
    }
    Index height = reach(g, LINE, lines), width = reach(g, PIXEL, g->count[PIXEL]);
    Index pitch = width * g->channels;
    for (Index i = 0; i < g->kernel[PLANE]; i++)
        for (Index j = 0; j < height; j++) {
            Index p = first + i * dilation[PLANE], q = top + j;
            bool exists = p >= 0 && p < g->size[PLANE] && q >= 0 && q < g->size[LINE];
            const real *from = exists ? x + p * step[PLANE] + q * step[LINE] : NULL;
            KERNEL(frame_line)(g, from, width, memory + (i * height + j) * pitch);
        }
    frame.start = memory;
    frame.next_line = g->stride[LINE] * pitch;
    frame.next_pixel = g->stride[PIXEL] * g->channels;
    frame.step[PLANE] = height * pitch;
    frame.step[LINE] = dilation[LINE] * pitch;
    frame.step[PIXEL] = dilation[PIXEL] * g->channels;
    return frame;
}

#endif
