// What moves on the report: the chosen rows, the table's order, the chosen case, slices, surfaces, the figures' theme.
function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}
const data = await unpacked("data").json();
const library = document.createElement("script");
library.textContent = await unpacked("plotly").text();
document.head.append(library);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const one = (selector, from = document) => from.querySelector(selector);
const still = { responsive: true, displaylogo: false, displayModeBar: false };

// The figures take the page's colors.
const drawn = [];
const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function theme() {
  const lines = shade("--line");
  return {
    "font.color": shade("--text"),
    "xaxis.gridcolor": lines, "yaxis.gridcolor": lines, "xaxis.linecolor": lines, "yaxis.linecolor": lines,
    "xaxis.zerolinecolor": lines, "yaxis.zerolinecolor": lines,
    "hoverlabel.bgcolor": shade("--panel"), "hoverlabel.font.color": shade("--text"),
  };
}
function paint(place) {
  return Plotly.relayout(place, place.id === "surface" ? { "font.color": shade("--text") } : theme());
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawn.forEach(paint);
  showCase(one("#case-choice").value);
});

// Rows: the boxes say which are shown, everywhere on the page.
const MANY = 14;  // rows from which a strip takes the page's whole width
const boxes = all("#choice input[data-row]");
const chosen = () => boxes.filter((box) => box.checked).map((box) => box.dataset.row);
function choose() {
  const rows = new Set(chosen());
  for (const part of all("main [data-row]").filter((part) => part.tagName !== "INPUT")) {
    part.hidden = !rows.has(part.dataset.row);
  }
  for (const whole of all("#choice .whole")) {
    const checked = all("input[data-row]", whole.closest("fieldset")).map((box) => box.checked);
    whole.checked = checked.every(Boolean);
    whole.indeterminate = checked.some(Boolean) && !whole.checked;
  }
  showGroups();
  one(".plots.pairs").classList.toggle("many", rows.size > MANY);
  strips.forEach(showStrip);
  panels.forEach(showPanel);
  if (data.cases.length) chooseSurface();
}
boxes.forEach((box) => box.addEventListener("change", choose));
all("#choice .whole").forEach((whole) => whole.addEventListener("change", () => {
  all("input[data-row]", whole.closest("fieldset")).forEach((box) => { box.checked = whole.checked; });
  choose();
}));
all("[data-choose]").forEach((button) => button.addEventListener("click", () => {
  boxes.forEach((box) => { box.checked = button.dataset.choose === "all" || "first" in box.dataset; });
  choose();
}));

