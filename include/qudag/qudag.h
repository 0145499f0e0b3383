/* libqudag for C, and for languages that call C.
 *
 *   qudag_options *options = qudag_options_new();
 *   qudag_options_add_bootstrap(options, "ID@192.0.2.7:4433");
 *   qudag_node *node;
 *   if (qudag_start(options, &node) != 0) puts(qudag_last_error());
 *   qudag_wait_joined(node, QUDAG_RELAYS_DEFAULT, 10000);
 *   qudag_send(node, to, "hello", 5, NULL, NULL);
 *   poll qudag_fd(node); then qudag_receive() and qudag_next_outcome() until they say that there is
 *   nothing more
 *
 * There are no callbacks: what comes waits in the node until it is taken, and one descriptor is
 * readable while something waits.
 *
 * Errors: functions that return int return 0, or a number of qudag/error.h, which are stable
 * (docs/reference/exit-codes.md lists them); qudag_last_error() then has the text for the calling
 * thread. Nothing of C++ comes through. Threads: every function may be called from any thread, but
 * a qudag_options and a qudag_message by one at a time, and nobody may be in a call with a node
 * while it is freed. Lifetime: what a function gives out is the caller's to free, as each says;
 * strings that are arguments are copied. Sizes are bytes, times are milliseconds unless said
 * otherwise. Null where it is not allowed is invalid_argument (100), or does nothing in a _free.
 */
#ifndef QUDAG_QUDAG_H
#define QUDAG_QUDAG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define QUDAG_C_API __attribute__((visibility("default"))) extern
#else
#define QUDAG_C_API extern
#endif

typedef struct qudag_options qudag_options;
typedef struct qudag_node qudag_node;
typedef struct qudag_message qudag_message;

enum {
  QUDAG_ID_TEXT_BYTES = 53,          /* 52 characters of an id and a zero */
  QUDAG_ADDRESS_TEXT_BYTES = 64,     /* the longest "[ip]:port" and a zero */
  QUDAG_INVITATION_TEXT_BYTES = 400, /* the longest invitation and a zero */
  QUDAG_RELAYS_DEFAULT = 3,
  QUDAG_RELAYS_MAX = 5
};

/* The numbers of errors that a caller decides by; qudag/error.h has them all. */
enum {
  QUDAG_OK = 0,
  QUDAG_INVALID_ARGUMENT = 100,
  QUDAG_REFUSED_MEMORY = 200,
  QUDAG_REFUSED_QUEUE_FULL = 201,
  QUDAG_WOULD_BLOCK = 207, /* nothing is there now */
  QUDAG_TIMED_OUT = 305,
  QUDAG_SHUTTING_DOWN = 307,
  QUDAG_CANCELLED = 308,
  QUDAG_AWAY = 309,
  QUDAG_NOT_FOUND = 503
};

typedef enum { QUDAG_HIGH = 0, QUDAG_NORMAL = 1, QUDAG_LOW = 2 } qudag_priority;

/* How a message ended, see qudag/message.h. */
typedef enum {
  QUDAG_DELIVERED = 0,
  QUDAG_EXPIRED = 1,
  QUDAG_REFUSED = 2,
  QUDAG_FAILED = 3,
  QUDAG_STORED = 4 /* a keeper has it for a receiver that is away */
} qudag_outcome_kind;

/* What became of a received message that its sender waits for: see qudag_acknowledge(). */
typedef enum { QUDAG_TAKEN = 0, QUDAG_REFUSE = 1, QUDAG_AGAIN = 2 } qudag_answer;

typedef struct {
  uint8_t bytes[16];
} qudag_message_id;

/* What becomes of a message to a receiver that is not there now; others are never away. */
typedef enum {
  QUDAG_STORE = 0, /* its keeper keeps it for days: QUDAG_STORED. Where it cannot: as QUDAG_WAIT */
  QUDAG_WAIT = 1,  /* it is tried again until its time to live ends */
  QUDAG_TELL = 2   /* QUDAG_REFUSED, with the error QUDAG_AWAY */
} qudag_if_away;

typedef struct {
  qudag_priority priority; /* QUDAG_NORMAL */
  uint32_t ttl_ms;         /* 1 ms to 24 h; 60 s */
  unsigned relays;         /* 0 to QUDAG_RELAYS_MAX; QUDAG_RELAYS_DEFAULT */
  uint64_t isolation;      /* 0: none */
  int sign;                /* not 0: the receiver learns who sends; never for a reply */
  uint16_t channel;        /* which handler of the destination; 0 */
  qudag_if_away if_away;   /* QUDAG_STORE */
} qudag_send_options;

/* Of a receiver: see ReceiverOptions in qudag/receiver.h. The texts are read in the call. */
typedef struct {
  const char* name; /* it is kept in the node's state directory under this; null: it is not */
  const void*
      identity; /* what a file made by `qudag keygen` contains; null: the kept one, or new */
  size_t identity_bytes; /* 0 */
  int hidden;            /* 1; 0: only behind a router */
  unsigned keepers;      /* 2; 1 to 3 */
} qudag_receiver_options;

