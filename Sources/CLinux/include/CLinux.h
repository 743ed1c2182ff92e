#pragma once
#include "CLinuxLoop.h"
