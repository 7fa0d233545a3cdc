// What this member sees, kept equal to the server: everything once, then only what changed.

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
let asked = false;
let asking = false;
let changed = () => {};
let lost = () => {};

export const member = (id) => state.members.get(id) ?? { id, name: id, real_name: id };
export const messageAt = (channel, ts) => state.messages.get(`${channel}/${ts}`);

// Messages of a channel that stand in its list, oldest first.
export const listed = (channel) => inOrder((one) => one.channel === channel && !one.thread_ts);
export const replies = (channel, ts) => inOrder((one) => one.channel === channel && one.thread_ts === ts);

function inOrder(wanted) {
  return [...state.messages.values()].filter(wanted).sort((a, b) => (a.ts < b.ts ? -1 : 1));
}

export function watch(onChange, onLost) {
  changed = onChange;
  lost = onLost;
  const events = new EventSource("/local/events");
  let wasLost = false;
  events.onopen = () => {
    // It may be another server by now, which counts from the beginning again.
    if (wasLost) forget();
    wasLost = false;
    lost(false);
    refresh();
  };
  events.onerror = () => {
    wasLost = true;
    lost(true);
  };
  events.onmessage = (event) => {
    if (Number(event.data) !== state.revision) refresh();
  };
}

export async function become(id) {
  forget();
  state.me = id;
  await refresh();
}

function forget() {
  state.revision = -1;
  state.messages.clear();
}

// One question at a time; changes that come meanwhile are asked for together afterwards.
export async function refresh() {
  asked = true;
  if (asking || !state.me) return;
  asking = true;
  try {
    while (asked) {
      asked = false;
      const [me, since] = [state.me, Math.max(state.revision, 0)];
      const query = new URLSearchParams({ member: me, since });
      const answer = await (await fetch(`/local/state?${query}`)).json();
      if (me !== state.me) asked = true;
      else if (answer.ok) take(answer);
    }
  } catch {
    lost(true);
  } finally {
    asking = false;
  }
}

function take(answer) {
  const { messages, members, ...rest } = answer;
  Object.assign(state, rest, { members: new Map(members.map((one) => [one.id, one])) });
  for (const message of messages) {
    if (message.is_deleted) state.messages.delete(key(message));
    else state.messages.set(key(message), message);
  }
  changed();
}

// Does something as this member; returns the server's answer, with `error` where Slack refuses it.
export async function deed(name, fields) {
  try {
    const response = await fetch(`/local/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ member: state.me, ...fields }),
    });
    return await response.json();
  } catch {
    return { ok: false, error: "The local Slack does not answer." };
  }
}

const SENTENCES = {
  operation_timeout: "The app did not answer within 3 seconds.",
  dispatch_failed: "The app could not be reached, or failed.",
  message_not_found: "That message is gone.",
  not_found: "That form is no longer open.",
};

// The sentence for an answer that failed; empty where all is well.
export function complaint(answer) {
  const name = answer.ok ? answer.failure : answer.error;
  return name ? `${SENTENCES[name] ?? "That did not work."} (${name})` : "";
}
