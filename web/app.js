// 1 ask the node for what the open tab shows, 2 keep some minutes of it, 3 draw. Nothing is asked
// while the page is hidden. What comes from the node is set as text, never as HTML.
import { bar, histogram, lineChart, star } from "/charts.js";
import { buckets, bytesText, countText, parsePage, quantile, spanText, sum, timeText } from "/metrics.js";

const kNone = "–";  // nothing to say
const kEvery = 2000, kSpan = 300, kRowsMax = 200, kReceivedMax = 50;
const kTabs = ["overview", "queues", "links", "circuits", "services", "messages", "log"];
const kTimes = [
  ["delivery, normal", "qudag_delivery_seconds", { priority: "normal" }],
  ["delivery, high", "qudag_delivery_seconds", { priority: "high" }],
  ["delivery, low", "qudag_delivery_seconds", { priority: "low" }],
  ["circuit build", "qudag_circuit_build_seconds", {}],
  ["link round trip", "qudag_link_round_trip_seconds", {}],
  ["cells wait, normal", "qudag_cell_wait_seconds", { priority: "normal" }],
  ["loop turn", "qudag_loop_turn_seconds", {}],
  ["loop lag", "qudag_loop_lag_seconds", {}],
];
const kRefusals = [
  ["links", "qudag_links_refused_total", "reason"],
  ["circuits", "qudag_circuits_refused_total", "reason"],
  ["messages here", "qudag_messages_turned_away_total", "reason"],
  ["sends", "qudag_sends_refused_total", "priority"],
  ["memory", "qudag_memory_refused_total", "part"],
  ["datagrams", "qudag_datagrams_dropped_total", "reason"],
];

const at = (id) => document.getElementById(id);
let open = "overview";
let facts = { control: false, pressures: {} };   // GET /v1/web
let before = null;                               // the last page of metrics
const seen = { in: [], out: [], relayed: [], memory: [], limit: 0 };
const carried = new Map();                       // of links: bytes at the last look

// The token came in the part of the address that a browser sends to nobody; this tab keeps it.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", "/");
}
const kHeaders = { "X-Qudag": sessionStorage.getItem("token") ?? "" };

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: kHeaders, cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()).slice(0, 200));
  return answer;
}
const json = async (path) => (await ask(path)).json();

function element(name, className = "", text = "") {
  const out = document.createElement(name);
  if (className) out.className = className;
  out.textContent = text;
  return out;
}

// heads: [[name, "number" or ""]]; rows of texts or of [text, class].
function table(host, heads, rows, nothing = "None.") {
  if (rows.length === 0) return host.replaceChildren(element("p", "note", nothing));
  const out = element("table"), head = element("tr");
  heads.forEach(([name, kind]) => {
    const cell = element("th", kind, name);
    cell.scope = "col";
    head.append(cell);
  });
  const body = element("tbody");
  for (const row of rows.slice(0, kRowsMax)) {
    const line = element("tr");
    row.forEach((cell, i) => {
      const [text, level] = Array.isArray(cell) ? cell : [cell, ""];
      const one = element("td", `${heads[i][1]} ${level} ${text === kNone ? "none" : ""}`.trim(), text);
      one.dataset.name = heads[i][0];
      line.append(one);
    });
    body.append(line);
  }
  const top = element("thead");
  top.append(head);
  out.append(top, body);
  host.replaceChildren(out);
  if (rows.length > kRowsMax) host.append(element("p", "note", `${kRowsMax} of ${rows.length} are shown.`));
}

// ---- Overview -----------------------------------------------------------------------------------

function tile(name, value, note = "", inner = null) {
  const out = element("div", "tile");
  out.append(element("p", "name", name), element("p", "value", value));
  if (inner) out.append(inner);
  out.append(element("p", "note", note));
  return out;
}

const level = (share, from) => share >= from ? "alarm" : share >= 0.8 * from ? "warn" : "";

function keep(list, now, value) {
  list.push([now, value]);
  while (list.length > 0 && list[0][0] < now - kSpan - 10) list.shift();
}

