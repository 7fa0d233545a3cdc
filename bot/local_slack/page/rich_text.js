// rich_text blocks as DOM: sections, lists, quotations and preformatted text.

import { formatDate } from "./dates.js";
import { el } from "./dom.js";
import { broadcast, channel, emojiNode, group, link, user } from "./mrkdwn.js";

export function richText(block) {
  return el("div", { class: "mrkdwn" }, block.elements.map(part));
}

function part(element) {
  const children = element.elements ?? [];
  if (element.type === "rich_text_list") {
    const tag = element.style === "ordered" ? "ol" : "ul";
    return el(tag, { class: `indent-${Math.min(element.indent ?? 0, 4)}` }, children.map((one) => el("li", {}, pieces(one.elements))));
  }
  const tag = { rich_text_quote: "blockquote", rich_text_preformatted: "pre" }[element.type] ?? "div";
  return el(tag, {}, pieces(children));
}

const pieces = (elements = []) => elements.map((one) => styled(piece(one), one.style ?? {}));

function piece(one) {
  switch (one.type) {
    case "text":
      return one.text;
    case "link":
      return link(one.url, one.text);
    case "user":
      return user(one.user_id);
    case "usergroup":
      return group(one.usergroup_id);
    case "channel":
      return channel(one.channel_id);
    case "broadcast":
      return broadcast(one.range);
    case "emoji":
      return emojiNode(`:${one.name}:`);
    case "date":
      return el("time", {}, formatDate(one.timestamp, one.format));
    default:
      return "";
  }
}

function styled(node, style) {
  let result = node;
  for (const [name, tag] of [["code", "code"], ["strike", "s"], ["italic", "i"], ["bold", "b"]]) {
    if (style[name]) result = el(tag, {}, result);
  }
  return result;
}
