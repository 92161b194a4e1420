// A system prompt for each user. The application names the user in the header x-realm-user; the header
// x-realm-system-prompt sets that user's prompt, which later requests find in the tenant's store. A conversation that
// brings a system prompt of its own keeps it.

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/guard.h"

// Names as the bindings write them, shortened.
#define EXPORTED(name) exports_realm_tenant_request_hook_##name
typedef EXPORTED(request_t) request_t;
typedef EXPORTED(prompt_t) prompt_t;
typedef EXPORTED(plan_t) plan_t;
typedef EXPORTED(reject_t) reject_t;
typedef realm_tenant_types_message_t message_t;

static const char USER[] = "x-realm-user";
static const char PROMPT[] = "x-realm-system-prompt";
static const char KEY[] = "system-prompt/";
static const char DEFAULT[] = "You are a helpful assistant. Answer briefly.";

// Bytes of a user's name and of a prompt.
enum { MAX_USER = 64, MAX_PROMPT = 4096 };

static bool equals(const guard_string_t *text, const char *other) {
    return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

// The header of that name, or NULL.
static guard_string_t *header(request_t *info, const char *name) {
    for (size_t i = 0; i < info->headers.len; i++) {
        if (equals(&info->headers.ptr[i].f0, name)) return &info->headers.ptr[i].f1;
    }
    return NULL;
}

static bool refuse(reject_t *reject, const char *code, const char *message) {
    reject->status = 400;
    guard_string_dup(&reject->code, code);
    guard_string_dup(&reject->message, message);
    return false;
}

// The user's prompt in the store, or the default.
static guard_string_t stored(guard_string_t *key) {
    guard_string_t prompt;
    guard_option_list_u8_t value;
    realm_tenant_store_failure_t failure;
    if (realm_tenant_store_get(key, &value, &failure) && value.is_some) {
        prompt.ptr = value.val.ptr;
        prompt.len = value.val.len;
        return prompt;
    }
    guard_string_dup(&prompt, DEFAULT);
    return prompt;
}

static guard_string_t prompt_of(request_t *info, guard_string_t *user) {
    char text[sizeof KEY + MAX_USER];
    memcpy(text, KEY, sizeof KEY - 1);
    memcpy(text + sizeof KEY - 1, user->ptr, user->len);
    guard_string_t key = {(uint8_t *)text, sizeof KEY - 1 + user->len};
    guard_string_t *wanted = header(info, PROMPT);
    if (wanted == NULL || wanted->len > MAX_PROMPT) return stored(&key);
    guard_list_u8_t bytes = {wanted->ptr, wanted->len};
    realm_tenant_store_failure_t failure;
    // A full store costs the user only that the prompt is not remembered.
    realm_tenant_store_set(&key, &bytes, 0, &failure);
    return *wanted;
}

bool EXPORTED(on_request)(request_t *info, prompt_t *input, plan_t *plan, reject_t *reject) {
    guard_string_t *user = header(info, USER);
    if (user == NULL || user->len == 0 || user->len > MAX_USER) {
        return refuse(reject, "no_user", "Name the user in the header x-realm-user.");
    }
    memset(plan, 0, sizeof *plan);
    if (input->tag != REALM_TENANT_TYPES_PROMPT_CHAT) return true;
    message_t *messages = input->val.chat.ptr;
    size_t count = input->val.chat.len;
    if (count > 0 && equals(&messages[0].role, "system")) return true;
    message_t *all = malloc((count + 1) * sizeof *all);
    guard_string_dup(&all[0].role, "system");
    all[0].content = prompt_of(info, user);
    memcpy(all + 1, messages, count * sizeof *all);
    plan->prompt.is_some = true;
    plan->prompt.val.tag = REALM_TENANT_TYPES_PROMPT_CHAT;
    plan->prompt.val.val.chat.ptr = all;
    plan->prompt.val.val.chat.len = count + 1;
    return true;
}