function tiles(status, page, rates) {
  const share = status.memory_limit ? status.memory_used / status.memory_limit : 0;
  at("tiles").replaceChildren(
    tile("memory", bytesText(status.memory_used), `of ${bytesText(status.memory_limit)}; ${bytesText(status.rss)} resident`,
      bar(share, null, level(share, 0.9), `${Math.round(100 * share)} % of the bound`)),
    tile("in", `${bytesText(rates.in)}/s`, `${bytesText(sum(page, "qudag_bytes_total", { direction: "in" }))} in all`),
    tile("out", `${bytesText(rates.out)}/s`, `${bytesText(sum(page, "qudag_bytes_total", { direction: "out" }))} in all`),
    tile("relayed", `${bytesText(rates.relayed)}/s`, `${bytesText(sum(page, "qudag_bytes_relayed_total"))} in all`),
    tile("links", countText(status.links), `${countText(sum(page, "qudag_links_refused_total"))} refused`),
    tile("circuits", countText(status.circuits), `${countText(sum(page, "qudag_circuits_refused_total"))} refused`),
    tile("messages in flight", countText(sum(page, "qudag_messages_in_flight")), `${countText(sum(page, "qudag_messages_waiting"))} wait to be sent`),
    tile("processor", `${Math.round(100 * rates.cpu)} %`, `of a core; ${status.shards} shard${status.shards === 1 ? "" : "s"}`));
}

function pressures(page) {
  const host = at("pressures"), list = element("dl");
  for (const row of page.get("qudag_overload_pressure") ?? []) {
    const name = row.labels.pressure, steps = facts.pressures[name] ?? [];
    const from = steps.length ? steps[0][1] : 1;
    const begun = steps.filter(([, on]) => row.value >= on).map(([action]) => action.replaceAll("_", " "));
    const next = steps.find(([, on]) => row.value < on);
    const what = begun.length ? begun.at(-1) : next ? `${next[0].replaceAll("_", " ")} ${next[1].toFixed(2)}` : "";
    const term = element("dt", "", name.replaceAll("_", " "));
    const value = element("dd", level(row.value, from));
    value.append(element("span", "value", row.value.toFixed(2)),
      bar(row.value, from, level(row.value, from), `${name} ${row.value.toFixed(2)}`), element("span", "note", what));
    list.append(term, value);
  }
  host.replaceChildren(list);
}

function refusals(page, passed) {
  const rows = [];
  for (const [what, name, label] of kRefusals) {
    for (const { labels, value } of page.get(name) ?? []) {
      if (!(value > 0) || labels[label] === undefined) continue;
      const old = before ? sum(before, name, labels) : value;
      rows.push([what, labels[label].replaceAll("_", " "), [countText((value - old) / passed), value > old ? "warn" : ""], countText(value), value - old]);
    }
  }
  rows.sort((a, b) => b[4] - a[4]);
  table(at("refusals"), [["what", ""], ["reason", ""], ["per s", "number"], ["in all", "number"]],
    rows.map((row) => row.slice(0, 4)), "Nothing since the start.");
}

function times(page) {
  const [name, metric, labels] = kTimes[at("times").selectedIndex];
  const all = buckets(page, metric, labels);
  histogram(at("histogram"), { all, format: timeText, label: name,
    marks: [["p50", quantile(all, 0.5)], ["p90", quantile(all, 0.9)], ["p99", quantile(all, 0.99)]] });
}

function charts() {
  const since = seen.memory[0]?.[0] ?? 0, span = Math.min(kSpan, Math.max(60, (seen.memory.at(-1)?.[0] ?? 0) - since));
  lineChart(at("throughput"), { span, base: 1024, label: "throughput", format: (value) => `${bytesText(value)}/s`,
    series: [{ name: "in", kind: "one", points: seen.in }, { name: "out", kind: "two", points: seen.out },
      { name: "relayed", kind: "three area", points: seen.relayed }] });
  lineChart(at("memory"), { span, base: 1024, label: "memory", format: bytesText, bound: seen.limit,
    series: [{ name: "in use", kind: "one area", points: seen.memory }] });
}

