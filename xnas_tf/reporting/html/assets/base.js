// The data of the page, and functions that build elements. Users' texts are only appended as text
// nodes or set as attributes; they are never parsed as markup.
const data = JSON.parse(document.getElementById("data").textContent);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null));
  return node;
}
const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
// Text in which the parts between backticks are code.
const marked = (text) => text.split(/`([^`]+)`/).map((part, at) => at % 2 ? el("code", {}, part) : part);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Round half to even, as Python does for tables in a terminal; toFixed would round half up.
function fixed(value, digits) {
  const places = value * 2 ** (digits + 1); // odd if exactly halfway between two decimals
  if (!Number.isInteger(places) || places % 2 === 0) return value.toFixed(digits);
  const below = Math.floor(value * 10 ** digits);
  return ((below + (below % 2 ? 1 : 0)) / 10 ** digits).toFixed(digits);
}
// A browser must not break the line after the hyphen of an exponent.
const exponential = (value) => value.toExponential(2).replace("e-", "e-\u2060");
function number(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e4 ? Math.round(value).toLocaleString("en") : size && size < 1e-3
    ? exponential(value) : String(+fixed(value, size < 10 ? 4 : 2));
}
const plain = (value) => (typeof value === "number" ? number(value) : String(value));
// The value of a hyperparameter, with three significant digits if it is not an integer.
const setting = (value) => (typeof value === "number" && !Number.isInteger(value) ? String(+value.toPrecision(3))
  : plain(value));
const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)}%`);
const plural = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
// The title of an axis for a measure, which says if the scale is logarithmic.
const axisTitle = (title, log) => (log ? `${title} (log scale)` : title);
const arrow = (objective) => (objective.direction === "minimize" ? "↓" : "↑");

const contents = document.getElementById("contents");
const watcher = new IntersectionObserver((entries) => {
  const seen = entries.find((entry) => entry.isIntersecting);
  if (!seen) return;
  for (const link of contents.children) {
    const isCurrent = link.hash === `#${seen.target.id}`;
    if (isCurrent) contents.scrollTo({ left: link.offsetLeft - 16 });
    if (isCurrent) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-10% 0px -80%" });
function section(id, title, about, ...children) {
  const made = fill(el("section", { id, "aria-labelledby": `${id}-title` }), {}, [
    el("h2", { id: `${id}-title` }, title), about ? el("p", { class: "about" }, about) : null,
    ...children]);
  document.getElementById("main").append(made);
  contents.append(el("a", { href: `#${id}` }, title));
  watcher.observe(made);
  return made;
}
const scroller = (label, ...children) =>
  el("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": label }, ...children);

function table(headings, rows, caption) {
  const head = headings.map((heading) => el("th", { scope: "col" }, heading));
  const body = rows.map((row) => el("tr", {}, row.map((cell) =>
    cell instanceof Element && cell.tagName.startsWith("T") ? cell : el("td", {}, cell))));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, body));
}
function picker(label, options, value, change) {
  const chosen = el("select", { onchange: (event) => change(+event.target.value) },
    options.map((text, at) => el("option", { value: at, selected: at === value }, text)));
  return el("label", {}, `${label} `, chosen);
}
const list = (pairs) => el("dl", {}, pairs.flatMap(([name, value]) => [el("dt", {}, name),
  el("dd", {}, value instanceof Node ? value : plain(value))]));
const brief = (value) => number(+value.toPrecision(3));
const intervalText = ([low, mean, high]) => `${brief(mean)} (${brief(low)} to ${brief(high)})`;
const rangeText = ([low, mean, high]) => `${percent(mean)} (${percent(low)} to ${percent(high)})`;
const percentText = ([low, mean, high]) => `${percent(mean)} (95% interval ${percent(low)} to ${percent(high)})`;
const listeners = []; // called whenever another candidate is marked

// Draw sections one after the other, so that the first ones appear early.
function drawAll(sections) {
  const draw = sections.shift();
  if (!draw) { document.body.dataset.ready = "yes"; return; }
  draw();
  setTimeout(() => drawAll(sections));
}
