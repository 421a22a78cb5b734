window.onerror = message => { document.documentElement.dataset.error = message; };
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const svg = $("drawing"), all = $("all");
const READABLE = 11 / 9, LARGEST = 2, MARGIN = 16; // scales: small texts are 9 points high
const LEADING = 11.25, CELL = 10; // of a small text; a cell of a recurrence with its gap
const NARROW = matchMedia("(max-width: 820px)");

const things = new Map([...data.boxes, ...data.modules].map(thing => [thing.id, thing]));
const modules = new Map(data.modules.map(module => [module.id, module])); // and runs, and loops
function around(thing) { // the modules around it, outermost first
  const chain = [];
  for (let id = thing.home; id; id = modules.get(id).home) chain.unshift(id);
  return chain;
}
for (const thing of things.values()) thing.around = around(thing);
data.modules.sort((one, two) => one.around.length - two.around.length);

// ---------------------------------------------------------------- what is visible

// The ids of closed modules, and of rolled loops, in which one box stands for those of all steps.
let closed = new Set(data.modules.filter(module => module.shut).map(module => module.id));
let across = data.direction === "LR", layout, following; // heads of the lines by tail

// What hides a thing, outermost: a closed module around it; a rolled loop, if it is of one step; an
// opened loop, if it stands for all steps, as it does of the first `rolls` loops around it.
function hiderOf(thing) {
  let {rolls} = thing;
  const hides = id => modules.get(id).copies && rolls-- > 0 ? !closed.has(id) : closed.has(id);
  return thing.around.find(hides);
}

// The id of what is drawn for a thing: itself, a closed module, or its copy in a rolled loop.
function shownAs(thing) {
  const hider = hiderOf(thing);
  if (!hider) return thing.id;
  const {copies} = modules.get(hider);
  if (!copies) return hider;
  if (!closed.has(hider)) return null;
  return copies[thing.id] ? shownAs(things.get(copies[thing.id])) : hider;
}

function arranged(across) {
  const top = {id: "", rooms: [], boxes: []}, rooms = new Map([["", top]]);
  for (const module of data.modules) { // outer before inner
    if (hiderOf(module)) continue;
    const {id, title, home, width, height} = module;
    if (closed.has(id) && !module.copies) {
      rooms.get(home).boxes.push({id, width, height});
      continue;
    }
    rooms.set(id, {id, title, titleWidth: titleWidth(title), rooms: [], boxes: []});
    rooms.get(home).rooms.push(rooms.get(id));
  }
  for (const box of data.boxes) if (!hiderOf(box)) rooms.get(box.home).boxes.push(box);
  const lines = [...visibleLines().values()];
  return {...arrange(top, lines, across), lines};
}

// The lines between what is drawn, those between the same two boxes as one.
function visibleLines() {
  const lines = new Map();
  for (const line of data.lines) {
    const ends = [things.get(line.tail), things.get(line.head)], [hider, other] = ends.map(hiderOf);
    if (hider && hider === other) { // of a closed module in its loop, a recurrence is drawn
      const {copies, rolls} = modules.get(hider);
      if (copies || !line.back || rolls < things.get(line.tail).rolls) continue;
    }
    const [tail, head] = ends.map(shownAs), {back} = line, key = [tail, head, back].join("\n");
    const texts = labelled(back || !(hider || other) ? line : {});
    const known = lines.get(key) ?? {tail, head, back, dashed: true, steps: new Set(), ...texts};
    known.dashed &&= line.dashed;
    if (hider && modules.get(hider).copies) known.steps.add(line.tail);
    lines.set(key, known);
  }
  for (const line of lines.values()) { // out of a rolled loop
    const text = `${line.steps.size} ×`, width = 6 * text.length;
    if (line.steps.size > 1) Object.assign(line, labelled({local: [text], width, height: LEADING}));
  }
  return lines;
}
const labelled = ({local = [], cells = [], flow = "", width = 0, height = 0}) =>
  ({local, cells, flow, width, height});

const titleWidth = title => 6.9 * title.length + 14; // bold letters, 10 points high

