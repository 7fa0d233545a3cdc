// A data_visualization block as SVG: lines, areas, bars or a pie, with a legend. Tooltips show the values.

import { el } from "./dom.js";

// All lengths are in units of the view box, which fills the width of the message.
const WIDTH = 340;
const HEIGHT = 190;
const PLOT = { left: 44, right: WIDTH - 4, top: 22, bottom: HEIGHT - 34 };
const MOST_LABELS = 5;

export function chartNode(block) {
  const chart = block.chart;
  const parts = chart.type === "pie" ? pie(chart) : onAxes(chart);
  const names = chart.type === "pie" ? chart.segments.map((one) => one.label) : chart.series.map((one) => one.name);
  return el(
    "figure",
    { class: "block chart" },
    el("figcaption", {}, block.title),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": block.title }, parts),
    el("ul", { class: "legend" }, names.map((name, index) => el("li", { class: `series-${index}` }, el("span", {}, name)))),
  );
}

function svg(tag, properties = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  node.append(...children.flat(Infinity));
  return node;
}

const tooltip = (...words) => svg("title", {}, words.join(" "));
const formatted = (number) => number.toLocaleString("en", { maximumSignificantDigits: Math.abs(number) < 1000 ? 3 : 6 });

function onAxes({ type, series, axis_config: axes }) {
  const values = series.flatMap((one) => one.data.map((point) => point.value));
  const ticks = ticksOver(Math.min(0, ...values), Math.max(0, ...values));
  const [low, high] = [ticks[0], ticks.at(-1)];
  const slot = (PLOT.right - PLOT.left) / axes.categories.length;
  const frame = {
    slot,
    x: (label) => PLOT.left + slot * (axes.categories.indexOf(label) + 0.5),
    y: (value) => PLOT.bottom - ((value - low) / (high - low)) * (PLOT.bottom - PLOT.top),
  };
  const draw = { line: lines, area: areas, bar: bars }[type];
  const classed = (one, index) => svg("g", { class: `series-${index}` }, draw(one, frame, index, series.length));
  return [grid(ticks, frame), labels(axes, frame), series.map(classed)];
}

// About five round numbers that cover `low` to `high`.
function ticksOver(low, high) {
  const rough = (high - low || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= rough * 0.999) * power;
  const count = Math.max(1, Math.ceil(high / step - 1e-9) - Math.floor(low / step + 1e-9));
  return Array.from({ length: count + 1 }, (_, index) => Number(((Math.floor(low / step + 1e-9) + index) * step).toPrecision(12)));
}

const grid = (ticks, { y }) =>
  ticks.map((tick) => [
    svg("line", { class: tick === 0 ? "axis" : "grid", x1: PLOT.left, x2: PLOT.right, y1: y(tick), y2: y(tick) }),
    svg("text", { class: "tick", x: PLOT.left - 7, y: y(tick) + 4, "text-anchor": "end" }, formatted(tick)),
  ]);

function labels(axes, { x }) {
  const every = Math.ceil(axes.categories.length / MOST_LABELS);
  const below = axes.categories
    .filter((_, index) => index % every === 0)
    .map((label) => svg("text", { class: "tick", x: x(label), y: PLOT.bottom + 16, "text-anchor": "middle" }, label));
  const titles = [
    axes.y_label && svg("text", { class: "axis-title", x: 2, y: 11 }, axes.y_label),
    axes.x_label && svg("text", { class: "axis-title", x: PLOT.right, y: HEIGHT - 4, "text-anchor": "end" }, axes.x_label),
  ];
  return [below, titles.filter(Boolean)];
}

// The points of a series with coordinates, in the order of the axis.
const coordinates = (series, { x, y }) =>
  series.data.map((point) => ({ ...point, x: x(point.label), y: y(point.value) })).sort((a, b) => a.x - b.x);

const path = (points) => points.map((point) => `${point.x},${point.y}`).join(" ");

function lines(series, frame) {
  const points = coordinates(series, frame);
  const dots = points.map((point) =>
    svg("circle", { class: "dot", cx: point.x, cy: point.y, r: 2.5 }, tooltip(`${series.name}, ${point.label}:`, formatted(point.value))),
  );
  return [svg("polyline", { class: "stroke", points: path(points) }), dots];
}

function areas(series, frame) {
  const points = coordinates(series, frame);
  const floor = frame.y(0);
  const outline = [{ x: points[0].x, y: floor }, ...points, { x: points.at(-1).x, y: floor }];
  return [svg("polygon", { class: "area", points: path(outline) }), lines(series, frame)];
}

function bars(series, frame, index, count) {
  const width = (frame.slot * 0.8) / count;
  const floor = frame.y(0);
  return coordinates(series, frame).map((point) => {
    const x = point.x - frame.slot * 0.4 + width * index;
    const box = { x, y: Math.min(point.y, floor), width: Math.max(width - 1, 1), height: Math.abs(point.y - floor) };
    return svg("rect", { class: "bar-shape", ...box }, tooltip(`${series.name}, ${point.label}:`, formatted(point.value)));
  });
}

function pie({ segments }) {
  const whole = segments.reduce((sum, one) => sum + one.value, 0);
  const [x, y, radius] = [WIDTH / 2, HEIGHT / 2, HEIGHT / 2 - 12];
  const at = (share) => `${x + radius * Math.sin(2 * Math.PI * share)},${y - radius * Math.cos(2 * Math.PI * share)}`;
  let before = 0;
  return segments.map((one, index) => {
    const share = one.value / whole;
    const arc = `M${x},${y} L${at(before)} A${radius},${radius} 0 ${share > 0.5 ? 1 : 0} 1 ${at(before + share)} Z`;
    before += share;
    const note = tooltip(`${one.label}: ${formatted(one.value)} (${formatted(share * 100)} %)`);
    const slice = share > 0.9999 ? svg("circle", { cx: x, cy: y, r: radius }, note) : svg("path", { d: arc }, note);
    return svg("g", { class: `series-${index} slice` }, slice);
  });
}
