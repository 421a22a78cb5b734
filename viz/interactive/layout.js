// A layered layout of boxes in rooms (Sugiyama, Tagawa and Toda 1981), as in render/layered.py,
// which explains its steps. The lines of one tail share their gate into a room, and out of it, and
// are one line up to the layer in which they part. A recurrence is laid out like a line forward, and
// one from a box to itself as a bow beside it.
// u is the coordinate along the layers, v across them.

const LAYER_GAP = 24, GAP = 12, RIM = 9, TITLE = 17, SWEEPS = 10, BOW = 16, TEXT_GAP = 3;
const IN = "> ", OUT = "< "; // gates: before the source of their lines

class Place {
  margin = 0; port = 0; rank = 0; key = 0; u = 0; v = 0;
  before = []; after = []; gates = null; isPassing = false;
  constructor(layer, length = 0, breadth = 0) {
    this.layer = layer;
    this.length = length;
    this.breadth = breadth;
  }
  meets(other) { return this.port + (this.gates?.get(other) ?? 0); }
}

// A room has {id, rooms, boxes: [{id, width, height}], titleWidth}; the outermost has no frame.
// Lines are {tail, head, back, dashed, width, height}; `back`: the arrow is at the tail. Returns the
// width and height of all, the middle of each box, the frame of each room, and the legs of the lines
// with their points.
function arrange(top, lines, across) {
  const legs = divide(top, lines.filter(line => line.tail !== line.head));
  const bows = lines.filter(line => line.tail === line.head);
  (function give(room) {
    room.bows = new Map();
    for (const {id} of room.boxes) {
      const own = bows.filter(line => line.head === id);
      if (own.length) room.bows.set(id, own);
    }
    room.rooms.forEach(give);
  })(top);
  settle(top, across);
  const point = (u, v) => across ? [u, v] : [v, u];
  const found = {boxes: new Map(), frames: new Map(), legs: []};
  [found.width, found.height] = point(top.length, top.breadth);
  (function put(room, u, v) {
    room.corner = [u, v];
    if (room !== top) {
      const [x, y] = point(u, v), [width, height] = point(room.length, room.breadth);
      found.frames.set(room.id, {x, y, width, height});
    }
    for (const box of room.boxes) {
      const place = room.places.get(box.id), at = point(u + place.u, v + place.v);
      found.boxes.set(box.id, at);
      found.legs.push(...bend(at, box, room.bows.get(box.id) ?? [], across));
    }
    for (const inner of room.rooms) {
      const place = room.places.get(inner.id);
      put(inner, u + place.u - inner.length / 2, v + place.v - inner.breadth / 2);
    }
  })(top, 0, 0);
  for (const leg of legs) {
    const [u, v] = leg.room.corner;
    const points = leg.stops.map(stop => point(u + stop[0], v + stop[1]));
    const text = leg.text && point(u + leg.text.u, v + leg.text.v);
    const isLast = leg.line.back ? leg.from === leg.line.tail : leg.heads.includes(leg.to);
    found.legs.push({...leg, points: leg.line.back ? points.reverse() : points, text, isLast});
  }
  return found;
}

const breadthOf = (line, across) => BOW + TEXT_GAP + (across ? line.height : line.width);

// The lines from a box to itself: above it, or right of it if the layers are below each other.
function bend([x, y], {width, height}, lines, across) {
  let edge = across ? y - height / 2 : x + width / 2;
  return lines.map(line => {
    const points = across
      ? [[x + width / 4, y - height / 2], [x, edge - BOW], [x - width / 4, y - height / 2]]
      : [[x + width / 2, y + height / 4], [edge + BOW, y], [x + width / 2, y - height / 4]];
    const text = across ? [x, edge - BOW - TEXT_GAP - line.height / 2]
      : [edge + BOW + TEXT_GAP + line.width / 2, y];
    edge += (across ? -1 : 1) * breadthOf(line, across);
    return {line, tail: line.tail, dashed: line.dashed, points, text, isLast: true, isBow: true};
  });
}

// The lines of one source share gates; a recurrence shares none.
const sourceOf = line => line.back ? `${line.tail} ${line.head}` : line.tail;