function scaleOf({width, height}) {
  const room = svg.getBoundingClientRect();
  return Math.min((room.width - 2 * MARGIN) / width, (room.height - 2 * MARGIN) / height);
}

// The direction that is larger in the window, unless the caller has chosen.
function chosen() {
  const ways = data.direction ? [data.direction === "LR"] : [false, true];
  return ways.map(way => ({way, ...arranged(way)}))
    .reduce((one, two) => scaleOf(two) > scaleOf(one) ? two : one);
}

// At first as many levels of modules are open as fit the window at a readable size.
function begin() {
  const shut = closed, levels = data.modules.filter(m => m.kind === "module").map(m => m.around.length);
  let best = null, depth = shut.size ? 0 : Math.max(-1, ...levels) + 1;
  for (; ; depth--) {
    const start = m => m.kind !== "module" || (shut.size ? shut.has(m.id) : m.around.length >= depth);
    closed = new Set(data.modules.filter(start).map(m => m.id));
    const visible = data.boxes.filter(box => !hiderOf(box));
    const area = visible.reduce((sum, {width, height}) => sum + width * height, 0);
    const {width, height} = svg.getBoundingClientRect();
    if (depth > 0 && area * READABLE ** 2 > width * height) continue; // no layout fits
    best = chosen();
    if (depth <= 0 || scaleOf(best) >= READABLE) break;
  }
  across = best.way;
  draw(best);
  fit();
}

// ---------------------------------------------------------------- drawing

