/* The pool: see pool.h.
 *
 * Chunks are handed out by ticket: one atomic number holds how many chunks the present task has and
 * how many are taken, so a worker that wakes too late, or in the next task, finds nothing left or
 * takes a chunk of that one; it can never take what another has. Between tasks a worker watches for
 * ten microseconds, about the time that Python takes from one kernel to the next; then it offers its
 * core to other programs for ninety, since a sleeper takes some twenty to wake; and then it sleeps.
 * A worker on a busy core takes fewer chunks, and the others do its share.
 *
 * `owner` is held while a task runs: a second Python thread does not wait for it but computes its
 * own task alone. A forked child has none of the workers; it starts its own at its first task.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <stdlib.h>

enum {
    LINE = 64,        /* bytes of a cache line */
    WATCHFUL = 10000, /* nanoseconds */
    SLEEPY = 100000
};

static void run_alone(Kernel *kernel, const void *task, Index chunks, void *scratch)
{
    for (Index chunk = 0; chunk < chunks; chunk++)
        kernel(task, chunk, scratch);
}

#if defined(_WIN32)

#include <malloc.h>

bool run_chunks(Kernel *kernel, const void *task, Index chunks, size_t scratch_bytes)
{
    void *scratch = scratch_bytes ? _aligned_malloc(scratch_bytes, LINE) : NULL;
    if (scratch_bytes && !scratch)
        return false;
    run_alone(kernel, task, chunks, scratch);
    _aligned_free(scratch);
    return true;
}

int get_threads(void) { return 1; }
void set_threads(int count) { (void)count; }

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef _Atomic uint32_t Word;

typedef struct {
    char *data;
    size_t bytes;
} Scratch;

static struct {
    pthread_mutex_t owner; /* held while a task runs and while the number of threads changes */
    _Atomic int threads;   /* wanted, the caller's included */
    int workers;           /* running: 0 or threads − 1 */
    pthread_t handles[MOST_THREADS];
    uint32_t first_round;  /* that the workers see; they wait for the next */

    Kernel *kernel;        /* the present task; read only by who holds a ticket of it */
    const void *task;
    char *scratch;         /* NULL: none */
    size_t stride;         /* from one thread's scratch to the next one's */

    Scratch kept;          /* for the next task: the system hands out memory page by page */

    /* each in a line of its own: they are written while others are read */
    _Alignas(LINE) _Atomic uint64_t ticket; /* chunks of the task · 2³² + chunks taken */
    _Alignas(LINE) Word done;               /* chunks computed */
    Word waiting;                           /* whether the owner sleeps until `done` changes */
    _Alignas(LINE) Word round;              /* counts the tasks */
    Word sleepers;                          /* workers that sleep until `round` changes */
    Word closing;                           /* the workers are to end */
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .threads = 1};

/* ------------------------------------------------------------------------ waiting */

#if defined(__linux__)

