#include "common/json_text.h"

#include <fmt/format.h>

#include <cmath>

namespace qudag::app {
namespace {

std::string number_text(double value) {
  if (!std::isfinite(value)) return "null";
  std::string text = fmt::format("{:.3f}", value);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

}  // namespace

std::string json_text(const boost::json::value& value) {
  if (value.is_double()) return number_text(value.get_double());
  std::string out;
  if (const auto* object = value.if_object()) {
    for (const auto& [key, field] : *object) {
      out += fmt::format("{}{}:{}", out.empty() ? "{" : ",",
                         boost::json::serialize(boost::json::string(key)), json_text(field));
    }
    return out.empty() ? "{}" : out + "}";
  }
  if (const auto* array = value.if_array()) {
    for (const auto& field : *array) out += (out.empty() ? "[" : ",") + json_text(field);
    return out.empty() ? "[]" : out + "]";
  }
  return boost::json::serialize(value);
}

}  // namespace qudag::app
