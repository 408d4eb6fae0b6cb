// The measure of the other contestants: what the servers can carry when the client costs next to nothing.
// librabbitmq reads the frames; what is sent often (publish, ack) is gathered into one write, which the library cannot.
//
//   bare publish       --count N [--window W] [--size OCTETS] [--mandatory yes|no] [--writes gathered|library]
//   bare drain         --count N [--prefetch P] [--size OCTETS] [--ack multiple|single] [--redis]
//   bare drain-results --count N ...      the same as drain --redis
//   bare roundtrip     --count N
//   bare fenced        --count N --script FILE [--window W]     results in Redis alone, by Celeriac's script
//   bare lean          --count N [--window W]                   the same by SETEX and PUBLISH
//
// With --writes library each publish is the library's own, as in other programs, with a write of its own.
// RABBITMQ_URL and REDIS_URL name the servers; --queue-type quorum asks for quorum queues. One JSON line each, in which
// --name replaces the measure's name.

#define _GNU_SOURCE
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL = 1, BATCH = 50, WARM_UP = 100, GATHER = 1 << 18 };

struct options {
    const char *command;
    const char *name;
    const char *queue_type;
    const char *script;
    uint64_t count;
    uint64_t window;
    size_t size;
    int prefetch;
    bool mandatory;
    bool multiple;
    bool gathers;
    bool redis;
};

static const char *queue_name = "celeriac.bench.bare";

static void die(const char *what, const char *detail) {
    fprintf(stderr, "bare: %s: %s\n", what, detail ? detail : "unknown");
    exit(1);
}

// MARK: measuring

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void report_rate(const char *measure, uint64_t count, double seconds, double cpu) {
    printf("{\"contestant\":\"bare-c\",\"measure\":\"%s\",\"count\":%llu,\"seconds\":%.4f,\"rate\":%.1f,\"cpu_us\":%.2f}\n",
           measure, (unsigned long long)count, seconds, (double)count / seconds, cpu * 1e6 / (double)count);
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

// MARK: AMQP

struct gather {
    uint8_t octets[GATHER];
    size_t used;
};

static void put(struct gather *out, const void *octets, size_t count) {
    memcpy(out->octets + out->used, octets, count);
    out->used += count;
}
static void put8(struct gather *out, uint8_t value) { out->octets[out->used++] = value; }
static void put16(struct gather *out, uint16_t value) {
    put8(out, (uint8_t)(value >> 8));
    put8(out, (uint8_t)value);
}
static void put32(struct gather *out, uint32_t value) {
    put16(out, (uint16_t)(value >> 16));
    put16(out, (uint16_t)value);
}
static void put64(struct gather *out, uint64_t value) {
    put32(out, (uint32_t)(value >> 32));
    put32(out, (uint32_t)value);
}
static void put_short_string(struct gather *out, const char *text) {
    size_t length = strlen(text);
    put8(out, (uint8_t)length);
    put(out, text, length);
}

// Frame: type, channel, size of the payload, payload, end octet (AMQP 0-9-1 §4.2.3).
static size_t open_frame(struct gather *out, uint8_t type) {
    put8(out, type);
    put16(out, CHANNEL);
    put32(out, 0);
    return out->used;
}
static void close_frame(struct gather *out, size_t start) {
    uint32_t size = (uint32_t)(out->used - start);
    for (int octet = 0; octet < 4; octet++) {
        out->octets[start - 4 + (size_t)octet] = (uint8_t)(size >> (24 - 8 * octet));
    }
    put8(out, AMQP_FRAME_END);
}

static void put_publish(struct gather *out, const char *routing_key, const void *body, size_t size, bool mandatory) {
    size_t frame = open_frame(out, AMQP_FRAME_METHOD);
    put32(out, AMQP_BASIC_PUBLISH_METHOD);
    put16(out, 0);
    put_short_string(out, "");
    put_short_string(out, routing_key);
    put8(out, mandatory);
    close_frame(out, frame);

    frame = open_frame(out, AMQP_FRAME_HEADER);
    put16(out, AMQP_BASIC_CLASS);
    put16(out, 0);
    put64(out, size);
    put16(out, AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG);
    put_short_string(out, "application/json");
    put8(out, AMQP_DELIVERY_PERSISTENT);
    close_frame(out, frame);

    frame = open_frame(out, AMQP_FRAME_BODY);
    put(out, body, size);
    close_frame(out, frame);
}

static void put_acknowledgement(struct gather *out, uint64_t tag, bool multiple) {
    size_t frame = open_frame(out, AMQP_FRAME_METHOD);
    put32(out, AMQP_BASIC_ACK_METHOD);
    put64(out, tag);
    put8(out, multiple);
    close_frame(out, frame);
}

static void flush(amqp_connection_state_t connection, struct gather *out) {
    int descriptor = amqp_get_sockfd(connection);
    size_t sent = 0;
    while (sent < out->used) {
        ssize_t count = send(descriptor, out->octets + sent, out->used - sent, MSG_NOSIGNAL);
        if (count >= 0) {
            sent += (size_t)count;
        } else if (errno == EAGAIN) {  // the library makes its sockets non-blocking
            struct pollfd wait = {.fd = descriptor, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            die("send", strerror(errno));
        }
    }
    out->used = 0;
}

static void check(amqp_connection_state_t connection, const char *what) {
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) die(what, amqp_error_string2(reply.library_error));
    die(what, amqp_method_name(reply.reply.id));
}

static amqp_connection_state_t open_connection(void) {
    const char *given = getenv("RABBITMQ_URL");
    char *url = strdup(given ? given : "amqp://guest:guest@127.0.0.1:5672/%2F");
    struct amqp_connection_info info;
    if (amqp_parse_url(url, &info) != AMQP_STATUS_OK) die("RABBITMQ_URL", "not an AMQP URL");
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK) die("connect", info.host);
    amqp_rpc_reply_t reply =
        amqp_login(connection, info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) die("login", "refused");
    amqp_channel_open(connection, CHANNEL);
    check(connection, "channel.open");
    free(url);
    return connection;
}

