/* Breaks the disk under one process and sets its clock, on command: preloaded into the bridge by tests that ask what
 * happens when the journal can't be written or the time jumps. The file named by HOOKBELL_TEST_FAULT holds one word:
 * "full" (writes fail with ENOSPC), "readonly" (EROFS), "io" (EIO), "sync" (fsync fails with EIO), "hang" (fsync lasts
 * until the word is another); no file or another word means a sound disk. Only files whose path holds "hookbell.db"
 * are touched. The file named by HOOKBELL_TEST_CLOCK holds the seconds by which the wall clock is off. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Reads the small file named by an environment variable; how many bytes. Without the calls that are replaced here. */
static ssize_t control(const char *name, char *word, size_t size)
{
    const char *path = getenv(name);
    if (!path) return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    ssize_t n = syscall(SYS_read, fd, word, size - 1);
    syscall(SYS_close, fd);
    if (n < 0) n = 0;
    word[n] = 0;
    return n;
}

static int fault(int fd, int sync)
{
    if (!getenv("HOOKBELL_TEST_FAULT")) return 0;
    char link[64], path[4096], word[16] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    if (!strstr(path, "hookbell.db")) return 0;
    if (!control("HOOKBELL_TEST_FAULT", word, sizeof word)) return 0;
    while (sync && !strcmp(word, "hang")) {
        usleep(10000);
        if (!control("HOOKBELL_TEST_FAULT", word, sizeof word)) return 0;
    }
    if (sync) return !strcmp(word, "sync") || !strcmp(word, "io") ? EIO : 0;
    if (!strcmp(word, "full")) return ENOSPC;
    if (!strcmp(word, "readonly")) return EROFS;
    if (!strcmp(word, "io")) return EIO;
    return 0;
}

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAIL(fd, sync) do { int e = fault(fd, sync); if (e) { errno = e; return -1; } } while (0)

ssize_t write(int fd, const void *b, size_t n) { FAIL(fd, 0); REAL(write); return real(fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { FAIL(fd, 0); REAL(pwrite); return real(fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { FAIL(fd, 0); REAL(pwrite64); return real(fd, b, n, o); }
ssize_t writev(int fd, const struct iovec *v, int n) { FAIL(fd, 0); REAL(writev); return real(fd, v, n); }
int ftruncate(int fd, off_t n) { FAIL(fd, 0); REAL(ftruncate); return real(fd, n); }
int ftruncate64(int fd, off64_t n) { FAIL(fd, 0); REAL(ftruncate64); return real(fd, n); }
int fallocate(int fd, int m, off_t o, off_t n) { FAIL(fd, 0); REAL(fallocate); return real(fd, m, o, n); }
int posix_fallocate(int fd, off_t o, off_t n) { int e = fault(fd, 0); if (e) return e; REAL(posix_fallocate); return real(fd, o, n); }
int fsync(int fd) { FAIL(fd, 1); REAL(fsync); return real(fd); }
int fdatasync(int fd) { FAIL(fd, 1); REAL(fdatasync); return real(fd); }

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    char word[32] = {0};
    if (!result && clock == CLOCK_REALTIME && control("HOOKBELL_TEST_CLOCK", word, sizeof word))
        now->tv_sec += atoll(word);
    return result;
}
