// A plot with marks on a canvas, axes as SVG below it, and focusable marks as SVG above it.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 },
    (_, at) => +((first + at) * step).toPrecision(12));
}
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const tickText = (value) => (value && Math.abs(value) < 1e-3 ? value.toExponential(0)
  : short.format(value));

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
// The range of an axis: the points, and their intervals up to one spread of the points beyond them.
function spread(points, intervals) {
  const known = points.filter((value) => value !== null);
  const low = Math.min(...known), high = Math.max(...known), wide = high - low || Infinity;
  return [...points, ...intervals.map((value) => clamp(value, low - wide, high + wide))];
}

// Map values to a range of pixels, on a logarithmic scale if isLog and no value is 0 or below.
function scale(values, from, to, whole = false, isLog = false) {
  const known = values.filter((value) => value !== null);
  let low = Infinity, high = -Infinity;
  for (const value of known) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > high) [low, high] = [0, 1];
  const log = isLog && low > 0;
  const turn = log ? Math.log10 : (value) => value;
  let [a, b] = [turn(low), turn(high)];
  const pad = (b - a) * 0.04 || Math.abs(a) * 0.1 || 1;
  [a, b] = [a - pad, b + pad];
  const apply = (value) => from + ((turn(value) - a) / (b - a)) * (to - from);
  const many = Math.max(4, Math.min(7, Math.abs(to - from) / 80));
  const tens = Array.from({ length: Math.ceil(b) - Math.floor(a) + 1 }, (_, at) => 10 ** (Math.floor(a) + at));
  apply.ticks = log
    ? tens.flatMap((ten) => (b - a < 2.5 ? [ten, 2 * ten, 5 * ten] : [ten]))
      .filter((value) => turn(value) >= a && turn(value) <= b)
    : ticks(a, b, many).filter((value) => !whole || Number.isInteger(value));
  return apply;
}

class Plot {
  // spec() returns what to draw: {x: {title, values}, y: {title, values}, draw(plot)}.
  constructor(parent, label, height, spec) {
    Object.assign(this, { height, spec });
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.below = svg("svg", { "aria-hidden": "true" });
    this.svg = svg("svg", { role: "group", "aria-label": label });
    this.box = el("div", { class: "plot" }, this.below, this.canvas, this.svg);
    this.box.style.height = `${height}px`;
    parent.append(this.box);
    new ResizeObserver(() => this.draw()).observe(this.box);
    listeners.push(() => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }
  draw() {
    const { width } = this.box.getBoundingClientRect(), { height } = this;
    if (!width) return;
    const dense = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * dense, height: height * dense });
    this.context = this.canvas.getContext("2d");
    this.context.scale(dense, dense);
    this.area = { left: 62, right: width - 14, top: 12, bottom: height - 44 };
    const { x, y, draw } = this.spec();
    this.x = scale(x.values, this.area.left, this.area.right, x.whole, x.log);
    this.y = scale(y.values, this.area.bottom, this.area.top, y.whole, y.log);
    this.below.replaceChildren(...this.axes(x.title, y.title));
    this.svg.replaceChildren();
    draw(this);
  }
  axes(xTitle, yTitle) {
    const { left, right, top, bottom } = this.area, middle = (top + bottom) / 2;
    const lines = this.x.ticks.map((value) => [this.x(value), top, this.x(value), bottom])
      .concat(this.y.ticks.map((value) => [left, this.y(value), right, this.y(value)]));
    return [
      ...lines.map(([x1, y1, x2, y2]) => svg("line", { x1, y1, x2, y2, class: "grid" })),
      ...this.x.ticks.map((value) => svg("text", { x: this.x(value), y: bottom + 16, class: "tick x" },
        tickText(value))),
      ...this.y.ticks.map((value) => svg("text", { x: left - 6, y: this.y(value) + 4, class: "tick y" },
        tickText(value))),
      svg("text", { x: (left + right) / 2, y: bottom + 36, class: "axis" }, xTitle),
      svg("text", { x: 14, y: middle, class: "axis", transform: `rotate(-90 14 ${middle})` }, yTitle),
    ];
  }
  // A value that stays until the next one; a dot if there is only one.
  stairs(points, name, width = 2, dash = []) {
    const drawn = points.map(([x, y]) => [this.x(x), this.y(y)]);
    if (drawn.length === 1) this.dot(...drawn[0], 3, colour(name));
    this.path(steps(drawn), colour(name), width, dash);
  }
  dot(x, y, radius, style, ring = false) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context[ring ? "strokeStyle" : "fillStyle"] = style;
    context[ring ? "stroke" : "fill"]();
  }
  cross(x, y, size, style) {
    this.path([[x - size, y - size], [x + size, y + size]], style, 2);
    this.path([[x - size, y + size], [x + size, y - size]], style, 2);
  }
  // Intervals [low, high] of a point's values, across and up.
  whiskers(x, y, across, up, style) {
    const { left, right, top, bottom } = this.area;
    if (across) this.path(across.map((value) => [clamp(this.x(value), left, right), y]), style, 1);
    if (up) this.path(up.map((value) => [x, clamp(this.y(value), top, bottom)]), style, 1);
  }
  path(points, style, width = 1, dash = []) {
    const { context } = this;
    context.beginPath();
    points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
    Object.assign(context, { strokeStyle: style, lineWidth: width });
    context.setLineDash(dash);
    context.stroke();
    context.setLineDash([]);
  }
}

// The points of a step function that keeps each value until the next one.
const steps = (points) => points.flatMap(([x, y], at) =>
  (at ? [[x, points[at - 1][1]], [x, y]] : [[x, y]]));

// The boundary of what a front dominates, from one edge of the plot to the other.
function staircase(plot, points, [xFalls, yFalls]) {
  const along = [...points].sort((a, b) => (xFalls ? a[0] - b[0] : b[0] - a[0]));
  const { left, right, top, bottom } = plot.area;
  return steps([[along[0][0], yFalls ? top : bottom], ...along, [xFalls ? right : left, along.at(-1)[1]]]);
}
const falls = (objective) => objective.direction === "minimize";

// A mean with its interval, on a line from low to high.
function whisker([low, mean, high], from, to) {
  const at = (value) => 4 + (132 * (value - from)) / (to - from || 1);
  return svg("svg", { viewBox: "0 0 140 14", class: "whisker", "aria-hidden": "true" },
    svg("line", { x1: 4, x2: 136, y1: 7, y2: 7, class: "grid" }),
    svg("line", { x1: at(low), x2: at(high), y1: 7, y2: 7, class: "interval" }),
    svg("circle", { cx: at(mean), cy: 7, r: 4 }));
}
