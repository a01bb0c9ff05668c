// A real program for the tests of datagrams: sends and receives them in every way that Linux has.
// One command per line on stdin, one answer per line on stdout: a number, or "error ERRNO".
// It holds one socket at a time, and closes it when another one is asked for, or told to.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/io_uring.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES_MAX 65536
#define BATCH 64

static int own = -1;
static char buffer[BYTES_MAX];

static socklen_t address_of(const char *text, int port, struct sockaddr_storage *address) {
  memset(address, 0, sizeof *address);
  struct sockaddr_in *v4 = (void *)address;
  struct sockaddr_in6 *v6 = (void *)address;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof *v4;
  }
  inet_pton(AF_INET6, text, &v6->sin6_addr);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  return sizeof *v6;
}

static int port_of(int fd) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  if (getsockname(fd, (void *)&address, &length) != 0) return -1;
  return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

// Sent payload, or -1.
static long send_each(const struct sockaddr_storage *to, socklen_t length, int bytes, int count) {
  long sent = 0;
  for (int i = 0; i < count; i++) {
    ssize_t one = sendto(own, buffer, bytes, 0, (void *)to, length);
    if (one < 0) return -1;
    sent += one;
  }
  return sent;
}

static long send_batch(const struct sockaddr_storage *to, socklen_t length, int bytes, int count) {
  struct iovec part = {buffer, bytes};
  struct mmsghdr messages[BATCH];
  long sent = 0;
  for (int i = 0; i < BATCH; i++) {
    messages[i].msg_hdr = (struct msghdr){(void *)to, length, &part, 1, NULL, 0, 0};
  }
  while (count > 0) {
    int done = sendmmsg(own, messages, count < BATCH ? count : BATCH, 0);
    if (done < 0) return -1;
    sent += (long)done * bytes;
    count -= done;
  }
  return sent;
}

// One call that the kernel, or the device, cuts into datagrams of `segment` bytes.
static long send_segmented(const struct sockaddr_storage *to, socklen_t length, int bytes,
                           int segment) {
  if (setsockopt(own, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0) return -1;
  long sent = sendto(own, buffer, bytes, 0, (void *)to, length);
  segment = 0;
  setsockopt(own, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment);
  return sent;
}

// Without a system call that names the socket: through io_uring, one request at a time.
static long send_uring(const struct sockaddr_storage *to, socklen_t length, int bytes, int count) {
  struct io_uring_params params = {0};
  int ring = syscall(SYS_io_uring_setup, 4, &params);
  if (ring < 0) return -1;
  size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  size_t cq_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  if (cq_size > size) size = cq_size;
  char *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
                     IORING_OFF_SQ_RING);
  struct io_uring_sqe *entries = mmap(NULL, params.sq_entries * sizeof *entries,
                                      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
                                      IORING_OFF_SQES);
  unsigned *tail = (void *)(rings + params.sq_off.tail);
  unsigned *array = (void *)(rings + params.sq_off.array);
  unsigned *head = (void *)(rings + params.cq_off.head);
  unsigned mask = *(unsigned *)(rings + params.sq_off.ring_mask);
  unsigned cq_mask = *(unsigned *)(rings + params.cq_off.ring_mask);
  struct io_uring_cqe *results = (void *)(rings + params.cq_off.cqes);
  struct iovec part = {buffer, bytes};
  struct msghdr message = {(void *)to, length, &part, 1, NULL, 0, 0};
  long sent = 0;
  for (int i = 0; i < count && sent >= 0; i++) {
    unsigned slot = *tail & mask;
    memset(&entries[slot], 0, sizeof *entries);
    entries[slot].opcode = IORING_OP_SENDMSG;
    entries[slot].fd = own;
    entries[slot].addr = (unsigned long)&message;
    array[slot] = slot;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) {
      sent = -1;
      break;
    }
    int result = results[*head & cq_mask].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    if (result < 0) errno = -result;
    sent = result < 0 ? -1 : sent + result;
  }
  close(ring);
  return sent;
}

// One datagram each to `count` ports, from `port` on.
static long send_around(const char *host, int port, int bytes, int count) {
  for (int i = 0; i < count; i++) {
    struct sockaddr_storage to;
    socklen_t length = address_of(host, port + i, &to);
    // Nobody is there: the answer to an earlier one may be reported here.
    if (sendto(own, buffer, bytes, 0, (void *)&to, length) < 0 && errno != ECONNREFUSED) return -1;
  }
  return (long)bytes * count;
}

