/* The gradient of the weights by Winograd's tiles: see winograd.h.
 *
 * A chunk is a part of all bands, with sums of its own: for each of the 16 places a matrix (channel,
 * output). For some tiles at a time x and y are transformed, and the blocks of convolution_weight.h
 * add up the products of their 16 matrices over the tiles. Last, the parts are added up, transformed
 * and turned into the order of the result.
 */
#ifdef real

/* A ȳ Aᵀ of a row of tiles; zeros beyond the lines and pixels that exist. */
static void KERNEL(transform_slopes)(
    const Geometry *g, const real *y, Index lines, Index pixels, Index tiles, Index matrix, real *to)
{
    const KERNEL(vector) none = {0};
    Index down = g->y_step[LINE], right = g->y_step[PIXEL];
    for (Index tile = 0; tile < tiles; tile++, y += 2 * right, pixels -= 2)
        for (Index output = 0; output < g->outputs; output += LANES, to += LANES) {
            const real *at = y + output;
            KERNEL(vector) a = KERNEL(load)(at), b = pixels > 1 ? KERNEL(load)(at + right) : none;
            KERNEL(vector) c = lines > 1 ? KERNEL(load)(at + down) : none;
            KERNEL(vector) d = lines > 1 && pixels > 1 ? KERNEL(load)(at + down + right) : none;
            KERNEL(vector) left[4] = {a, a + c, a - c, none - c}, other[4] = {b, b + d, b - d, none - d};
            UNROLL for (int i = 0; i < 4; i++) {
                real *row = to + 4 * i * matrix;
                KERNEL(store)(row, left[i]);
                KERNEL(store)(row + matrix, left[i] + other[i]);
                KERNEL(store)(row + 2 * matrix, left[i] - other[i]);
                KERNEL(store)(row + 3 * matrix, none - other[i]);
            }
        }
}

/* One part. Scratch: the places of the tiles; a frame, V, and the transformed y. */
static void KERNEL(winograd_part)(const void *task, Index part, void *scratch)
{
    const Winograd *c = task;
    const Geometry *g = &c->geometry;
    Index v_size = matrix_size(c, g->channels), s_size = matrix_size(c, g->outputs);
    Index bands = g->pictures * g->count[PLANE] * c->bands, size = g->channels * g->outputs;
    Place *places = scratch;
    real *memory = (real *)((char *)scratch + bytes_of_places(c->rows * c->columns));
    real *v = memory + frame_size(g, c->band) + GAP, *slopes = v + PLACES * v_size;
    real *sums = (real *)c->sums + part * PLACES * size;
    memset(sums, 0, PLACES * size * sizeof(real));
    for (Index tile = 0; tile < c->rows * c->columns; tile++)
        places[tile] = (Place){tile * g->channels, tile * g->outputs};
    for (Index band = part * bands / c->parts; band < (part + 1) * bands / c->parts; band++) {
        Index top = band % c->bands * c->band, lines = least(c->band, g->count[LINE] - top);
        Index plane = band / c->bands % g->count[PLANE], picture = band / c->bands / g->count[PLANE];
        const real *x = (const real *)c->x + picture * g->x_picture;
        const real *y = (const real *)c->y + picture * g->y_picture + plane * g->y_step[PLANE];
        KERNEL(Frame) frame = KERNEL(framed)(g, x, plane, top, lines, memory);
        for (Index line = 0; line < lines; line += 2 * c->rows)
            for (Index pixel = 0; pixel < g->count[PIXEL]; pixel += 2 * c->columns) {
                Index rows = least(c->rows, (lines - line) / 2);
                Index columns = least(c->columns, (g->count[PIXEL] - pixel) / 2);
                for (Index row = 0; row < rows; row++) {
                    Index at = line + 2 * row, tile = row * columns;
                    KERNEL(transform_tiles)(
                        frame.start + at * frame.next_line + pixel * frame.next_pixel,
                        frame.next_line, columns, g->channels, v_size, v + tile * g->channels);
                    KERNEL(transform_slopes)(
                        g, y + (top + at) * g->y_step[LINE] + pixel * g->y_step[PIXEL],
                        c->lines - top - at, c->pixels - pixel, columns, s_size,
                        slopes + tile * g->outputs);
                }
                KERNEL(Pairs) pairs = {
                    .places = places, .count = rows * columns, .columns = g->outputs};
                for (int place = 0; place < PLACES; place++) {
                    pairs.x = v + place * v_size;
                    pairs.y = slopes + place * s_size;
                    KERNEL(pair_all)(&pairs, g->channels, 0, g->outputs, sums + place * size);
                }
            }
    }
}

/* Gᵀ of a column of four sums: to[0], to[stride], to[2·stride]. */
INLINE void KERNEL(untransform_weight)(real a, real b, real c, real d, real *to, Index stride)
{
    to[0] = a + (b + c) / 2;
    to[stride] = (b - c) / 2;
    to[2 * stride] = d + (b + c) / 2;
}

/* Add up the parts' sums of some outputs, and transform them: (output, 3, 3, channel). */
static void KERNEL(winograd_sum)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Winograd *c = task;
    const Geometry *g = &c->geometry;
    Index size = g->channels * g->outputs;
    const real *sums = (const real *)c->sums + chunk * COLUMNS;
    real *out = (real *)c->out + chunk * COLUMNS * 9 * g->channels, check = 0;
    for (Index channel = 0; channel < g->channels; channel++) {
        real total[PLACES][COLUMNS] = {{0}};
        for (Index part = 0; part < c->parts; part++)
            for (int place = 0; place < PLACES; place++) {
                const real *from = sums + (part * PLACES + place) * size + channel * g->outputs;
                for (int o = 0; o < COLUMNS; o++)
                    total[place][o] += from[o];
            }
        for (int place = 0; place < PLACES; place++)
            for (int o = 0; o < COLUMNS; o++)
                check += total[place][o] * 0; /* zero, or NaN */
        for (int o = 0; o < COLUMNS; o++) {
            real w[3][4];
            for (int j = 0; j < 4; j++)
                KERNEL(untransform_weight)(total[j][o], total[4 + j][o], total[8 + j][o],
                                           total[12 + j][o], &w[0][j], 4);
            for (int i = 0; i < 3; i++)
                KERNEL(untransform_weight)(w[i][0], w[i][1], w[i][2], w[i][3],
                                           out + (o * 9 + 3 * i) * g->channels + channel, g->channels);
        }
    }
    if (check != 0)
        *c->not_finite = true;
}

#endif
