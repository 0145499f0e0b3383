// The services of this node that others may ask for: a name, where it is, how many pipes at once.
//
// Threads: any. Bounds: kServicesMax names; pipes of each as its owner says.
#pragma once

#include "config/gateway_options.h"

#include <qudag/error.h>
#include <qudag/pipe.h>

#include <cstddef>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::gateway {

class Services {
 public:
  static constexpr std::size_t kServicesMax = 256;

  /// One pipe to a service, while it lives. Owners (shared_ptr): the table, until the service is
  /// withdrawn, and the places in it.
  class Place {
   public:
    const config::LocalAddress& to() const { return entry_->options.to; }
    Place(Place&& other) noexcept = default;
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    friend class Services;
    struct Entry {
      config::ServiceOptions options;
      std::size_t open = 0;
    };
    Place(Services& services, std::shared_ptr<Entry> entry)
        : services_(&services), entry_(std::move(entry)) {}
    Services* services_;
    std::shared_ptr<Entry> entry_;
  };

  /// already_exists; refused_queue_full beyond kServicesMax.
  Status add(config::ServiceOptions service);
  /// Pipes that are open stay.
  void remove(std::string_view name);
  /// no_such_service, no_room.
  std::expected<Place, PipeCode> find(std::string_view name);

  struct Row {
    config::ServiceOptions options;
    std::size_t open = 0;
  };
  std::vector<Row> rows() const;

 private:
  mutable std::mutex mutex_;  // guards the table and the numbers in its entries
  std::map<std::string, std::shared_ptr<Place::Entry>, std::less<>> table_;
};

}  // namespace qudag::gateway
