// Slack's date formatting, <!date^UNIX^FORMAT^LINK|FALLBACK>, in the reader's own time zone.
// https://docs.slack.dev/messaging/formatting-message-text#date-formatting

const DAY_MS = 86_400_000;

const format = (date, options) => date.toLocaleDateString("en-US", options);

function ordinal(day) {
  const suffix = day % 10 === 1 && day !== 11 ? "st" : day % 10 === 2 && day !== 12 ? "nd" : day % 10 === 3 && day !== 13 ? "rd" : "th";
  return `${day}${suffix}`;
}

const month = (date) => format(date, { month: "long" });
const weekday = (date) => format(date, { weekday: "long" });
const two = (number) => String(number).padStart(2, "0");

const PLAIN = {
  date_num: (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`,
  date_slash: (d) => `${two(d.getMonth() + 1)}/${two(d.getDate())}/${d.getFullYear()}`,
  date: (d) => `${month(d)} ${ordinal(d.getDate())}, ${d.getFullYear()}`,
  date_short: (d) => format(d, { month: "short", day: "numeric", year: "numeric" }),
  date_long: (d) => `${weekday(d)}, ${month(d)} ${ordinal(d.getDate())}, ${d.getFullYear()}`,
  date_long_full: (d) => `${weekday(d)}, ${month(d)} ${d.getDate()}, ${d.getFullYear()}`,
  day_divider_pretty: (d) => `${weekday(d)}, ${month(d)} ${ordinal(d.getDate())}`,
  time: (d) => clock(d),
  time_secs: (d) => d.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago: (d) => ago(d),
};

export const clock = (date) => date.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" });

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

// "today", "yesterday", "tomorrow" or "".
export function nearDay(date, now = new Date()) {
  const days = Math.round((midnight(date) - midnight(now)) / DAY_MS);
  return { 0: "today", 1: "tomorrow", "-1": "yesterday" }[days] ?? "";
}

export function dayTitle(date) {
  const near = nearDay(date);
  return near ? near[0].toUpperCase() + near.slice(1) : PLAIN.day_divider_pretty(date);
}

function ago(date) {
  const seconds = Math.round((date - Date.now()) / 1000);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return words.format(Math.trunc(seconds / length), unit);
  }
  return words.format(seconds, "second");
}

// Fills the tokens of a format. An unknown token stays as it is, as in Slack.
export function formatDate(unixSeconds, pattern) {
  const date = new Date(unixSeconds * 1000);
  return pattern.replace(/\{(\w+)\}/g, (token, name, offset) => {
    const near = name.endsWith("_pretty") && nearDay(date);
    if (near) return offset === 0 ? near[0].toUpperCase() + near.slice(1) : near;
    const fill = PLAIN[name] ?? PLAIN[name.replace(/_pretty$/, "")];
    return fill ? fill(date) : token;
  });
}
