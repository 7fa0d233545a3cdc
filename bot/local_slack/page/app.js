// The page: the open channel and thread, the current member, and drawing after each change.

import { Composer } from "./composer.js";
import { byId, el, icon, showMenu } from "./dom.js";
import { avatar, MessageList } from "./messages.js";
import { showModal, viewBlocks } from "./modal.js";
import { useNames } from "./mrkdwn.js";
import { act, listed, member, messageAt, refresh, replies, state, switchMember, watch } from "./state.js";

const HOME = "home";
const view = { place: sessionStorage.getItem("place") ?? "", thread: "" };
const lastRead = new Map();

const channelList = new MessageList(byId("list"), openThread);
const threadList = new MessageList(byId("thread-list"));
const composer = new Composer(byId("composer"));
const threadComposer = new Composer(byId("thread-composer"));

useNames({
  user: (id) => member(id).real_name,
  channel: (id) => state.channels.find((one) => one.id === id)?.name,
  group: (id) => state.groups.find((one) => one.id === id)?.handle ?? id,
  isMe: (id) => id === state.me || Boolean(state.groups.find((one) => one.id === id)?.members.includes(state.me)),
});

const botName = () => member(state.bot).real_name;
const currentChannel = () => state.channels.find((one) => one.id === view.place);

function render() {
  if (view.place !== HOME && !currentChannel()) view.place = state.channels[0]?.id ?? "";
  document.title = `${placeTitle()} · ${state.team.name}`;
  byId("team").textContent = state.team.name;
  renderPlace();
  renderThread();
  renderSidebar();
  showModal(state.modal);
}

const placeTitle = () => {
  const channel = currentChannel();
  return channel && !channel.is_im ? `#${channel.name}` : botName();
};

function renderPlace() {
  const channel = currentChannel();
  byId("place").textContent = placeTitle();
  byId("place-note").textContent = channel && !channel.is_im ? `${channel.members.length} members` : "App";
  byId("home").hidden = Boolean(channel);
  byId("list").hidden = byId("composer").hidden = !channel;
  if (!channel) return renderHome();
  composer.turnTo(channel.id, "", channel.is_im ? `Message ${botName()}` : `Message #${channel.name}, or type / for commands`);
  const messages = listed(channel.id);
  const isNew = channelList.show(messages, intro(channel));
  if (isNew && !channelList.isAtEnd) byId("jump").hidden = false;
  lastRead.set(`${state.me}/${channel.id}`, messages.at(-1)?.ts ?? "0");
}

const intro = (channel) =>
  el(
    "div",
    { class: "intro" },
    el("h3", {}, channel.is_im ? `This is your conversation with ${botName()}.` : `This is the beginning of #${channel.name}.`),
    el("p", {}, channel.members.includes(state.bot) ? "Type / to see the commands." : `${botName()} is not in this channel. To add it, type /invite @${member(state.bot).name}`),
  );

let homeHash = "";

function renderHome() {
  const home = state.home;
  if (home?.hash === homeHash && home) return;
  homeHash = home?.hash ?? "";
  byId("home").replaceChildren(...(home ? viewBlocks(home).flat() : [el("p", { class: "intro" }, `${botName()} has not published a Home tab.`)]));
}

function renderThread() {
  const parent = view.thread && messageAt(view.place, view.thread);
  byId("thread").hidden = !parent;
  document.body.classList.toggle("has-thread", Boolean(parent));
  if (!parent) return;
  byId("thread-note").textContent = placeTitle();
  threadComposer.turnTo(view.place, view.thread, "Reply …");
  threadList.show([parent, ...replies(view.place, view.thread)]);
}

let sidebarSignature = "";

function renderSidebar() {
  const last = state.channels.map((one) => listed(one.id).at(-1)?.ts);
  const signature = JSON.stringify([state.me, state.channels, state.people, view.place, last, [...lastRead]]);
  if (signature === sidebarSignature) return;
  sidebarSignature = signature;
  const channels = state.channels.filter((one) => !one.is_im);
  const directs = state.channels.filter((one) => one.is_im);
  const nodes = [
    el("h3", {}, "Channels"),
    channels.map((one) => placeButton(one.id, el("span", { class: "hash" }, "#"), one.name)),
    directs.length ? el("h3", {}, "Direct messages") : null,
    directs.map((one) => placeButton(one.id, avatar(member(state.bot), "tiny"), botName())),
    el("h3", {}, "Apps"),
    placeButton(HOME, avatar(member(state.bot), "tiny"), `${botName()} home`),
    el("h3", {}, "People"),
    state.people.map((id) => personLine(member(id))),
  ];
  byId("places").replaceChildren(...nodes.flat().filter(Boolean));
  const me = member(state.me);
  byId("identity").replaceChildren(avatar(me), el("span", {}, el("small", {}, "You are"), el("b", {}, me.real_name)), icon("down"));
}

