// The list of messages in a channel or a thread. Only changed messages are drawn again, so the rest stays still.

import { blockNodes } from "./blocks.js";
import { clock, dayTitle } from "./dates.js";
import { el, icon, toast } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";
import { act, failureText, member, replies, state } from "./state.js";

const COMPACT_WITHIN_S = 300;
const COLOURS = ["#b0472e", "#2f7d5b", "#7a4fa3", "#2d6da8", "#a8641b", "#a33b6c", "#4d7a1f"];

const at = (ts) => new Date(Number(ts) * 1000);

export function avatar(who, cssClass = "") {
  if (who.id === state.bot) return el("img", { class: `avatar ${cssClass}`, src: "/page/seatrial.svg", alt: "" });
  const initials = who.real_name.split(" ").map((word) => word[0]).slice(0, 2).join("");
  const sum = [...who.id].reduce((total, letter) => total * 31 + letter.charCodeAt(0), 7);
  const node = el("span", { class: `avatar ${cssClass}`, "aria-hidden": "true" }, initials);
  node.style.backgroundColor = who.name === "slackbot" ? "#5b5b66" : COLOURS[Math.abs(sum) % COLOURS.length];
  return node;
}

export class MessageList {
  // “Reply” calls `openThread(message)`. A list without it shows a thread.
  constructor(root, openThread) {
    this.root = root;
    this.openThread = openThread;
    this.drawn = new Map();
    this.isAtEnd = true;
    root.addEventListener("scroll", () => {
      this.isAtEnd = root.scrollHeight - root.scrollTop - root.clientHeight < 32;
      this.onScroll?.();
    });
    // Keep the end in view when pictures load late or the pane is resized.
    const resizes = new ResizeObserver(() => this.isAtEnd && this.toEnd());
    resizes.observe(root);
    this.inner = el("div", { class: "list-inner" });
    root.replaceChildren(this.inner);
    resizes.observe(this.inner);
  }

  toEnd() {
    this.root.scrollTop = this.root.scrollHeight;
    this.isAtEnd = true;
  }

  clear() {
    this.drawn.clear();
    this.inner.replaceChildren();
    this.isAtEnd = true;
  }

  // Shows these messages. Returns true if the last one is new.
  show(messages, intro) {
    const entries = intro ? [["intro", () => intro, intro.textContent]] : [];
    let before = null;
    for (const message of messages) {
      const day = at(message.ts).toDateString();
      if (!before || at(before.ts).toDateString() !== day) entries.push([`day ${day}`, () => separator(dayTitle(at(message.ts))), dayTitle(at(message.ts))]);
      const isFirstReply = !this.openThread && message === messages[1];
      if (isFirstReply) entries.push(["count", () => separator(counted(messages.length - 1)), String(messages.length)]);
      const isCompact = before && !isFirstReply && follows(before, message) && at(before.ts).toDateString() === day;
      entries.push([message.ts, () => this.row(message, isCompact), this.signature(message, isCompact)]);
      before = message;
    }
    const last = messages.at(-1);
    const isNew = Boolean(last && this.drawn.size && !this.drawn.has(last.ts));
    this.reconcile(entries);
    if (this.isAtEnd) this.toEnd();
    return isNew;
  }

  reconcile(entries) {
    const keys = new Set(entries.map(([key]) => key));
    for (const [key, { node }] of this.drawn) {
      if (keys.has(key)) continue;
      node.remove();
      this.drawn.delete(key);
    }
    let place = this.inner.firstElementChild;
    for (const [key, draw, signature] of entries) {
      const old = this.drawn.get(key);
      let node = old?.node;
      if (!old || (old.signature !== signature && !isInUse(node))) {
        const fresh = draw();
        if (node) replaceKeepingFocus(node, fresh);
        if (place === node) place = fresh;
        node = fresh;
        this.drawn.set(key, { node, signature });
      }
      if (node === place) place = place.nextElementSibling;
      else this.inner.insertBefore(node, place);
    }
  }

  signature(message, isCompact) {
    const answers = this.openThread ? replies(message.channel, message.ts) : [];
    const people = [message.user, ...answers.map((one) => one.user)].map((id) => member(id).real_name);
    return JSON.stringify([message, isCompact, answers.length, answers.at(-1)?.ts, people, dayTitle(at(message.ts))]);
  }

