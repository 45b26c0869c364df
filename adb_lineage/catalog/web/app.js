// The catalog's page: search, an asset, its lineage, its JSON. Reads only; the route is the part after '#'.
//   #/     #/?q=words&type=name     #/asset/{guid}/{overview|schema|lineage|json}

import { drawGraph, shorten, traced } from "/web/graph.js";

const API = "/datamap/api/atlas/v2";
const TABS = ["overview", "schema", "lineage", "json"];
const PAGE_SIZE = 50;
const WIDTH = 100;
const page = document.getElementById("page");
const query = document.getElementById("query");
let kinds = {};

// ---- reading

async function get(path) {
  const answer = await fetch(path);
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.errorCode}: ${body.errorMessage}`);
  return body;
}

function kindOf(type) {
  return kinds[type] ?? "asset";
}

// ---- building

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function badge(type) {
  return make("span", { className: `badge ${kindOf(type)}` }, type);
}

function link(guid, text, tab = "overview") {
  return make("a", { href: `#/asset/${guid}/${tab}` }, text || "(no name)");
}

function pairsTable(rows) {
  return make("table", { className: "pairs" }, ...rows.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, shown(value)))));
}

function shown(value) {
  if (typeof value === "object") return make("pre", {}, JSON.stringify(value, null, 2));
  if (typeof value === "string" && /^\s*[[{]/.test(value)) {
    try {
      return make("pre", {}, JSON.stringify(JSON.parse(value), null, 2));
    } catch {
      return make("pre", {}, value);
    }
  }
  return String(value);
}

function time(milliseconds) {
  return new Date(milliseconds).toLocaleString();
}

// ---- search

async function showHome() {
  query.value = "";
  const newest = (parameters) => get(`/web/search?${new URLSearchParams({ limit: 12, ...parameters })}`);
  const [processes, data] = await Promise.all([newest({ type: "Process" }), newest({ type: "DataSet", indexed: true })]);
  if (!processes["@search.count"] && !data["@search.count"]) {
    page.replaceChildren(make("h1", {}, "The catalog is empty"), make("p", { className: "hint" },
      "Run a query with adb_lineage on and this catalog as its endpoint, or `adb-lineage demo`."));
    return;
  }
  const column = (heading, found, type) => make("section", {}, make("h2", {}, heading, " ", make("span", { className: "hint" }, found["@search.count"])),
    make("ul", { className: "list" }, ...found.value.map(hit)),
    make("p", {}, make("a", { href: `#/?${new URLSearchParams({ q: "*", type })}` }, "all of them")));
  page.replaceChildren(make("h1", {}, "Newest in the catalog"),
    make("div", { className: "columns" }, column("Processes", processes, "Process"), column("Data", data, "DataSet")));
}

async function showSearch(parameters) {
  const words = parameters.get("q") ?? "";
  const type = parameters.get("type") ?? "";
  const offset = Number(parameters.get("offset") ?? 0);
  query.value = words === "*" ? "" : words;
  const wanted = words.trim().split(/\s+/).filter(Boolean).map((word) => (word.endsWith("*") ? word : `${word}*`)).join(" ");
  const search = (one) => get(`/web/search?${new URLSearchParams({ q: wanted, type: one, limit: PAGE_SIZE, offset })}`);
  const [found, all] = await Promise.all([search(type), search("")]);
  const href = (values) => `#/?${new URLSearchParams(values)}`;
  const facets = [["", all["@search.count"]], ...(all["@search.facets"]?.entityType ?? []).map((one) => [one.value, one.count])];
  const pages = make("p");
  if (offset > 0) pages.append(make("a", { href: href({ q: words, type, offset: offset - PAGE_SIZE }) }, "← back "));
  if (offset + PAGE_SIZE < found["@search.count"]) pages.append(make("a", { href: href({ q: words, type, offset: offset + PAGE_SIZE }) }, "more →"));
  page.replaceChildren(
    make("h1", {}, words && words !== "*" ? `“${words}”` : "All assets"),
    make("div", { className: "facets" }, ...facets.map(([name, count]) =>
      make("a", { href: href({ q: words, type: name }), className: name === type ? "chosen" : "" }, name || "everything", make("b", {}, count)))),
    found.value.length ? make("ul", { className: "list" }, ...found.value.map(hit)) : make("p", { className: "hint" },
      "Nothing found."),
    pages,
  );
}

function hit(one) {
  const tab = kindOf(one.entityType) === "asset" ? "overview" : "lineage";
  return make("li", {}, badge(one.entityType), make("span", { className: "name" }, link(one.id, one.name, tab)),
    make("p", { className: "qualified mono" }, one.qualifiedName ?? ""));
}

// ---- an asset

async function showAsset(guid, tab) {
  const body = await get(`${API}/entity/guid/${guid}`);
  page.className = tab === "lineage" ? "wide" : "";
  const { entity } = body;
  const views = { overview: overviewOf, schema: schemaOf, lineage: lineageOf, json: jsonOf };
  const content = make("div", {}, make("p", { className: "hint" }, "Loading…"));
  page.replaceChildren(
    badge(entity.typeName), entity.status === "DELETED" ? make("span", { className: "badge deleted" }, "deleted") : "",
    make("h1", {}, entity.displayText ?? guid),
    make("p", { className: "qualified mono" }, entity.attributes.qualifiedName ?? ""),
    make("nav", { className: "tabs" }, ...TABS.map((name) =>
      make("a", { href: `#/asset/${guid}/${name}`, className: name === tab ? "chosen" : "" }, name[0].toUpperCase() + name.slice(1)))),
    content,
  );
  content.replaceChildren(...await views[tab](body));
}

function overviewOf({ entity }) {
  const ends = new Set(Object.keys(entity.relationshipAttributes));
  const attributes = Object.entries(entity.attributes)
    .filter(([name, value]) => value !== null && value !== "" && !ends.has(name) && name !== "qualifiedName");
  const related = Object.entries(entity.relationshipAttributes)
    .map(([name, value]) => [name, [].concat(value ?? [])]).filter(([, items]) => items.length);
  const facts = [["created", `${time(entity.createTime)} by ${entity.createdBy}`], ["updated", `${time(entity.updateTime)} by ${entity.updatedBy}`], ["guid", entity.guid]];
  if (entity.collectionId) facts.push(["collection", entity.collectionId]);
  if (entity.labels.length) facts.push(["labels", entity.labels.join(", ")]);
  if (entity.classifications.length) facts.push(["classifications", entity.classifications.map((one) => one.typeName).join(", ")]);
  return [
    make("h2", {}, "Attributes"), pairsTable([...attributes, ...facts]),
    ...(related.length ? [make("h2", {}, "Relationships"), make("table", { className: "pairs" }, ...related.map(([name, items]) =>
      make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, make("ul", { className: "related" }, ...items.map((one) =>
        make("li", {}, link(one.guid, one.displayText), " ", badge(one.typeName))))))))] : []),
  ];
}

