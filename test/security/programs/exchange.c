/*
 * Exchanges two names as fast as it can, until it is killed: what is a directory at one look is a link at the next.
 *   exchange ONE OTHER
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Renames; a directory that a call made in the name's place meanwhile goes aside. */
static int take(const char *from, const char *to) {
  static int made;
  char aside[4096];
  while (rename(from, to) != 0) {
    if (errno != EISDIR && errno != EEXIST && errno != ENOTEMPTY) return -1;
    snprintf(aside, sizeof aside, "%s.made-%d", to, made++);
    if (rename(to, aside) != 0 && errno != ENOENT) return -1;
  }
  return 0;
}

int main(int count, char **words) {
  if (count != 3) return 2;
  for (;;) {
    if (syscall(SYS_renameat2, AT_FDCWD, words[1], AT_FDCWD, words[2], 2 /* RENAME_EXCHANGE */) == 0) continue;
    /* gVisor cannot at one stroke. */
    char spare[4096];
    snprintf(spare, sizeof spare, "%s.spare", words[1]);
    if (errno != EINVAL || rename(words[1], spare) != 0 || take(words[2], words[1]) != 0 || rename(spare, words[2]) != 0) {
      perror("rename");
      return 1;
    }
  }
}
