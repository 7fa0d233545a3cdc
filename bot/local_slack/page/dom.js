// Elements, icons, menus and notes. The page is built from nodes and texts only: it never parses HTML from a string.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

const PATHS = {
  menu: "M3 5h14M3 10h14M3 15h14",
  close: "M5 5l10 10M15 5L5 15",
  send: "M3 3.500l14 6.500-14 6.500 2-6.500zM5 10h6",
  eye: "M2 10s3-5.500 8-5.500S18 10 18 10s-3 5.500-8 5.500S2 10 2 10zM10 12.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z",
  reply: "M4 4h12a1.500 1.500 0 0 1 1.500 1.500v7A1.500 1.500 0 0 1 16 14H9l-4 3v-3H4a1.500 1.500 0 0 1-1.500-1.500v-7A1.500 1.500 0 0 1 4 4z",
  file: "M5 2.500h6.500L15 6v11.500H5zM11.500 2.500V6H15",
  down: "M5 8l5 5 5-5",
  download: "M10 3v9M6 8.500l4 4 4-4M4 16.500h12",
  more: "M4 10h.01M10 10h.01M16 10h.01",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

// One menu at a time, next to its button. Escape, a choice or a click elsewhere closes it.
let openMenu = null;

export function closeMenu() {
  openMenu?.remove();
  openMenu = null;
}

export function showMenu(anchor, entries) {
  closeMenu();
  const menu = el("div", { class: "menu", role: "menu" });
  for (const entry of entries) {
    const choose = () => {
      closeMenu();
      entry.choose();
    };
    menu.append(el("button", { class: "menu-entry", type: "button", role: "menuitem", onclick: choose }, entry.label));
  }
  (anchor.closest("dialog") ?? document.body).append(menu);
  const at = anchor.getBoundingClientRect();
  const below = at.bottom + menu.offsetHeight + 8 < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - menu.offsetHeight - 4)}px`;
  openMenu = menu;
  menu.firstElementChild?.focus();
}

document.addEventListener("keydown", (event) => {
  if (!openMenu) return;
  if (event.key === "Escape") {
    event.preventDefault();
    closeMenu();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    const entries = [...openMenu.children];
    const index = entries.indexOf(document.activeElement) + step;
    entries[(index + entries.length) % entries.length].focus();
  }
});

document.addEventListener("pointerdown", (event) => {
  if (openMenu && !openMenu.contains(event.target)) closeMenu();
});

export function toast(text) {
  const place = byId("toasts");
  const node = el("div", { class: "toast" }, text);
  place.append(node);
  // Reopening the popover moves it above a modal that was opened later.
  if (place.matches(":popover-open")) place.hidePopover();
  place.showPopover();
  setTimeout(() => {
    node.remove();
    if (!place.children.length) place.hidePopover();
  }, 6000);
}

// Asks before an action with Block Kit's `confirm`. Resolves to true if the member agreed.
export function confirmFirst(title, body, confirmLabel, denyLabel, isDanger) {
  return new Promise((resolve) => {
    const answer = (value) => () => {
      dialog.remove();
      resolve(value);
    };
    const dialog = el(
      "dialog",
      { class: "dialog small", oncancel: answer(false) },
      el("header", { class: "dialog-head" }, el("h2", {}, title)),
      el("div", { class: "dialog-body" }, body),
      el(
        "footer",
        { class: "dialog-foot" },
        el("button", { class: "button", type: "button", onclick: answer(false) }, denyLabel),
        el(
          "button",
          { class: `button ${isDanger ? "danger" : "primary"}`, type: "button", autofocus: true, onclick: answer(true) },
          confirmLabel,
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
