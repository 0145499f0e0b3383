// What the fragments of docs/guide/embed.md find around them; fragments_test.py includes it.
#pragma once

#include <qudag/node.h>
#include <qudag/testing/network.h>

#include <chrono>
#include <deque>
#include <memory>
#include <span>
#include <string>

using Work = std::deque<qudag::Message>;

struct WorkQueue {
  void push(qudag::Message&& message) { messages.push_back(std::move(message)); }
  Work messages;
};

int fail(const std::string& why);
void fill(std::span<std::byte> piece);

extern std::unique_ptr<qudag::Node>* node;  // a fragment says (*node)->
extern qudag::NodeId destination;
extern std::span<const std::byte> payload;
extern qudag::SendOptions options;
extern qudag::Message message;
extern WorkQueue work;

// Of the pipes.
qudag::PipeEvents echo_events();
void keep(std::unique_ptr<qudag::Pipe> pipe);
void use(const qudag::Buffer& bytes);
void report(qudag::PipeEnd::How how, std::uint64_t taken_by_peer);
extern qudag::PipeEvents events;
extern std::span<const std::byte> first_bytes;

inline void completion(const qudag::Delivery&) {}