static void declare(amqp_connection_state_t connection, const struct options *options) {
    amqp_table_entry_t type = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(options->queue_type)},
    };
    amqp_table_t arguments = {.num_entries = 1, .entries = &type};
    amqp_queue_delete(connection, CHANNEL, amqp_cstring_bytes(queue_name), 0, 0);
    check(connection, "queue.delete");
    amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(queue_name), 0, 1, 0, 0, arguments);
    check(connection, "queue.declare");
}

static void close_connection(amqp_connection_state_t connection, bool delete_queue) {
    if (delete_queue) amqp_queue_delete(connection, CHANNEL, amqp_cstring_bytes(queue_name), 0, 0);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
}

// Waits for one frame at least and takes what has arrived with it. Returns how many publishes are now confirmed.
static uint64_t take_confirms(amqp_connection_state_t connection, uint64_t confirmed) {
    do {
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame(connection, &frame);
        if (status != AMQP_STATUS_OK) die("waiting for a confirm", amqp_error_string2(status));
        if (frame.frame_type != AMQP_FRAME_METHOD) die("waiting for a confirm", "content came");
        if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) die("publish", amqp_method_name(frame.payload.method.id));
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        // Without `multiple` confirms may come out of order; counting them is then right, the tag is not.
        if (ack->multiple) {
            if (ack->delivery_tag > confirmed) confirmed = ack->delivery_tag;
        } else {
            confirmed++;
        }
        amqp_maybe_release_buffers(connection);
    } while (amqp_frames_enqueued(connection) || amqp_data_in_buffer(connection));
    return confirmed;
}

static void publish_all(amqp_connection_state_t connection, const struct options *options) {
    static struct gather out;
    char *body = malloc(options->size);
    memset(body, 'x', options->size);
    amqp_confirm_select(connection, CHANNEL);
    check(connection, "confirm.select");
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
    };
    size_t room = options->size + 512;
    uint64_t published = 0, confirmed = 0;
    while (confirmed < options->count) {
        while (published < options->count && published - confirmed < options->window) {
            if (options->gathers) {
                if (out.used + room > GATHER) flush(connection, &out);
                put_publish(&out, queue_name, body, options->size, options->mandatory);
            } else if (amqp_basic_publish(connection, CHANNEL, amqp_empty_bytes, amqp_cstring_bytes(queue_name),
                                          options->mandatory, 0, &properties,
                                          (amqp_bytes_t){.len = options->size, .bytes = body}) != AMQP_STATUS_OK) {
                die("basic.publish", "not sent");
            }
            published++;
        }
        flush(connection, &out);
        confirmed = take_confirms(connection, confirmed);
    }
    free(body);
}

