/* The kernels for x86-64 with AVX-512 (F, BW, DQ, VL): Intel servers since 2017, AMD since Zen 4. */
#include "kernels.h"

#if FOR_X86

/* after the system's headers, whose functions are for every processor */
#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#endif

#define TARGET avx512
#define VECTOR_BYTES 64
#include "pages.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
