// The member's view of the workspace, synchronized with the server: everything once, then only the changes.

export const state = {
  me: "",
  revision: -1,
  team: { name: "" },
  bot: "",
  members: new Map(),
  people: [],
  groups: [],
  channels: [],
  commands: [],
  messages: new Map(),
  modal: null,
  home: null,
};

const key = (message) => `${message.channel}/${message.ts}`;
let isStale = false;
let isRefreshing = false;
let onChange = () => {};
let onConnection = () => {};

export const member = (id) => state.members.get(id) ?? { id, name: id, real_name: id };
export const messageAt = (channel, ts) => state.messages.get(`${channel}/${ts}`);

// The messages of a channel without replies, oldest first.
export const listed = (channel) => inOrder((one) => one.channel === channel && !one.thread_ts);
export const replies = (channel, ts) => inOrder((one) => one.channel === channel && one.thread_ts === ts);

function inOrder(predicate) {
  return [...state.messages.values()].filter(predicate).sort((a, b) => (a.ts < b.ts ? -1 : 1));
}

// Calls `whenChanged()` after each change, and `whenConnection(isLost)` when the server is lost or back.
export function watch(whenChanged, whenConnection) {
  onChange = whenChanged;
  onConnection = whenConnection;
  const events = new EventSource("/local/events");
  let wasLost = false;
  events.onopen = () => {
    // The server may have been restarted. Its revisions then begin again.
    if (wasLost) forget();
    wasLost = false;
    onConnection(false);
    refresh();
  };
  events.onerror = () => {
    wasLost = true;
    onConnection(true);
  };
  events.onmessage = (event) => {
    if (Number(event.data) !== state.revision) refresh();
  };
}

export async function switchMember(id) {
  forget();
  state.me = id;
  await refresh();
}

function forget() {
  state.revision = -1;
  state.messages.clear();
}

// One request at a time. Changes during a request are fetched together by the next one.
export async function refresh() {
  isStale = true;
  if (isRefreshing || !state.me) return;
  isRefreshing = true;
  try {
    while (isStale) {
      isStale = false;
      const [me, since] = [state.me, Math.max(state.revision, 0)];
      const query = new URLSearchParams({ member: me, since });
      const answer = await (await fetch(`/local/state?${query}`)).json();
      if (me !== state.me) isStale = true;
      else if (answer.ok) merge(answer);
    }
  } catch {
    onConnection(true);
  } finally {
    isRefreshing = false;
  }
}

function merge(answer) {
  const { messages, members, ...rest } = answer;
  Object.assign(state, rest, { members: new Map(members.map((one) => [one.id, one])) });
  for (const message of messages) {
    if (message.is_deleted) state.messages.delete(key(message));
    else state.messages.set(key(message), message);
  }
  onChange();
}

// Performs an action as this member. Returns the server's answer, with `error` if Slack refuses the action.
export async function act(name, fields) {
  try {
    const response = await fetch(`/local/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ member: state.me, ...fields }),
    });
    return await response.json();
  } catch {
    return { ok: false, error: "no_connection" };
  }
}

const FAILURES = {
  no_connection: "The local Slack did not answer. Check that it is still running.",
  operation_timeout: "The app did not answer within 3 seconds. Try again.",
  dispatch_failed: "The app could not be reached, or it failed. Look at its log.",
  message_not_found: "This message was deleted.",
  not_found: "This form is no longer open.",
};

// A sentence for the failure in an answer, or "" if there is no failure.
export function failureText(answer) {
  const name = answer.ok ? answer.failure : answer.error;
  return name ? `${FAILURES[name] ?? "The action failed."} (${name})` : "";
}