// Table: a press on a head sorts all rows by it, a second one the other way round, a third one groups them again.
const table = one("table.sortable");
const heads = all("thead th", table);
const grouped = all("tbody tr", table);
const sorted = () => heads.some((head) => head.getAttribute("aria-sort") !== "none");
function showGroups() {
  const shown = new Set(all("tr[data-row]:not([hidden])", table).map((row) => row.dataset.group));
  for (const row of all("tr.group", table)) row.hidden = sorted() || shown.size < 2 || !shown.has(row.dataset.group);
}
function sort(head) {
  const column = heads.indexOf(head);
  const ways = column ? ["none", "descending", "ascending"] : ["none", "ascending", "descending"];
  const way = ways[(ways.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
  heads.forEach((other) => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", way);
  const rising = way === "ascending";
  const text = (row) => row.children[column].firstChild?.textContent.trim() ?? "";
  const rows = grouped.filter((row) => row.dataset.row);
  const numbers = rows.some((row) => !Number.isNaN(parseFloat(text(row))));
  const compare = (a, b) => {
    if (!numbers) return (rising ? 1 : -1) * text(a).localeCompare(text(b));
    const [x, y] = [parseFloat(text(a)), parseFloat(text(b))];  // cells without a number come last
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return rising ? x - y : y - x;
  };
  one("tbody", table).append(...(way === "none" ? grouped : rows.sort(compare)));
  showGroups();
}
heads.forEach((head) => one("button", head).addEventListener("click", () => sort(head)));

// Scores by case: the chosen rows beside each other; the last line of each figure runs through the chosen case.
const strips = all(".strip");
const order = Object.keys(data.rows);
async function showStrip(place, n) {
  const figure = data.strips[n];
  const rows = chosen().filter((row) => figure.data.some((trace) => trace.meta === row));
  const traces = figure.data.filter((trace) => !trace.meta || rows.includes(trace.meta)).map((trace) => {
    const shift = rows.indexOf(trace.meta) - order.indexOf(trace.meta);
    return { ...trace, x: trace.x.map((x) => x + shift) };
  });
  const ticks = { tickvals: rows.map((_, place) => place), ticktext: rows.map((row) => data.rows[row]) };
  const layout = { ...figure.layout, xaxis: { ...figure.layout.xaxis, ...ticks, range: [-0.6, rows.length - 0.4] } };
  await Plotly.react(place, traces, layout, still);
  await Plotly.Plots.resize(place);
  await paint(place);
  showCase(one("#case-choice").value);
}
function showCase(name) {
  for (const place of strips.filter((place) => place.data)) {
    const [x, y] = [[], []];
    for (const trace of place.data.filter((t) => t.customdata)) {
      const index = trace.customdata.indexOf(name);
      if (index < 0) continue;
      x.push(trace.x[index]);
      y.push(trace.y[index]);
    }
    const line = { x: [x], y: [y], "line.color": shade("--text"), "marker.color": shade("--text") };
    Plotly.restyle(place, line, [place.data.length - 1]);
  }
}
one("#case-choice").addEventListener("change", (event) => showCase(event.target.value));

// Training: the lines of the chosen rows.
const panels = all(".curve");
function showPanel(place) {
  const rows = new Set(chosen());
  const visible = place.data.map((trace) => rows.has(trace.meta));
  place.hidden = !visible.includes(true);
  Plotly.restyle(place, { visible }, visible.map((_, n) => n));
  if (!place.hidden) Plotly.Plots.resize(place);
}

// Slices: all rows show the same one.
const slider = one("#slice");
const view = () => data.cases[one("input[name=view]:checked").value];
function draw(svg, uri, shown, label) {
  const [width, height] = shown.size;
  const [dx, dy] = shown.voxel;
  svg.setAttribute("viewBox", `0 0 ${width * dx} ${height * dy}`);
  svg.setAttribute("aria-label", label);
  const image = one("image", svg);
  image.setAttribute("width", width * dx);
  image.setAttribute("height", height * dy);
  image.setAttribute("href", uri);
  all("path", svg).forEach((path) => path.setAttribute("transform", `scale(${dx} ${dy})`));
}
function showSlice() {
  const shown = view();
  const n = Number(slider.value);
  const label = `${shown.case}, slice ${shown.numbers[n]}`;
  one("#slice-number").textContent = `${shown.numbers[n]} (${n + 1} of ${shown.numbers.length})`;
  slider.setAttribute("aria-valuetext", `slice ${shown.numbers[n]}`);
  all("figure.row").forEach((figure, index) => {
    const row = shown.rows[index];
    const [masks, uncertainty] = all("svg.slice", figure);
    draw(masks, shown.pictures[n], shown, `${row.title}, ${label}: reference and prediction`);
    one("path.reference", figure).setAttribute("d", shown.reference[n]);
    one("path.prediction", figure).setAttribute("d", row.outlines[n]);
    uncertainty.toggleAttribute("hidden", !row.uncertainty);
    if (row.uncertainty) draw(uncertainty, row.uncertainty[n], shown, `${row.title}, ${label}: uncertainty`);
    one(".score", figure).textContent = `Dice ${row.dice.toFixed(1)} %` + (row.surface ? "" : ", empty prediction");
  });
}
function showView() {
  const shown = view();
  slider.max = shown.numbers.length - 1;
  slider.value = Math.floor(shown.numbers.length / 2);
  one("#uncertainty-note").textContent = shown.rows.some((row) => row.uncertainty)
    ? "Beside a slice of a row of the first choice: the entropy of the predicted probability; black 0 (sure), " +
      "white ln 2 (undecided). Straight bright lines are borders of the windows that a scan is predicted in."
    : "";
  showSlice();
  showSurface();
}

// Surfaces: one at a time, seen from the same side.
const turned = one("#surface");
async function showSurface() {
  const shown = view();
  const row = shown.rows[one("#surface-row").value];
  const traces = row.surface ? [{ ...row.surface, cmin: -shown.limit, cmax: shown.limit }] : [];
  if (one("#ghost").checked) traces.push({ ...shown.surface });
  one("#surface-note").textContent = `${shown.case}, ${row.title}: ` +
    (row.surface ? `the colors end at ${shown.limit} mm.` : "the prediction is empty.");
  const layout = { ...data.scene, font: { color: shade("--text") } };
  if (turned.layout?.scene?.camera) layout.scene = { ...layout.scene, camera: turned.layout.scene.camera };
  await Plotly.react(turned, traces, layout, { ...still, scrollZoom: false });
}
function chooseSurface() {
  const choice = one("#surface-row");
  all("option", choice).forEach((option) => { option.disabled = option.hidden; });
  if (!choice.selectedOptions[0]?.disabled) return;
  const free = all("option:not([disabled])", choice)[0];
  if (!free) return;
  choice.value = free.value;
  showSurface();
}
function turn(sideways, upwards) {
  const camera = turned.layout.scene.camera;
  const { x, y, z } = camera.eye;
  const distance = Math.hypot(x, y, z);
  const angle = Math.atan2(y, x) + (sideways * Math.PI) / 180;
  const limit = (85 * Math.PI) / 180;
  const tilt = Math.max(-limit, Math.min(limit, Math.asin(z / distance) + (upwards * Math.PI) / 180));
  const flat = distance * Math.cos(tilt);
  const eye = { x: flat * Math.cos(angle), y: flat * Math.sin(angle), z: distance * Math.sin(tilt) };
  return Plotly.relayout(turned, { "scene.camera": { ...camera, eye } });
}
if (data.cases.length) {
  slider.addEventListener("input", showSlice);
  all("input[name=view]").forEach((choice) => choice.addEventListener("change", showView));
  one("#surface-row").addEventListener("change", showSurface);
  one("#ghost").addEventListener("change", showSurface);
  all("[data-turn]").forEach((button) =>
    button.addEventListener("click", () => turn(...button.dataset.turn.split(",").map(Number))));
  showView();
  drawn.push(turned);
}

// At first: what the boxes say.
for (const place of panels) {
  const figure = data.curves[place.dataset.name];
  await Plotly.newPlot(place, figure.data, figure.layout, still);
  drawn.push(place);
  paint(place);
}
for (const [n, place] of strips.entries()) {
  await showStrip(place, n);
  drawn.push(place);
  const show = (event) => {
    const name = event.points[0].customdata;
    if (!name || name === one("#case-choice").value) return;
    one("#case-choice").value = name;
    showCase(name);
  };
  place.on("plotly_hover", show);
  place.on("plotly_click", show);
}
choose();
document.body.dataset.drawn = "";
