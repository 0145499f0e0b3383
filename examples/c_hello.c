/* run: alone */
/* Two nodes by the C interface: one asks, the other answers and acknowledges the question; each
 * waits with poll(2). No callback, no thread of our own. */
#include <qudag/qudag.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, qudag_last_error());
  return 1;
}

/* Waits until the node has a message. */
static qudag_message *receive(qudag_node *node) {
  qudag_message *message = NULL;
  while (qudag_receive(node, &message) == QUDAG_WOULD_BLOCK) {
    qudag_outcome outcome; /* or the descriptor stays readable */
    while (qudag_next_outcome(node, &outcome) == 0) {
      if (outcome.kind != QUDAG_DELIVERED) {
        fprintf(stderr, "not delivered: %s\n", qudag_error_name(outcome.error));
        return NULL;
      }
    }
    struct pollfd one = {.fd = qudag_fd(node), .events = POLLIN};
    if (poll(&one, 1, 20000) != 1) return NULL;
  }
  return message;
}

static qudag_node *start(const char *bootstrap) {
  qudag_node *node = NULL;
  qudag_options *options = qudag_options_new();
  if (options == NULL) return NULL;
  int error = qudag_options_set_shards(options, 1);
  if (error == 0) error = qudag_options_set_log_level(options, "warn");
  if (error == 0) error = qudag_options_set_acknowledged(options, 1);
  if (error == 0 && bootstrap != NULL) error = qudag_options_add_bootstrap(options, bootstrap);
  if (error == 0) error = qudag_start(options, &node);
  qudag_options_free(options);
  return node;
}

int main(void) {
  char server_id[QUDAG_ID_TEXT_BYTES];
  char address[QUDAG_ADDRESS_TEXT_BYTES];
  char bootstrap[QUDAG_ID_TEXT_BYTES + QUDAG_ADDRESS_TEXT_BYTES];
  qudag_node *server = start(NULL);
  if (server == NULL) return failed("server");
  qudag_id(server, server_id);
  qudag_address(server, address);
  snprintf(bootstrap, sizeof bootstrap, "%s@%s", server_id, address);
  qudag_node *client = start(bootstrap);
  if (client == NULL) return failed("client");

  if (qudag_wait_joined(client, 0, 20000) != 0) return failed("join");
  if (qudag_wait_known(client, server_id, 20000) != 0) return failed("known");
  qudag_send_options direct;
  qudag_send_options_init(&direct);
  direct.relays = 0; /* two nodes have no relay between them */
  qudag_message_id asked;
  if (qudag_send(client, server_id, "hello", 5, &direct, &asked) != 0) return failed("send");

  qudag_message *question = receive(server);
  if (question == NULL) return failed("question");
  char text[64] = "you said: ";
  const size_t head = strlen(text);
  const size_t bytes = qudag_message_copy(question, 0, text + head, sizeof text - head);
  if (qudag_reply(server, question, text, head + bytes, NULL, NULL) != 0) return failed("reply");
  /* Its sender is told `delivered` only now: the question has its answer. */
  if (qudag_acknowledge(server, question, QUDAG_TAKEN, 0) != 0) return failed("acknowledge");
  qudag_message_free(question);

  qudag_message *answer = receive(client);
  if (answer == NULL) return failed("answer");
  qudag_message_id of;
  const int ours = qudag_message_in_reply_to(answer, &of) && memcmp(&of, &asked, sizeof of) == 0;
  size_t size = 0;
  const char *piece = qudag_message_piece(answer, 0, &size);
  printf("the answer is \"%.*s\"\n", (int)size, piece);
  if (qudag_acknowledge(client, answer, QUDAG_TAKEN, 0) != 0) return failed("acknowledge");
  const int right = ours && size == 15 && memcmp(piece, "you said: hello", size) == 0;
  qudag_free(client);
  qudag_free(server);
  qudag_message_free(answer); /* may outlive its node */
  return right ? 0 : 1;
}
