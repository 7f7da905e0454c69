/* The load generator of the latency rows: one thread, N keep-alive connections, one epoll loop.
 *
 * Open loop (rate > 0): request i is meant to leave at start + i/rate, whatever the server does. It
 * leaves by the connection that has been idle longest, or waits for one; its latency counts from the
 * time it was MEANT to leave until its answer is complete. A stall of the server therefore shows in
 * every request that was due meanwhile (no coordinated omission). Requests that are unanswered at the
 * end are waited for, and count with the time they have waited where even that is in vain.
 * Closed loop (rate = 0): each connection sends its next request when the last answer is complete;
 * latency counts from the moment of sending.
 *
 * pace PORT CONNECTIONS SECONDS RATE < request      (the whole request, head and body)
 * prints one JSON object. "lag" is how late this program itself was: the time from the due moment to
 * the sending of requests that found an idle connection. Every latency is kept, none is bucketed.
 * Needs Linux 5.11 (epoll_pwait2). Answers must carry Content-Length.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define GRACE SECOND /* how long unanswered requests are waited for */
#define LARGEST_REQUEST 65536
#define ROOM 65536 /* bytes read at once; a head must fit */

typedef int64_t nanoseconds;

struct connection {
    int fd;
    int busy;
    nanoseconds begun;  /* when its request was meant to leave (open) or left (closed) */
    int status;         /* of the answer being read; 0: the head is not complete */
    int64_t left;       /* bytes of the body still to come */
    size_t held;        /* bytes of the head held in buffer */
    char buffer[ROOM];
};

struct series {
    nanoseconds *values;
    size_t count, room;
};

static struct sockaddr_in address = {.sin_family = AF_INET};
static char request[LARGEST_REQUEST];
static size_t request_size;
static int poller;
static struct connection *connections;
static int *idle; /* a ring of connections, the longest idle first */
static int connection_count, idle_first, idle_count;
static struct series latencies, lags;
static long errors, sent, answered_in_time;
static nanoseconds end;
static double rate;

static void die(const char *what) {
    fprintf(stderr, "pace: %s: %s\n", what, strerror(errno));
    exit(1);
}

static nanoseconds now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void keep(struct series *s, nanoseconds value) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 65536;
        s->values = realloc(s->values, s->room * sizeof *s->values);
        if (!s->values) die("memory for the latencies");
    }
    s->values[s->count++] = value;
}

static int compare(const void *a, const void *b) {
    nanoseconds x = *(const nanoseconds *)a, y = *(const nanoseconds *)b;
    return (x > y) - (x < y);
}

/* The smallest value that at least this share of all values does not exceed, in ms. Sorted before. */
static double percentile(const struct series *s, double share) {
    if (!s->count) return 0;
    size_t rank = (size_t)(share * s->count);
    return s->values[rank < s->count ? rank : s->count - 1] / 1e6;
}

static void set_idle(int which) {
    idle[(idle_first + idle_count++) % connection_count] = which;
}

static int take_idle(void) {
    int which = idle[idle_first];
    idle_first = (idle_first + 1) % connection_count;
    idle_count--;
    return which;
}

static void open_connection(int which) {
    struct connection *c = &connections[which];
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)which};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
    c->busy = c->status = 0;
    c->held = 0;
}

/* The request leaves by this connection; its latency counts from `begun`. */
static void send_request(int which, nanoseconds begun) {
    struct connection *c = &connections[which];
    c->begun = begun;
    c->busy = 1;
    sent++;
    ssize_t done = send(c->fd, request, request_size, MSG_NOSIGNAL);
    /* An empty socket buffer takes a request this small whole. A broken one is found by the next read. */
    if (done >= 0 && (size_t)done != request_size) { errno = EMSGSIZE; die("send"); }
}

/* Status and length from the complete head in buffer; bytes behind the head belong to the body. */
static void read_head(struct connection *c, char *head_end) {
    size_t head = (size_t)(head_end - c->buffer) + 4;
    c->left = -1;
    c->status = c->held > 12 ? atoi(c->buffer + 9) : 0;
    *head_end = 0;
    for (char *line = strstr(c->buffer, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, "content-length:", 15)) c->left = atoll(line + 17);
    if (c->left < 0 || !c->status) { errno = EPROTO; die("an answer without Content-Length"); }
    c->left -= (int64_t)(c->held - head);
}

/* 1 once the answer is complete, 0 while it is not, -1 when the connection broke. */
static int receive(struct connection *c) {
    ssize_t got = c->status ? recv(c->fd, c->buffer, ROOM, 0)
                            : recv(c->fd, c->buffer + c->held, ROOM - 1 - c->held, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0 || !c->busy) return -1;
    if (c->status) {
        c->left -= got;
    } else {
        c->held += (size_t)got;
        c->buffer[c->held] = 0;
        char *head_end = strstr(c->buffer, "\r\n\r\n");
        if (!head_end) return c->held < ROOM - 1 ? 0 : -1;
        read_head(c, head_end);
    }
    return c->left <= 0;
}

