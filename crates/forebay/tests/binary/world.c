/* Stands between the executable and the C library, so that a test can move the wall clock and take away a
 * name for one process alone. WORLD names a folder: `wall` there holds the seconds by which the wall clock is
 * off, and `name` the address that `moved.test` has; without that file nobody knows it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int line_of(const char *name, char *line, int size) {
    char path[4096];
    const char *folder = getenv("WORLD");
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    int is_there = fgets(line, size, file) != NULL;
    fclose(file);
    if (is_there) line[strcspn(line, "\n")] = 0;
    return is_there;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    char line[64];
    if (result == 0 && clock == CLOCK_REALTIME && line_of("wall", line, sizeof line))
        time->tv_sec += atol(line);
    return result;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real) real = dlsym(RTLD_NEXT, "getaddrinfo");
    char line[64];
    if (!name || strcmp(name, "moved.test") != 0) return real(name, service, hints, found);
    if (!line_of("name", line, sizeof line)) return EAI_NONAME;
    return real(line, service, hints, found);
}
