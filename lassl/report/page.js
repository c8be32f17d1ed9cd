// What moves on the report: the chosen rows, the tables' order, the masks, the figures and their theme, downloads.
const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
function unpacked(id) {
  const bytes = bytesOf(document.getElementById(id).textContent);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}
const data = await unpacked("data").json();
const library = document.createElement("script");
library.textContent = await unpacked("plotly").text();
document.head.append(library);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const one = (selector, from = document) => from.querySelector(selector);
const still = { responsive: true, displaylogo: false, displayModeBar: false };

// The figures take the page's colors: "var(--row0)" stands for the theme's.
const shade = (name, place = document.documentElement) => getComputedStyle(place).getPropertyValue(name).trim();
const color = (value, place) => shade(value.slice(4, -1), place);
const painted = (trace) => Object.fromEntries(Object.entries(trace).map(([key, part]) =>
  [key, part?.color?.startsWith?.("var(") ? { ...part, color: color(part.color) } : part]));
function themed(layout) {
  const [lines, font] = [shade("--line"), { ...layout.font, color: shade("--text") }];
  const axis = { gridcolor: lines, linecolor: lines, zerolinecolor: lines };
  const hoverlabel = { bgcolor: shade("--panel"), font };
  return { ...layout, font, hoverlabel, xaxis: { ...layout.xaxis, ...axis }, yaxis: { ...layout.yaxis, ...axis } };
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  choose();
  if (data.cases.length) showSurface();
});

