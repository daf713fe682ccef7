/*
 * Takes as much of one thing as it gets, says how much that was and what stopped it, and holds it until the end.
 *   hogs forks|memory|zombies|files|inodes|bytes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most = 2000000 };

static int stopped(long count) {
  printf("%ld %d\n", count, errno);
  return 0;
}

/* All that begin go on to fork, as a fork bomb does; the count is of the first one's children. */
static int forks(void) {
  setpgid(0, 0);
  for (long count = 0; count < most; count++) {
    pid_t child = fork();
    if (child < 0) {
      stopped(count);
      fflush(stdout);
      signal(SIGTERM, SIG_IGN);
      kill(0, SIGTERM);
      while (wait(NULL) > 0);
      return 0;
    }
    if (child == 0) {
      for (int tries = 0; tries < 4; tries++) if (fork() < 0) usleep(50000);
      sleep(1);
      _exit(0);
    }
  }
  return 1;
}

/* Ended children that nobody takes note of keep their places. */
static int zombies(void) {
  for (long count = 0; count < most; count++) {
    pid_t child = fork();
    if (child < 0) return stopped(count);
    if (child == 0) _exit(0);
  }
  return 1;
}

static int memory(void) {
  enum { block = 4 << 20 };
  for (long count = 0; count < most; count++) {
    char *bytes = mmap(NULL, block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) return stopped(count);
    memset(bytes, 1, block);
  }
  return 1;
}

static int files(void) {
  for (long count = 0; count < most; count++) if (open("/dev/null", O_RDONLY) < 0) return stopped(count);
  return 1;
}

/* Files without content: what they take is a file system's own tables. */
static int inodes(void) {
  char name[64];
  mkdir("/home/user/inodes", 0755);
  for (long count = 0; count < most; count++) {
    if (count % 1000 == 0) {
      snprintf(name, sizeof name, "/home/user/inodes/%ld", count / 1000);
      if (mkdir(name, 0755) != 0) return stopped(count);
    }
    snprintf(name, sizeof name, "/home/user/inodes/%ld/%ld", count / 1000, count);
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    if (fd < 0) return stopped(count);
    close(fd);
  }
  return 1;
}

static int bytes(void) {
  static char block[1 << 20];
  int random = open("/dev/urandom", O_RDONLY), fd = open("/home/user/bytes", O_CREAT | O_WRONLY | O_TRUNC, 0600);
  long total = 0;
  for (long count = 0; count < most; count++) {
    if (read(random, block, sizeof block) < 0) return 2;
    /* The last one is cut short; what is refused is the next. */
    ssize_t written = write(fd, block, sizeof block);
    if (written < 0 || (count % 16 == 0 && fsync(fd) != 0)) return stopped(total / (long)sizeof block);
    total += written;
  }
  return 1;
}

int main(int count, char **words) {
  const struct { const char *name; int (*take)(void); } hogs[] = {
    {"forks", forks}, {"zombies", zombies}, {"memory", memory}, {"files", files}, {"inodes", inodes}, {"bytes", bytes},
  };
  for (unsigned i = 0; count == 2 && i < sizeof hogs / sizeof *hogs; i++)
    if (strcmp(words[1], hogs[i].name) == 0) return hogs[i].take();
  return 2;
}
