// The Unix socket file: taking the path over from a dead process, refusing to from a live one.
#pragma once

#include <qudag/error.h>

#include <filesystem>

namespace qudag::api {

/// A listening descriptor with the file mode set before anybody can connect.
Result<int> listen_on(const std::filesystem::path& path, unsigned mode);

/// A connected descriptor. not_found when there is no such socket, unreachable when nobody listens,
/// permission_denied when its mode says no; details say what to do.
Result<int> connect_to(const std::filesystem::path& path);

}  // namespace qudag::api
