// An inner folder that looks up.
#pragma once
#include "link/endpoint.h"