/* What came on one connection. In a closed loop its next request leaves at once. */
static void turn(int which) {
    struct connection *c = &connections[which];
    int was_busy = c->busy, done = receive(c);
    if (!done) return;
    nanoseconds now = now_ns();
    if (done > 0 && c->status == 200) {
        keep(&latencies, now - c->begun);
        if (now <= end) answered_in_time++;
    } else if (was_busy) {
        errors++;
    }
    c->busy = c->status = 0;
    c->held = 0;
    if (done < 0) {
        close(c->fd);
        open_connection(which);
    }
    if (!was_busy) return; /* an idle connection that the server closed is idle again */
    if (rate > 0) set_idle(which);
    else if (now < end) send_request(which, now);
}

static void wait_until(nanoseconds when) {
    struct epoll_event events[64];
    nanoseconds left = when - now_ns();
    if (left < 0) left = 0;
    struct timespec limit = {left / SECOND, left % SECOND};
    long got = syscall(SYS_epoll_pwait2, poller, events, 64, &limit, NULL, 0);
    if (got < 0 && errno != EINTR) die("epoll_pwait2 (Linux 5.11 or later is needed)");
    for (long i = 0; i < got; i++) turn((int)events[i].data.u32);
}

static int unanswered(void) {
    for (int i = 0; i < connection_count; i++)
        if (connections[i].busy) return 1;
    return 0;
}

static void run_closed(void) {
    for (int i = 0; i < connection_count; i++) send_request(i, now_ns());
    while (now_ns() < end) wait_until(end);
    while (unanswered() && now_ns() < end + GRACE) wait_until(end + GRACE);
}

static void run_open(nanoseconds start, long total) {
    double spacing = SECOND / rate;
    long next = 0, blocked = 0; /* requests below `blocked` were due when no connection was idle */
    for (;;) {
        nanoseconds now = now_ns();
        for (; next < total && idle_count; next++) {
            nanoseconds due = start + (nanoseconds)(next * spacing);
            if (due > now) break;
            if (next >= blocked) keep(&lags, now - due);
            send_request(take_idle(), due);
            now = now_ns();
        }
        if (!idle_count) {
            long due_by_now = (long)((now - start) / spacing) + 1;
            if (due_by_now > blocked) blocked = due_by_now;
        }
        if (now >= end + GRACE || (next == total && !unanswered())) break;
        wait_until(next < total && idle_count ? start + (nanoseconds)(next * spacing) : end + GRACE);
    }
    /* No latency is left out: what is still open has waited at least until now. */
    nanoseconds now = now_ns();
    for (int i = 0; i < connection_count; i++)
        if (connections[i].busy) keep(&latencies, now - connections[i].begun);
    for (; next < total; next++) keep(&latencies, now - start - (nanoseconds)(next * spacing));
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: pace PORT CONNECTIONS SECONDS RATE < request\n");
        return 2;
    }
    address.sin_port = htons((uint16_t)atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection_count = atoi(arguments[2]);
    double seconds = atof(arguments[3]);
    rate = atof(arguments[4]);
    request_size = fread(request, 1, sizeof request, stdin);
    if (request_size == sizeof request) { errno = EMSGSIZE; die("request"); }
    prctl(PR_SET_TIMERSLACK, 1); /* wake at the time asked for, not up to 50 us later */
    poller = epoll_create1(0);
    connections = calloc((size_t)connection_count, sizeof *connections);
    idle = calloc((size_t)connection_count, sizeof *idle);
    if (!connections || !idle) die("memory for the connections");
    for (int i = 0; i < connection_count; i++) {
        open_connection(i);
        set_idle(i);
    }
    nanoseconds start = now_ns();
    end = start + (nanoseconds)(seconds * SECOND);
    long total = (long)(seconds * rate);
    if (rate > 0) run_open(start, total);
    else run_closed();
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    qsort(latencies.values, latencies.count, sizeof *latencies.values, compare);
    qsort(lags.values, lags.count, sizeof *lags.values, compare);
    printf("{\"intended\": %ld, \"requests\": %ld, \"errors\": %ld, \"seconds\": %.6f, "
           "\"p50_ms\": %.6f, \"p99_ms\": %.6f, \"p999_ms\": %.6f, \"longest_ms\": %.6f, "
           "\"lag_ms\": %.6f, \"own_s\": %.6f}\n",
           rate > 0 ? total : sent, answered_in_time, errors, seconds, percentile(&latencies, 0.5),
           percentile(&latencies, 0.99), percentile(&latencies, 0.999), percentile(&latencies, 1),
           percentile(&lags, 0.99),
           used.ru_utime.tv_sec + used.ru_stime.tv_sec +
               (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
