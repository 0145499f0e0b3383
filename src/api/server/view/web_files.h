// The files of web/, which the build puts into the program (cmake/EmbedFiles.cmake).
#pragma once

#include <span>
#include <string_view>

namespace qudag::api {

struct WebFile {
  std::string_view path;  ///< as a URL has it
  std::string_view type;
  std::string_view content;
};

std::span<const WebFile> web_files();

}  // namespace qudag::api
