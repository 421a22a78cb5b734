/* Batch and group norm: how an array (N, C, …) is walked, in either memory order.
 *
 * A set is what is normalised by itself: an example, or the whole batch. Memory is a number of
 * blocks, one after the other, each of `length` rows of `width` numbers:
 *
 *   channels last:  a set is a block; a row has the channels of a few neighbouring positions, and so
 *                   fills vectors even with 3 channels;
 *   channels first: each channel of each example is a block; a row is one number.
 *
 * A unit is `step` rows of a block, and a chunk a few units. A unit leaves two sums for each column
 * of its rows, in double; what is added up in float before are no more rows than LONGEST. The sums of
 * a set are a matrix of `entries` rows and a column for each channel.
 */
#ifndef CHANNELS_H
#define CHANNELS_H

typedef struct {
    Index examples, channels, positions;
    Index sets, groups;  /* groups: of channels of a set that share a mean */
    bool last;           /* whether the channels of a position are neighbours */
    Index blocks, length, width;
    Index step, units;   /* rows of a unit, units of a block */
    Index each, chunks;  /* units of a chunk, chunks of the array */
    Index columns;       /* of the factors of a set: `width`, or with channels first `channels` */
    Index entries;
} Channels;

/* Numbers of a chunk: 64 KB of floats, which stay in a second-level cache. */
enum { NORM_CHUNK = 1 << 14 };

static inline void walk(Channels *by)
{
    const Index widest = 128; /* numbers of a row: some vectors of every target */
    if (by->last) {
        by->blocks = by->sets;
        by->length = by->examples * by->positions / by->sets;
        by->width = by->channels;
        for (; by->length % 2 == 0 && 2 * by->width <= widest; by->length /= 2)
            by->width *= 2;
        by->columns = by->width;
        by->step = least(LONGEST, by->width < NORM_CHUNK / 32 ? NORM_CHUNK / by->width : 32);
    } else {
        by->blocks = by->examples * by->channels;
        by->length = by->positions;
        by->width = 1;
        by->columns = by->channels;
        by->step = NORM_CHUNK; /* a sum is that of many lanes */
    }
    by->step = least(by->step, by->length);
    by->units = ceil_div(by->length, by->step);
    by->each = ceil_div(NORM_CHUNK, by->step * by->width);
    by->chunks = ceil_div(by->blocks * by->units, by->each);
    by->entries = by->blocks * by->units * by->width / (by->sets * by->channels);
}

/* A unit: where its numbers, its sums and the factors of its set begin. */
typedef struct {
    Index start, rows, sums, factors;
} Unit;

static inline Unit unit_at(const Channels *by, Index number)
{
    const Index block = number / by->units, first = number % by->units * by->step;
    Unit u = {.start = (block * by->length + first) * by->width,
              .rows = least(by->step, by->length - first)};
    if (by->last) {
        u.sums = number * by->width;
        u.factors = block * by->width;
    } else {
        const Index example = block / by->channels, channel = block % by->channels;
        u.sums = (example * by->units + number % by->units) * by->channels + channel;
        u.factors = by->sets > 1 ? block : channel;
    }
    return u;
}

/* How many numbers each channel's sum in a row of a set's matrix is of. */
static inline Index counted(const Channels *by, Index entry)
{
    const Index unit = by->last ? entry / (by->width / by->channels) : entry % by->units;
    return least(by->step, by->length - unit * by->step);
}

#endif

#ifdef real

/* The columns of a row are taken four vectors at a time, then one by one. The last of these may
 * begin among columns that are done: they get the same sums again. */
typedef struct {
    Index from, next;
    int vectors;
} KERNEL(Columns);

INLINE KERNEL(Columns) KERNEL(columns_at)(Index column, Index width)
{
    const int vectors = column + 4 * LANES <= width ? 4 : 1;
    return (KERNEL(Columns)){least(column, width - LANES), column + vectors * LANES, vectors};
}

/* A mean, without the rounding errors of its sum: that of equal numbers is exact. `rest` is the mean
 * of what the numbers are more than it. */
INLINE double KERNEL(refined)(double mean, double rest)
{
    return isfinite(mean) ? mean + rest : mean;
}

/* Replace the numbers of each `size` neighbouring channels by their mean. */
INLINE void KERNEL(share)(double *values, Index channels, Index size)
{
    for (Index first = 0; size > 1 && first < channels; first += size) {
        double sum = 0, rest = 0;
        for (Index c = first; c < first + size; c++)
            sum += values[c];
        for (Index c = first; c < first + size; c++)
            rest += values[c] - sum / size;
        for (Index c = first; c < first + size; c++)
            values[c] = KERNEL(refined)(sum / size, rest / size);
    }
}

/* Repeat the first `channels` numbers along a row. */
INLINE void KERNEL(repeat)(real *row, Index channels, Index width)
{
    for (Index c = channels; c < width; c += channels)
        memcpy(row + c, row, channels * sizeof(real));
}

#endif
