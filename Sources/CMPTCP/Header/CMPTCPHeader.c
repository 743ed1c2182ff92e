/* The functions that the header declares are in Swift; here only: it compiles as C by itself. */
#include "cmptcp.h"

_Static_assert(sizeof(cmptcp_config) >= sizeof(size_t) + sizeof(uint64_t), "cmptcp_config begins with its size");
