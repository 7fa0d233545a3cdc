// Block Kit as DOM. A press or a choice calls `onAction(block, element, value)`, which returns a promise.

import { chartNode } from "./chart.js";
import { confirmFirst, el, icon, showMenu } from "./dom.js";
import { mrkdwn, plainText } from "./mrkdwn.js";
import { richText } from "./rich_text.js";

export function textNode(object) {
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  return el("span", { class: "plain" }, object.emoji === false ? object.text : plainText(object.text));
}

export function blockNodes(blocks, onAction) {
  return blocks.map((block) => {
    try {
      return DRAW[block.type](block, onAction);
    } catch {
      // A block that cannot be drawn must not break the page.
      return el("div", { class: "unknown-block" }, `This page cannot show a ${block.type} block.`);
    }
  });
}

const DRAW = {
  header: (block) => el("h3", { class: "block header" }, textNode(block.text)),
  divider: () => el("hr", { class: "block divider" }),
  section: (block, onAction) =>
    el(
      "div",
      { class: "block section" },
      el(
        "div",
        { class: "section-text" },
        block.text && textNode(block.text),
        block.fields && el("div", { class: "fields" }, block.fields.map((field) => el("div", { class: "field" }, textNode(field)))),
      ),
      block.accessory && el("div", { class: "accessory" }, elementNode(block, block.accessory, onAction)),
    ),
  context: (block) =>
    el(
      "div",
      { class: "block context" },
      block.elements.map((one) => (one.type === "image" ? picture(one, "context-picture") : el("span", {}, textNode(one)))),
    ),
  actions: (block, onAction) =>
    el("div", { class: "block actions" }, block.elements.map((one) => elementNode(block, one, onAction))),
  image: (block) =>
    el("figure", { class: "block image" }, block.title && el("figcaption", {}, textNode(block.title)), picture(block, "block-picture")),
  data_visualization: (block) => chartNode(block),
  rich_text: (block) => el("div", { class: "block" }, richText(block)),
  table: (block) =>
    el(
      "div",
      { class: "block table-scroll" },
      el(
        "table",
        {},
        block.rows.map((row, index) =>
          el("tr", {}, row.map((cell) => el(index ? "td" : "th", {}, cell.type === "raw_text" ? cell.text : richText(cell)))),
        ),
      ),
    ),
};

function elementNode(block, element, onAction) {
  const go = async (value) => {
    const confirm = element.confirm;
    if (confirm) {
      const labels = [confirm.confirm.text, confirm.deny.text];
      if (!(await confirmFirst(confirm.title.text, textNode(confirm.text), ...labels, confirm.style === "danger"))) return;
    }
    await onAction(block, element, value);
  };
  switch (element.type) {
    case "button":
      return button(element, go);
    case "static_select":
      return select(element, go);
    case "overflow":
      return overflow(element, go);
    case "checkboxes":
    case "radio_buttons":
      return choices(element, (values) => go(element.type === "checkboxes" ? values : values[0]));
    case "image":
      return picture(element, "accessory-picture");
    default:
      return el("span", { class: "unknown-block" }, element.type);
  }
}

function button(element, go) {
  const press = async (event) => {
    const pressed = event.currentTarget;
    if (pressed.classList.contains("busy")) return;
    if (element.url && /^https?:/i.test(element.url)) open(element.url, "_blank", "noopener");
    pressed.classList.add("busy");
    await go();
    pressed.classList.remove("busy");
  };
  const label = element.accessibility_label;
  const properties = { class: `button ${element.style ?? ""}`, type: "button", "data-action": element.action_id, "aria-label": label };
  return el("button", { ...properties, onclick: press }, textNode(element.text));
}

export function options(element) {
  const one = (option) => el("option", { value: option.value }, option.text.text);
  if (element.options) return element.options.map(one);
  return element.option_groups.map((group) => el("optgroup", { label: group.label.text }, group.options.map(one)));
}

function select(element, go) {
  const placeholder = el("option", { value: "", disabled: true }, element.placeholder?.text ?? "Select an option");
  const node = el("select", { class: "select", "data-action": element.action_id }, placeholder, options(element));
  node.value = element.initial_option?.value ?? "";
  node.addEventListener("change", async () => {
    const chosen = node.value;
    node.blur();
    await go(chosen);
  });
  return node;
}

function overflow(element, go) {
  const choose = (option) => {
    if (option.url && /^https?:/i.test(option.url)) open(option.url, "_blank", "noopener");
    go(option.value);
  };
  const entries = element.options.map((option) => ({ label: option.text.text, choose: () => choose(option) }));
  const properties = { class: "button overflow", type: "button", "aria-label": "More actions", "aria-haspopup": "menu" };
  return el("button", { ...properties, onclick: (event) => showMenu(event.currentTarget, entries) }, icon("more"));
}

let groupCount = 0;

// Checkboxes or radio buttons. Each change calls `onChange` with all chosen values.
export function choices(element, onChange = () => {}) {
  const isMany = element.type === "checkboxes";
  const initial = isMany ? (element.initial_options ?? []) : [element.initial_option].filter(Boolean);
  const chosen = new Set(initial.map((option) => option.value));
  const name = `choice-${groupCount++}`;
  const root = el("div", { class: "choices", role: isMany ? "group" : "radiogroup" });
  for (const option of element.options) {
    const box = el("input", { type: isMany ? "checkbox" : "radio", name, value: option.value, checked: chosen.has(option.value) });
    box.addEventListener("change", () => onChange(chosenValues(root)));
    const description = option.description && el("small", {}, textNode(option.description));
    root.append(el("label", { class: "choice" }, box, el("span", {}, textNode(option.text), description)));
  }
  return root;
}

export const chosenValues = (root) => [...root.querySelectorAll("input:checked")].map((box) => box.value);

// Only pictures from this server are loaded. A picture from elsewhere becomes a link: the page makes no outside requests.
export function picture(image, cssClass) {
  const file = image.slack_file;
  const source = file ? `/local/files/${encodeURIComponent(file.id ?? "")}/picture` : image.image_url;
  if (URL.canParse(source, location.href) && new URL(source, location.href).origin === location.origin) {
    return el("img", { class: cssClass, src: source, alt: image.alt_text, loading: "lazy" });
  }
  return el("a", { class: "far-picture", href: source, target: "_blank", rel: "noopener noreferrer" }, image.alt_text || "Picture");
}