// Divide lines at the borders of rooms.
function divide(top, lines) {
  const chains = new Map(), legs = new Map();
  (function walk(room, chain) {
    Object.assign(room, {places: new Map(), legs: []});
    for (const box of room.boxes) chains.set(box.id, chain);
    for (const inner of room.rooms) walk(inner, [...chain, inner]);
  })(top, [top]);
  function add(room, from, to, line) {
    const source = sourceOf(line), key = [room.id, from, to, source].join("\n");
    if (!legs.has(key)) {
      const tail = line.back ? line.head : line.tail;
      const leg = {room, from, to, source, tail, heads: [], dashed: true, line, text: null};
      legs.set(key, leg);
      room.legs.push(leg);
    }
    legs.get(key).heads.push(line.head);
    legs.get(key).dashed &&= line.dashed;
  }
  for (const line of lines) {
    const outward = chains.get(line.tail), inward = chains.get(line.head), source = sourceOf(line);
    let shared = 0;
    while (outward[shared] && outward[shared] === inward[shared]) shared++;
    const tails = [...outward.slice(shared).map(room => room.id), line.tail];
    const heads = [...inward.slice(shared).map(room => room.id), line.head];
    for (let i = tails.length - 1; i > 0; i--)
      add(outward[shared + i - 1], tails[i], OUT + source, line);
    add(outward[shared - 1], tails[0], heads[0], line);
    for (let i = 1; i < heads.length; i++)
      add(inward[shared + i - 1], IN + source, heads[i], line);
  }
  return [...legs.values()];
}

function settle(room, across) {
  const {places} = room, inner = new Map(room.rooms.map(each => [each.id, each]));
  for (const each of room.rooms) {
    settle(each, across);
    places.set(each.id, new Place(0, each.length, each.breadth));
  }
  for (const {id, width, height} of room.boxes) {
    const place = across ? new Place(0, width, height) : new Place(0, height, width);
    for (const line of room.bows.get(id) ?? []) place.margin += breadthOf(line, across);
    place.breadth += 2 * place.margin;
    places.set(id, place);
  }
  for (const leg of room.legs) for (const end of [leg.from, leg.to])
    if (!places.has(end)) places.set(end, new Place(0));
  assignLayers(room, inner);
  const passing = [], routes = new Map(), trunks = new Map();
  const layerOf = leg => places.get(leg.to).layer;
  for (const leg of [...room.legs].sort((one, two) => layerOf(two) - layerOf(one))) {
    const key = leg.from + "\n" + leg.source;
    if (!trunks.has(key)) trunks.set(key, [places.get(leg.from)]);
    routes.set(leg, route(leg, trunks.get(key), passing, places, inner, across));
  }
  const layers = [];
  for (const place of [...places.values(), ...passing]) (layers[place.layer] ??= []).push(place);
  const filled = layers.filter(Boolean); // a cycle, which no record has, could leave one empty
  filled.forEach((layer, i) => layer.forEach(place => { place.layer = i; }));
  order(filled);
  const bounds = lengthwise(filled);
  room.length = bounds.length ? bounds.at(-1)[1] : 0;
  room.breadth = crosswise(filled);
  const ends = arrivals(room, routes, inner);
  for (const leg of room.legs) {
    const way = routes.get(leg), {start} = leg, head = way.at(-1);
    leg.stops = start ? [] : [[way[0].u + way[0].length / 2, way[0].v + way[0].meets(way[1])]];
    way.slice(start, -1).forEach((place, i) => {
      const v = place.v + place.meets(way[start + i + 1]), [low, high] = bounds[place.layer];
      leg.stops.push(...i ? [[low, v], [high, v]] : [[high, v]]);
    });
    leg.stops.push([bounds[head.layer][0], ends.get(leg)[1]], ends.get(leg));
  }
  if (room.title !== undefined) frame(room, across);
}

