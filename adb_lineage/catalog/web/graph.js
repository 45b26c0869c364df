// The lineage graph as SVG: datasets with the columns that lineage knows, processes between them.

import { layout } from "/web/layout.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = { dataset: 230, process: 220 };
const TITLE = 46;
const ROW = 20;
const SHOWN_COLUMNS = 12;
const CHARACTERS = { dataset: 28, process: 27 };
const SMALLEST_FIT = 0.75;

/**
 * Draws `model` into `canvas`.
 * model: {base, nodes: [{id, kind, title, type, qualifiedName, columns: [name]}], edges: [{from, to}],
 *         threads: [{process, from: {node, column}, to: {node, column}}]}
 * events: {node(id), column(node, column)} are called on clicks.
 * Returns {choose(id), mark(threads), scale(factor), fit()}.
 */
export function drawGraph(canvas, model, events) {
  const open = new Set();
  let zoom = 1;
  let drawn = null;
  let state = { chosen: null, threads: [] };

  function draw() {
    const nodes = model.nodes.map((node) => ({ ...node, ...size(node) }));
    const byId = new Map(nodes.map((node) => [node.id, node]));
    const { places, back, bends, width, height } = layout(nodes, model.edges);
    drawn = { places, byId, width, height };
    const svg = make("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width: width * zoom, height: height * zoom, role: "img" });
    svg.append(arrowHead());
    const lines = make("g");
    for (const edge of model.edges) {
      const [from, to] = [byId.get(edge.from), byId.get(edge.to)];
      if (!from || !to) continue;
      const [start, end] = [places.get(from.id), places.get(to.id)];
      const classes = `edge${back.has(edge) ? " back" : ""}${state.threads.length ? " faded" : ""}`;
      lines.append(make("path", {
        class: classes, "marker-end": "url(#head)",
        d: back.has(edge) ? around(start, from, end, to, height)
          : curve([{ x: start.x + from.width, y: start.y + from.middle }, ...(bends.get(edge) ?? []), { x: end.x - 2, y: end.y + to.middle }]),
      }));
    }
    svg.append(lines);
    const marked = new Set(state.threads.flatMap((thread) => [key(thread.from), key(thread.to)]));
    for (const node of nodes) svg.append(drawNode(node, places.get(node.id), marked));
    const threads = make("g");
    for (const thread of state.threads) threads.append(drawThread(thread, byId, places));
    svg.append(threads);
    canvas.replaceChildren(svg);
  }

  function size(node) {
    if (node.kind === "process") return { width: WIDTH.process, height: TITLE, middle: TITLE / 2, shown: [] };
    const all = node.columns;
    const shown = open.has(node.id) || all.length <= SHOWN_COLUMNS + 1 ? all : all.slice(0, SHOWN_COLUMNS);
    const rows = shown.length + (shown.length < all.length ? 1 : 0);
    return { width: WIDTH.dataset, height: TITLE + (rows ? rows * ROW + 6 : 0), middle: TITLE / 2, shown };
  }

  function drawNode(node, place, marked) {
    const classes = ["node", node.kind, node.id === model.base ? "base" : "", node.id === state.chosen ? "chosen" : ""];
    const group = make("g", { class: classes.join(" ").trim(), transform: `translate(${place.x} ${place.y})`, tabindex: 0 });
    group.append(make("title", {}, node.qualifiedName));
    group.append(make("rect", { class: "box", width: node.width, height: node.height, rx: node.kind === "process" ? TITLE / 2 : 7 }));
    const center = node.kind === "process" ? { x: node.width / 2, "text-anchor": "middle" } : { x: 12 };
    group.append(make("text", { class: "title", y: 19, ...center }, shorten(node.title, CHARACTERS[node.kind])));
    group.append(make("text", { class: "kind", y: 35, ...center }, shorten(node.type, 36)));
    node.shown.forEach((column, index) => {
      const id = key({ node: node.id, column });
      const row = make("g", { class: `column${marked.has(id) ? " marked" : ""}`, transform: `translate(0 ${TITLE + index * ROW})` });
      row.append(make("title", {}, column));
      row.append(make("rect", { x: 1, width: node.width - 2, height: ROW }));
      row.append(make("text", { x: 14, y: 14 }, shorten(column, 30)));
      row.addEventListener("click", (event) => { event.stopPropagation(); events.column(node.id, column); });
      group.append(row);
    });
    if (node.shown.length) group.append(make("line", { class: "rule", x1: 1, x2: node.width - 1, y1: TITLE - 2, y2: TITLE - 2 }));
    if (node.shown.length < node.columns.length) {
      const more = make("g", { class: "column", transform: `translate(0 ${TITLE + node.shown.length * ROW})` });
      more.append(make("rect", { x: 1, width: node.width - 2, height: ROW }));
      more.append(make("text", { class: "kind", x: 14, y: 14 }, `… ${node.columns.length - node.shown.length} more`));
      more.addEventListener("click", (event) => { event.stopPropagation(); open.add(node.id); draw(); });
      group.append(more);
    }
    group.addEventListener("click", () => events.node(node.id));
    group.addEventListener("keydown", (event) => { if (event.key === "Enter") events.node(node.id); });
    return group;
  }

  function drawThread(thread, byId, places) {
    const [from, to] = [byId.get(thread.from.node), byId.get(thread.to.node)];
    const [start, end] = [places.get(from.id), places.get(to.id)];
    return make("path", {
      class: "thread",
      d: curve([
        { x: start.x + from.width, y: start.y + rowMiddle(from, thread.from.column) },
        { x: end.x, y: end.y + rowMiddle(to, thread.to.column) },
      ]),
    });
  }

  /** Scrolls a node into the middle of the canvas; the page itself stays where it is. */
  function center(id) {
    const place = drawn.places.get(id);
    if (!place) return;
    const node = drawn.byId.get(id);
    canvas.scrollLeft = (place.x + node.width / 2) * zoom - canvas.clientWidth / 2;
    canvas.scrollTop = (place.y + node.height / 2) * zoom - canvas.clientHeight / 2;
  }

  function fit() {
    const wanted = Math.min(canvas.clientWidth / drawn.width, canvas.clientHeight / drawn.height);
    zoom = Math.min(1, Math.max(SMALLEST_FIT, wanted));
    draw();
    center(model.base);
  }

  draw();
  fit();
  return {
    fit,
    choose(id) { state = { chosen: id, threads: [] }; draw(); },
    mark(threads) {
      const drawable = new Set(model.nodes.map((node) => node.id));
      state = { ...state, threads: threads.filter((one) => drawable.has(one.from.node) && drawable.has(one.to.node)) };
      // A marked column must be seen: open the nodes that hide it.
      for (const end of state.threads.flatMap((one) => [one.from, one.to])) {
        const node = model.nodes.find((one) => one.id === end.node);
        if (node.columns.indexOf(end.column) >= SHOWN_COLUMNS) open.add(node.id);
      }
      draw();
    },
    scale(factor) { zoom = Math.min(2, Math.max(0.2, zoom * factor)); draw(); },
  };
}

/** All column-to-column steps up and down from one column. */
export function traced(threads, node, column) {
  const found = new Set();
  for (const [near, far] of [["from", "to"], ["to", "from"]]) {
    const pending = [key({ node, column })];
    const seen = new Set(pending);
    while (pending.length) {
      const at = pending.pop();
      for (const thread of threads) {
        if (key(thread[near]) !== at) continue;
        found.add(thread);
        if (!seen.has(key(thread[far]))) { seen.add(key(thread[far])); pending.push(key(thread[far])); }
      }
    }
  }
  return [...found];
}

export function shorten(text, length) {
  if (text.length <= length) return text;
  const head = Math.ceil(length / 3);
  return `${text.slice(0, head)}…${text.slice(head + 1 - length)}`;
}

function key(end) {
  return `${end.node}\n${end.column}`;
}

function rowMiddle(node, column) {
  const index = node.shown.indexOf(column);
  return index < 0 ? node.middle : TITLE + index * ROW + ROW / 2;
}

/** A smooth path through points, level at each of them. */
function curve(points) {
  let path = `M${points[0].x} ${points[0].y}`;
  for (let index = 1; index < points.length; index += 1) {
    const [start, end] = [points[index - 1], points[index]];
    const bend = Math.max(36, Math.abs(end.x - start.x) / 2);
    path += `C${start.x + bend} ${start.y} ${end.x - bend} ${end.y} ${end.x} ${end.y}`;
  }
  return path;
}

function around(start, from, end, to, height) {
  const [x1, y1, x2, y2] = [start.x + from.width, start.y + from.middle, end.x - 2, end.y + to.middle];
  const below = Math.min(height - 6, Math.max(start.y + from.height, end.y + to.height) + 18);
  return `M${x1} ${y1}C${x1 + 50} ${y1} ${x1 + 50} ${below} ${x1 - 10} ${below}L${x2 + 10} ${below}C${x2 - 50} ${below} ${x2 - 50} ${y2} ${x2} ${y2}`;
}

function arrowHead() {
  const marker = make("marker", { id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" });
  marker.append(make("path", { class: "head", d: "M0 0L8 4L0 8z" }));
  const defs = make("defs");
  defs.append(marker);
  return defs;
}

function make(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