static void publish(const struct options *options) {
    amqp_connection_state_t connection = open_connection();
    declare(connection, options);
    double cpu = cpu_seconds(), start = seconds_now();
    publish_all(connection, options);
    report_rate(options->name, options->count, seconds_now() - start, cpu_seconds() - cpu);
    close_connection(connection, true);
}

static bool next_delivery(amqp_connection_state_t connection, amqp_envelope_t *envelope, struct timeval *patience) {
    amqp_maybe_release_buffers(connection);
    amqp_rpc_reply_t reply = amqp_consume_message(connection, envelope, patience, 0);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return true;
    if (reply.library_error != AMQP_STATUS_TIMEOUT) die("consume", amqp_error_string2(reply.library_error));
    return false;
}

static void consume(amqp_connection_state_t connection, int prefetch) {
    amqp_basic_qos(connection, CHANNEL, 0, (uint16_t)prefetch, 0);
    check(connection, "basic.qos");
    amqp_basic_consume(connection, CHANNEL, amqp_cstring_bytes(queue_name), amqp_cstring_bytes("bare"), 0, 0, 0,
                       amqp_empty_table);
    check(connection, "basic.consume");
}

// MARK: Redis

static redisContext *open_redis(void) {
    const char *url = getenv("REDIS_URL");
    char host[256] = "127.0.0.1";
    int port = 6379;
    if (url && sscanf(url, "redis://%255[^:/]:%d", host, &port) < 1) die("REDIS_URL", url);
    redisContext *redis = redisConnect(host, port);
    if (!redis || redis->err) die("Redis", redis ? redis->errstr : "out of memory");
    return redis;
}

static void write_all(redisContext *redis) {
    for (int done = 0; !done;) {
        if (redisBufferWrite(redis, &done) != REDIS_OK) die("Redis", redis->errstr);
    }
}

static const char meta[] =
    "{\"status\": \"SUCCESS\", \"result\": null, \"traceback\": null, \"children\": [], "
    "\"date_done\": \"2026-01-02T03:04:05.678901+00:00\", \"task_id\": \"956aeb9c-d3c3-45a6-be9b-498fe67876f7\"}";

static void append_result(redisContext *redis, const char *key) {
    redisAppendCommand(redis, "SETEX %s 86400 %s", key, meta);
    redisAppendCommand(redis, "PUBLISH %s %s", key, meta);
}

static void take_replies(redisContext *redis, int count) {
    while (count-- > 0) {
        redisReply *reply;
        if (redisGetReply(redis, (void **)&reply) != REDIS_OK) die("Redis", redis->errstr);
        if (reply->type == REDIS_REPLY_ERROR) die("Redis", reply->str);
        freeReplyObject(reply);
    }
}

// MARK: results alone

// The digest by which the server knows the script in a file.
static void load_script(redisContext *redis, const char *path, char digest[41]) {
    static char text[1 << 16];
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) die("--script", path ? strerror(errno) : "no file");
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    redisReply *reply = redisCommand(redis, "SCRIPT LOAD %b", text, length);
    if (!reply || reply->type != REDIS_REPLY_STRING || reply->len != 40) die("SCRIPT LOAD", redis->errstr);
    memcpy(digest, reply->str, 41);
    freeReplyObject(reply);
}

static void append_fenced(redisContext *redis, const char *digest, const char *key, const char *attempt_key) {
    const char *words[] = {"EVALSHA", digest, "2", key, attempt_key, meta, "86400000", "1", "0", "0"};
    redisAppendCommandArgv(redis, sizeof words / sizeof *words, words, NULL);
}

// Takes the replies that are there, waiting for one at least. Returns how many.
static uint64_t take_some(redisContext *redis) {
    uint64_t taken = 0;
    redisReply *reply;
    if (redisGetReply(redis, (void **)&reply) != REDIS_OK) die("Redis", redis->errstr);
    while (reply) {
        if (reply->type == REDIS_REPLY_ERROR) die("Redis", reply->str);
        freeReplyObject(reply);
        taken++;
        if (redisGetReplyFromReader(redis, (void **)&reply) != REDIS_OK) die("Redis", redis->errstr);
    }
    return taken;
}

