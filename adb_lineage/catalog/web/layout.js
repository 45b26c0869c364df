// Layered layout of a directed graph, left to right: where each node goes and how each edge runs. No drawing here.

const GAP_X = 80;
const GAP_Y = 22;
const MARGIN = 24;
const SWEEPS = 8;
const BEND_HEIGHT = 8;

/**
 * Places nodes of given size. A node stands right of all it comes from, edges that close a circle excepted.
 * An edge over several layers gets a bend in each layer between, so that it runs beside the nodes, not under them.
 * @param {{id: string, width: number, height: number, middle: number}[]} nodes  middle: where edges touch, from the top
 * @param {{from: string, to: string}[]} edges
 * @returns {{places: Map<string, {x, y}>, back: Set<edge>, bends: Map<edge, {x, y}[]>, width, height}}
 */
export function layout(nodes, edges) {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const drawn = edges.filter((edge) => known.has(edge.from) && known.has(edge.to));
  const back = circleEdges(nodes, drawn);
  const forward = drawn.filter((edge) => !back.has(edge));
  const layerOf = longestPaths(nodes, forward);
  const layers = [];
  for (const node of nodes) (layers[layerOf.get(node.id)] ??= []).push(node);
  const { steps, chains } = addBends(layers, forward, layerOf);
  order(layers, steps);
  const places = coordinates(layers, steps);
  const bends = new Map([...chains].map(([edge, chain]) => [edge, chain.map((bend) => {
    const place = places.get(bend.id);
    return { x: place.x + bend.width / 2, y: place.y + bend.middle };
  })]));
  const all = layers.flat();
  return {
    places, back, bends,
    width: Math.max(...all.map((node) => places.get(node.id).x + node.width)) + MARGIN,
    height: Math.max(...all.map((node) => places.get(node.id).y + node.height)) + MARGIN,
  };
}

/** The edges whose removal leaves no circle: those that lead back to a node the depth-first walk is still inside. */
function circleEdges(nodes, edges) {
  const out = group(edges, (edge) => edge.from);
  const state = new Map();
  const back = new Set();
  for (const root of nodes) {
    if (state.has(root.id)) continue;
    const stack = [[root.id, 0]];
    state.set(root.id, "inside");
    while (stack.length) {
      const top = stack[stack.length - 1];
      const edge = (out.get(top[0]) ?? [])[top[1]++];
      if (!edge) {
        state.set(top[0], "done");
        stack.pop();
      } else if (state.get(edge.to) === "inside") {
        back.add(edge);
      } else if (!state.has(edge.to)) {
        state.set(edge.to, "inside");
        stack.push([edge.to, 0]);
      }
    }
  }
  return back;
}

/** Node id to layer. */
function longestPaths(nodes, edges) {
  const out = group(edges, (edge) => edge.from);
  const missing = new Map(nodes.map((node) => [node.id, 0]));
  for (const edge of edges) missing.set(edge.to, missing.get(edge.to) + 1);
  const layer = new Map(nodes.map((node) => [node.id, 0]));
  const ready = nodes.filter((node) => missing.get(node.id) === 0).map((node) => node.id);
  for (let next = 0; next < ready.length; next += 1) {
    for (const edge of out.get(ready[next]) ?? []) {
      layer.set(edge.to, Math.max(layer.get(edge.to), layer.get(ready[next]) + 1));
      missing.set(edge.to, missing.get(edge.to) - 1);
      if (missing.get(edge.to) === 0) ready.push(edge.to);
    }
  }
  // A chain that nothing else leads to stands close to what it feeds, not at the far left.
  for (const id of ready.reverse()) {
    const readers = (out.get(id) ?? []).map((edge) => layer.get(edge.to));
    if (readers.length) layer.set(id, Math.min(...readers) - 1);
  }
  return layer;
}

/** Splits edges over several layers into steps from layer to layer, with a bend (a node without size) between. */
function addBends(layers, edges, layerOf) {
  const steps = [];
  const chains = new Map();
  edges.forEach((edge, index) => {
    const chain = [];
    let last = edge.from;
    for (let layer = layerOf.get(edge.from) + 1; layer < layerOf.get(edge.to); layer += 1) {
      const bend = { id: `bend ${index} ${layer}`, width: 0, height: BEND_HEIGHT, middle: BEND_HEIGHT / 2 };
      layers[layer].push(bend);
      chain.push(bend);
      steps.push({ from: last, to: bend.id });
      last = bend.id;
    }
    steps.push({ from: last, to: edge.to });
    chains.set(edge, chain);
  });
  return { steps, chains };
}

/** Order within layers by the middle of the neighbours' positions, to and fro: few crossings. */
function order(layers, steps) {
  const before = group(steps, (step) => step.to, (step) => step.from);
  const after = group(steps, (step) => step.from, (step) => step.to);
  const position = new Map();
  const number = (layer) => layer.forEach((node, index) => position.set(node.id, index));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const [sequence, near] = sweep % 2 ? [[...layers].reverse(), after] : [layers, before];
    for (const layer of sequence) {
      const middle = new Map(layer.map((node) => [node.id, mean((near.get(node.id) ?? []).map((id) => position.get(id))) ?? position.get(node.id)]));
      layer.sort((one, other) => middle.get(one.id) - middle.get(other.id));
      number(layer);
    }
  }
}

/** Corners: layers beside each other; within a layer each node as near to the height of its neighbours as fits. */
function coordinates(layers, steps) {
  const places = new Map();
  let x = MARGIN;
  for (const layer of layers) {
    const widest = Math.max(...layer.map((node) => node.width));
    let y = 0;
    for (const node of layer) {
      places.set(node.id, { x: x + (widest - node.width) / 2, y });
      y += node.height + GAP_Y;
    }
    x += widest + GAP_X;
  }
  const near = group([...steps, ...steps.map((step) => ({ from: step.to, to: step.from }))], (step) => step.from, (step) => step.to);
  const middles = new Map(layers.flat().map((node) => [node.id, node.middle]));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) settle(layer, places, near, middles);
  }
  const top = Math.min(...[...places.values()].map((place) => place.y));
  for (const place of places.values()) place.y += MARGIN - top;
  return places;
}

/** Moves the nodes of a layer towards their neighbours without changing their order or letting them touch. */
function settle(layer, places, near, middles) {
  // With the room that those above need taken off, "no touching" means "not decreasing": the best fit is found by
  // pooling neighbours that would change places (isotonic regression).
  const pools = [];
  let above = 0;
  for (const node of layer) {
    const wanted = mean((near.get(node.id) ?? []).map((id) => places.get(id).y + middles.get(id))) ?? places.get(node.id).y + node.middle;
    pools.push({ sum: wanted - node.middle - above, nodes: [[node, above]] });
    above += node.height + GAP_Y;
    while (pools.length > 1 && value(pools[pools.length - 2]) > value(pools[pools.length - 1])) {
      const last = pools.pop();
      const pool = pools[pools.length - 1];
      pool.sum += last.sum;
      pool.nodes.push(...last.nodes);
    }
  }
  for (const pool of pools) for (const [node, room] of pool.nodes) places.get(node.id).y = value(pool) + room;
}

function value(pool) {
  return pool.sum / pool.nodes.length;
}

function mean(numbers) {
  return numbers.length ? numbers.reduce((sum, number) => sum + number, 0) / numbers.length : undefined;
}

function group(items, key, picked = (item) => item) {
  const groups = new Map();
  for (const item of items) {
    if (!groups.has(key(item))) groups.set(key(item), []);
    groups.get(key(item)).push(picked(item));
  }
  return groups;
}