// Rows: the boxes say which are shown, everywhere on the page.
const boxes = all("#choice input[data-row]");
const chosen = () => boxes.filter((box) => box.checked).map((box) => box.dataset.row);
function choose() {
  const rows = new Set(chosen());
  one("#count").textContent = `${rows.size} of ${boxes.length}`;
  for (const part of all("main [data-row]").filter((part) => part.tagName !== "INPUT")) {
    part.hidden = !rows.has(part.dataset.row);
  }
  for (const whole of all("#choice .whole")) {
    const checked = all("input[data-row]", whole.closest("fieldset")).map((box) => box.checked);
    whole.checked = checked.every(Boolean);
    whole.indeterminate = checked.some(Boolean) && !whole.checked;
  }
  results.show();
  showCases();
  strips.forEach(showStrip);
  panels.forEach(showPanel);
  if (data.cases.length) {
    chooseSurface();
    draw();
  }
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

// Tables: a press on a head sorts by it, a second one the other way round, a third one restores the order.
function sortable(table) {
  const heads = all("thead th", table);
  const lines = all("tbody tr", table);
  const text = (line, column) => line.children[column].firstChild?.textContent.trim() ?? "";
  const sorted = () => heads.find((head) => head.getAttribute("aria-sort") !== "none");
  function show() {
    const groups = new Set(all("tr[data-row]:not([hidden])", table).map((line) => line.dataset.group));
    for (const line of all("tr.group", table)) {
      line.hidden = Boolean(sorted()) || groups.size < 2 || !groups.has(line.dataset.group);
    }
  }
  function order() {
    const head = sorted();
    const column = heads.indexOf(head);
    const rising = head?.getAttribute("aria-sort") === "ascending";
    const rows = lines.filter((line) => !line.classList.contains("group"));
    const numbers = head && rows.some((line) => !Number.isNaN(parseFloat(text(line, column)))) && column > 0;
    const compare = (a, b) => {
      const [s, t] = [text(a, column), text(b, column)];
      if (!numbers) return (rising ? 1 : -1) * s.localeCompare(t);
      const [x, y] = [parseFloat(s), parseFloat(t)];  // cells without a number come last
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return rising ? x - y : y - x;
    };
    one("tbody", table).append(...(head ? rows.sort(compare) : lines));
    show();
  }
  heads.forEach((head, column) => one("button", head).addEventListener("click", () => {
    const ways = column ? ["none", "descending", "ascending"] : ["none", "ascending", "descending"];
    const way = ways[(ways.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", way);
    order();
  }));
  return { show, order };
}
const results = sortable(one("#table"));
one("#more").addEventListener("click", ({ target }) => {
  const more = target.getAttribute("aria-pressed") !== "true";
  target.setAttribute("aria-pressed", more);
  target.textContent = more ? "Fewer columns" : "More columns";
  all(".more").forEach((cell) => { cell.hidden = !more; });
});

// CSV of the whole table, and of the scores of all cases in all rows (and of all structures, if there are several).
const structures = data.structures ?? [];
const stripsOf = (structure) => (structure ? data.parts[structure] : data.strips);
const partOfCases = () => one("#case-structure")?.value ?? "";
const measures = data.strips.map((strip) => strip.layout.yaxis.title.text);
const score = (strip, row, name) => {
  const trace = strip.data.find((t) => t.customdata && t.meta === row);
  return trace?.y[trace.customdata.indexOf(name)] ?? null;
};
const tables = {
  table: () => all("#table thead tr, #table tr[data-row]").map((line) =>
    [...line.children].map((cell) => cell.innerHTML.replace(/<br>/g, " ").replace(/<[^>]*>/g, "").trim())
      .map((html) => new DOMParser().parseFromString(html, "text/html").body.textContent)),
  cases: () => [["case", "row", ...(structures.length ? ["structure"] : []), ...measures],
    ...all("tr[data-case]").flatMap(({ dataset }) => Object.keys(data.rows).flatMap((row) =>
      ["", ...structures.map(({ name }) => name)].map((part) => [dataset.case, data.rows[row],
        ...(structures.length ? [part || "mean"] : []),
        ...stripsOf(part).map((strip) => score(strip, row, dataset.case) ?? "")])))],
};
const csv = (name) => tables[name]().map((line) =>
  line.map((cell) => (/[",\n]/.test(cell) ? `"${String(cell).replace(/"/g, '""')}"` : cell)).join(",")).join("\r\n") + "\r\n";
all("[data-csv]").forEach((button) => button.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(button.dataset.csv)], { type: "text/csv" }));
  link.download = `${data.profile}-${button.dataset.csv}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}));

// Cases: their scores in one row or on average, sorted and filtered; a press opens the masks.
const caseTable = sortable(one("#cases"));
function showCases() {
  const row = one("#case-row").value;
  const rows = row ? [row] : chosen();
  const [part, most] = [one("#case-name").value.toLowerCase(), parseFloat(one("#case-most").value)];
  for (const line of all("tr[data-case]")) {
    const name = line.dataset.case;
    const means = stripsOf(partOfCases()).map((strip) => {
      const values = rows.map((each) => score(strip, each, name)).filter((value) => value !== null);
      return values.length ? values.reduce((a, b) => a + b) / values.length : null;
    });
    means.forEach((mean, n) => { line.children[n + 1].textContent = mean === null ? "-" : mean.toFixed(2); });
    line.hidden = !name.toLowerCase().includes(part) || means[0] > most;
  }
  caseTable.order();
}
one("#case-row").addEventListener("change", showCases);
one("#case-structure")?.addEventListener("change", () => {
  showCases();
  strips.forEach(showStrip);
});
["#case-name", "#case-most"].forEach((id) => one(id).addEventListener("input", showCases));
function openCase(name) {
  mark(name);
  const n = data.cases.findIndex((each) => each.case === name);
  if (n < 0) return;
  one("#view").value = n;
  showView();
  one("#viewer").scrollIntoView();
}
all("#cases .open").forEach((button) => button.addEventListener("click", () => openCase(button.textContent)));

// Scores by case: the chosen rows beside each other; the last line of each figure runs through the marked case.
const strips = all(".strip");
const order = Object.keys(data.rows);
let marked = "";
async function showStrip(place, n) {
  const figure = stripsOf(partOfCases())[n];
  const rows = chosen().filter((row) => figure.data.some((trace) => trace.meta === row));
  const traces = figure.data.filter((trace) => !trace.meta || rows.includes(trace.meta)).map((trace) => {
    const shift = rows.indexOf(trace.meta) - order.indexOf(trace.meta);
    return painted({ ...trace, x: trace.x.map((x) => x + shift) });
  });
  const ticks = { tickvals: rows.map((_, place) => place), ticktext: rows.map((row) => data.rows[row]) };
  const layout = { ...figure.layout, xaxis: { ...figure.layout.xaxis, ...ticks, range: [-0.6, rows.length - 0.4] } };
  await Plotly.react(place, traces, themed(layout), still);
  mark(marked);
}
function mark(name) {
  marked = name;
  all("tr[data-case]").forEach((line) => line.classList.toggle("chosen", line.dataset.case === name));
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

// Training: the lines of the chosen rows.
const panels = all(".curve");
function showPanel(place) {
  const figure = data.curves[place.dataset.name];
  const rows = new Set(chosen());
  const traces = figure.data.map((trace) => painted({ ...trace, visible: rows.has(trace.meta) }));
  place.parentElement.hidden = !traces.some((trace) => trace.visible);
  return Plotly.react(place, traces, themed(figure.layout), still);
}

// What is folded is drawn to its size when it opens.
all("details").forEach((part) => part.addEventListener("toggle", () => {
  if (part.open) all(".plot", part).filter((place) => place.data).forEach((place) => Plotly.Plots.resize(place));
}));

// Masks: a scan is a sheet of slices, a mask lengths of runs; both become one byte a voxel, x fastest.
async function opened({ size, columns, jpeg }) {
  const picture = new Image();
  picture.src = jpeg;
  await picture.decode();
  const sheet = new OffscreenCanvas(picture.width, picture.height).getContext("2d", { willReadFrequently: true });
  sheet.drawImage(picture, 0, 0);
  const [width, height, slices] = size;
  const values = new Uint8Array(width * height * slices);
  for (let z = 0; z < slices; z++) {
    const tile = sheet.getImageData((z % columns) * width, Math.floor(z / columns) * height, width, height).data;
    for (let n = 0, to = z * width * height; n < width * height; n++) values[to + n] = tile[4 * n];
  }
  return { size, values };
}
const parts = (mask) => (structures.length ? mask : [mask]);  // the runs of each structure
function filled(mask, size) {
  const classes = new Uint8Array(size[0] * size[1] * size[2]);
  parts(mask).forEach((runs, k) => {
    let place = 0;
    runs.forEach((length, n) => {
      if (n % 2) classes.fill(k + 1, place, place + length);
      place += length;
    });
  });
  return classes;
}
const planes = all(".plane").map((figure) => {
  const across = Number(figure.dataset.across);
  const [h, v] = [[1, 2], [0, 2], [0, 1]][across];
  return { figure, across, h, v, canvas: one("canvas", figure), slider: one("input", figure), upwards: v === 2 };
});
let scan = null;  // what is open
let cross = [0, 0, 0];
async function showView() {
  const n = Number(one("#view").value);
  const view = await unpacked(`view-${n}`).json();
  const image = await opened(view.image);
  if (n !== Number(one("#view").value)) return;
  scan = { ...view, n, size: image.size, gray: image.values, reference: filled(view.reference, image.size), decoded: {}, maps: {} };
  cross = scan.size.map((length) => Math.floor(length / 2));
  for (const label of all("#overlays [data-row]")) {
    const row = label.dataset.row;
    const empty = parts(scan.masks[row]).every((runs) => runs.length < 2);
    one(".score", label).textContent = `${scan.dice[row].toFixed(1)} %` + (empty ? ", empty" : "");
  }
  for (const { slider, across } of planes) slider.max = scan.size[across] - 1;
  document.body.dataset.view = scan.case;
  mark(scan.case);
  await draw();
}
const maskOf = (row) => (row === "reference" ? scan.reference : (scan.decoded[row] ??= filled(scan.masks[row], scan.size)));
async function mapOf(row) {
  if (scan.uncertainty[row] && !scan.maps[row]) {
    const at = scan;
    at.maps[row] = await opened(at.uncertainty[row]);
  }
  return scan.maps[row];
}
const rgb = (name) => [1, 3, 5].map((n) => parseInt(shade(name, one(".scan")).slice(n, n + 2), 16));
async function draw() {
  if (!scan) return;
  const [mode, row] = [one("#mode").value, one("#of-row").value];
  one("#of").hidden = mode === "outlines";
  one("#difference-key").hidden = mode !== "differences";
  all("#overlays, #structures").forEach((choice) => { choice.hidden = mode !== "outlines"; });
  const map = mode === "uncertainty" ? await mapOf(row) : null;
  const told = { outlines: "", differences: `: ${data.rows[row]} minus reference`, uncertainty: `: ${data.rows[row]}` };
  one("#view-note").textContent = `${scan.case}, ${mode}${told[mode]}` +
    (mode === "uncertainty" && !map ? "; no probability was kept for this row" : "");
  const lines = all("#overlays input:checked").filter((box) => !box.closest("[hidden]")).map((box) => box.value);
  for (const plane of planes) drawPlane(plane, mode, row, map, lines);
}
function drawPlane({ figure, across, h, v, canvas, slider, upwards }, mode, row, map, lines) {
  const strides = [1, scan.size[0], scan.size[0] * scan.size[1]];
  const [width, height] = [scan.size[h], scan.size[v]];
  const start = cross[across] * strides[across];
  const at = (x, y) => start + x * strides[h] + (upwards ? height - 1 - y : y) * strides[v];
  const [dark, bright] = [Number(one("#dark").value), Number(one("#bright").value)];
  const picture = new ImageData(width, height);
  const [inside, outside, other] = [rgb("--inside"), rgb("--outside"), rgb("--reference")];
  const difference = (found, expected) => (found && expected ? other : found ? outside : inside);
  const mask = mode === "differences" ? maskOf(row) : null;
  const coarse = (x, y) => {
    const place = [0, 0, 0];
    [place[across], place[h], place[v]] = [cross[across], x, upwards ? height - 1 - y : y];
    const [i, j, k] = place.map((p, n) => Math.min(Math.floor(p / 2), map.size[n] - 1));
    return map.values[i + map.size[0] * (j + map.size[1] * k)];
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [n, voxel] = [4 * (x + width * y), at(x, y)];
      const gray = (255 * (scan.gray[voxel] - dark)) / Math.max(bright - dark, 1);
      const differs = mask && mask[voxel] !== scan.reference[voxel];
      const tint = differs ? difference(mask[voxel], scan.reference[voxel]) : map ? [255, 170, 60] : null;
      const share = mask && tint ? 0.65 : map ? coarse(x, y) / 255 : 0;
      for (let c = 0; c < 3; c++) picture.data[n + c] = gray * (1 - share) + (tint ? tint[c] * share : 0);
      picture.data[n + 3] = 255;
    }
  }
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(picture, 0, 0);
  const zoom = Number(one("#zoom").value);
  const shown = [width / zoom, height / zoom];
  const middle = [cross[h] + 0.5, upwards ? height - cross[v] - 0.5 : cross[v] + 0.5];
  const corner = [width, height].map((length, n) => Math.min(Math.max(middle[n] - shown[n] / 2, 0), length - shown[n]));
  const ratio = (height * scan.voxel[v]) / (width * scan.voxel[h]);
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(canvas.width * ratio));
  const pen = canvas.getContext("2d");
  const [sx, sy] = [canvas.width / shown[0], canvas.height / shown[1]];
  pen.drawImage(small, ...corner, ...shown, 0, 0, canvas.width, canvas.height);
  const bold = devicePixelRatio * 1.6;
  const kinds = structures.length ? all("#structures input:checked").map((box) => Number(box.value)) : [1];
  if (mode === "outlines") {
    for (const name of lines) {
      for (const kind of kinds) outline(pen, maskOf(name), kind, at, [width, height], corner, [sx, sy], name, bold);
    }
  }
  pen.setLineDash([]);
  const [cx, cy] = [(middle[0] - corner[0]) * sx, (middle[1] - corner[1]) * sy];
  const crosshair = new Path2D(`M0 ${cy}H${canvas.width}M${cx} 0V${canvas.height}`);
  for (const [width, shade] of [[3, "black"], [1, "white"]]) {  // one of the two stands out from any gray
    pen.lineWidth = width * devicePixelRatio;
    pen.strokeStyle = shade;
    pen.globalAlpha = width === 3 ? 0.5 : 1;
    pen.stroke(crosshair);
  }
  pen.globalAlpha = 1;
  slider.value = cross[across];
  const number = scan.start[across] + cross[across] * scan.step;
  one("output", figure).textContent = number;
  slider.setAttribute("aria-valuetext", `slice ${number}`);
  figure.view = { corner, sx, sy, height };
}
const DASHES = { solid: [], dash: [7, 4], dot: [2, 3], dashdot: [7, 3, 2, 3], longdash: [12, 4], longdashdot: [12, 3, 2, 3] };
function outline(pen, mask, kind, at, [width, height], [left, top], [sx, sy], name, bold) {
  const value = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[at(x, y)] === kind;
  pen.beginPath();
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const here = value(x, y);
      const [px, py] = [(x - left) * sx, (y - top) * sy];
      if (here !== value(x - 1, y)) pen.rect(px, py, 0, sy);
      if (here !== value(x, y - 1)) pen.rect(px, py, sx, 0);
    }
  }
  const rows = data.outlines ?? data.styles;
  const look = name === "reference" ? { color: "var(--reference)", dash: "solid" } : rows[name];  // scans are dark
  pen.setLineDash(DASHES[look.dash].map((length) => length * devicePixelRatio));
  pen.lineWidth = name === "reference" ? 1.6 * bold : bold;
  pen.strokeStyle = color(structures[kind - 1]?.color ?? look.color, one(".scan"));
  pen.stroke();
}
function move(axis, to) {
  cross[axis] = Math.min(Math.max(to, 0), scan.size[axis] - 1);
  draw();
}
for (const { figure, across, h, v, canvas, slider, upwards } of planes) {
  const point = (event) => {
    if (!scan || !(event.buttons & 1)) return;
    const box = canvas.getBoundingClientRect();
    const { corner, sx, sy, height } = figure.view;
    const x = Math.floor(corner[0] + ((event.clientX - box.left) * devicePixelRatio) / sx);
    const y = Math.floor(corner[1] + ((event.clientY - box.top) * devicePixelRatio) / sy);
    cross[h] = Math.min(Math.max(x, 0), scan.size[h] - 1);
    move(v, upwards ? height - 1 - y : y);
  };
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("keydown", (event) => {
    const rising = upwards ? 1 : -1;
    const moves = {
      ArrowLeft: [h, -1], ArrowRight: [h, 1], ArrowUp: [v, rising], ArrowDown: [v, -rising],
      PageUp: [across, 1], PageDown: [across, -1],
    };
    if (!scan || !moves[event.key]) return;
    event.preventDefault();
    const [axis, by] = moves[event.key];
    move(axis, cross[axis] + by);
  });
  slider.addEventListener("input", () => move(across, Number(slider.value)));
}

// Surfaces of three cases, one at a time, seen from the same side.
const STEEP = Math.tan(Math.PI / 8);  // half of what Plotly's camera sees upwards and downwards, at a distance of one
function fitting(meshes) {  // lengths of the scene: it fills the panel, and nothing is cut off while it turns around z
  if (!meshes.length) return { x: 1, y: 1, z: 1 };
  const axes = ["x", "y", "z"].map((axis) => meshes.flatMap((mesh) => [...new Float32Array(bytesOf(mesh[axis].bdata).buffer)]));
  const bounds = axes.map((places) => [places.reduce((a, b) => Math.min(a, b)), places.reduce((a, b) => Math.max(a, b))]);
  const [x, y, z] = axes.map((places, n) => places.map((place) => place - (bounds[n][0] + bounds[n][1]) / 2));
  const { eye } = data.scene.scene.camera;
  const distance = Math.hypot(eye.x, eye.y, eye.z);
  const aside = distance * Math.sin(Math.atan((STEEP * turned.clientWidth) / turned.clientHeight));
  let scale = Infinity;
  for (let n = 0; n < z.length; n++) {
    const radius = Math.hypot(x[n], y[n]);
    scale = Math.min(scale, aside / radius, (STEEP * distance) / (Math.abs(z[n]) + STEEP * radius));
  }
  const [wide, deep, high] = bounds.map(([low, top]) => 0.95 * scale * (top - low || 1));
  return { x: wide, y: deep, z: high };
}
const turned = one("#surface");
async function showSurface() {
  const name = one("#surface-case").value;
  const view = await unpacked(`view-${data.cases.findIndex((each) => each.case === name)}`).json();
  const row = one("#surface-row").value;
  const part = one("#surface-structure")?.value;
  const [found, ghost] = part ? [view.surfaces[row][part], view.ghost[part]] : [view.surfaces[row], view.ghost];
  const colorscale = [[0, shade("--inside")], [0.5, shade("--equal")], [1, shade("--outside")]];
  const traces = found ? [{ ...found, colorscale, cmin: -view.limit, cmax: view.limit }] : [];
  if (one("#ghost").checked && ghost) traces.push({ ...ghost });
  one("#surface-note").textContent = `${name}, ${data.rows[row]}${part ? `, ${part}` : ""}: ` +
    (found ? `the colors end at ${view.limit} mm.` : ghost ? "the prediction is empty." : "the reference lacks it.");
  const layout = { ...data.scene, font: { color: shade("--text") } };
  const camera = turned.layout?.scene?.camera ?? layout.scene.camera;
  layout.scene = { ...layout.scene, camera, aspectmode: "manual", aspectratio: fitting([...traces, ghost].filter(Boolean)) };
  await Plotly.react(turned, traces, layout, { ...still, scrollZoom: false });
}
function chooseSurface() {
  for (const choice of [one("#surface-row"), one("#of-row")]) {
    all("option", choice).forEach((option) => {
      option.disabled = option.hidden = !chosen().includes(option.value);
    });
    if (!choice.selectedOptions[0]?.disabled) continue;
    const free = all("option:not([disabled])", choice)[0];
    if (!free) continue;
    choice.value = free.value;
    if (choice.id === "surface-row") showSurface();
  }
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
  const step = (by) => {
    const choice = one("#view");
    choice.value = (Number(choice.value) + by + data.cases.length) % data.cases.length;
    showView();
  };
  one("#previous").addEventListener("click", () => step(-1));
  one("#next").addEventListener("click", () => step(1));
  one("#view").addEventListener("change", showView);
  ["#overlays", "#structures", "#mode", "#of-row"].forEach((id) => one(id)?.addEventListener("change", draw));
  ["#dark", "#bright", "#zoom"].forEach((id) => one(id).addEventListener("input", draw));
  one("#reset").addEventListener("click", () => {
    for (const [id, value] of [["#dark", 0], ["#bright", 255], ["#zoom", 1]]) one(id).value = value;
    cross = scan.size.map((length) => Math.floor(length / 2));
    draw();
  });
  new ResizeObserver(draw).observe(one(".planes"));
  ["#surface-case", "#surface-row", "#surface-structure", "#ghost"].forEach((id) =>
    one(id)?.addEventListener("change", showSurface));
  all("[data-turn]").forEach((button) =>
    button.addEventListener("click", () => turn(...button.dataset.turn.split(",").map(Number))));
  one("#view").value = Math.max(data.cases.findIndex((each) => each.rank === "median"), 0);
  await showView();
  await showSurface();
}

// At first: what the boxes say.
for (const place of panels) await showPanel(place);
for (const [n, place] of strips.entries()) {
  await showStrip(place, n);
  place.on("plotly_hover", ({ points }) => { if (points[0].customdata) mark(points[0].customdata); });
  place.on("plotly_click", ({ points }) => { if (points[0].customdata) openCase(points[0].customdata); });
}
choose();
document.body.dataset.drawn = "";
