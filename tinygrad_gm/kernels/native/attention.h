/* Attention: out = softmax(q kᵀ · scale) v for one head after the other, and its gradients.
 *
 * NumPy writes the scores of all heads to memory, L × S numbers each, and passes over them some ten
 * times. Here a band of rows of one head, so many that its scores stay in the second-level cache, goes
 * through all steps: a product (product.h), softmax row by row (softmax.h), a product. The scores are
 * never written to memory that another band reads, so long sequences cost no more of it than short
 * ones. In a causal band the columns after its last row are left out.
 *
 * Forward leaves ln Σ e^score of each row. Backward, where a chunk is a whole head, computes the
 * weights P of a band again from it. With P̄ = g vᵀ and ⟨P̄, P⟩ = ⟨g, out⟩ of each row, it takes
 * S̄ = P·(P̄ − ⟨g, out⟩) in place, and adds, band after band:
 *
 *     v̄ += Pᵀ g     q̄ = S̄ k · scale     k̄ += S̄ᵀ (q · scale)
 *
 * Arrays are read and written where they lie, so heads need not be moved apart.
 */
#ifndef ATTENTION_H
#define ATTENTION_H

typedef struct {
    Factor query, key, value, out; /* data of what is not wanted is NULL */
    Factor g, query_gradient, key_gradient, value_gradient;
    float *log_total; /* in order: a number for each row of each head */
    Index rows, columns, width, value_width;
    Index axes, shape[MOST_AXES], heads;
    Index band, bands, share; /* rows in a band; bands in a head; heads, or bands, in a chunk */
    bool causal;
    float scale;
} Attention;

enum { BAND = 64 };

/* Numbers from row to row of a band of scores: no multiple of 4096 bytes. */
static inline Index scores_row(const Attention *a) { return (a->columns + 15) / 16 * 16 + 16; }

#endif

#if FLOAT

/* Where a head begins in an array. */
INLINE float *head_of(const Attention *a, const Factor *array, Index head)
{
    Index at = 0;
    for (Index axis = a->axes - 1; axis >= 0; axis--) {
        at += head % a->shape[axis] * array->steps[axis];
        head /= a->shape[axis];
    }
    return (float *)array->data + at;
}

/* Some rows of q · scale, which may not overflow before it is scaled, and of scores with kᵀ; returns
 * how many columns these have. */
INLINE Index scores_of_band(const Attention *a, Index head, Index first, Index rows, float *scaled,
                            float *scores, float *scratch)
{
    const float *query = head_of(a, &a->query, head) + first * a->query.row_step;
    for (Index i = 0; i < rows; i++)
        for (Index j = 0; j < a->width; j++)
            scaled[i * a->width + j] =
                query[i * a->query.row_step + j * a->query.column_step] * a->scale;
    const Index columns = a->causal ? least(first + rows, a->columns) : a->columns;
    const Factors_float product = {
        .x = scaled,
        .y = head_of(a, &a->key, head),
        .out = scores,
        .rows = rows,
        .columns = columns,
        .inner = a->width,
        .x_row = a->width,
        .x_column = 1,
        .y_row = a->key.column_step,
        .y_column = a->key.row_step,
        .out_row = scores_row(a),
    };
    multiply_block_float(&product, scratch);
    return columns;
}

/* How many of them this row has. */
INLINE Index seen_by(const Attention *a, Index row, Index columns)
{
    return a->causal ? least(row + 1, columns) : columns;
}

static void KERNEL(attention)(const void *task, Index chunk, void *scratch)
{
    const Attention *a = task;
    const Index stop = least((chunk + 1) * a->share, a->heads * a->bands), lead = scores_row(a);
    float *scores = (float *)scratch + PRODUCT_SCRATCH, *scaled = scores + BAND * lead;
    for (Index number = chunk * a->share; number < stop; number++) {
        const Index head = number / a->bands, first = number % a->bands * a->band;
        const Index rows = least(a->band, a->rows - first);
        const Index columns = scores_of_band(a, head, first, rows, scaled, scores, scratch);
        float totals[BAND], most[BAND], *log_total = a->log_total + head * a->rows + first;
        for (Index i = 0; i < rows; i++) {
            float *row = scores + i * lead;
            const Index seen = seen_by(a, first + i, columns);
            float largest = KERNEL(largest_of)(row, seen);
            largest = largest == -INFINITY ? 0 : largest; /* no score: all weights are 0 */
            KERNEL(exponentiate)(row, row, largest, seen, columns);
            const float total = (float)KERNEL(sum_of)(row, seen);
            totals[i] = total < 1 ? 1 : total;
            most[i] = largest;
        }
        for (Index i = 0; i < rows; i++)
            log_total[i] = most[i] + log_of(totals[i]);
        float *out = head_of(a, &a->out, head) + first * a->out.row_step;
        const Factors_float product = {
            .x = scores,
            .y = head_of(a, &a->value, head),
            .out = out,
            .rows = rows,
            .columns = a->value_width,
            .inner = columns,
            .x_row = lead,
            .x_column = 1,
            .y_row = a->value.row_step,
            .y_column = a->value.column_step,
            .out_row = a->out.row_step,
        };
        multiply_block_float(&product, scratch);
        for (Index i = 0; i < rows; i++)
            for (Index j = 0; j < a->value_width; j++)
                out[i * a->out.row_step + j] /= totals[i];
    }
}

