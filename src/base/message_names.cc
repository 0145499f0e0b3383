// Names of the classes and outcomes of include/qudag/message.h.
#include <qudag/message.h>

namespace qudag {

std::string_view name_of(Class c) noexcept {
  switch (c) {
    case Class::high:
      return "high";
    case Class::normal:
      return "normal";
    case Class::low:
      return "low";
  }
  return "unknown";
}

Result<Class> parse_class(std::string_view text) {
  for (const Class c : {Class::high, Class::normal, Class::low}) {
    if (text == name_of(c)) return c;
  }
  return fail(Errc::invalid_argument, "class is high, normal or low");
}

std::string_view name_of(Outcome o) noexcept {
  switch (o) {
    case Outcome::delivered:
      return "delivered";
    case Outcome::expired:
      return "expired";
    case Outcome::refused:
      return "refused";
    case Outcome::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace qudag