let lastAt = 0;
async function overview(status) {
  const page = parsePage(await (await ask("/metrics")).text());
  const now = performance.now() / 1000, passed = Math.max(0.1, now - lastAt);
  const rate = (name, labels) => before ? Math.max(0, sum(page, name, labels) - sum(before, name, labels)) / passed : 0;
  const rates = { in: rate("qudag_bytes_total", { direction: "in" }), out: rate("qudag_bytes_total", { direction: "out" }),
    relayed: rate("qudag_bytes_relayed_total"), cpu: rate("process_cpu_seconds_total") };
  if (before) for (const name of ["in", "out", "relayed"]) keep(seen[name], now, rates[name]);
  keep(seen.memory, now, status.memory_used);
  seen.limit = status.memory_limit;
  tiles(status, page, rates);
  pressures(page);
  refusals(page, passed);
  times(page);
  charts();
  before = page;
  lastAt = now;
}

// ---- Tables -------------------------------------------------------------------------------------

async function queues() {
  const { queues: all } = await json("/v1/queues");
  const full = (row) => Math.max(row.items_max ? row.items / row.items_max : 0, row.bytes_max ? row.bytes / row.bytes_max : 0);
  const rows = all.map((row) => [full(row), row]).sort((a, b) => b[0] - a[0]).map(([share, row]) => {
    const dropped = Object.values(row.drops).reduce((n, many) => n + many, 0);
    const late = row.age_max_us && row.oldest_us >= row.age_max_us / 2 ? "alarm" : "";
    const name = [row.name, row.level, row.shard === null ? "" : `shard ${row.shard}`].filter(Boolean).join(", ");
    return [name, [`${Math.round(100 * share)} %`, level(share, 0.9)],
      [row.oldest_us ? timeText(row.oldest_us / 1e6) : kNone, late], row.age_max_us ? spanText(row.age_max_us / 1e6) : kNone,
      row.waited_p99_us ? timeText(row.waited_p99_us / 1e6) : kNone, row.items_max ? `${countText(row.items)} of ${countText(row.items_max)}` : kNone,
      row.bytes_max ? `${bytesText(row.bytes)} of ${bytesText(row.bytes_max)}` : kNone, [countText(dropped), dropped ? "warn" : ""]];
  });
  table(document.querySelector("#queues .scroll"), [["name", ""], ["full", "number"], ["oldest", "number"],
    ["bound", "number"], ["p99", "number"], ["items", "number"], ["bytes", "number"], ["dropped", "number"]], rows);
}

let linksAt = 0;
async function links() {
  const { peers } = await json("/v1/peers");
  const now = performance.now() / 1000, passed = Math.max(0.1, now - linksAt);
  const there = new Set();
  const rows = peers.map((row) => {
    const key = `${row.id} ${row.address} ${row.dialed}`, old = carried.get(key);
    there.add(key);
    carried.set(key, [row.bytes_in, row.bytes_out]);
    const rate = (i, value) => old ? Math.max(0, value - old[i]) / passed : 0;
    return { row, in: rate(0, row.bytes_in), out: rate(1, row.bytes_out) };
  }).sort((a, b) => b.in + b.out - a.in - a.out);
  for (const key of carried.keys()) if (!there.has(key)) carried.delete(key);
  linksAt = now;
  star(at("map"), rows.slice(0, 40).map(({ row, ...rates }) => ({ name: row.address, weight: rates.in + rates.out, circuits: row.circuits })),
    `${rows.length} links of this node`);
  table(document.querySelector("#links .scroll"), [["address", ""], ["state", ""], ["dialed by", ""], ["circuits", "number"],
    ["in", "number"], ["out", "number"], ["round trip", "number"], ["age", "number"], ["id", "mono"]],
    rows.map(({ row, ...rates }) => [row.address, row.state, row.dialed ? "us" : "them", countText(row.circuits), `${bytesText(rates.in)}/s`,
      `${bytesText(rates.out)}/s`, row.rtt_us ? timeText(row.rtt_us / 1e6) : kNone, spanText(row.age_us / 1e6), row.id ?? kNone]), "No link.");
}