// Each place comes after its last dependency, a leaf just before its reader.
function assignLayers(room, inner) {
  const {places, legs} = room, arriving = new Map(), leaving = new Map();
  for (const name of places.keys()) { arriving.set(name, []); leaving.set(name, []); }
  for (const leg of legs) { arriving.get(leg.to).push(leg); leaving.get(leg.from).push(leg); }
  const hasText = leg => leg.line.width > 0 && leg.to === leg.line.head;
  const span = name => { // a layer for texts, and one in which lines separate
    const before = arriving.get(name);
    return before.length > 1 || inner.has(name) || before.some(hasText) ? 2 : 1;
  };
  const missing = new Map([...arriving].map(([name, some]) => [name, some.length]));
  const ready = [...missing.keys()].filter(name => !missing.get(name));
  for (const name of ready) for (const {to} of leaving.get(name)) { // grows: a topological order
    const head = places.get(to);
    head.layer = Math.max(head.layer, places.get(name).layer + span(to));
    missing.set(to, missing.get(to) - 1);
    if (!missing.get(to)) ready.push(to);
  }
  for (const [name, some] of leaving) if (some.length && !arriving.get(name).length)
    places.get(name).layer = Math.min(...some.map(leg => places.get(leg.to).layer
      - (inner.has(leg.to) || hasText(leg) ? span(leg.to) : 1)));
  const gates = kind => [...places].filter(([name]) => name.startsWith(kind)).map(([, p]) => p);
  const entries = gates(IN), exits = new Set(gates(OUT));
  for (const place of places.values()) place.layer += entries.length > 0;
  for (const place of entries) place.layer = 0;
  const within = [...places.values()].filter(place => !exits.has(place));
  const last = Math.max(0, ...within.map(place => place.layer));
  for (const place of exits) place.layer = last + 1;
}

// The places of a leg from tail to head, linked as neighbours. Those of a trunk, which starts at the
// tail, are shared; `leg.start` is the number of the one at which the leg leaves what is drawn.
function route(leg, trunk, passing, places, inner, across) {
  const tail = trunk[0], head = places.get(leg.to), {width, height} = leg.line;
  const hasText = width > 0 && head.layer - tail.layer > 1 && leg.to === leg.line.head;
  const length = head.layer - tail.layer - hasText, add = way => {
    const place = new Place(way.at(-1).layer + 1);
    place.isPassing = true;
    passing.push(place);
    link(way.at(-1), place);
    way.push(place);
    return place;
  };
  leg.start = Math.min(trunk.length, length) - 1;
  while (trunk.length < length) add(trunk);
  const way = trunk.slice(0, length);
  if (hasText) {
    leg.text = add(way);
    [leg.text.length, leg.text.breadth] = across ? [width, height] : [height, width];
    leg.text.breadth += TEXT_GAP;
    leg.text.port = leg.text.breadth / 2;
  }
  link(way.at(-1), head);
  way.push(head);
  for (const [end, near, kind] of [[leg.from, way[1], OUT], [leg.to, way.at(-2), IN]])
    if (inner.has(end)) {
      const room = inner.get(end);
      (places.get(end).gates ??= new Map()).set(near, room.places.get(kind + leg.source).v - room.breadth / 2);
    }
  return way;
}

function link(one, two) {
  one.after.push(two);
  two.before.push(one);
}

// The end point of each leg; several at one head are spread over its side.
function arrivals({places, legs, boxes}, routes, inner) {
  const arriving = new Map(), ends = new Map(), isBox = new Set(boxes.map(box => box.id));
  const near = leg => routes.get(leg).at(-2);
  for (const leg of legs) {
    if (!arriving.has(leg.to)) arriving.set(leg.to, []);
    arriving.get(leg.to).push(leg);
  }
  for (const [name, some] of arriving) {
    const head = places.get(name), side = isBox.has(name) ? head.breadth - 2 * head.margin : 0;
    some.sort((one, two) => near(one).rank - near(two).rank);
    some.forEach((leg, i) => {
      const spread = side * .35 * (2 * (i + .5) / some.length - 1);
      const offset = inner.has(name) ? head.meets(near(leg)) : spread;
      ends.set(leg, [head.u - head.length / 2, head.v + offset]);
    });
  }
  return ends;
}

