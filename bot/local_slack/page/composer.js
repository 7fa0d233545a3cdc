// The field at the bottom: Enter sends, Shift+Enter breaks the line, “/” and “@” offer what there is.

import { el, icon, toast } from "./dom.js";
import { complaint, deed, member, state } from "./state.js";

const drafts = new Map();
const sent = [];

export class Composer {
  constructor(root) {
    this.hints = el("div", { class: "hints", role: "listbox", hidden: true });
    this.text = el("textarea", { class: "composer-text", rows: "1", "aria-label": "Message" });
    this.button = el("button", { class: "icon-button send", type: "button", "aria-label": "Send", onclick: () => this.send() }, icon("send"));
    root.replaceChildren(this.hints, el("div", { class: "composer" }, this.text, this.button));
    this.text.addEventListener("input", () => this.edited());
    this.text.addEventListener("keydown", (event) => this.pressed(event));
    this.text.addEventListener("blur", () => setTimeout(() => this.offer([]), 150));
    this.recalled = 0;
  }

  // Turns to a channel or thread; what was half typed elsewhere waits there.
  turnTo(channel, threadTs, placeholder) {
    const key = `${state.me}/${channel}/${threadTs}`;
    this.text.placeholder = placeholder;
    if (key === this.key) return;
    this.key = key;
    Object.assign(this, { channel, threadTs });
    this.text.value = drafts.get(key) ?? "";
    this.edited();
  }

  focus() {
    this.text.focus();
  }

  edited() {
    drafts.set(this.key, this.text.value);
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight, 200)}px`;
    this.button.classList.toggle("ready", this.text.value.trim() !== "");
    this.offer(this.matches());
  }

  // What could complete the word before the cursor, as [inserted text, shown text, note].
  matches() {
    if (document.activeElement !== this.text) return [];
    const before = this.text.value.slice(0, this.text.selectionStart);
    if (/^\/\S*$/.test(before) && !this.threadTs) {
      const own = state.commands.map((name) => [name, name, member(state.bot).real_name]);
      return [...own, ["/invite", "/invite", "add somebody to this channel"]].filter(([name]) => name.startsWith(before));
    }
    const word = /(?:^|\s)@([\w.-]*)$/.exec(before)?.[1];
    if (word === undefined) return [];
    const people = [...state.members.values()].map((one) => [`@${one.name}`, one.real_name, `@${one.name}`]);
    const groups = state.groups.map((one) => [`@${one.handle}`, `@${one.handle}`, "group"]);
    return [...people, ...groups].filter(([name, shown]) => `${name} ${shown}`.toLowerCase().includes(word.toLowerCase()));
  }

  offer(matches) {
    this.matched = matches.slice(0, 10);
    this.chosen = 0;
    this.hints.hidden = !this.matched.length;
    this.hints.replaceChildren(
      ...this.matched.map((match, index) =>
        el(
          "button",
          { class: "hint-entry", type: "button", role: "option", onpointerdown: (event) => event.preventDefault(), onclick: () => this.complete(index) },
          el("b", {}, match[1]),
          el("small", {}, match[2]),
        ),
      ),
    );
    this.mark(0);
  }

  mark(index) {
    this.chosen = index;
    [...this.hints.children].forEach((one, at) => one.classList.toggle("chosen", at === index));
  }

  complete(index) {
    const end = this.text.selectionStart;
    const before = this.text.value.slice(0, end).replace(/[/@][\w.-]*$/, `${this.matched[index][0]} `);
    this.text.value = before + this.text.value.slice(end);
    this.text.setSelectionRange(before.length, before.length);
    this.text.focus();
    this.edited();
  }

  pressed(event) {
    const { key } = event;
    if (event.isComposing) return;
    const isOffering = !this.hints.hidden;
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (isOffering && step) this.mark((this.chosen + step + this.matched.length) % this.matched.length);
    else if (isOffering && (key === "Tab" || (key === "Enter" && !this.isWhole()))) this.complete(this.chosen);
    else if (isOffering && key === "Escape") this.offer([]);
    else if (key === "Enter" && !event.shiftKey) this.send();
    else if (key === "ArrowUp" && (!this.text.value || this.recalled)) this.recall(1);
    else if (key === "ArrowDown" && this.recalled) this.recall(-1);
    else {
      this.recalled = 0;
      return;
    }
    event.preventDefault();
  }

  // Whether what is typed needs no completing: a whole command is sent by Enter.
  isWhole() {
    return this.matched.some(([name]) => name === this.text.value.trim());
  }

  recall(step) {
    this.recalled = Math.max(0, Math.min(sent.length, this.recalled + step));
    this.text.value = this.recalled ? sent.at(-this.recalled) : "";
    this.edited();
    this.offer([]);
  }

  async send() {
    const text = this.text.value.trim();
    if (!text) return;
    if (sent.at(-1) !== text) sent.push(text);
    this.recalled = 0;
    this.text.value = "";
    this.edited();
    const answer = await deed("type", { channel: this.channel, thread_ts: this.threadTs, text });
    // What the app failed at is told in the channel; only what never got there is told here.
    if (!answer.ok) toast(complaint(answer));
  }
}
