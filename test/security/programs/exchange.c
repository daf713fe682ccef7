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

int main(int count, char **words) {
  if (count != 3) return 2;
  for (;;) {
    if (syscall(SYS_renameat2, AT_FDCWD, words[1], AT_FDCWD, words[2], 2 /* RENAME_EXCHANGE */) == 0) continue;
    /* gVisor cannot at one stroke. */
    char spare[4096];
    snprintf(spare, sizeof spare, "%s.spare", words[1]);
    if (errno != EINVAL || rename(words[1], spare) != 0 || rename(words[2], words[1]) != 0 || rename(spare, words[2]) != 0) {
      perror("rename");
      return 1;
    }
  }
}
