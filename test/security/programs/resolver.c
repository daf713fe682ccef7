/*
 * Loaded into the server in place of the machine's resolver: answers the names below from `TEST_NAMES`
 * ("name=address,address;name=..."), and any other as the machine does. So a hostile name server's answers are had
 * without one, and without a change to the machine.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef int lookup_function(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  lookup_function *machine = (lookup_function *)dlsym(RTLD_NEXT, "getaddrinfo");
  const char *names = getenv("TEST_NAMES");
  char *copy = name == NULL || names == NULL ? NULL : strdup(names), *outer, *inner;
  for (char *entry = copy == NULL ? NULL : strtok_r(copy, ";", &outer); entry != NULL; entry = strtok_r(NULL, ";", &outer)) {
    char *addresses = strchr(entry, '=');
    if (addresses == NULL) continue;
    *addresses++ = '\0';
    if (strcmp(entry, name) != 0) continue;
    struct addrinfo **last = found;
    *found = NULL;
    for (char *address = strtok_r(addresses, ",", &inner); address != NULL; address = strtok_r(NULL, ",", &inner)) {
      struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
      if (machine(address, service, &numeric, last) != 0) return EAI_NONAME;
      while (*last != NULL) last = &(*last)->ai_next;
    }
    free(copy);
    return *found == NULL ? EAI_NONAME : 0;
  }
  free(copy);
  return machine(name, service, hints, found);
}
