// Pipes of the public Node: declared, and not yet served.
#include "node/impl.h"

namespace qudag {

class __attribute__((visibility("hidden"))) Pipe::Impl {};

Pipe::Pipe(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Pipe::~Pipe() = default;
Result<std::size_t> Pipe::write(std::span<const std::byte>) { return fail(Errc::unsupported); }
Status Pipe::write(Buffer&) { return fail(Errc::unsupported); }
std::size_t Pipe::room() const noexcept { return 0; }
void Pipe::end() {}
void Pipe::reset(PipeCode) {}
void Pipe::take(std::size_t) {}
bool Pipe::closed() const noexcept { return true; }

PipeOffer::PipeOffer(std::shared_ptr<Pipe::Impl> impl) noexcept : impl_(std::move(impl)) {}
PipeOffer::~PipeOffer() = default;
PipeOffer::PipeOffer(PipeOffer&&) noexcept = default;
PipeOffer& PipeOffer::operator=(PipeOffer&&) noexcept = default;
std::string_view PipeOffer::service() const noexcept { return {}; }
const NodeId& PipeOffer::receiver() const noexcept {
  static constexpr NodeId kNobody{};
  return kNobody;
}
Priority PipeOffer::priority() const noexcept { return Priority::normal; }
bool PipeOffer::closed() const noexcept { return true; }
std::unique_ptr<Pipe> PipeOffer::accept(PipeEvents) { return nullptr; }
void PipeOffer::refuse(PipeCode) {}

Result<std::unique_ptr<Pipe>> Node::open(const NodeId&, std::string_view, const PipeOptions&,
                                         PipeEvents, std::span<const std::byte>) {
  return fail(Errc::unsupported, "pipes");
}
void Node::on_pipe(PipeHandler) {}
std::future<std::vector<PipeStatus>> Node::pipes() const {
  std::promise<std::vector<PipeStatus>> none;
  none.set_value({});
  return none.get_future();
}

}  // namespace qudag