function placeButton(id, mark, label) {
  const last = id === HOME ? "0" : (listed(id).at(-1)?.ts ?? "0");
  const isUnread = id !== view.place && last > (lastRead.get(`${state.me}/${id}`) ?? "0") && id !== HOME;
  const cssClass = `place ${id === view.place ? "current" : ""} ${isUnread ? "unread" : ""}`;
  return el("button", { class: cssClass, type: "button", onclick: () => openPlace(id) }, mark, el("span", {}, label));
}

function personLine(who) {
  const note = who.is_restricted ? "guest" : who.is_stranger ? "external" : "";
  return el(
    "button",
    { class: "place", type: "button", title: `Continue as ${who.real_name}`, onclick: () => continueAs(who.id) },
    avatar(who, "tiny"),
    el("span", {}, who.real_name, who.id === state.me && el("i", {}, " you"), note && el("i", {}, ` ${note}`)),
  );
}

function openPlace(id) {
  if (id !== view.place) channelList.clear();
  Object.assign(view, { place: id, thread: "" });
  sessionStorage.setItem("place", id);
  byId("jump").hidden = true;
  document.body.classList.remove("shows-sidebar");
  if (id === HOME) act("home", {});
  render();
  if (id !== HOME && matchMedia("(min-width: 700px)").matches) composer.focus();
}

function openThread(message) {
  if (view.thread !== message.ts) threadList.clear();
  view.thread = message.ts;
  render();
  threadComposer.focus();
}

async function continueAs(id) {
  sessionStorage.setItem("member", id);
  document.body.classList.remove("shows-sidebar");
  channelList.clear();
  threadList.clear();
  showModal(null);
  homeHash = "";
  await switchMember(id);
  if (view.place === HOME) act("home", {});
}

// A link such as #/archives/C0…/p1234567890123456 opens the channel and scrolls to the message.
function followLink() {
  const [, channelId, digits] = /^#\/archives\/(\w+)(?:\/p(\d+))?$/.exec(location.hash) ?? [];
  if (!channelId || !state.channels.some((one) => one.id === channelId)) return;
  history.replaceState(null, "", location.pathname + location.search);
  openPlace(channelId);
  if (!digits) return;
  const ts = `${digits.slice(0, -6)}.${digits.slice(-6)}`;
  const parent = messageAt(channelId, ts)?.thread_ts;
  if (parent) openThread(messageAt(channelId, parent));
  const row = document.querySelector(`[data-ts="${ts}"]`);
  row?.scrollIntoView({ block: "center" });
  row?.classList.add("pointed-at");
}

byId("open-sidebar").append(icon("menu"));
byId("close-thread").append(icon("close"));
byId("open-sidebar").onclick = () => document.body.classList.toggle("shows-sidebar");
byId("close-thread").onclick = () => {
  view.thread = "";
  render();
  composer.focus();
};
byId("jump").onclick = () => channelList.toEnd();
channelList.onScroll = () => {
  if (channelList.isAtEnd) byId("jump").hidden = true;
};
byId("identity").onclick = () => {
  const entries = state.people.map((id) => ({
    label: el("span", { class: "menu-person" }, avatar(member(id), "tiny"), member(id).real_name),
    choose: () => continueAs(id),
  }));
  showMenu(byId("identity"), entries);
};
document.querySelector(".conversation").addEventListener("pointerdown", (event) => {
  if (!event.target.closest("#open-sidebar")) document.body.classList.remove("shows-sidebar");
});
addEventListener("hashchange", followLink);
document.addEventListener("visibilitychange", () => document.hidden || refresh());

// ?as=grace opens the page as that member: two windows can be two people.
const requested = new URLSearchParams(location.search).get("as");
await switchMember(requested ?? sessionStorage.getItem("member") ?? "ada");
if (!state.members.size) await switchMember("ada");
watch(render, (isLost) => {
  byId("lost").hidden = !isLost;
});
render();
followLink();
composer.focus();
