// The numbers that can be set on a node, each once: name, form, range and what it means. validate()
// checks Options by this table; the configuration file, the flags, the example file and the
// reference page are made from it. The default stands in Options itself.
//
// To add one: the field in include/qudag/options.h, a row here, and what acts on it.
#pragma once

#include <qudag/options.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace qudag::settings {

enum class Form : std::uint8_t {
  count,
  size,     // bytes; "512MiB"
  seconds,  // "60s", "3h"
};

struct Number {
  std::string_view name;  // "limits.memory"
  Form form;
  std::uint64_t least;
  std::uint64_t most;
  std::string_view help;  // a sentence
  std::uint64_t (*get)(const Options&);
  void (*set)(Options&, std::uint64_t);
};

/// In the order of the example file.
std::span<const Number> numbers();

/// A bound that is part of another: more than that one can never be reached.
struct Pair {
  const Number& part;
  const Number& whole;
};
std::span<const Pair> pairs();
/// A part that has its default is no more than what it is part of.
void follow(Options& options);

}  // namespace qudag::settings