typedef struct {
  qudag_message_id id;
  qudag_outcome_kind kind;
  int error;           /* 0 when delivered */
  uint64_t elapsed_ns; /* from the send to this */
} qudag_outcome;

typedef struct {
  size_t links, circuits, nodes_known, relays_known;
  uint64_t memory_used, memory_limit;
  int joined;   /* a circuit with QUDAG_RELAYS_DEFAULT relays can be tried */
  int stopping; /* qudag_stop() was called */
  size_t messages_waiting, outcomes_waiting; /* to be taken by the caller */
} qudag_status_record;

/* "0.1.0"; lives as long as the program. */
QUDAG_C_API const char* qudag_version(void);
/* "refused_memory"; "unknown" for no number of ours. Lives as long as the program. */
QUDAG_C_API const char* qudag_error_name(int error);
/* What the last call of this thread that failed says; "" if none did. Valid until this thread's
 * next call that fails. */
QUDAG_C_API const char* qudag_last_error(void);

/* ---- options: as Options of qudag/options.h, with its defaults. Null when memory is out. -------
 */

QUDAG_C_API qudag_options* qudag_options_new(void);
QUDAG_C_API void qudag_options_free(qudag_options* options);
/* malformed (101): not "id@host:port", or "host:port". Bounds are checked by qudag_start(). */
QUDAG_C_API int qudag_options_add_bootstrap(qudag_options* options, const char* peer);
QUDAG_C_API int qudag_options_set_listen(qudag_options* options, const char* address);
QUDAG_C_API int qudag_options_add_publish(qudag_options* options, const char* address);
QUDAG_C_API int qudag_options_set_identity_file(qudag_options* options, const char* path);
/* The contents of such a file; the copies in here are overwritten when they are done with. */
QUDAG_C_API int qudag_options_set_identity(qudag_options* options, const void* key, size_t bytes);
QUDAG_C_API int qudag_options_set_state_dir(qudag_options* options, const char* path);
QUDAG_C_API int qudag_options_set_relay(qudag_options* options, int relay);
QUDAG_C_API int qudag_options_set_known(qudag_options* options, int known);
QUDAG_C_API int qudag_options_set_shards(qudag_options* options, unsigned shards);
QUDAG_C_API int qudag_options_set_memory(qudag_options* options, uint64_t bytes);
QUDAG_C_API int qudag_options_set_gossip_interval(qudag_options* options, uint32_t seconds);
/* Not 0: messages of channel 0 are acknowledged by the caller, see qudag_listen_acknowledged(). */
QUDAG_C_API int qudag_options_set_acknowledged(qudag_options* options, int acknowledged);
/* "trace", "debug", "info", "warn", "error", "off". */
QUDAG_C_API int qudag_options_set_log_level(qudag_options* options, const char* level);

/* ---- a node ------------------------------------------------------------------------------------
 */

/* Starts one; `options` stay the caller's, and null are the defaults. Errors of Node::start. */
QUDAG_C_API int qudag_start(const qudag_options* options, qudag_node** node);
/* Ends all work, within `grace_ms`; blocks. What waits can still be taken, and every send has its
 * outcome there. */
QUDAG_C_API int qudag_stop(qudag_node* node, uint32_t grace_ms);
/* Stops it, if that was not done, and forgets what waits. Messages that were taken live on. */
QUDAG_C_API void qudag_free(qudag_node* node);

QUDAG_C_API int qudag_id(const qudag_node* node, char text[QUDAG_ID_TEXT_BYTES]);
QUDAG_C_API int qudag_address(const qudag_node* node, char text[QUDAG_ADDRESS_TEXT_BYTES]);
/* Waits until circuits with so many relays can be tried; timed_out, and the text says why not. */
QUDAG_C_API int qudag_wait_joined(const qudag_node* node, unsigned relays, uint32_t timeout_ms);
/* Waits until the node with that id can be found; timed_out. */
QUDAG_C_API int qudag_wait_known(const qudag_node* node, const char* id, uint32_t timeout_ms);
/* A snapshot; waits for the node's threads, some microseconds. */
QUDAG_C_API int qudag_status(const qudag_node* node, qudag_status_record* status);

/* A descriptor for poll(2): readable while qudag_receive() or qudag_next_outcome() have something.
 * The node's: do not read or close it. -1 for null. */
QUDAG_C_API int qudag_fd(const qudag_node* node);

/* ---- sending -----------------------------------------------------------------------------------
 */

/* The defaults, for who changes some. */
QUDAG_C_API void qudag_send_options_init(qudag_send_options* options);
/* Copies `bytes` bytes (at most 64 MiB) and sends them to the node `id`. 0: one outcome with that
 * id will be there; `message` may be null. Does not block. refused_queue_full also when 65,536
 * sends have an outcome to come or to be taken. Else errors of Node::send. */
QUDAG_C_API int qudag_send(qudag_node* node, const char* id, const void* payload, size_t bytes,
                           const qudag_send_options* options, qudag_message_id* message);
/* Answers `to`, a message that was taken from this node; of the options ttl and priority count. */
QUDAG_C_API int qudag_reply(qudag_node* node, const qudag_message* to, const void* payload,
                            size_t bytes, const qudag_send_options* options,
                            qudag_message_id* message);
