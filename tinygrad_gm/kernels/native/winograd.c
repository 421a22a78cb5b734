/* Winograd's convolutions, which convolutions.c asks for; the kernels are winograd.h and
 * winograd_weight.h. */
#include "convolutions.h"

#include "pool.h"

#include "winograd.h"

enum {
    TILES = 16,          /* that are transformed at a time; fewer in a picture are not worth it; */
    TILE_NUMBERS = 2048, /* more for the weight's gradient, if channels are few */
    ALL_TILES = 64       /* that are worth the transformation of the weights */
};

static Index tiles_of(const Geometry *g)
{
    return ceil_div(g->count[LINE], 2) * ceil_div(g->count[PIXEL], 2);
}

bool suits_winograd(const Geometry *g)
{
    bool window = g->kernel[PLANE] == 1 && g->kernel[LINE] == 3 && g->kernel[PIXEL] == 3;
    for (int axis = PLANE; axis < AXES; axis++)
        window = window && g->stride[axis] == 1 && g->dilation[axis] == 1;
    return window && g->channels % COLUMNS == 0 && g->outputs % COLUMNS == 0 &&
           g->count[LINE] > 3 && g->count[PIXEL] > 3 && tiles_of(g) >= TILES &&
           g->pictures * g->count[PLANE] * tiles_of(g) >= ALL_TILES;
}

/* The sums of 16 places are more to load and store for each picture than those of 9 elements. */
bool weight_suits_winograd(const Geometry *g)
{
    return suits_winograd(g) && (tiles_of(g) > 2 * TILES || g->channels * g->outputs <= 64 * 64);
}

/* Cut the results into bands and tiles; returns the numbers of scratch. */
static Index cut(const Geometry *g, Index tiles, Winograd *to)
{
    to->geometry = *g;
    to->lines = g->count[LINE];
    to->pixels = g->count[PIXEL];
    to->geometry.count[LINE] = ceil_div(to->lines, 2) * 2;
    to->geometry.count[PIXEL] = ceil_div(to->pixels, 2) * 2;
    to->band = ceil_div(band_of(&to->geometry), 2) * 2;
    to->bands = ceil_div(to->geometry.count[LINE], to->band);
    Index across = to->geometry.count[PIXEL] / 2;
    to->columns = ceil_div(across, ceil_div(across, 2 * tiles)); /* of equal parts of a row */
    to->rows = to->columns < tiles ? least(tiles / to->columns, to->band / 2) : 1;
    return frame_size(&to->geometry, to->band) + GAP +
           PLACES * (matrix_size(to, g->channels) + matrix_size(to, g->outputs));
}

bool winograd(const Convolution *from, int type, bool *finite)
{
    const Geometry *g = &from->geometry;
    bool not_finite = false;
    Winograd w = {.x = from->x, .w = from->w, .bias = from->bias, .y = from->y,
                  .not_finite = &not_finite};
    Index scratch = cut(g, TILES, &w), groups = ceil_div(g->outputs, OUTPUTS);
    void *memory = memory_for(groups * OUTPUTS * PLACES * (1 + g->channels), type);
    w.packed = aligned(memory);
    bool done = memory && run_chunks(kernels->winograd_pack[type], &w, groups, 0) &&
                run_chunks(kernels->winograd_band[type], &w, g->pictures * g->count[PLANE] * w.bands,
                           (size_t)bytes_of(scratch, type));
    free(memory);
    *finite = !not_finite;
    return done;
}

bool winograd_weight(const ConvolutionWeight *from, int type)
{
    const Geometry *g = &from->geometry;
    Winograd w = {.x = from->x, .y = (void *)from->y, .out = from->out,
                  .not_finite = from->not_finite};
    Index tiles = TILE_NUMBERS / (g->channels + g->outputs);
    Index scratch = cut(g, tiles < TILES ? TILES : tiles, &w);
    Index size = PLACES * g->channels * g->outputs;
    w.parts = parts_of(g->pictures * g->count[PLANE] * w.bands, work_of(g), size);
    void *memory = memory_for(w.parts * size, type);
    w.sums = aligned(memory);
    size_t bytes = bytes_of_places(w.rows * w.columns) + (size_t)bytes_of(scratch, type);
    bool done = memory && run_chunks(kernels->winograd_part[type], &w, w.parts, bytes) &&
                run_chunks(kernels->winograd_sum[type], &w, g->outputs / COLUMNS, 0);
    free(memory);
    return done;
}
