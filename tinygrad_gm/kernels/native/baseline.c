/* The kernels for every processor of the architecture: SSE2 on x86-64, NEON on 64-bit Arm. */
#include "kernels.h"

#define TARGET baseline
#define VECTOR_BYTES 16
#include "pages.h"