async function circuits() {
  const { circuits: all } = await json("/v1/circuits");
  all.sort((a, b) => b.cells_forward + b.cells_backward - a.cells_forward - a.cells_backward);
  table(document.querySelector("#circuits .scroll"), [["role", ""], ["priority", ""], ["ready", ""], ["age", "number"], ["cells forward", "number"],
    ["cells backward", "number"], ["previous", ""], ["next", ""]],
    all.map((row) => [row.role, row.priority, row.ready ? "yes" : "no", spanText(row.age_us / 1e6), countText(row.cells_forward),
      countText(row.cells_backward), row.previous_address ?? kNone, row.next_address ?? kNone]), "No circuit.");
}

async function services() {
  const [gateway, receivers, contacts] = await Promise.all([json("/v1/gateway"), json("/v1/receivers"), json("/v1/contacts")]);
  table(at("exposed"), [["name", ""], ["to", ""], ["pipes", "number"]],
    gateway.services.map((row) => [row.name, row.to, `${row.pipes} of ${row.pipes_max}`]), "No service is exposed.");
  table(at("receivers"), [["name", ""], ["kind", ""], ["keepers", "number"], ["conversations", "number"], ["id", "mono"]],
    receivers.receivers.map((row) => [row.name, row.hidden ? "hidden" : "behind a router",
      `${row.keepers.filter((keeper) => keeper.registered).length} of ${row.keepers.length}`, countText(row.conversations), row.id]), "No receiver is open.");
  table(at("contacts"), [["name", ""], ["kind", ""], ["id", "mono"]],
    contacts.contacts.map((row) => [row.name, row.receiver ? "receiver" : "node", row.id]), "No contact has a name here.");
}

async function log() {
  const { lines } = await json("/v1/log");
  at("lines").replaceChildren(...lines.toReversed().map(({ time, level: kind, message }) => {
    const item = element("li", kind);
    item.append(element("time", "", time.slice(0, 19).replace("T", " ")), element("span", "kind", kind), element("span", "", message));
    return item;
  }));
  if (lines.length === 0) at("lines").append(element("li", "note", "No line yet."));
}

// ---- Messages -----------------------------------------------------------------------------------

async function send(event) {
  event.preventDefault();
  const query = new URLSearchParams({ to: at("to").value.trim(), priority: at("priority").value, relays: at("relays").value, ttl: "60s" });
  const outcome = at("outcome"), button = at("send").querySelector("button");
  outcome.textContent = "on its way";
  button.disabled = true;
  try {
    const answer = await fetch(`/v1/messages?${query}`, { method: "POST", body: at("text").value, headers: kHeaders });
    const said = await answer.json().catch(() => ({}));
    outcome.textContent = said.outcome ? `${said.outcome}${said.error ? `: ${said.error.detail || said.error.code}` : ""}` : said.error?.detail ?? `HTTP ${answer.status}`;
    outcome.className = said.outcome === "delivered" || said.outcome === "stored" ? "good" : "alarm";
  } catch (error) {
    outcome.textContent = `${error.message}`;
  }
  button.disabled = false;
}

// What is no text is shown as hex, and not all of it.
function words(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!/[\0-\x08\x0e-\x1f\x7f]/.test(text)) return text;
  } catch { /* not UTF-8 */ }
  const some = [...bytes.slice(0, 256)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return bytes.length > 256 ? `${some} ...` : some;
}

function show(line) {
  const message = JSON.parse(line), item = element("li");
  const bytes = Uint8Array.from(atob(message.payload ?? ""), (char) => char.charCodeAt(0));
  item.append(element("p", "note", `${new Date().toLocaleTimeString()}, ${bytes.length} bytes${message.sender ? `, signed by ${message.sender}` : ""}`),
    element("pre", "", words(bytes)));
  at("received").prepend(item);
  while (at("received").children.length > kReceivedMax) at("received").lastChild.remove();
}

