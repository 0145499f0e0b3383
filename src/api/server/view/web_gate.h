// Who may ask what at the port of the web page. Pure: a header goes in, what to do comes out.
//
//   1 the Host names loopback: a page of somebody else's that resolves its own name to this machine
//     has another one;
//   2 the files of the page, the same in every node, are for all;
//   3 with the token in the header X-Qudag, compared in constant time, the pages of the API that
//     change nothing;
//   4 messages, if control is on, and then only from the page's own origin.
//
// No cookie: a browser sends those of a host to all its ports, so to servers of other users. The
// token comes in the fragment of a URL, which is not sent to anybody, and the tab's own store,
// which goes by the port too, has it.
//
// Threads: constant once made. Bounds: those of the header (kHeaderBytesMax).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace qudag::api {

/// A connection to the page, of all that are open at once.
inline constexpr std::size_t kWebConnectionsMax = 16;

/// What the gate needs of a request.
struct WebRequest {
  std::string_view method, target, host, origin;
  std::string_view token;  ///< X-Qudag
};

struct WebAnswer {
  /// `pass`: the API answers. `file`: `body` is it. `refuse`: `body` says why.
  enum class What : std::uint8_t { pass, file, refuse } what = What::refuse;
  unsigned status = 403;
  std::string_view type = "text/plain; charset=utf-8";
  std::string_view body;
};

class WebGate {
 public:
  /// With a token from the system's generator.
  explicit WebGate(bool control);

  WebAnswer ask(const WebRequest& request) const;

  /// What a person opens: http://127.0.0.1:PORT/#token=TOKEN
  std::string url(std::string_view address) const;
  bool control() const { return control_; }

 private:
  WebAnswer api(const WebRequest& request, std::string_view path) const;

  const std::string token_;
  const bool control_;
};

/// One connection, as who takes connections sees it.
struct WebVisit {
  const WebGate& gate;
  bool has_token = false;          ///< a request of it had
  std::function<void()> end = {};  ///< of the session, while it is there
};

/// The Content-Security-Policy of every answer: files of this port only, nothing inline, in
/// nobody's frame.
inline constexpr std::string_view kWebPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace qudag::api