async function schemaOf({ entity, referredEntities }) {
  const definition = await get(`${API}/types/entitydef/name/${encodeURIComponent(entity.typeName)}`);
  const attribute = definition.options?.schemaElementsAttribute ?? "columns";
  let columns = owned(entity, attribute, referredEntities);
  const attached = entity.relationshipAttributes.tabular_schema;
  if (!columns.length && attached) {  // files: the columns hang on a schema of their own
    const schema = await get(`${API}/entity/guid/${attached.guid}`);
    columns = owned(schema.entity, "columns", schema.referredEntities);
  }
  if (columns.length) {
    const details = [...new Set(columns.flatMap((one) => Object.keys(one.attributes).filter((name) =>
      one.attributes[name] !== null && !["qualifiedName", "name", "table"].includes(name))))];
    return [make("table", {},
      make("tr", {}, ...["name", ...details].map((name) => make("th", {}, name))),
      ...columns.map((one) => make("tr", {}, make("td", {}, link(one.guid, one.attributes.name)),
        ...details.map((name) => make("td", {}, one.attributes[name] === null ? "" : shown(one.attributes[name]))))))];
  }
  const names = kindOf(entity.typeName) === "dataset" ? (await lineageModel(entity.guid, 1)).nodes.find((node) => node.id === entity.guid)?.columns ?? [] : [];
  return [
    make("p", { className: "hint" }, names.length ? "No columns are catalogued for this asset; lineage has seen these:" : "No columns are known for this asset."),
    ...(names.length ? [make("table", {}, ...names.map((name) => make("tr", {}, make("td", {}, name))))] : []),
  ];
}

function owned(entity, attribute, referred) {
  return [].concat(entity.relationshipAttributes[attribute] ?? []).map((one) => referred[one.guid]).filter(Boolean);
}

