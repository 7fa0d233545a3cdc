// The message field: Enter sends, Shift+Enter adds a line, “/” lists the commands, “@” the members and groups.

import { el, icon, toast } from "./dom.js";
import { act, failureText, member, state } from "./state.js";

const MAX_SUGGESTIONS = 20;
// A command of the workspace itself; the app's own commands come from its manifest.
const INVITE = { command: "/invite", description: "Add a member or the app to this channel.", usage_hint: "@NAME" };

const drafts = new Map();
const history = [];

export class Composer {
  constructor(root) {
    this.suggestions = el("div", { class: "suggestions", role: "listbox", "aria-label": "Suggestions", hidden: true });
    this.usage = el("div", { class: "composer-usage", "aria-label": "Usage", hidden: true });
    this.text = el("textarea", { class: "composer-text", rows: "1", "aria-label": "Message" });
    this.button = el("button", { class: "icon-button send", type: "button", "aria-label": "Send", onclick: () => this.send() }, icon("send"));
    root.replaceChildren(this.suggestions, this.usage, el("div", { class: "composer" }, this.text, this.button));
    this.text.addEventListener("input", () => this.onEdit());
    this.text.addEventListener("keydown", (event) => this.onKey(event));
    this.text.addEventListener("blur", () => setTimeout(() => this.suggest([]), 150));
    this.historyIndex = 0;
  }

  // Switches to a channel or thread. Each keeps its own draft.
  turnTo(channel, threadTs, placeholder) {
    const key = `${state.me}/${channel}/${threadTs}`;
    this.text.placeholder = placeholder;
    if (key === this.key) return;
    this.key = key;
    Object.assign(this, { channel, threadTs });
    this.text.value = drafts.get(key) ?? "";
    this.onEdit();
  }

  focus() {
    this.text.focus();
  }

  onEdit() {
    drafts.set(this.key, this.text.value);
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight, 200)}px`;
    this.button.classList.toggle("ready", this.text.value.trim() !== "");
    this.suggest(this.matches());
    this.showUsage();
  }

  // Completions of the word before the cursor, as { insert, label, note, usage }.
  matches() {
    if (document.activeElement !== this.text) return [];
    const before = this.text.value.slice(0, this.text.selectionStart);
    if (/^\/\S*$/.test(before) && !this.threadTs) {
      return this.commands()
        .filter((one) => one.command.startsWith(before))
        .map((one) => ({ insert: one.command, label: one.command, note: one.description, usage: one.usage_hint }));
    }
    const word = /(?:^|\s)@([\w.-]*)$/.exec(before)?.[1].toLowerCase();
    if (word === undefined) return [];
    const people = [...state.members.values()].map((one) => ({ insert: `@${one.name}`, label: one.real_name, note: `@${one.name}` }));
    const groups = state.groups.map((one) => ({ insert: `@${one.handle}`, label: `@${one.handle}`, note: "group" }));
    return [...people, ...groups].filter((one) => `${one.insert} ${one.label}`.toLowerCase().includes(word));
  }

  commands() {
    return [...state.commands, INVITE];
  }

  suggest(matches) {
    this.matched = matches.slice(0, MAX_SUGGESTIONS);
    this.suggestions.hidden = !this.matched.length;
    this.suggestions.replaceChildren(...this.matched.map((match, index) => this.suggestion(match, index)));
    this.mark(0);
  }

  suggestion(match, index) {
    return el(
      "button",
      { class: "suggestion", type: "button", role: "option", onpointerdown: (event) => event.preventDefault(), onclick: () => this.complete(index) },
      el("b", {}, match.label),
      el("small", {}, match.note),
      match.usage && usageLines(match.insert, match.usage),
    );
  }

  mark(index) {
    this.markedIndex = index;
    [...this.suggestions.children].forEach((one, at) => one.classList.toggle("marked", at === index));
    this.suggestions.children[index]?.scrollIntoView({ block: "nearest" });
  }

  // While arguments are typed, the command's usage stands above the field.
  showUsage() {
    const name = /^(\/\S+)\s/.exec(this.text.value)?.[1];
    const command = !this.threadTs && this.commands().find((one) => one.command === name);
    this.usage.hidden = !command?.usage_hint;
    this.usage.replaceChildren(...(command ? [usageLines(command.command, command.usage_hint)] : []));
  }

  complete(index) {
    const end = this.text.selectionStart;
    const before = this.text.value.slice(0, end).replace(/[/@][\w.-]*$/, `${this.matched[index].insert} `);
    this.text.value = before + this.text.value.slice(end);
    this.text.setSelectionRange(before.length, before.length);
    this.text.focus();
    this.onEdit();
  }

  onKey(event) {
    const { key } = event;
    if (event.isComposing) return;
    const isSuggesting = !this.suggestions.hidden;
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (isSuggesting && step) this.mark((this.markedIndex + step + this.matched.length) % this.matched.length);
    else if (isSuggesting && (key === "Tab" || (key === "Enter" && !this.isComplete()))) this.complete(this.markedIndex);
    else if (isSuggesting && key === "Escape") this.suggest([]);
    else if (key === "Enter" && !event.shiftKey) this.send();
    else if (key === "ArrowUp" && (!this.text.value || this.historyIndex)) this.recall(1);
    else if (key === "ArrowDown" && this.historyIndex) this.recall(-1);
    else {
      this.historyIndex = 0;
      return;
    }
    event.preventDefault();
  }

  // Enter sends a complete command instead of completing it.
  isComplete() {
    return this.matched.some((match) => match.insert === this.text.value.trim());
  }

  recall(step) {
    this.historyIndex = Math.max(0, Math.min(history.length, this.historyIndex + step));
    this.text.value = this.historyIndex ? history.at(-this.historyIndex) : "";
    this.onEdit();
    this.suggest([]);
  }

  async send() {
    const text = this.text.value.trim();
    if (!text) return;
    if (history.at(-1) !== text) history.push(text);
    this.historyIndex = 0;
    this.text.value = "";
    this.onEdit();
    const answer = await act("type", { channel: this.channel, thread_ts: this.threadTs, text });
    // Slackbot reports a failed command in the channel. Show only requests that the local Slack refused.
    if (!answer.ok) toast(failureText(answer));
  }
}

// A usage hint lists the command's forms with “ | ” between them: one line for each.
const usageLines = (command, hint) =>
  el("span", { class: "usage" }, hint.split(" | ").map((form) => el("code", {}, `${command} ${form}`)));