static void store_results(const struct options *options, bool fenced) {
    redisContext *redis = open_redis();
    char digest[41] = "";
    if (fenced) load_script(redis, options->script, digest);
    uint64_t replies_each = fenced ? 1 : 2, sent = 0, replies = 0;
    double cpu = cpu_seconds(), start = seconds_now();
    while (replies < options->count * replies_each) {
        while (sent < options->count && sent - replies / replies_each < options->window) {
            char key[96], attempt_key[112];
            snprintf(key, sizeof key, "celery-task-meta-bare-%024llu", (unsigned long long)sent++);
            if (fenced) {
                snprintf(attempt_key, sizeof attempt_key, "{%s}.attempt", key);
                append_fenced(redis, digest, key, attempt_key);
            } else {
                append_result(redis, key);
            }
        }
        replies += take_some(redis);
    }
    report_rate(options->name, options->count, seconds_now() - start, cpu_seconds() - cpu);
    redisFree(redis);
}

// MARK: drain

static void settle(amqp_connection_state_t connection, struct gather *out, redisContext *redis, uint64_t *tags, int count,
                   bool multiple) {
    if (count == 0) return;
    if (redis) {
        write_all(redis);
        take_replies(redis, 2 * count);
    }
    if (multiple) {
        put_acknowledgement(out, tags[count - 1], true);
    } else {
        for (int index = 0; index < count; index++) put_acknowledgement(out, tags[index], false);
    }
    flush(connection, out);
}

static void drain(const struct options *options) {
    static struct gather out;
    amqp_connection_state_t filler = open_connection();
    declare(filler, options);
    publish_all(filler, options);
    close_connection(filler, false);

    amqp_connection_state_t connection = open_connection();
    redisContext *redis = options->redis ? open_redis() : NULL;
    uint64_t tags[BATCH], received = 0;
    int limit = options->prefetch / 2 < BATCH ? options->prefetch / 2 : BATCH;
    if (limit < 1) limit = 1;
    double cpu = cpu_seconds(), start = seconds_now();
    consume(connection, options->prefetch);
    while (received < options->count) {
        int held = 0;
        while (held < limit && received < options->count) {
            // What is held is not kept waiting for a batch that may never fill.
            struct timeval patience = {.tv_usec = 1000};
            amqp_envelope_t envelope;
            if (!next_delivery(connection, &envelope, held ? &patience : NULL)) break;
            tags[held++] = envelope.delivery_tag;
            received++;
            amqp_destroy_envelope(&envelope);
            if (redis) {
                char key[96];
                snprintf(key, sizeof key, "celery-task-meta-bare-%024llu", (unsigned long long)received);
                append_result(redis, key);
            }
        }
        settle(connection, &out, redis, tags, held, options->multiple);
    }
    // Answered after the acknowledgements before it were read.
    amqp_basic_cancel(connection, CHANNEL, amqp_cstring_bytes("bare"));
    check(connection, "basic.cancel");
    report_rate(options->name, options->count, seconds_now() - start, cpu_seconds() - cpu);
    close_connection(connection, true);
    if (redis) redisFree(redis);
}

// MARK: round trip

static void reply_forever(int ready) {
    static struct gather out;
    amqp_connection_state_t connection = open_connection();
    redisContext *redis = open_redis();
    consume(connection, 100);
    if (write(ready, "", 1) != 1) die("pipe", strerror(errno));
    for (;;) {
        amqp_envelope_t envelope;
        next_delivery(connection, &envelope, NULL);
        char key[96];
        snprintf(key, sizeof key, "%.*s", (int)envelope.message.body.len, (char *)envelope.message.body.bytes);
        append_result(redis, key);
        write_all(redis);
        take_replies(redis, 2);
        put_acknowledgement(&out, envelope.delivery_tag, false);
        flush(connection, &out);
        amqp_destroy_envelope(&envelope);
    }
}

static double one_trip(amqp_connection_state_t connection, redisContext *redis, uint64_t number) {
    static struct gather out;
    char key[96];
    snprintf(key, sizeof key, "celery-task-meta-bare-%024llu", (unsigned long long)number);
    double start = seconds_now();
    put_publish(&out, queue_name, key, strlen(key), true);
    flush(connection, &out);
    take_confirms(connection, 0);
    take_replies(redis, 1);
    return seconds_now() - start;
}

