// The open modal. It is drawn again only if the app changes it, and keeps the values that are already filled in.

import { blockNodes, choices, chosenValues, options, textNode } from "./blocks.js";
import { el, icon, toast } from "./dom.js";
import { act, failureText } from "./state.js";

let current = null;

export function showModal(view) {
  if (current && view && current.view.id === view.id && current.view.hash === view.hash) return;
  const values = current && view && current.view.id === view.id ? readFields(current.dialog) : {};
  current?.dialog.remove();
  current = null;
  if (!view) return;
  const dialog = draw(view, values);
  current = { view, dialog };
  document.body.append(dialog);
  dialog.showModal();
  (dialog.querySelector("[data-focus]") ?? dialog.querySelector("input, textarea, select"))?.focus();
}

export function viewBlocks(view, values = {}) {
  const onAction = async (block, element, value) => {
    const entered = current?.view.id === view.id ? readFields(current.dialog) : {};
    const fields = { view_id: view.id, block_id: block.block_id, action_id: element.action_id, value, values: entered };
    const failure = failureText(await act("click", fields));
    if (failure) toast(failure);
  };
  return view.blocks.map((block) => (block.type === "input" ? field(block, values[block.block_id], onAction) : blockNodes([block], onAction)));
}

function draw(view, values) {
  const close = async () => {
    const failure = failureText(await act("close", { view_id: view.id }));
    if (failure) toast(failure);
  };
  const form = el(
    "form",
    { class: "dialog-form", novalidate: true },
    el(
      "header",
      { class: "dialog-head" },
      el("img", { class: "avatar small", src: "/page/seatrial.svg", alt: "" }),
      el("h2", {}, textNode(view.title)),
      el("button", { class: "icon-button", type: "button", "aria-label": "Close", onclick: close }, icon("close")),
    ),
    el("div", { class: "dialog-body" }, viewBlocks(view, values)),
    el(
      "footer",
      { class: "dialog-foot" },
      el("button", { class: "button", type: "button", onclick: close }, view.close ? textNode(view.close) : view.submit ? "Cancel" : "Close"),
      view.submit && el("button", { class: "button primary", type: "submit" }, textNode(view.submit)),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(view, form);
  });
  const cancel = (event) => {
    event.preventDefault();
    close();
  };
  return el("dialog", { class: "dialog", "aria-label": view.title.text, oncancel: cancel }, form);
}

async function submit(view, form) {
  const button = form.querySelector("[type=submit]");
  if (button.classList.contains("busy")) return;
  button.classList.add("busy");
  for (const old of form.querySelectorAll(".field-error")) old.remove();
  const answer = await act("submit", { view_id: view.id, values: readFields(form) });
  button.classList.remove("busy");
  const failure = failureText(answer);
  if (failure) toast(failure);
  for (const [blockId, text] of Object.entries(answer.errors ?? {})) {
    const place = form.querySelector(`[data-block="${CSS.escape(blockId)}"]`);
    place?.append(el("p", { class: "field-error", role: "alert" }, text));
  }
  form.querySelector(".field-error")?.closest("[data-block]").querySelector("input, textarea, select")?.focus();
}

function readFields(root) {
  const values = {};
  for (const place of root.querySelectorAll("[data-block]")) values[place.dataset.block] = { [place.dataset.action]: readField(place) };
  return values;
}

function readField(place) {
  const chosen = chosenValues(place);
  if (place.dataset.kind === "checkboxes") return chosen;
  if (place.dataset.kind === "radio_buttons") return chosen[0] ?? "";
  return place.querySelector("input, textarea, select").value;
}

function field(block, values, onAction) {
  const element = block.element;
  const node = control(element);
  const value = values?.[element.action_id];
  if (value !== undefined && node.matches("input, textarea, select")) node.value = value;
  if (element.focus_on_load) node.dataset.focus = "yes";
  const root = el("div", { class: "form-field", "data-block": block.block_id, "data-action": element.action_id, "data-kind": element.type });
  if (block.dispatch_action) node.addEventListener("change", () => onAction(block, element, readField(root)));
  const optional = block.optional && el("span", { class: "optional" }, " (optional)");
  root.append(el("label", {}, el("span", { class: "label" }, textNode(block.label), optional), node));
  if (block.hint) root.append(el("p", { class: "hint" }, textNode(block.hint)));
  return root;
}

function control(element) {
  const placeholder = element.placeholder?.text;
  switch (element.type) {
    case "plain_text_input": {
      const properties = { class: "input", placeholder, maxlength: element.max_length && String(element.max_length) };
      const node = el(element.multiline ? "textarea" : "input", { ...properties, rows: element.multiline ? "4" : null });
      node.value = element.initial_value ?? "";
      return node;
    }
    case "number_input": {
      const step = element.is_decimal_allowed ? "any" : "1";
      const node = el("input", { class: "input", type: "number", step, min: element.min_value, max: element.max_value, placeholder });
      node.value = element.initial_value ?? "";
      return node;
    }
    case "static_select": {
      const node = el("select", { class: "select wide" }, el("option", { value: "" }, placeholder ?? "Select an option"), options(element));
      node.value = element.initial_option?.value ?? "";
      return node;
    }
    default:
      return choices(element);
  }
}
