// Precompiled for most objects (see Pch.cmake): what most of them include, and costs the most to
// read. Nothing may rely on it: every file includes what it uses.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