// Add padding and a band for the title, and extend the lines to the border.
function frame(room, across) {
  const wide = across ? room.length : room.breadth;
  const aside = Math.max(0, room.titleWidth + RIM - wide) / 2;
  const gap = room.legs.some(leg => leg.from.startsWith(IN)) ? 0 : RIM; // lines need room anyway
  const [u, v] = across ? [gap + aside, TITLE + RIM] : [TITLE + gap, RIM + aside];
  for (const place of room.places.values()) { place.u += u; place.v += v; }
  room.length += u + RIM + (across ? aside : 0);
  room.breadth += v + RIM + (across ? 0 : aside);
  for (const leg of room.legs) {
    if (leg.text) { leg.text.u += u; leg.text.v += v; }
    leg.stops = leg.stops.map(stop => [stop[0] + u, stop[1] + v]);
    if (leg.from.startsWith(IN) && !leg.start) leg.stops.unshift([0, leg.stops[0][1]]);
    if (leg.to.startsWith(OUT)) leg.stops.push([room.length, leg.stops.at(-1)[1]]);
  }
}

// ---------------------------------------------------------------- order and positions

const rank = layer => layer.forEach((place, i) => { place.rank = (i + .5) / layer.length; });

function order(layers) {
  layers.forEach(rank);
  let best = layers.map(layer => [...layer]), fewest = Infinity;
  for (let turn = 0; turn < SWEEPS && fewest; turn++) {
    const backward = turn % 2 === 0;
    for (const layer of backward ? [...layers].reverse() : layers) {
      for (const place of layer) place.key = meanRank(place, backward);
      layer.sort((a, b) => a.key - b.key);
      rank(layer);
    }
    const crossings = layers.reduce((sum, layer) => sum + count(layer), 0);
    if (crossings < fewest) {
      best = layers.map(layer => [...layer]);
      fewest = crossings;
    }
  }
  best.forEach((layer, i) => { layers[i] = layer; rank(layer); });
}

function meanRank(place, backward) { // the arguments of an operation stay in their order
  const near = backward ? place.after : place.before;
  let sum = 0;
  for (const p of near) sum += p.rank + (backward && p.before.length > 1 ? 1e-6 * p.before.indexOf(place) : 0);
  return near.length ? sum / near.length : place.rank;
}

// Crossings of lines between a layer and the next.
function count(layer) {
  const seen = []; // in order
  let crossings = 0;
  for (const place of layer) {
    const ranks = place.after.map(p => p.rank);
    for (const rank of ranks) crossings += seen.length - above(seen, rank);
    for (const rank of ranks) seen.splice(above(seen, rank), 0, rank);
  }
  return crossings;
}

function above(sorted, value) { // the number of elements up to a value
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}

function lengthwise(layers) {
  let start = 0;
  return layers.map(layer => {
    const end = start + Math.max(...layer.map(place => place.length));
    for (const place of layer) place.u = (start + end) / 2;
    const bounds = [start, end];
    start = end + LAYER_GAP;
    return bounds;
  });
}

function crosswise(layers) {
  if (!layers.length) return 0;
  for (const layer of layers) spread(layer, layer.map(() => 0));
  for (let turn = 0; turn <= SWEEPS; turn++)
    for (const layer of turn % 2 ? layers : [...layers].reverse())
      spread(layer, layer.map(place => {
        const near = turn % 2 ? place.before : place.after;
        const count = turn % 2 || !place.isPassing ? near.length : 1; // where it goes on
        let total = 0;
        for (let i = 0; i < count; i++) total += near[i].v + near[i].meets(place) - place.meets(near[i]);
        return count ? total / count : place.v;
      }));
  const top = Math.min(...layers.map(layer => layer[0].v - layer[0].breadth / 2));
  for (const layer of layers) for (const place of layer) place.v -= top;
  return Math.max(...layers.map(layer => layer.at(-1).v + layer.at(-1).breadth / 2));
}

// The positions nearest to the targets that keep order and distances: isotonic regression.
function spread(layer, targets) {
  const shifts = [0], pools = [];
  for (let i = 1; i < layer.length; i++)
    shifts.push(shifts[i - 1] + (layer[i - 1].breadth + layer[i].breadth) / 2 + GAP);
  targets.forEach((target, i) => {
    let mean = target - shifts[i], count = 1;
    while (pools.length && pools.at(-1)[0] > mean) {
      const [other, more] = pools.pop();
      mean = (mean * count + other * more) / (count + more);
      count += more;
    }
    pools.push([mean, count]);
  });
  let i = 0;
  for (const [mean, count] of pools)
    for (let k = 0; k < count; k++, i++) layer[i].v = mean + shifts[i];
}
