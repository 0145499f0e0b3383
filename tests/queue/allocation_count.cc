#include "memory/allocation_count.cc"  // the same for this binary
