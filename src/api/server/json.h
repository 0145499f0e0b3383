// Values of the node as JSON values, for whoever writes an answer.
#pragma once

#include <boost/json.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qudag::api {

namespace json = boost::json;

inline std::int64_t us(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

inline json::string text(std::string_view view) { return json::string(view.data(), view.size()); }

template <class T>
json::value text_or_null(const std::optional<T>& value) {
  if (!value) return nullptr;
  return text(value->to_string());
}

}  // namespace qudag::api
