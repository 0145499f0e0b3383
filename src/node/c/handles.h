// What the files of the C interface share: its handles, and how a call ends.
#pragma once

#include "base/secret.h"
#include "node/c/waiting.h"

#include <qudag/node.h>
#include <qudag/qudag.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

// C sees these as names only.
struct qudag_options {
  qudag::Options value;
  bool acknowledged = false;  // channel 0, by the caller
  ~qudag_options() { qudag::wipe(value.identity_key); }
};
struct qudag_node {
  std::shared_ptr<qudag::node::Waiting> waiting;
  std::unique_ptr<qudag::Node> node;
  ~qudag_node() {
    if (waiting) waiting->part();
  }
};

namespace qudag::node {

/// Its number, and its text for qudag_last_error().
int failed(const Error& error);
int failed_thrown(Errc what) noexcept;

/// Runs `f`, which returns a Status; nothing is thrown through C.
template <class F>
int call(F&& f) noexcept {
  try {
    const Status done = f();
    return done ? 0 : failed(done.error());
  } catch (const std::bad_alloc&) {
    return failed_thrown(Errc::refused_memory);
  } catch (...) {
    return failed_thrown(Errc::internal);
  }
}

inline std::unexpected<Error> null() { return fail(Errc::invalid_argument, "null"); }

inline void copy_text(std::string_view from, char* to, std::size_t room) {
  const std::size_t n = std::min(from.size(), room - 1);
  std::memcpy(to, from.data(), n);
  to[n] = '\0';
}

}  // namespace qudag::node
