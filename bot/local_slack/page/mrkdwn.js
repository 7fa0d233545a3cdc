// Slack's mrkdwn as DOM. In texts from the server, &, < and > are escaped and references stand in angle brackets.
// https://docs.slack.dev/messaging/formatting-message-text

import { formatDate } from "./dates.js";
import { el } from "./dom.js";
import { emoji } from "./emoji.js";

// Functions that resolve ids: user(id), channel(id) and group(id) return a name; isMe(id) returns a boolean.
let names = {};
export const useNames = (functions) => {
  names = functions;
};

export const unescape = (text) => text.replace(/&(lt|gt|amp);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);

// A mark opens after a space or punctuation and closes before one. The text inside has no space at either end.
const marked = (mark) => `(?<![\\w${mark}])${mark}(?![\\s${mark}])(?:[^\\n${mark}]*[^\\s${mark}])${mark}(?![\\w${mark}])`;
const INLINE = new RegExp(
  ["<[^<>\\n]+>", "`[^`\\n]+`", marked("\\*"), marked("_"), marked("~"), ":[a-z0-9_+'-]+:"].join("|"),
  "gi",
);
const WRAPPERS = { "*": "b", _: "i", "~": "s" };

export function mrkdwn(text) {
  const root = el("div", { class: "mrkdwn" });
  const parts = text.split(/```\n?([\s\S]+?)```/);
  parts.forEach((part, index) => {
    if (index % 2) root.append(el("pre", {}, references(part.replace(/\n$/, ""))));
    else if (part.trim() || parts.length === 1) paragraphs(part.replace(/^\n|\n$/g, ""), root);
  });
  return root;
}

export function plainText(text) {
  return text.split(/(:[a-z0-9_+'-]+:)/i).map((part, index) => (index % 2 ? emojiNode(part) : part));
}

// Lines with ">" form a quotation. Lines with a bullet get a hanging indent.
function paragraphs(text, root) {
  const lines = text.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index];
    if (/^(&gt;|>){3}/.test(line)) {
      const rest = [line.replace(/^(&gt;|>){3}\s?/, ""), ...lines.slice(index + 1)];
      root.append(el("blockquote", {}, rest.map((one) => lineNode(one))));
      return;
    }
    if (/^(&gt;|>)/.test(line)) {
      const quoted = [];
      while (index < lines.length && /^(&gt;|>)/.test(lines[index])) quoted.push(lines[index++].replace(/^(&gt;|>)\s?/, ""));
      index--;
      root.append(el("blockquote", {}, quoted.map((one) => lineNode(one))));
    } else root.append(lineNode(line));
  }
}

function lineNode(line) {
  const bullet = /^(\s*)[•◦▪]\s+/.exec(line);
  if (!bullet) return el("div", { class: "line" }, line ? inline(line) : el("br"));
  return el("div", { class: `line bullet ${bullet[1].length > 1 ? "deeper" : ""}` }, inline(line.trimStart()));
}

function inline(text) {
  const nodes = [];
  let done = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(unescape(text.slice(done, match.index)), inlineNode(match[0]));
    done = match.index + match[0].length;
  }
  nodes.push(unescape(text.slice(done)));
  return nodes.filter((node) => node !== "");
}

function inlineNode(token) {
  const inner = token.slice(1, -1);
  if (token[0] === "<") return reference(inner);
  if (token[0] === "`") return el("code", {}, references(inner));
  if (token[0] === ":") return emojiNode(token);
  return el(WRAPPERS[token[0]], {}, inline(inner));
}

// Inside code only references are interpreted.
function references(text) {
  return text.split(/<([^<>\n]+)>/).map((part, index) => (index % 2 ? reference(part) : unescape(part)));
}

export function emojiNode(token) {
  const name = token.slice(1, -1).toLowerCase();
  const character = emoji(name);
  return character === `:${name}:` ? token : el("span", { class: "emoji", title: token, role: "img", "aria-label": name }, character);
}

function reference(inner) {
  const [target, ...rest] = inner.split("|");
  const label = unescape(rest.join("|"));
  if (target.startsWith("@")) return user(target.slice(1));
  if (target.startsWith("#")) return channel(target.slice(1), label);
  if (target.startsWith("!date^")) return date(target, label);
  if (target.startsWith("!subteam^")) return group(target.split("^")[1]);
  if (/^!(channel|here|everyone)$/.test(target)) return broadcast(target.slice(1));
  if (target.startsWith("!")) return label || `<${inner}>`;
  return link(unescape(target), label);
}

export const user = (id) => el("span", { class: `mention ${names.isMe(id) ? "me" : ""}` }, `@${names.user(id)}`);
export const group = (id) => el("span", { class: `mention ${names.isMe(id) ? "me" : ""}` }, `@${names.group(id)}`);
export const broadcast = (range) => el("span", { class: "mention me" }, `@${range}`);

export function channel(id, label = "") {
  return el("a", { class: "mention", href: `#/archives/${id}` }, `#${names.channel(id) || label || id}`);
}

// Only safe addresses become links: no javascript:, no data:.
export function link(url, label) {
  if (!/^(https?:|mailto:|tel:)/i.test(url)) return label ? `${label} (${url})` : `<${url}>`;
  return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label || url.replace(/^mailto:/, ""));
}

function date(target, fallback) {
  const [, stamp, pattern = "", address = ""] = target.split("^");
  const seconds = Number(stamp);
  if (!Number.isFinite(seconds) || !pattern) return fallback || target;
  const title = new Date(seconds * 1000).toLocaleString();
  const time = el("time", { title, datetime: new Date(seconds * 1000).toISOString() }, formatDate(seconds, unescape(pattern)));
  return /^https?:/i.test(address) ? el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, time) : time;
}