function shape(parent, tag, attributes = {}, text = "") {
  const element = document.createElementNS(svg.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return parent.appendChild(element);
}

const MINUS = "M-3.5,0H3.5", PLUS = MINUS + "M0,-3.5V3.5";
function sign(parent, x, y, path) { // at a corner
  const corner = shape(parent, "g", {class: "sign", transform: `translate(${x} ${y})`});
  shape(corner, "circle", {r: 6.5});
  shape(corner, "path", {d: path});
}

function curve([[x, y], ...rest]) {
  let path = `M${x.toFixed(1)},${y.toFixed(1)}`;
  for (const [a, b] of rest) {
    if (Math.hypot(a - x, b - y) < .1) continue;
    const bend = across ? [(x + a) / 2, y, (x + a) / 2, b] : [x, (y + b) / 2, a, (y + b) / 2];
    path += "C" + [...bend, a, b].map(each => each.toFixed(1)).join();
    [x, y] = [a, b];
  }
  return path;
}

function bow([[x, y], top, [left, below]]) {
  const over = top.map((t, i) => 4 / 3 * (t - ([x, y][i] + [left, below][i]) / 2));
  const [a, b] = [[x + over[0], y + over[1]], [left + over[0], below + over[1]]];
  return `M${x},${y}C${[a, b, [left, below]].join()}`;
}

function label(line, {local, cells, flow, height}, [x, middle]) {
  let y = middle - height / 2;
  const write = (text, kind) => {
    shape(line, "text", {x, y: y + .8 * LEADING, class: kind}, text);
    y += LEADING;
  };
  for (const text of local) write(text, "");
  cells.forEach((fill, i) =>
    shape(line, "rect", {x: x + (i - cells.length / 2) * CELL, y, width: CELL - 1, height: CELL, fill}));
  if (cells.length) y += CELL + 2;
  if (flow) write(flow, "flow");
}

function draw(next) {
  layout = next;
  following = new Map();
  for (const {tail, head, back} of layout.lines) {
    const [start, end] = back ? [head, tail] : [tail, head];
    following.set(start, [...following.get(start) ?? [], end]);
  }
  all.replaceChildren();
  for (const {x, y, width, height} of layout.frames.values())
    shape(all, "rect", {class: "frame", x, y, width, height, rx: 6});
  for (const leg of layout.legs) {
    const kind = "line" + (leg.dashed ? " dashed" : "") + (leg.line.back ? " back" : "");
    const line = shape(all, "g", {class: kind, "data-tail": leg.tail});
    const path = leg.isBow ? bow(leg.points) : curve(leg.points);
    shape(line, "path", {d: path, class: leg.isLast ? "arrow" : ""});
    if (leg.text) label(line, leg.line, leg.text);
  }
  for (const [id, {x, y}] of layout.frames) { // above the lines
    const {title} = modules.get(id), isRolled = closed.has(id);
    const button = shape(all, "g", {
      class: "title", "data-id": id, tabindex: 0, role: "button", "aria-expanded": !isRolled,
      "aria-label": title,
    });
    shape(button, "rect", {x: x + 2, y: y + 2, width: titleWidth(title), height: 16, rx: 4});
    shape(button, "text", {x: x + 9, y: y + 13}, title);
    sign(button, x, y, isRolled ? PLUS : MINUS);
  }
  for (const [id, [x, y]] of layout.boxes) {
    const {width, height, svg: inside} = things.get(id), isModule = modules.has(id);
    const item = shape(all, "g", {
      class: "item", "data-id": id, tabindex: 0, role: "button",
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, ...isModule && {"aria-expanded": false},
    });
    item.innerHTML = inside; // written by the program that made the page, which escapes names
    item.querySelector("title")?.remove();
    for (const text of item.querySelectorAll("text")) text.after(" "); // words apart when spoken
    item.setAttribute("aria-label", item.textContent.trim());
    if (isModule) sign(item, -width / 2, -height / 2, PLUS);
    const [wide, high] = [width + 8, height + 8];
    shape(item, "rect", {class: "halo", x: -wide / 2, y: -high / 2, width: wide, height: high, rx: 9});
  }
  mark();
}

const elementOf = id => all.querySelector(`[data-id="${CSS.escape(id)}"]`);

// ---------------------------------------------------------------- pan and zoom

const view = {scale: 1, x: 0, y: 0};
function move(scale, x, y) {
  Object.assign(view, {scale, x, y});
  all.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${scale.toFixed(4)})`);
}
function zoom(factor, [x, y] = middle()) {
  const scale = Math.max(.05, Math.min(8, view.scale * factor)), share = scale / view.scale;
  move(scale, x - (x - view.x) * share, y - (y - view.y) * share);
}
function middle() {
  const {width, height} = svg.getBoundingClientRect();
  return [width / 2, height / 2];
}
function fit() { // what does not fit at a readable size starts at its corner
  const scale = Math.max(READABLE, Math.min(LARGEST, scaleOf(layout)));
  const [x, y] = middle(), place = (half, extent) => Math.max(MARGIN, half - extent * scale / 2);
  move(scale, place(x, layout.width), place(y, layout.height));
}
function show(id) { // move it into the window
  const box = elementOf(id).getBoundingClientRect(), room = svg.getBoundingClientRect();
  const bottom = $("panel").matches(".kept") && NARROW.matches
    ? $("panel").getBoundingClientRect().top : room.bottom;
  const shift = (low, high, start, end) => low < start ? start - low + 20 : high > end ? end - high - 20 : 0;
  move(view.scale, view.x + shift(box.left, box.right, room.left, room.right),
    view.y + shift(box.top, box.bottom, room.top, bottom));
}

const fingers = new Map();
let dragged = false;
svg.onpointerdown = event => {
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  if (fingers.size === 1) dragged = false;
};
svg.onpointermove = event => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY];
  if (!dragged && Math.hypot(now[0] - before[0], now[1] - before[1]) < 4) return;
  if (!dragged) {
    dragged = true;
    svg.setPointerCapture(event.pointerId);
    svg.classList.add("moving");
  }
  const {left, top} = svg.getBoundingClientRect(), other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
  fingers.set(event.pointerId, now);
  if (!other) {
    move(view.scale, view.x + now[0] - before[0], view.y + now[1] - before[1]);
    return;
  }
  const apart = point => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
  const centre = [(now[0] + other[0]) / 2 - left, (now[1] + other[1]) / 2 - top];
  move(view.scale, view.x + (now[0] - before[0]) / 2, view.y + (now[1] - before[1]) / 2);
  zoom(apart(now) / apart(before), centre);
};
svg.onpointerup = svg.onpointercancel = event => {
  fingers.delete(event.pointerId);
  svg.classList.remove("moving");
};
svg.addEventListener("wheel", event => {
  event.preventDefault();
  const {left, top} = svg.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .002)), [event.clientX - left, event.clientY - top]);
}, {passive: false});

// ---------------------------------------------------------------- open and close

function change(next, anchor) {
  const was = layout.boxes.get(anchor) ?? layout.frames.get(anchor), corner = cornerOf(anchor);
  closed = next;
  draw(arranged(across));
  if (was && corner && cornerOf(anchor)) { // it stays where it is
    const [x, y] = cornerOf(anchor);
    move(view.scale, view.x + (corner[0] - x) * view.scale, view.y + (corner[1] - y) * view.scale);
  } else fit();
}
function cornerOf(id) {
  const box = layout.boxes.get(id), frame = layout.frames.get(id);
  if (frame) return [frame.x, frame.y];
  return box && [box[0] - things.get(id).width / 2, box[1] - things.get(id).height / 2];
}
function toggle(id) {
  const next = new Set(closed);
  if (!next.delete(id)) next.add(id);
  else for (const inner of data.modules) // one level
    if (inner.home === id && inner.rolls === modules.get(id).rolls) next.add(inner.id);
  change(next, id);
  elementOf(id).focus({preventScroll: true});
}
function press(id) {
  if (modules.has(id)) toggle(id);
  keep(id);
}

// ---------------------------------------------------------------- details and search

let kept = null, found = [], at = -1;

// The way from a box to the results: all that is computed from it.
function wayFrom(id) {
  const way = new Set([id]);
  for (const each of way) for (const head of following.get(each) ?? []) way.add(head);
  return way;
}
function mark(id = kept) {
  const shown = id && things.get(id) && shownAs(things.get(id)), isBox = layout.boxes.has(shown);
  const way = isBox ? wayFrom(shown) : new Set();
  all.classList.toggle("dimmed", isBox);
  const matches = new Set(found.map(thing => shownAs(thing)));
  for (const item of all.querySelectorAll(".item")) {
    item.classList.toggle("way", way.has(item.dataset.id));
    item.classList.toggle("now", item.dataset.id === shown);
    item.classList.toggle("match", matches.has(item.dataset.id));
  }
  for (const line of all.querySelectorAll(".line")) line.classList.toggle("way", way.has(line.dataset.tail));
}

function element(parent, tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return parent.appendChild(made);
}

function tell(id) {
  const about = $("about");
  about.replaceChildren();
  mark(id ?? kept);
  const thing = things.get(id ?? kept);
  if (!thing) {
    introduce(about);
    return;
  }
  element(about, "h2", thing.title ?? thing.name);
  const home = modules.get(thing.home), call = data.calls[thing.call];
  if (home) element(about, "p", "in " + home.title, "call");
  if (thing.copies)
    element(about, "p", closed.has(thing.id) ? "one step stands for all" : "all steps", "call");
  if (thing.rolls && call) element(about, "p", "the numbers of the last step", "call");
  if (call) {
    element(about, "p", call.text, "call");
    if (call.code) element(element(about, "p"), "code", call.code);
    if (call.where) element(about, "p", call.where, "call");
  }
  for (const name of thing.cards) if (data.cards[name]) card(about, data.cards[name], thing);
  if (call?.arguments.some(each => each.local)) {
    element(about, "h3", "Local derivatives, contributions");
    const list = element(about, "dl", "", "arguments");
    for (const {name, local, matrix, flow} of call.arguments) {
      element(list, "dt", name);
      element(list, "dd", flow, "flow");
      element(list, "dd", [local, ...matrix.map(row => row.join("  "))].join("\n"), "local");
    }
  }
}
function card(parent, {title, subtitle, rows}, thing) {
  const heading = element(parent, "h3", title + " ");
  element(heading, "span", subtitle);
  const table = element(parent, "table");
  for (const {label, lines, sketch} of rows) {
    const row = element(table, "tr");
    element(row, "th", label).scope = "row";
    const cell = element(row, "td", lines.join("\n"), /^∂|grad/.test(label) ? "flow" : "");
    if (!sketch) continue;
    const scale = 1.7, picture = shape(cell, "svg", {
      width: sketch.width * scale, height: sketch.height * scale,
      viewBox: `0 0 ${sketch.width} ${sketch.height}`, role: "img", "aria-label": `${label} of ${title}`,
    });
    picture.innerHTML = sketch.svg;
  }
}
function introduce(about) {
  about.append($("help").content.cloneNode(true));
  const list = element(about, "ul", "", "legend");
  for (const {ground, border, width, dashed, meaning} of data.legend) {
    const row = element(list, "li"), swatch = element(row, "i");
    Object.assign(swatch.style, {background: ground, borderColor: border, borderWidth: width + "px"});
    if (dashed) swatch.style.borderStyle = "dashed";
    row.append(meaning);
  }
  for (const remark of data.remarks) element(about, "p", remark, "remarks");
}
function keep(id) {
  kept = id;
  $("panel").classList.toggle("kept", id !== null);
  tell(id);
  if (id && elementOf(id)) show(id);
}

function search() {
  const words = $("words").value.trim().toLowerCase();
  const isMeant = thing => !thing.rolls && thing.words.toLowerCase().includes(words);
  found = words ? [...things.values()].filter(isMeant) : [];
  at = -1;
  $("found").textContent = words ? `${found.length} found` : "";
  mark();
}
function onward(step) {
  if (!found.length) return;
  at = (at + step + found.length) % found.length;
  $("found").textContent = `${at + 1} of ${found.length}`;
  const thing = found[at];
  if (thing.around.some(id => closed.has(id)))
    change(new Set([...closed].filter(id => !thing.around.includes(id))), shownAs(thing));
  keep(thing.id);
}

// ---------------------------------------------------------------- pointer, keys, buttons

const idAt = event => event.target.closest?.("[data-id]")?.dataset.id;
all.onpointerover = event => { if (event.pointerType === "mouse") tell(idAt(event) ?? null); };
all.onpointerleave = () => tell(null);
all.addEventListener("focusin", event => {
  tell(idAt(event));
  if (event.target.matches(":focus-visible")) show(idAt(event));
});
all.addEventListener("focusout", () => tell(null));
svg.onclick = event => {
  if (dragged) return;
  const id = idAt(event);
  if (id) press(id); else keep(null);
};
const STEP = 60, keys = {
  ArrowLeft: () => move(view.scale, view.x + STEP, view.y),
  ArrowRight: () => move(view.scale, view.x - STEP, view.y),
  ArrowUp: () => move(view.scale, view.x, view.y + STEP),
  ArrowDown: () => move(view.scale, view.x, view.y - STEP),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(.8), 0: fit,
  "/": () => $("words").focus(), Escape: () => keep(null),
};
document.onkeydown = event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target === $("words")) return;
  const id = idAt(event);
  if (id && (event.key === "Enter" || event.key === " ")) press(id);
  else if (keys[event.key] && !(event.key.startsWith("Arrow") && event.target === $("panel")))
    keys[event.key]();
  else return;
  event.preventDefault();
};
$("words").oninput = search;
$("words").onkeydown = event => {
  if (event.key === "Escape") { $("words").value = ""; search(); $("words").blur(); }
};
$("search").onsubmit = event => { event.preventDefault(); onward(1); };
$("open").onclick = () => change(new Set(), null);
$("close").onclick = () => change(new Set(modules.keys()), null);
$("turn").onclick = () => { across = !across; draw(arranged(across)); fit(); };
$("smaller").onclick = () => zoom(.8);
$("larger").onclick = () => zoom(1.25);
$("fit").onclick = fit;
$("shut").onclick = () => keep(null);
$("open").disabled = $("close").disabled = !modules.size;
window.onresize = fit;
begin();
tell(null);
