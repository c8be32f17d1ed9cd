// What moves on the report: the table's order, the chosen case, runs, slices, surfaces, and the theme of the figures.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
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

// Table: a press on a head sorts by it, a second one the other way round; cells without a number come last.
function sort(table, head) {
  const column = [...head.parentNode.children].indexOf(head);
  const rising = head.getAttribute("aria-sort") === "descending" ||
    (head.getAttribute("aria-sort") === "none" && column === 0);
  const text = (row) => row.children[column].firstChild?.textContent.trim() ?? "";
  const rows = all("tbody tr", table);
  const numbers = rows.some((row) => !Number.isNaN(parseFloat(text(row))));
  const compare = (a, b) => {
    if (!numbers) return (rising ? 1 : -1) * text(a).localeCompare(text(b));
    const [x, y] = [parseFloat(text(a)), parseFloat(text(b))];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return rising ? x - y : y - x;
  };
  one("tbody", table).append(...rows.sort(compare));
  all("thead th", table).forEach((other) => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
}
all("table.sortable").forEach((table) =>
  all("thead th", table).forEach((head) => one("button", head).addEventListener("click", () => sort(table, head))));

// Scores by case: the last line of each figure runs through the chosen case.
const strips = all(".strip");
function showCase(name) {
  strips.forEach((place, n) => {
    const traces = data.strips[n].data;
    const [x, y] = [[], []];
    for (const trace of traces.filter((t) => t.customdata)) {
      const index = trace.customdata.indexOf(name);
      if (index < 0) continue;
      x.push(trace.x[index]);
      y.push(trace.y[index]);
    }
    const line = { x: [x], y: [y], "line.color": shade("--text"), "marker.color": shade("--text") };
    Plotly.restyle(place, line, [traces.length - 1]);
  });
}
one("#case-choice").addEventListener("change", (event) => showCase(event.target.value));
strips.forEach(async (place, n) => {
  const figure = data.strips[n];
  await Plotly.newPlot(place, figure.data.map((trace) => ({ ...trace })), figure.layout, still);
  drawn.push(place);
  paint(place);
  const choose = (event) => {
    const name = event.points[0].customdata;
    if (!name || name === one("#case-choice").value) return;
    one("#case-choice").value = name;
    showCase(name);
  };
  place.on("plotly_hover", choose);
  place.on("plotly_click", choose);
});

// Training: each button of the legend shows or hides its run in all panels.
const panels = all(".curve");
panels.forEach(async (place) => {
  const figure = data.curves[place.dataset.name];
  await Plotly.newPlot(place, figure.data, figure.layout, still);
  drawn.push(place);
  paint(place);
});
all("#legend button").forEach((button) => button.addEventListener("click", () => {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  for (const place of panels) {
    const lines = place.data.flatMap((trace, n) => (trace.legendgroup === button.dataset.run ? [n] : []));
    if (lines.length) Plotly.restyle(place, { visible: on }, lines);
  }
}));

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
    ? "Beside a slice: the entropy of the mean of eight predictions with dropout; black 0 (sure), white ln 2 (undecided). " +
      "Straight bright lines are borders of the windows that a scan is predicted in."
    : "No uncertainty maps: the weights of these runs are not on this machine.";
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
