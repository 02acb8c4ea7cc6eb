// A Modbus server by libmodbus: libmodbus_server TABLE.tsv tcp PORT, or libmodbus_server TABLE.tsv rtu PTY [BAUD]. Prints READY.
// Any unit id over TCP, unit 1 over RTU; what the table does not name reads 0.
// cc -o libmodbus_server libmodbus_server.c $(pkg-config --cflags --libs libmodbus)
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

enum { SIZE = 10001 };

// big_endian writes raw into out and returns its length in bytes.
static int big_endian(const char *type, const char *raw, uint8_t *out)
{
	uint64_t bits = 0;
	int length, chars;

	if (sscanf(type, "string(%d)", &chars) == 1) {
		memset(out, 0, chars);
		memcpy(out, raw, strlen(raw));
		return chars;
	}
	length = strstr(type, "64") ? 8 : strstr(type, "32") ? 4 : 2;
	if (strcmp(type, "float64") == 0) {
		double d = strtod(raw, NULL);
		memcpy(&bits, &d, sizeof d);
	} else if (strcmp(type, "float32") == 0) {
		float f = strtof(raw, NULL);
		uint32_t half;
		memcpy(&half, &f, sizeof f);
		bits = half;
	} else if (strncmp(type, "bcd", 3) == 0) {
		bits = strtoull(raw, NULL, 16); // decimal digits read as hex are their own BCD
	} else if (raw[0] == '-') {
		bits = (uint64_t)strtoll(raw, NULL, 10);
	} else {
		bits = strtoull(raw, NULL, 10);
	}
	for (int i = 0; i < length; i++)
		out[i] = (uint8_t)(bits >> 8 * (length - 1 - i));
	return length;
}

static void put(uint16_t *at, const char *type, const char *order, const char *raw)
{
	uint8_t bytes[256];
	int words = big_endian(type, raw, bytes) / 2;
	int reversed = strcmp(order, "CDAB") == 0 || strcmp(order, "DCBA") == 0;
	int swapped = strcmp(order, "BADC") == 0 || strcmp(order, "DCBA") == 0;

	for (int i = 0; i < words; i++) {
		uint8_t *w = bytes + 2 * (reversed ? words - 1 - i : i);
		at[i] = swapped ? w[1] << 8 | w[0] : w[0] << 8 | w[1];
	}
}

static void load(const char *path, modbus_mapping_t *m)
{
	char line[512], table[32], type[32], order[8], raw[256];
	int address;
	FILE *f = fopen(path, "r");

	if (!f) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%*[^\t]\t%31[^\t]\t%d\t%31[^\t]\t%7[^\t]\t%255[^\t]", table, &address, type, order, raw) != 5)
			continue;
		if (strcmp(table, "coil") == 0)
			m->tab_bits[address] = strcmp(raw, "true") == 0;
		else if (strcmp(table, "discrete_input") == 0)
			m->tab_input_bits[address] = strcmp(raw, "true") == 0;
		else
			put((table[0] == 'i' ? m->tab_input_registers : m->tab_registers) + address, type, order, raw);
	}
	fclose(f);
}

static void ready(void)
{
	puts("READY");
	fflush(stdout);
}

static int serve_rtu(modbus_mapping_t *m, const char *port, int baud)
{
	modbus_t *ctx = modbus_new_rtu(port, baud, 'N', 8, 1);

	if (!ctx || modbus_set_slave(ctx, 1) < 0 || modbus_connect(ctx) < 0) {
		perror(port);
		return 1;
	}
	for (ready();;) {
		uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];
		int n = modbus_receive(ctx, query);
		if (n > 0)
			modbus_reply(ctx, query, n, m);
		else if (n < 0 && errno != EMBBADCRC && errno != ETIMEDOUT)
			return 1;
	}
}

static int serve_tcp(modbus_mapping_t *m, int port)
{
	modbus_t *ctx = modbus_new_tcp("127.0.0.1", port);
	int listener, top;
	fd_set open;

	if (!ctx || (listener = modbus_tcp_listen(ctx, 8)) < 0) {
		perror("listen");
		return 1;
	}
	ready();
	FD_ZERO(&open);
	FD_SET(listener, &open);
	for (top = listener;;) {
		fd_set ready = open;
		if (select(top + 1, &ready, NULL, NULL, NULL) < 0)
			return 1;
		for (int fd = 0; fd <= top; fd++) {
			uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
			int n;
			if (!FD_ISSET(fd, &ready))
				continue;
			if (fd == listener) {
				if ((n = modbus_tcp_accept(ctx, &listener)) >= 0) {
					FD_SET(n, &open);
					top = n > top ? n : top;
				}
				continue;
			}
			modbus_set_socket(ctx, fd);
			if ((n = modbus_receive(ctx, query)) > 0) {
				modbus_reply(ctx, query, n, m);
			} else if (n < 0) {
				close(fd);
				FD_CLR(fd, &open);
			}
		}
	}
}

int main(int argc, char **argv)
{
	modbus_mapping_t *m = modbus_mapping_new(SIZE, SIZE, SIZE, SIZE);

	if (argc < 4 || !m)
		return 2;
	load(argv[1], m);
	if (strcmp(argv[2], "rtu") == 0)
		return serve_rtu(m, argv[3], argc > 4 ? atoi(argv[4]) : 9600);
	return serve_tcp(m, atoi(argv[3]));
}