function jsonOf(body) {
  return [make("p", {}, make("a", { href: `${API}/entity/guid/${body.entity.guid}` }, "open as a document")),
    make("pre", { className: "json" }, JSON.stringify(body, null, 2))];
}

// ---- lineage

/** Nodes, edges and column threads around an entity; a thread is one pair of a process's columnMapping. */
async function lineageModel(guid, depth) {
  const answer = await get(`${API}/lineage/${guid}?${new URLSearchParams({ direction: "BOTH", depth, width: WIDTH, includeParent: true })}`);
  const edges = answer.relations.map((one) => ({ from: one.fromEntityId, to: one.toEntityId }));
  const inGraph = new Set([guid, ...edges.flatMap((edge) => [edge.from, edge.to])]);
  const rolledDown = answer.childrenCount > 0 && edges.length > 0;
  const headers = Object.values(answer.guidEntityMap).filter((one) => inGraph.has(one.guid) && !(rolledDown && one.guid === guid));
  const nodes = headers.map((one) => ({
    id: one.guid, kind: kindOf(one.typeName), type: one.typeName, title: title(one), columns: [],
    name: one.displayText ?? "", qualifiedName: one.attributes.qualifiedName ?? "", mapping: mappingOf(one.attributes.columnMapping),
  }));
  const byName = new Map(nodes.filter((node) => node.kind !== "process").map((node) => [node.qualifiedName, node]));
  const threads = [];
  for (const process of nodes) {
    for (const { DatasetMapping, ColumnMapping } of process.mapping) {
      const [from, to] = [byName.get(DatasetMapping.Source), byName.get(DatasetMapping.Sink)];
      for (const pair of ColumnMapping) {
        if (pair.Source !== "*" && from) addColumn(from, pair.Source);
        if (pair.Sink !== "*" && to) addColumn(to, pair.Sink);
        if (from && to && pair.Source !== "*" && pair.Sink !== "*") {
          threads.push({ process: process.id, from: { node: from.id, column: pair.Source }, to: { node: to.id, column: pair.Sink } });
        }
      }
    }
  }
  const parents = answer.parentRelations.map((one) => [one.childEntityId, answer.guidEntityMap[one.parentEntityId]]);
  return { base: guid, nodes, edges, threads, parents: new Map(parents), counts: answer.widthCounts };
}

function addColumn(node, name) {
  if (!node.columns.includes(name)) node.columns.push(name);
}

function mappingOf(text) {
  try {
    const mapping = JSON.parse(text ?? "[]");
    return Array.isArray(mapping) ? mapping.filter((one) => one?.DatasetMapping && Array.isArray(one.ColumnMapping)) : [];
  } catch {
    return [];
  }
}

/** A short title: a path's or a table's last part tells more than its beginning. */
function title(header) {
  const name = header.displayText ?? header.guid;
  return name.includes("://") ? lastPart(name) : name;
}

function lastPart(name) {
  return name.replace(/\/+$/, "").split("/").pop() || name;
}

/** Lets a long name break after its separators. */
function breakable(name) {
  return name.replace(/([._/])/g, "$1\u200b");
}