let receiving = null;
async function receive() {
  const button = at("receive");
  if (receiving) return receiving.abort();
  receiving = new AbortController();
  button.setAttribute("aria-pressed", "true");
  button.textContent = "Stop receiving";
  try {
    const answer = await ask("/v1/messages", { signal: receiving.signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = "", part; !(part = await reader.read()).done;) {
      const lines = (text + part.value).split("\n");
      text = lines.pop();
      lines.filter(Boolean).forEach(show);
    }
  } catch (error) {
    if (error.name !== "AbortError") at("outcome").textContent = error.message;
  }
  receiving = null;
  button.setAttribute("aria-pressed", "false");
  button.textContent = "Receive here";
}

// ---- The page -----------------------------------------------------------------------------------

const draw = { overview, queues, links, circuits, services, log, messages: async () => {} };

function head(status) {
  const state = at("state");
  state.textContent = status.stopping ? "stopping" : status.joined ? `joined: ${status.nodes_known} nodes, ${status.relays_known} relays` : `not joined: ${status.not_joined}`;
  state.className = `pill ${status.joined && !status.stopping ? "good" : "warn"}`;
  at("up").textContent = `up ${spanText(status.uptime_us / 1e6)}, version ${status.version}`;
  at("id").textContent = status.id;
}

let asking = false, again = false;
async function tick() {
  if (document.hidden) return;
  again = true;
  if (asking) return;
  asking = true;
  while (again) {
    again = false;
    const tab = open;
    try {
      const status = await json("/v1/status");
      head(status);
      await draw[tab](status);
      document.body.dataset.ready = tab;
    } catch (error) {
      at("state").textContent = `the node does not answer: ${error.message}`;
      at("state").className = "pill alarm";
    }
  }
  asking = false;
}

function toTab() {  // all tabs do not fit a narrow screen
  at(`tab-${open}`).scrollIntoView({ block: "nearest", inline: "center" });
}

function choose(name, focus = false) {
  open = name;
  for (const tab of kTabs) {
    at(tab).hidden = tab !== name;
    const button = at(`tab-${tab}`);
    if (!button) continue;
    button.setAttribute("aria-selected", `${tab === name}`);
    button.tabIndex = tab === name ? 0 : -1;
    if (focus && tab === name) button.focus();
  }
  history.replaceState(null, "", `#${name}`);
  toTab();
  scrollTo(0, 0);
  tick();
}

function keys(event, tabs) {
  const i = tabs.indexOf(open), to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(tabs[(to + tabs.length) % tabs.length], true);
}

async function begin() {
  try {
    facts = await json("/v1/web");
  } catch (error) {
    at("state").textContent = error.message;
    return;
  }
  const tabs = kTabs.filter((name) => name !== "messages" || facts.control);
  for (const name of tabs) {
    const button = element("button", "", name);
    button.id = `tab-${name}`;
    button.type = "button";
    button.setAttribute("role", "tab");
    button.setAttribute("aria-controls", name);
    button.addEventListener("click", () => choose(name));
    at("tabs").append(button);
  }
  at("tabs").addEventListener("keydown", (event) => keys(event, tabs));
  for (const [name] of kTimes) at("times").append(element("option", "", name));
  at("times").addEventListener("change", () => before && times(before));
  at("send").addEventListener("submit", send);
  at("receive").addEventListener("click", receive);
  addEventListener("resize", () => {
    toTab();
    if (open === "overview" && before) charts(), times(before);
    if (open === "links") tick();
  });
  document.addEventListener("visibilitychange", tick);
  const wanted = location.hash.slice(1);
  choose(tabs.includes(wanted) ? wanted : "overview");
  setInterval(tick, kEvery);
}

addEventListener("hashchange", () => {  // another node at the same port
  if (location.hash.startsWith("#token=")) location.reload();
});

begin();
