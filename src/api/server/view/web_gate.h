// Who may ask what at the port of the web page. Pure: a header goes in, what to do comes out.
//
//   1 the Host names loopback: a page of somebody else's that resolves its own name to this machine
//     has another one;
//   2 the token in the URL, compared in constant time, gives a cookie (HttpOnly, SameSite=Strict);
//   3 with the cookie, files; with the header X-Qudag besides, which no other page can set without
//     being asked for leave, the pages of the API that change nothing;
//   4 messages, if control is on, and then only from the page's own origin.
//
// Threads: constant once made. Bounds: those of the header (kHeaderBytesMax).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qudag::api {

/// A connection to the page, of all that are open at once.
inline constexpr std::size_t kWebConnectionsMax = 16;

/// What the gate needs of a request.
struct WebRequest {
  std::string_view method, target, host, cookie, origin;
  bool has_mark = false;  ///< X-Qudag
};

struct WebAnswer {
  /// `pass`: the API answers. `file`: `body` is it. `enter`: `body` leads to the page, with the
  /// cookie. `refuse`: `body` says why.
  enum class What : std::uint8_t { pass, file, enter, refuse } what = What::refuse;
  unsigned status = 403;
  std::string_view type = "text/plain; charset=utf-8";
  std::string_view body;
};

class WebGate {
 public:
  /// With a token and a secret for the cookie from the system's generator.
  WebGate(std::uint16_t port, bool control);

  WebAnswer ask(const WebRequest& request) const;

  /// What a person opens: http://127.0.0.1:PORT/?token=TOKEN
  std::string url(std::string_view address) const;
  /// The value of Set-Cookie.
  std::string cookie() const;
  bool control() const { return control_; }

 private:
  bool is_known(std::string_view cookie_header) const;
  WebAnswer page(const WebRequest& request, std::string_view path) const;

  const std::string name_;  // of the cookie: cookies know no ports
  const std::string token_, secret_;
  const bool control_;
};

/// The Content-Security-Policy of every answer: files of this port only, nothing inline, in
/// nobody's frame.
inline constexpr std::string_view kWebPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace qudag::api