/* Σ g·out of each row, added up as the product g vᵀ is: where a row has one column, with weight 1, the
 * two are the same number and its gradient is 0. */
INLINE void inner_products(float *sums, const float *g, Index g_row, Index g_column, const float *out,
                           Index out_row, Index out_column, Index rows, Index width)
{
    for (Index i = 0; i < rows; i++)
        sums[i] = 0;
    for (Index j = 0; j < width; j++)
        for (Index i = 0; i < rows; i++) {
            const float left = g[i * g_row + j * g_column], right = out[i * out_row + j * out_column];
#if VECTOR_BYTES > 16 || defined(__ARM_NEON)
            sums[i] = __builtin_fmaf(left, right, sums[i]); /* as multiply_add */
#else
            sums[i] += left * right;
#endif
        }
}

INLINE void clear_rows(float *rows, Index step, Index count, Index width)
{
    for (Index i = 0; i < count; i++)
        memset(rows + i * step, 0, width * sizeof(float));
}

static void KERNEL(attention_backward)(const void *task, Index chunk, void *scratch)
{
    const Attention *a = task;
    const Index lead = scores_row(a);
    float *weights = (float *)scratch + PRODUCT_SCRATCH, *slopes = weights + BAND * lead;
    float *scaled = slopes + BAND * lead;
    for (Index head = chunk * a->share; head < least((chunk + 1) * a->share, a->heads); head++) {
        const float *key = head_of(a, &a->key, head), *value = head_of(a, &a->value, head);
        const float *out = head_of(a, &a->out, head), *g = head_of(a, &a->g, head);
        float *for_query = head_of(a, &a->query_gradient, head);
        float *for_key = head_of(a, &a->key_gradient, head);
        float *for_value = head_of(a, &a->value_gradient, head);
        if (a->key_gradient.data)
            clear_rows(for_key, a->key_gradient.row_step, a->columns, a->width);
        if (a->value_gradient.data)
            clear_rows(for_value, a->value_gradient.row_step, a->columns, a->value_width);
        for (Index first = 0; first < a->rows; first += a->band) {
            const Index rows = least(a->band, a->rows - first);
            const Index columns = scores_of_band(a, head, first, rows, scaled, weights, scratch);
            const float *band_g = g + first * a->g.row_step;
            for (Index i = 0; i < rows; i++) {
                const float log_total = a->log_total[head * a->rows + first + i];
                KERNEL(exponentiate)(weights + i * lead, weights + i * lead, log_total,
                             seen_by(a, first + i, columns), columns);
            }
            if (a->value_gradient.data) {
                const Factors_float product = { /* v̄ += Pᵀ g */
                    .x = weights, .x_row = 1, .x_column = lead,
                    .y = band_g, .y_row = a->g.row_step, .y_column = a->g.column_step,
                    .out = for_value, .out_row = a->value_gradient.row_step, .adds = true,
                    .rows = columns, .columns = a->value_width, .inner = rows,
                };
                multiply_block_float(&product, scratch);
            }
            if (!a->query_gradient.data && !a->key_gradient.data)
                continue;
            const Factors_float product = { /* P̄ = g vᵀ */
                .x = band_g, .x_row = a->g.row_step, .x_column = a->g.column_step,
                .y = value, .y_row = a->value.column_step, .y_column = a->value.row_step,
                .out = slopes, .out_row = lead,
                .rows = rows, .columns = columns, .inner = a->value_width,
            };
            multiply_block_float(&product, scratch);
            float means[BAND];
            inner_products(means, band_g, a->g.row_step, a->g.column_step,
                           out + first * a->out.row_step, a->out.row_step, a->out.column_step, rows,
                           a->value_width);
            for (Index i = 0; i < rows; i++)
                for (Index j = i * lead; j < i * lead + columns; j++)
                    slopes[j] = (slopes[j] - means[i]) * weights[j];
            if (a->query_gradient.data) {
                float *to = for_query + first * a->query_gradient.row_step;
                const Factors_float product = { /* q̄ = S̄ k · scale */
                    .x = slopes, .x_row = lead, .x_column = 1,
                    .y = key, .y_row = a->key.row_step, .y_column = a->key.column_step,
                    .out = to, .out_row = a->query_gradient.row_step,
                    .rows = rows, .columns = a->width, .inner = columns,
                };
                multiply_block_float(&product, scratch);
                for (Index i = 0; i < rows; i++)
                    for (Index j = 0; j < a->width; j++)
                        to[i * a->query_gradient.row_step + j] *= a->scale;
            }
            if (a->key_gradient.data) {
                const Factors_float product = { /* k̄ += S̄ᵀ (q · scale) */
                    .x = slopes, .x_row = 1, .x_column = lead,
                    .y = scaled, .y_row = a->width, .y_column = 1,
                    .out = for_key, .out_row = a->key_gradient.row_step, .adds = true,
                    .rows = columns, .columns = a->width, .inner = rows,
                };
                multiply_block_float(&product, scratch);
            }
        }
    }
}

#endif
