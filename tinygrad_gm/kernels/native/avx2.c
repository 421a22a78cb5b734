/* The kernels for x86-64 with AVX2 and FMA: Intel since Haswell (2013), AMD since Zen (2017). */
#include "kernels.h"

#if FOR_X86

/* after the system's headers, whose functions are for every processor */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define TARGET avx2
#define VECTOR_BYTES 32
#include "pages.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
