/* The pages, in the order in which they need each other. No include guard: see pages.h. */
#include "vector.h"
#include "gradients.h"
#include "adam.h"
