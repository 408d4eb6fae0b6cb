#define _GNU_SOURCE
#include "CShims.h"

int celeriac_spawn_closes_from(posix_spawn_file_actions_t *actions, int lowest) {
    return posix_spawn_file_actions_addclosefrom_np(actions, lowest);
}
