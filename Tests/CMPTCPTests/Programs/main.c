#include "world.h"

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"arguments", test_arguments}, {"handles", test_handles}, {"options", test_options}, {"transfer", test_transfer},
    {"close", test_close},         {"errors", test_errors},   {"endpoints", test_endpoints},
    {"packets", test_packets},     {"hostile", test_hostile}, {"linux", test_linux},
    {"random", test_random},
};

int main(int count, char **words) {
    for (size_t index = 0; index < sizeof tests / sizeof *tests; index++) {
        if (count > 1 && strcmp(words[1], tests[index].name) != 0) continue;
        tests[index].run();
        printf("%s ok\n", tests[index].name);
        if (count > 1) return 0;
    }
    return count > 1 ? 2 : 0;
}
