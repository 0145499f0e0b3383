// Visibility of the public symbols of libqudag. Everything else is hidden.
#pragma once

#define QUDAG_API __attribute__((visibility("default")))
