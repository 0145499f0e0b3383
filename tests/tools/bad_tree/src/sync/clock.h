// Fixture: a room that takes the time as an argument reads a clock, and an owner's header strays.
#pragma once
#include <openssl/evp.h>

#include <chrono>
inline auto now() { return std::chrono::steady_clock::now(); }
Status result;
wire::AckStatus answer{};