  row(message, isCompact) {
    const who = member(message.user);
    const time = at(message.ts);
    const label = isCompact ? clock(time).replace(/\s?[AP]M$/i, "") : clock(time);
    const stamp = el("time", { datetime: time.toISOString(), title: time.toLocaleString() }, label);
    const head = el(
      "div",
      { class: "row-head" },
      el("b", { class: "who" }, who.real_name),
      who.is_bot && el("span", { class: "badge" }, "APP"),
      who.is_restricted && el("span", { class: "badge soft" }, "guest"),
      who.is_stranger && el("span", { class: "badge soft" }, "external"),
      stamp,
    );
    const kind = `${isCompact ? "compact" : ""} ${message.is_ephemeral ? "ephemeral" : ""}`;
    return el(
      "article",
      { class: `row ${kind}`, "data-ts": message.ts },
      message.is_ephemeral && el("div", { class: "only-you" }, icon("eye"), "Only visible to you"),
      el("div", { class: "gutter" }, isCompact ? stamp : avatar(who)),
      el("div", { class: "row-body" }, isCompact ? null : head, body(message), this.threadLink(message)),
      this.openThread &&
        !message.is_ephemeral &&
        el(
          "div",
          { class: "row-tools" },
          el("button", { class: "icon-button", type: "button", title: "Reply in thread", "aria-label": "Reply in thread", onclick: () => this.openThread(message) }, icon("reply")),
        ),
    );
  }

  threadLink(message) {
    const answers = this.openThread ? replies(message.channel, message.ts) : [];
    if (!answers.length) return null;
    const authors = [...new Set(answers.map((one) => one.user))].slice(0, 4);
    const last = at(answers.at(-1).ts);
    return el(
      "button",
      { class: "thread-link", type: "button", onclick: () => this.openThread(message) },
      authors.map((id) => avatar(member(id), "tiny")),
      el("b", {}, counted(answers.length)),
      el("span", {}, `Last reply ${dayTitle(last).toLowerCase()} at ${clock(last)}`),
    );
  }
}

const follows = (before, message) =>
  before.user === message.user &&
  !message.is_ephemeral &&
  !before.is_ephemeral &&
  Number(message.ts) - Number(before.ts) < COMPACT_WITHIN_S;

// An open menu is not replaced until the member has chosen.
const isInUse = (node) => node?.contains(document.activeElement) && document.activeElement.matches("select");

function replaceKeepingFocus(node, fresh) {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.action : null;
  node.replaceWith(fresh);
  if (focused) fresh.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

const separator = (text) => el("div", { class: "separator", role: "separator" }, el("span", {}, text));
const counted = (answers) => (answers === 1 ? "1 reply" : `${answers} replies`);

function body(message) {
  const onAction = async (block, element, value) => {
    const { channel, ts } = message;
    const fields = { channel, ts, block_id: block.block_id, action_id: element.action_id, value };
    const failure = failureText(await act("click", fields));
    if (failure) toast(failure);
  };
  const edited = message.is_edited && el("span", { class: "edited" }, "(edited)");
  const content = message.blocks.length ? blockNodes(message.blocks, onAction) : message.text ? [mrkdwn(message.text)] : [];
  if (edited && content.length) (content.at(-1).querySelector(".line:last-of-type") ?? content.at(-1)).append(" ", edited);
  return el("div", { class: "message-body" }, content, message.files.map(fileNode));
}

const SIZES = ["B", "kB", "MB", "GB"];

function size(bytes) {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 3);
  return `${Number((bytes / 1000 ** power).toPrecision(3))} ${SIZES[power]}`;
}

function fileNode(file) {
  if (/^image\/(png|jpeg|gif|webp)$/.test(file.mimetype)) {
    const show = () => lightbox(file);
    return el(
      "figure",
      { class: "file-picture" },
      el("figcaption", {}, file.title),
      el("button", { type: "button", class: "picture-button", "aria-label": `Enlarge ${file.title}`, onclick: show }, el("img", { src: file.url_private, alt: file.alt_txt || file.title })),
    );
  }
  const kind = (file.name.split(".").at(-1) ?? "").toUpperCase();
  return el(
    "a",
    { class: "file", href: file.url_private, download: file.name },
    el("span", { class: "file-icon" }, icon("file")),
    el("span", { class: "file-text" }, el("b", {}, file.title), el("small", {}, `${kind} · ${size(file.size)}`)),
    icon("download"),
  );
}

function lightbox(file) {
  const close = () => dialog.remove();
  const dialog = el(
    "dialog",
    { class: "lightbox", onclose: close, onclick: () => dialog.close() },
    el("img", { src: file.url_private, alt: file.alt_txt || file.title }),
    el("p", {}, file.title),
  );
  document.body.append(dialog);
  dialog.showModal();
}
