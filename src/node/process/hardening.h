// What a process that is a node keeps from others on its machine: no core dump, no debugger of the
// same user, and no part of its memory in a dump that root takes.
//
// For `qudag node` only: a program that embeds a node decides by itself.
#pragma once

#include <cstddef>

namespace qudag::node {

/// Before there is any key. `debuggable`: debuggers and cores stay allowed; what a core leaves out
/// then is the memory of messages and keys, by exclude_from_dumps().
void harden_process(bool debuggable);

/// Marks all private writable memory that the process has now, but for stacks (a debugger needs
/// their frames), as not to be dumped (MADV_DONTDUMP): pools, heaps and what OpenSSL holds. Takes
/// some 0.1 ms; for a worker, at times, because heaps grow. Returns how many ranges there are.
std::size_t exclude_from_dumps();

}  // namespace qudag::node