static void roundtrip(const struct options *options) {
    amqp_connection_state_t connection = open_connection();
    declare(connection, options);
    int ready[2];
    if (pipe(ready) != 0) die("pipe", strerror(errno));
    pid_t parent = getpid(), consumer = fork();
    if (consumer < 0) die("fork", strerror(errno));
    if (consumer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        close(ready[0]);
        reply_forever(ready[1]);
    }
    close(ready[1]);
    char octet;
    if (read(ready[0], &octet, 1) != 1) die("consumer", "did not start");

    // One subscription to all results, in force before the first of them: the floor, which a client that subscribes to
    // each result does not reach.
    redisContext *redis = open_redis();
    redisAppendCommand(redis, "PSUBSCRIBE celery-task-meta-bare-*");
    take_replies(redis, 1);
    amqp_confirm_select(connection, CHANNEL);
    check(connection, "confirm.select");
    double *trips = calloc(options->count, sizeof *trips);
    for (uint64_t number = 0; number < WARM_UP; number++) one_trip(connection, redis, number);
    for (uint64_t number = 0; number < options->count; number++) {
        trips[number] = one_trip(connection, redis, WARM_UP + number);
    }
    kill(consumer, SIGKILL);
    waitpid(consumer, NULL, 0);
    qsort(trips, options->count, sizeof *trips, ascending);
    printf("{\"contestant\":\"bare-c\",\"measure\":\"roundtrip\",\"count\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           (unsigned long long)options->count, trips[options->count / 2] * 1e3, trips[options->count * 99 / 100] * 1e3);
    free(trips);
    close_connection(connection, true);
    redisFree(redis);
}

// MARK: command line

static void usage(void) {
    fputs("usage: bare publish|drain|drain-results|roundtrip|fenced|lean --count N [--window W] [--size OCTETS] [--prefetch P]\n"
          "            [--mandatory yes|no] [--ack multiple|single] [--redis] [--queue-type classic|quorum] [--name NAME]\n"
          "            [--script FILE] [--writes gathered|library]\n",
          stderr);
    exit(64);
}

static uint64_t number(const char *text, uint64_t largest) {
    char *end;
    unsigned long long value = text ? strtoull(text, &end, 10) : 0;
    if (!text || *end || value < 1 || value > largest) usage();
    return value;
}

int main(int argc, char **argv) {
    struct options options = {
        .queue_type = "classic", .window = 1000, .size = 250, .prefetch = 100, .mandatory = true, .multiple = true,
        .gathers = true};
    if (argc < 2) usage();
    options.command = options.name = argv[1];
    for (int index = 2; index < argc; index++) {
        const char *name = argv[index];
        if (strcmp(name, "--redis") == 0) {
            options.redis = true;
            continue;
        }
        const char *value = ++index < argc ? argv[index] : NULL;
        if (!value) usage();
        if (strcmp(name, "--count") == 0) options.count = number(value, 1ull << 40);
        else if (strcmp(name, "--window") == 0) options.window = number(value, 1000000);
        else if (strcmp(name, "--size") == 0) options.size = (size_t)number(value, 100000);
        else if (strcmp(name, "--prefetch") == 0) options.prefetch = (int)number(value, 65535);
        else if (strcmp(name, "--queue-type") == 0) options.queue_type = value;
        else if (strcmp(name, "--name") == 0) options.name = value;
        else if (strcmp(name, "--script") == 0) options.script = value;
        else if (strcmp(name, "--mandatory") == 0 && strcmp(value, "yes") == 0) options.mandatory = true;
        else if (strcmp(name, "--mandatory") == 0 && strcmp(value, "no") == 0) options.mandatory = false;
        else if (strcmp(name, "--writes") == 0 && strcmp(value, "gathered") == 0) options.gathers = true;
        else if (strcmp(name, "--writes") == 0 && strcmp(value, "library") == 0) options.gathers = false;
        else if (strcmp(name, "--ack") == 0 && strcmp(value, "multiple") == 0) options.multiple = true;
        else if (strcmp(name, "--ack") == 0 && strcmp(value, "single") == 0) options.multiple = false;
        else usage();
    }
    if (options.count == 0) usage();
    if (strcmp(options.command, "publish") == 0) {
        publish(&options);
    } else if (strcmp(options.command, "drain") == 0) {
        drain(&options);
    } else if (strcmp(options.command, "drain-results") == 0) {
        options.redis = true;
        drain(&options);
    } else if (strcmp(options.command, "roundtrip") == 0) {
        roundtrip(&options);
    } else if (strcmp(options.command, "fenced") == 0 || strcmp(options.command, "lean") == 0) {
        store_results(&options, options.command[0] == 'f');
    } else {
        usage();
    }
    return 0;
}
