// Names of what include/qudag/pipe.h says.
#include <qudag/pipe.h>

namespace qudag {

std::string_view name_of(PipeCode code) noexcept {
  switch (code) {
    case PipeCode::none:
      return "none";
    case PipeCode::no_such_service:
      return "no_such_service";
    case PipeCode::refused:
      return "refused";
    case PipeCode::not_reachable:
      return "not_reachable";
    case PipeCode::too_slow:
      return "too_slow";
    case PipeCode::no_room:
      return "no_room";
    case PipeCode::not_for_you:
      return "not_for_you";
    case PipeCode::lost:
      return "lost";
    case PipeCode::broken_off:
      return "broken_off";
    case PipeCode::stopping:
      return "stopping";
    case PipeCode::rate:
      return "rate";
  }
  return "unknown";
}

std::string_view name_of(PipeEnd::How how) noexcept {
  switch (how) {
    case PipeEnd::How::finished:
      return "finished";
    case PipeEnd::How::reset:
      return "reset";
    case PipeEnd::How::lost:
      return "lost";
  }
  return "unknown";
}

std::string_view name_of(PipeStatus::State state) noexcept {
  switch (state) {
    case PipeStatus::State::opening:
      return "opening";
    case PipeStatus::State::open:
      return "open";
    case PipeStatus::State::parked:
      return "parked";
  }
  return "unknown";
}

}  // namespace qudag