// Echo requests with `bytes` of data each; waits for each answer.
static long ping(const char *host, int bytes, int count) {
  struct sockaddr_storage to, from;
  socklen_t length = address_of(host, 0, &to);
  struct icmphdr *echo = (void *)buffer;
  memset(echo, 0, sizeof *echo);
  echo->type = to.ss_family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
  for (int i = 0; i < count; i++) {
    socklen_t from_length = sizeof from;
    char answer[BYTES_MAX];
    echo->un.echo.sequence = htons(i);
    if (sendto(own, buffer, sizeof *echo + bytes, 0, (void *)&to, length) < 0) return -1;
    if (recvfrom(own, answer, sizeof answer, 0, (void *)&from, &from_length) < 0) return -1;
  }
  return (long)bytes * count;
}

static long receive(int count) {
  long bytes = 0;
  for (int i = 0; i < count; i++) {
    ssize_t one = recv(own, buffer, sizeof buffer, 0);
    if (one < 0) return -1;
    bytes += one;
  }
  return bytes;
}

static long open_socket(const char *kind) {
  if (own >= 0) close(own);
  own = -1;
  if (!strcmp(kind, "udp4")) own = socket(AF_INET, SOCK_DGRAM, 0);
  if (!strcmp(kind, "udp6")) own = socket(AF_INET6, SOCK_DGRAM, 0);
  if (!strcmp(kind, "udplite")) own = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
  if (!strcmp(kind, "ping4")) own = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  if (!strcmp(kind, "ping6")) own = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
  if (!strcmp(kind, "icmp4")) own = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (!strcmp(kind, "gre4")) own = socket(AF_INET, SOCK_RAW, IPPROTO_GRE);
  if (!strcmp(kind, "raw6")) own = socket(AF_INET6, SOCK_RAW, IPPROTO_ESP);
  if (!strcmp(kind, "headers")) own = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (!strcmp(kind, "packet")) own = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  return own < 0 ? -1 : getpid();
}

// What is sent from now on begins with these bytes, in hexadecimal.
static long set_payload(const char *hex) {
  long bytes = 0;
  unsigned byte;
  while (sscanf(hex + 2 * bytes, "%2x", &byte) == 1) buffer[bytes++] = byte;
  return bytes;
}

// From now on a child answers: it has everything, and this process only waits for its end.
static long become_child(void) {
  pid_t child = fork();
  if (child == 0) return getpid();
  if (child < 0) return -1;
  waitpid(child, NULL, 0);
  _exit(0);
}

static long perform(const char *verb, const char *word, int a, int b, int c) {
  struct sockaddr_storage to;
  socklen_t length = address_of(word, a, &to);
  if (!strcmp(verb, "hello")) return getpid();
  if (!strcmp(verb, "open")) return open_socket(word);
  if (!strcmp(verb, "close")) return close(own) == 0 ? (own = -1, 0) : -1;
  if (!strcmp(verb, "bind")) return bind(own, (void *)&to, length) == 0 ? port_of(own) : -1;
  if (!strcmp(verb, "connect")) return connect(own, (void *)&to, length) == 0 ? port_of(own) : -1;
  if (!strcmp(verb, "send")) return send_each(&to, length, b, c);
  if (!strcmp(verb, "write")) return send_each(NULL, 0, b, c);
  if (!strcmp(verb, "batch")) return send_batch(&to, length, b, c);
  if (!strcmp(verb, "segmented")) return send_segmented(&to, length, b, c);
  if (!strcmp(verb, "uring")) return send_uring(&to, length, b, c);
  if (!strcmp(verb, "around")) return send_around(word, a, b, c);
  if (!strcmp(verb, "ping")) return ping(word, b, c);
  if (!strcmp(verb, "receive")) return receive(c);
  if (!strcmp(verb, "payload")) return set_payload(word);
  if (!strcmp(verb, "fork")) return become_child();
  errno = EINVAL;
  return -1;
}

int main(void) {
  static char line[8192], verb[32], word[8000];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int a = 0, b = 0, c = 0;
    word[0] = '\0';
    if (sscanf(line, "%31s %7999s %d %d %d", verb, word, &a, &b, &c) < 1) continue;
    long result = perform(verb, word, a, b, c);
    if (result < 0) {
      printf("error %d\n", errno);
    } else {
      printf("%ld\n", result);
    }
    fflush(stdout);
  }
  return 0;
}
