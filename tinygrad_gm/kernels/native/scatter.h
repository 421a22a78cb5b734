/* Add rows to rows: the gradient of an embedding, and of any slices that were read by their numbers.
 *
 * NumPy's add.at handles one number after the other, and sorting first moves all rows before it adds
 * them. Here only the numbers of the rows are sorted, and each row of the result is summed up from
 * where its parts lie, in the order in which they came. The sum is in double, and is written once. A
 * chunk has some rows of the result, each as a whole, so threads never add to the same one.
 */
#ifndef SCATTER_H
#define SCATTER_H

enum { SCATTERED = 1 << 14, SCATTERED_COLUMNS = 256 }; /* numbers and columns of a chunk, at most */

typedef struct {
    const void *values; /* (lead, read, width) */
    void *out;          /* (lead, count, width), with zeros */
    const Index *row;   /* of the result, for each of those read; */
    const Index *order; /* these in ascending order, equal ones in the order in which they came */
    Index lead, read, count, width;
    Index parts, blocks; /* of the order, and of the columns */
} Scatter;

#endif

#ifdef real

static void KERNEL(add_rows)(const void *task, Index chunk, void *scratch)
{
    (void)scratch;
    const Scatter *s = task;
    const Index column = chunk % s->blocks * SCATTERED_COLUMNS, part = chunk / s->blocks % s->parts;
    const Index columns = least(SCATTERED_COLUMNS, s->width - column);
    const Index lead = chunk / s->blocks / s->parts, share = ceil_div(s->read, s->parts);
    const Index stop = least((part + 1) * share, s->read);
    const real *values = (const real *)s->values + lead * s->read * s->width + column;
    real *out = (real *)s->out + lead * s->count * s->width + column;
    Index place = part * share;
    while (place && place < stop && s->row[s->order[place]] == s->row[s->order[place - 1]])
        place++; /* the row that began in the part before */
    while (place < stop) {
        const Index row = s->row[s->order[place]];
        double total[SCATTERED_COLUMNS] = {0};
        for (; place < s->read && s->row[s->order[place]] == row; place++) {
            const real *restrict value = values + s->order[place] * s->width;
            for (Index k = 0; k < columns; k++)
                total[k] += value[k];
        }
        for (Index k = 0; k < columns; k++)
            out[row * s->width + k] = total[k];
    }
}

#endif
