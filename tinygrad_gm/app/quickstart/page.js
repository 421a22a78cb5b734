"use strict";
window.onerror = message => { document.documentElement.dataset.error = message; };
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const root = document.documentElement;

// ---------------------------------------------------------------- the film of the neuron

const stage = $("stage"), steps = data.steps, last = steps.length - 1;
const NARROW = 900, ROWS = 4, RADIUS = 13; // pixels; rows of the grid; pixels
const columns = 1 + Math.max(...data.nodes.map(node => node.column));

function shape(parent, tag, attributes = {}, text = "") {
  const element = document.createElementNS(stage.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return parent.appendChild(element);
}

for (const edge of data.edges) {
  edge.group = shape(stage, "g", {class: "edge", id: edge.id});
  edge.path = shape(edge.group, "path");
  edge.localText = shape(edge.group, "text", {class: "local"});
  edge.flowText = shape(edge.group, "text", {class: "flow"});
}
for (const node of data.nodes) {
  node.group = shape(stage, "g", {id: node.id, class: "node unknown"});
  node.box = shape(node.group, "rect", {rx: 8});
  node.title = shape(node.group, "text", {class: "name"}, node.name);
  node.valueText = shape(node.group, "text", {"text-anchor": "end"});
  node.label = shape(node.group, "text", {class: "label"});
  node.gradientText = shape(node.group, "text", {class: "gradient", "text-anchor": "end"});
  if (node.symbol) {
    node.circle = shape(node.group, "circle", {r: RADIUS});
    node.sign = shape(node.group, "text", {class: "symbol"}, node.symbol);
  }
}
const byId = new Map(data.nodes.map(node => [node.id, node]));

function move(element, x, y) {
  element.setAttribute("x", x.toFixed(1));
  element.setAttribute("y", y.toFixed(1));
}

// From left to right, or from top to bottom in a narrow window.
function arrange() {
  const across = window.innerWidth > NARROW;
  const {width, height} = stage.getBoundingClientRect();
  stage.setAttribute("viewBox", `0 0 ${width} ${height}`); // a printed page is narrower
  const wide = across ? Math.min(134, width / columns * .68) : Math.min(126, width / ROWS - 6);
  const high = 58, rim = RADIUS + 2;
  const along = across ? (width - wide - rim) / (columns - 1) : (height - high - rim) / (columns - 1);
  const aside = across ? (height - high - 8) / (ROWS - 1) : (width - wide) / (ROWS - 1);
  for (const node of data.nodes) {
    const main = node.column * along + rim, cross = node.row * aside;
    const [x, y] = across ? [main, cross + 4] : [cross, main];
    Object.assign(node, {x, y, wide, high});
    move(node.box, x, y);
    node.box.setAttribute("width", wide.toFixed(1));
    node.box.setAttribute("height", high);
    const inset = node.circle && across ? RADIUS + 5 : 9;
    const top = node.circle && !across ? 18 : 21; // below the disc on the upper edge
    move(node.title, x + inset, y + top);
    move(node.valueText, x + wide - 8, y + (across ? 21 : 35));
    move(node.label, x + (across ? inset : 6), y + (across ? 45 : 51));
    move(node.gradientText, x + wide - 8, y + (across ? 45 : 51));
    node.label.dataset.text = wide > 115 ? "∂L/∂" + node.name : "∂";
    if (node.circle) {
      node.entry = across ? [x, y + high / 2] : [x + wide / 2, y];
      node.circle.setAttribute("cx", node.entry[0].toFixed(1));
      node.circle.setAttribute("cy", node.entry[1].toFixed(1));
      move(node.sign, node.entry[0], node.entry[1] + 5);
    }
  }
  for (const edge of data.edges) {
    const tail = byId.get(edge.tail), [x2, y2] = byId.get(edge.head).entry;
    const x1 = across ? tail.x + wide : tail.x + wide / 2;
    const y1 = across ? tail.y + high / 2 : tail.y + high;
    const end = across ? [x2 - RADIUS, y2] : [x2, y2 - RADIUS];
    const bend = across ? [(x1 + end[0]) / 2, y1, (x1 + end[0]) / 2, end[1]]
      : [x1, (y1 + end[1]) / 2, end[0], (y1 + end[1]) / 2];
    edge.path.setAttribute("d", `M${x1},${y1}C${bend} ${end}`);
    const share = across && y1 === end[1] ? .44 : .5; // where no curve from aside joins it
    const x = x1 + share * (end[0] - x1), y = y1 + share * (end[1] - y1);
    move(edge.localText, x, y - 5);
    move(edge.flowText, x, y + 14);
  }
}

let at = 0;
function show(k) {
  at = Math.max(0, Math.min(last, k));
  const step = steps[at], moving = new Set(step.moving), sent = new Set(step.sent);
  const updated = new Set(step.updated), forward = step.phase === "forward";
  for (const node of data.nodes) {
    const looks = ["node", node.role];
    const gradient = step.gradients[node.id];
    if (!(node.id in step.values)) looks.push("unknown");
    if (updated.has(node.id)) looks.push("updated");
    else if (!forward && gradient !== undefined) looks.push("final");
    if (node.id === step.at) looks.push("current");
    node.group.setAttribute("class", looks.join(" "));
    node.valueText.textContent = step.values[node.id] ?? "?";
    node.gradientText.textContent = gradient ?? "";
    node.label.textContent = gradient === undefined ? "" : node.label.dataset.text;
  }
  for (const edge of data.edges) {
    const looks = moving.has(edge.id) ? " moving " + step.phase : "";
    edge.group.setAttribute("class", "edge" + looks);
    edge.localText.textContent = forward ? "" : edge.local;
    edge.flowText.textContent = sent.has(edge.id) ? edge.flow : "";
  }
  root.style.setProperty("--now", `var(--${step.phase})`);
  root.dataset.step = at;
  [...$("captions").children].forEach((block, i) => block.classList.toggle("now", i === at));
  $("spoken").textContent = $("captions").children[at].textContent;
  $("slider").value = at;
  $("slider").setAttribute("aria-valuetext", `${data.phases[step.phase]}, step ${at} of ${last}`);
  $("back").disabled = at === 0;
  $("next").firstElementChild.textContent = at === last ? "Again" : "Next";
  for (const button of $("phases").children)
    button.setAttribute("aria-pressed", button.dataset.phase === step.phase);
}
const onward = () => show(at === last ? 0 : at + 1);

for (const button of $("phases").children)
  button.onclick = () => show(steps.findIndex(step => step.phase === button.dataset.phase));
$("slider").max = last;
$("slider").oninput = event => show(+event.target.value);
$("back").onclick = () => show(at - 1);
$("next").onclick = onward;
document.onkeydown = event => {
  const other = event.ctrlKey || event.altKey || event.metaKey;
  if (other || event.target.type === "range") return;
  const {top, bottom} = stage.getBoundingClientRect();
  if (bottom < 0 || top > window.innerHeight) return; // the film is out of sight
  if (event.key === "ArrowRight") onward();
  if (event.key === "ArrowLeft") show(at - 1);
};
window.onresize = () => { arrange(); show(at); };
window.onbeforeprint = () => show(last);
arrange();
show(0);

// ---------------------------------------------------------------- samples, epoch by epoch

const SECONDS = .35;
let timer = null;
function frame(epoch) {
  const share = data.frames > 1 ? (epoch - 1) / (data.frames - 1) : 0;
  $("samples").style.backgroundPosition = `0 ${100 * share}%`;
  $("epoch").value = epoch;
  $("epoch-text").textContent = `epoch ${epoch} of ${data.frames}`;
}
function pause() {
  clearInterval(timer);
  timer = null;
  $("play").textContent = "▶ Play";
}
$("play").onclick = () => {
  if (timer) { pause(); return; }
  if (+$("epoch").value === data.frames) frame(1);
  $("play").textContent = "❚❚ Pause";
  timer = setInterval(() => {
    if (+$("epoch").value === data.frames) pause(); else frame(+$("epoch").value + 1);
  }, SECONDS * 1000);
};
$("epoch").oninput = event => { pause(); frame(+event.target.value); };

// ---------------------------------------------------------------- the sliders of the code

const REACH = 3, middle = (data.stops - 1) / 2;
const sliders = data.codes[0].axes.map((axis, i) => {
  const label = document.createElement("label"), name = document.createElement("span");
  const slider = document.createElement("input"), output = document.createElement("output");
  Object.assign(slider, {type: "range", min: 0, max: data.stops - 1});
  slider.id = "code" + i;
  slider.oninput = decode;
  label.append(name, slider, output);
  $("codes").append(label);
  return {slider, name, output};
});
function decode() {
  const places = sliders.map(each => +each.slider.value), stops = data.stops;
  sliders.forEach(({output}, i) => {
    output.textContent = ((places[i] - middle) / middle * REACH).toFixed(2).replace("-", "−");
  });
  const column = places[1] * stops + places[2];
  $("digit").style.backgroundPosition =
    `${100 * column / (stops * stops - 1)}% ${100 * places[0] / (stops - 1)}%`;
}
const starts = [...document.querySelectorAll(".starts button")];
function start(k) {
  $("digit").dataset.start = k;
  starts.forEach((button, i) => button.setAttribute("aria-pressed", i === k));
  sliders.forEach(({slider, name}, i) => {
    name.textContent = "z[" + data.codes[k].axes[i] + "]";
    slider.value = data.codes[k].starts[i];
  });
  decode();
}
starts.forEach((button, k) => { button.onclick = () => start(k); });
start(0);