/* The outcome is `failed` with QUDAG_CANCELLED then, unless another one was first. */
QUDAG_C_API int qudag_cancel(qudag_node* node, const qudag_message_id* message);
/* Takes the oldest outcome; QUDAG_WOULD_BLOCK when there is none. */
QUDAG_C_API int qudag_next_outcome(qudag_node* node, qudag_outcome* outcome);

/* ---- receivers: called at keepers, without an address (qudag/receiver.h) ----------------------
 */

/* The defaults, for who changes some. */
QUDAG_C_API void qudag_receiver_options_init(qudag_receiver_options* options);
/* Opens one (null: the defaults) and writes its id, which is not the node's. Its messages wait as
 * all others, see qudag_message_receiver(). Errors of Node::open_receiver. */
QUDAG_C_API int qudag_open_receiver(qudag_node* node, const qudag_receiver_options* options,
                                    char id[QUDAG_ID_TEXT_BYTES]);
QUDAG_C_API int qudag_close_receiver(qudag_node* node, const char* id);
/* What somebody needs to call it, as text: 195 to 399 characters. QUDAG_WOULD_BLOCK until a keeper
 * has answered, seconds after it was opened; QUDAG_NOT_FOUND: it is not open. */
QUDAG_C_API int qudag_invitation(const qudag_node* node, const char* id,
                                 char text[QUDAG_INVITATION_TEXT_BYTES]);
/* From now on qudag_send() to the id that is written reaches that receiver, over three relays and
 * a keeper. malformed (101). */
QUDAG_C_API int qudag_add_invitation(qudag_node* node, const char* invitation,
                                     char id[QUDAG_ID_TEXT_BYTES]);
QUDAG_C_API int qudag_remove_invitation(qudag_node* node, const char* id);

/* ---- receiving ---------------------------------------------------------------------------------
 */

/* From now on messages of that channel wait here as well (`on` not 0), or are refused. Those of
 * channel 0 do from the start. Their senders are told `delivered` when they come to wait here. */
QUDAG_C_API int qudag_listen(qudag_node* node, uint16_t channel, int on);
/* As qudag_listen() with `on`, but a message is in hand from the time that qudag_receive() gives it
 * out, and its sender is told nothing before qudag_acknowledge(). A sender that sends it again
 * meanwhile, because a circuit failed, does not make a second one of it. */
QUDAG_C_API int qudag_listen_acknowledged(qudag_node* node, uint16_t channel);
/* Takes the oldest message; QUDAG_WOULD_BLOCK when there is none. At most 4,096 messages and 64 MiB
 * wait here or are in hand, and as many replies; then senders are refused. */
QUDAG_C_API int qudag_receive(qudag_node* node, qudag_message** message);
/* What became of a message in hand, once: QUDAG_TAKEN, and its sender is told `delivered`;
 * QUDAG_REFUSE, and it is told `refused`; QUDAG_AGAIN, and it is told nothing: the message waits
 * here again after `delay_ms` (3,600,000 at most; 0 with the other two), behind those that wait
 * then, and `message` is empty. In each case `message` is still to be freed. What is over its time
 * to live comes to nobody: its sender is told `expired`, and an answer that comes later does
 * nothing. QUDAG_NOT_FOUND: it is not in hand. */
QUDAG_C_API int qudag_acknowledge(qudag_node* node, qudag_message* message, qudag_answer answer,
                                  uint32_t delay_ms);
/* A message in hand that is freed without an answer is refused. */
QUDAG_C_API void qudag_message_free(qudag_message* message);
QUDAG_C_API size_t qudag_message_size(const qudag_message* message);
/* Copies up to `bytes` bytes from `offset` on; how many it were. */
QUDAG_C_API size_t qudag_message_copy(const qudag_message* message, size_t offset, void* out,
                                      size_t bytes);
/* The payload without a copy: pieces in order, valid while the message lives. Null beyond them. */
QUDAG_C_API const void* qudag_message_piece(const qudag_message* message, size_t index,
                                            size_t* bytes);
QUDAG_C_API int qudag_message_get_id(const qudag_message* message, qudag_message_id* id);
QUDAG_C_API qudag_priority qudag_message_priority(const qudag_message* message);
/* Of a reply: of the message that it answers. */
QUDAG_C_API uint16_t qudag_message_channel(const qudag_message* message);
/* 1 and the text if it was signed; else 0. */
QUDAG_C_API int qudag_message_sender(const qudag_message* message, char text[QUDAG_ID_TEXT_BYTES]);
/* 1 and the text if it came to a receiver of this node; else 0. */
QUDAG_C_API int qudag_message_receiver(const qudag_message* message,
                                       char text[QUDAG_ID_TEXT_BYTES]);
/* 1 if qudag_reply() may be tried. */
QUDAG_C_API int qudag_message_can_reply(const qudag_message* message);
/* 1 and the id if it answers a message of ours; else 0. */
QUDAG_C_API int qudag_message_in_reply_to(const qudag_message* message, qudag_message_id* id);

#ifdef __cplusplus
}
#endif

#endif