async function lineageOf({ entity }) {
  if (kindOf(entity.typeName) === "asset") {
    return [make("p", { className: "hint" }, `${entity.typeName} is neither a dataset nor a process, so it has no lineage. Its relationships are in the overview.`)];
  }
  const canvas = make("div", { className: "canvas" });
  const panel = make("aside", { className: "panel" });
  const depth = make("select", { ariaLabel: "Depth" }, ...[1, 2, 3, 5, 10].map((one) => make("option", { value: one, selected: one === 3 }, `${one} hop${one > 1 ? "s" : ""}`)));
  const note = make("span", { className: "hint" });
  let graph;
  const button = (text, label, action) => make("button", { type: "button", ariaLabel: label, title: label, onclick: action }, text);

  async function load() {
    const model = await lineageModel(entity.guid, depth.value);
    note.textContent = model.edges.length ? `${model.nodes.length} nodes, ${model.threads.length} column pairs. Click a column to trace it.` : "Nothing reads or writes this asset yet.";
    graph = drawGraph(canvas, model, {
      node(id) { graph.choose(id); describe(model, id); },
      column(node, column) {
        const threads = traced(model.threads, node, column);
        graph.mark(threads);
        describeColumn(model, node, column, threads);
      },
    });
    const first = model.nodes.some((node) => node.id === entity.guid) ? entity.guid : model.nodes[0]?.id;
    if (first) describe(model, first);
  }

  function describe(model, id) {
    const node = model.nodes.find((one) => one.id === id);
    const parent = model.parents.get(id);
    panel.replaceChildren(
      badge(node.type), make("h2", {}, node.name), make("p", { className: "qualified mono" }, node.qualifiedName),
      make("p", {}, link(id, "Open this asset"), id === entity.guid ? "" : " · ", id === entity.guid ? "" : link(id, "its lineage", "lineage")),
      parent ? make("p", {}, "part of ", link(parent.guid, parent.displayText)) : "",
      ...mappings(model, node),
    );
  }

  function mappings(model, node) {
    const touching = node.kind === "process" ? [node]
      : model.nodes.filter((one) => one.mapping.some((two) => [two.DatasetMapping.Source, two.DatasetMapping.Sink].includes(node.qualifiedName)));
    const parts = [];
    for (const process of touching) {
      for (const { DatasetMapping, ColumnMapping } of process.mapping) {
        const names = [DatasetMapping.Source, DatasetMapping.Sink];
        if (node.kind !== "process" && !names.includes(node.qualifiedName)) continue;
        const known = names.map((name) => model.nodes.find((one) => one.kind !== "process" && one.qualifiedName === name));
        const rows = ColumnMapping.map((pair) => {
          const row = make("tr", { className: "pair" }, make("td", {}, pair.Source), make("td", { className: "arrow" }, "→"),
            make("td", {}, pair.Sink === "*" ? "all rows" : pair.Sink));
          row.addEventListener("click", () => {
            panel.querySelectorAll(".marked").forEach((one) => one.classList.remove("marked"));
            row.classList.add("marked");
            graph.mark(model.threads.filter((one) => one.process === process.id && one.from.node === known[0]?.id
              && one.to.node === known[1]?.id && one.from.column === pair.Source && one.to.column === pair.Sink));
          });
          return row;
        });
        parts.push(make("h3", { title: names.join(" → ") }, names.map((name, index) => breakable(shorten(known[index]?.title ?? lastPart(name), 28))).join(" → ")), make("table", {}, ...rows));
      }
    }
    return parts.length ? [make("h3", {}, "Column mappings"), ...parts] : [make("p", { className: "hint" }, "No column mappings are recorded here.")];
  }

  function describeColumn(model, id, column, threads) {
    const node = model.nodes.find((one) => one.id === id);
    const titleOf = (end) => breakable(`${model.nodes.find((one) => one.id === end.node).title}.${end.column}`);
    panel.replaceChildren(
      badge(node.type), make("h2", {}, breakable(`${node.title}.${column}`)),
      make("p", { className: "hint" }, threads.length ? "The way of this column, up and down:" : "This column only decides which rows there are, or its way is not recorded."),
      make("table", {}, ...threads.map((thread) => make("tr", {}, make("td", {}, titleOf(thread.from)), make("td", { className: "arrow" }, "→"), make("td", {}, titleOf(thread.to))))),
      make("p", {}, link(id, "Open the asset")),
    );
  }

  depth.addEventListener("change", () => load().catch(fail));
  queueMicrotask(() => load().catch(fail));
  return [
    make("div", { className: "tools" }, depth, button("−", "smaller", () => graph.scale(0.8)), button("+", "larger", () => graph.scale(1.25)), button("fit", "fit into the frame", () => graph.fit()), note),
    make("div", { className: "lineage" }, canvas, panel),
  ];
}

// ---- routes

function fail(error) {
  page.replaceChildren(make("h1", {}, "That did not work"), make("p", { className: "error" }, error.message));
}

async function route() {
  page.className = "";
  const [path, parameters] = location.hash.slice(1).split("?");
  const [, area, guid, tab] = path.split("/");
  try {
    if (area === "asset" && guid) await showAsset(guid, TABS.includes(tab) ? tab : "overview");
    else if (parameters) await showSearch(new URLSearchParams(parameters));
    else await showHome();
  } catch (error) {
    fail(error);
  }
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = query.value.trim() ? `#/?${new URLSearchParams({ q: query.value })}` : "#/";
});
window.addEventListener("hashchange", route);
get("/web/overview").then((overview) => { kinds = overview.kinds; return route(); }).catch(fail);
