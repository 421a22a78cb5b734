/* Every page for float, then for double, and the table of them.
 *
 * A target's file defines TARGET, the name of its table, and VECTOR_BYTES before it includes this.
 * In a page, `real` is the type of the numbers, KERNEL(name) the name of a function for that type,
 * and FLOAT tells the two types apart.
 */
#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)
#define KERNEL(name) JOIN(name, SUFFIX)

#define real float
#define FLOAT 1
#define SUFFIX _float
#include "all_pages.h"
#undef real
#undef FLOAT
#undef SUFFIX

#define real double
#define FLOAT 0
#define SUFFIX _double
#include "all_pages.h"
#undef real
#undef FLOAT
#undef SUFFIX

#define TEXT(name) #name
#define NAME_OF(target) TEXT(target)
#define BOTH(name, ...) {name##_float, name##_double},
#define FLOAT_ONLY(name, ...) {name##_float, NULL},
const Kernels TARGET = {NAME_OF(TARGET), ALL_KERNELS(BOTH) ALL_FLOAT_KERNELS(FLOAT_ONLY)};