static void sleep_while(Word *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(Word *word, uint32_t count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

#else

static pthread_mutex_t sleeping = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;

static void sleep_while(Word *word, uint32_t value)
{
    pthread_mutex_lock(&sleeping);
    if (atomic_load(word) == value)
        pthread_cond_wait(&woken, &sleeping);
    pthread_mutex_unlock(&sleeping);
}

static void wake(Word *word, uint32_t count)
{
    (void)word, (void)count; /* one condition for all words, so everyone looks at its own again */
    pthread_mutex_lock(&sleeping);
    pthread_cond_broadcast(&woken);
    pthread_mutex_unlock(&sleeping);
}

#endif

static void pause_a_moment(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Watch a word for ten microseconds, then offer the core to others at each look, and then sleep, until
 * it differs from `value`. `sleepers` counts the threads that sleep, so that who changes the word
 * knows whether to wake them: it changes the word first and then reads the count, and here the count
 * comes first and then the word. */
static void wait_while(Word *word, uint32_t value, Word *sleepers)
{
    enum { LOOKS = 16 };
    const int64_t start = nanoseconds();
    for (int64_t passed = 0; passed < SLEEPY; passed = nanoseconds() - start)
        for (int i = 0; i < LOOKS; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value)
                return;
            if (passed < WATCHFUL)
                pause_a_moment();
            else
                sched_yield();
        }
    atomic_fetch_add(sleepers, 1);
    while (atomic_load(word) == value)
        sleep_while(word, value);
    atomic_fetch_sub(sleepers, 1);
}

/* ------------------------------------------------------------------------ working */

static void take_chunks(int who)
{
    for (;;) {
        uint64_t ticket = atomic_fetch_add(&pool.ticket, 1);
        uint32_t chunks = (uint32_t)(ticket >> 32), chunk = (uint32_t)ticket;
        if (chunk >= chunks)
            return;
        pool.kernel(pool.task, chunk, pool.scratch ? pool.scratch + pool.stride * (size_t)who : NULL);
        if (atomic_fetch_add(&pool.done, 1) + 1 == chunks && atomic_load(&pool.waiting))
            wake(&pool.done, 1);
    }
}

static void *work(void *argument)
{
    int who = (int)(intptr_t)argument;
    uint32_t round = pool.first_round;
    for (;;) {
        wait_while(&pool.round, round, &pool.sleepers);
        round = atomic_load(&pool.round);
        if (atomic_load(&pool.closing))
            return NULL;
        take_chunks(who);
    }
}

static void next_round(uint32_t workers)
{
    atomic_fetch_add(&pool.round, 1);
    if (atomic_load(&pool.sleepers))
        wake(&pool.round, workers);
}

/* ------------------------------------------------------------------------ starting and ending */

static void forget_workers(void) /* in a forked child, which has none */
{
    pthread_mutex_init(&pool.owner, NULL);
    pool.kept = (Scratch){0};
    pool.workers = 0;
    atomic_store(&pool.ticket, 0);
    atomic_store(&pool.waiting, 0);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.closing, 0);
#if !defined(__linux__)
    pthread_mutex_init(&sleeping, NULL);
    pthread_cond_init(&woken, NULL);
#endif
}

static void start_workers(void)
{
    static bool forks;
    if (!forks)
        forks = !pthread_atfork(NULL, NULL, forget_workers);
    sigset_t all, before; /* signals are for Python's threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pool.first_round = atomic_load(&pool.round);
    while (pool.workers < pool.threads - 1) {
        void *who = (void *)(intptr_t)(pool.workers + 1);
        if (pthread_create(&pool.handles[pool.workers], NULL, work, who)) {
            pool.threads = pool.workers + 1; /* the system gives no more */
            break;
        }
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void end_workers(void)
{
    atomic_store(&pool.closing, 1);
    next_round(MOST_THREADS);
    while (pool.workers)
        pthread_join(pool.handles[--pool.workers], NULL);
    atomic_store(&pool.closing, 0);
}

int get_threads(void) { return pool.threads; }

void set_threads(int count)
{
    pthread_mutex_lock(&pool.owner);
    if (count != pool.threads) {
        end_workers();
        pool.threads = count;
    }
    pthread_mutex_unlock(&pool.owner);
}

static bool enlarge(Scratch *scratch, size_t bytes)
{
    if (bytes <= scratch->bytes)
        return true;
    free(scratch->data);
    scratch->bytes = 0;
    if (posix_memalign((void **)&scratch->data, LINE, bytes)) {
        scratch->data = NULL;
        return false;
    }
    scratch->bytes = bytes;
    return true;
}

bool run_chunks(Kernel *kernel, const void *task, Index chunks, size_t scratch_bytes)
{
    Scratch own = {0};
    const bool owner = !pthread_mutex_trylock(&pool.owner);
    const bool together = owner && chunks > 1 && chunks <= INT32_MAX && pool.threads > 1;
    Scratch *kept = owner ? &pool.kept : &own;
    if (together && !pool.workers)
        start_workers();
    /* a line more than a multiple of 4096 bytes: else the same places of two threads' scratch would
     * fall into the same lines of the caches */
    const size_t stride = scratch_bytes ? (scratch_bytes + 4095) / 4096 * 4096 + LINE : 0;
    const bool enough = enlarge(kept, stride * (size_t)(together ? pool.threads : 1));
    char *scratch = stride ? kept->data : NULL;
    if (enough && !together) {
        run_alone(kernel, task, chunks, scratch);
    } else if (enough) {
        pool.kernel = kernel;
        pool.task = task;
        pool.scratch = scratch;
        pool.stride = stride;
        atomic_store(&pool.done, 0);
        atomic_store(&pool.ticket, (uint64_t)chunks << 32);
        next_round((uint32_t)chunks - 1);
        take_chunks(0);
        for (uint32_t done; (done = atomic_load(&pool.done)) < (uint32_t)chunks;)
            wait_while(&pool.done, done, &pool.waiting);
    }
    free(own.data);
    if (owner)
        pthread_mutex_unlock(&pool.owner);
    return enough;
}

#endif
