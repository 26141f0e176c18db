"use strict";
// Interaction. Text from the data is only ever inserted as text, never as HTML.

const byId = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const readJson = (id) => JSON.parse(byId(id).textContent);

// --- charts ---------------------------------------------------------------------------

const charts = readJson("chart-data");
const views = new Map();

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);

/** Shows a mark's sentence beside the pointer; a Vega tooltip handler. */
function showTip(_handler, event, _item, value) {
  tip.hidden = typeof value !== "string";
  if (tip.hidden) return;
  tip.textContent = value;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - width - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 12, innerHeight - height - 8)}px`;
}

async function drawChart(place) {
  const key = place.dataset.chart;
  views.get(key)?.finalize();
  const result = await vegaEmbed(place, charts.specs[key], {
    actions: false,
    ast: true, // Vega's expression interpreter, because the policy forbids eval
    config: charts.config,
    defaultStyle: false,
    formatLocale: charts.locale,
    renderer: "svg",
    tooltip: showTip,
  });
  views.set(key, result);
}

async function drawCharts() {
  for (const place of all("[data-chart]")) await drawChart(place);
  document.body.dataset.drawn = "true";
}

for (const choice of all("input[name=stack]")) {
  choice.addEventListener("change", () => {
    for (const place of all("[data-chart^=labels-], [data-chart^=postures-]")) {
      const { x } = charts.specs[place.dataset.chart].encoding;
      x.stack = choice.value;
      x.title = choice.value === "zero" ? "Images" : "Share of the images";
      x.axis.format = choice.value === "zero" ? ",d" : "~%";
      drawChart(place);
    }
  });
}

// --- tables ---------------------------------------------------------------------------

/** Sorts numerically if all cells are numbers, else by text; empty cells come last. */
function sortTable(table, column, descending) {
  const key = (row) => row.cells[column].dataset.sort;
  const rows = all("tbody tr", table);
  const numeric = rows.every((row) => !Number.isNaN(Number(key(row))));
  rows.sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    const order = numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
    return descending ? -order : order;
  });
  table.tBodies[0].append(...rows);
}

for (const table of all("table.sortable")) {
  const headings = all("thead th", table);
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortTable(table, column, descending);
    });
  });
}

/** Hides filtered-out slices in the tables. */
function filterSlices() {
  if (!byId("slice-filter")) return;
  const wanted = byId("slice-filter").value.trim().toLowerCase();
  const least = Number(byId("slice-least").value);
  let hidden = 0;
  for (const table of all("table.slices")) {
    const rows = all("tbody tr", table);
    for (const row of rows) {
      const name = row.cells[0].dataset.sort.toLowerCase();
      row.hidden = Number(row.dataset.count) < least || !name.includes(wanted);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    hidden += rows.length - shown;
    table.closest(".group").hidden = shown === 0;
  }
  let note = `${hidden} slices are hidden.`;
  if (hidden === 0) note = "All slices are shown.";
  else if (hidden === 1) note = "1 slice is hidden.";
  byId("slices-hidden").textContent = note;
}

byId("slice-filter")?.addEventListener("input", filterSlices);
byId("slice-least")?.addEventListener("input", filterSlices);
filterSlices();

/** Lets the keyboard scroll whatever is wider than the page. */
const scrolling = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const box of all(".scroll")) scrolling.observe(box);

// --- confusion matrices ---------------------------------------------------------------

const matrices = readJson("matrix-data");
const chosenMatrix = () => matrices[byId("matrix-slice").selectedIndex];

function showMatrix() {
  const matrix = chosenMatrix();
  const figures = document.querySelector("input[name=matrix-figures]:checked").value;
  byId("matrix-caption").textContent = `${matrix.name}, ${matrix.images} images`;
  for (const cell of all("#matrix button")) {
    const { actual, predicted, name } = cell.dataset;
    cell.textContent = matrix[figures][actual][predicted];
    cell.setAttribute("aria-label", `${name}: ${cell.textContent}`);
    cell.style.setProperty("--share", matrix.shares[actual][predicted]);
  }
}

function showCell() {
  const cell = document.querySelector("#matrix [aria-pressed=true]");
  if (!cell) return;
  const matrix = chosenMatrix();
  const { actual, predicted, name } = cell.dataset;
  const count = matrix.counts[actual][predicted];
  const kept = matrix.pictures[actual][predicted];
  byId("cell-title").textContent = `${name}: ${matrix.name}`;
  let note = "There are no such test images.";
  if (kept.length) note = `${kept.length} of ${count} test images.`;
  else if (count !== "0") note = `${count} test images; none of them is stored in this page.`;
  byId("cell-note").textContent = note;
  byId("cell-title").hidden = byId("cell-note").hidden = false;
  byId("cell-pictures").replaceChildren(...kept.map(copyOfPicture));
}

/** Each picture is in the file once: on the page, or in the template with the others. */
function copyOfPicture(index) {
  const selector = `[data-picture="${index}"]`;
  const others = byId("more-pictures").content;
  const copy = (document.querySelector(selector) ?? others.querySelector(selector)).cloneNode(true);
  copy.removeAttribute("id");
  return copy;
}

for (const place of all("[data-copy]")) place.replaceWith(copyOfPicture(place.dataset.copy));

if (byId("matrix")) {
  byId("matrix-slice").addEventListener("change", () => {
    showMatrix();
    showCell();
  });
  for (const choice of all("input[name=matrix-figures]")) {
    choice.addEventListener("change", showMatrix);
  }
  const cells = all("#matrix button");
  for (const cell of cells) {
    cell.setAttribute("aria-pressed", "false");
    cell.addEventListener("click", () => {
      for (const other of cells) other.setAttribute("aria-pressed", other === cell);
      showCell();
    });
  }
  showMatrix();
}

// --- pictures -------------------------------------------------------------------------

byId("blur")?.addEventListener("change", (event) => {
  document.body.classList.toggle("blurred", event.target.checked);
});
byId("blur-print")?.addEventListener("change", (event) => {
  document.body.classList.toggle("blurred-in-print", event.target.checked);
});

const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

/** Shows the picture with or without the map of where the model looked. */
function look(button, attention) {
  button.setAttribute("aria-pressed", attention);
  for (const image of all("img", button.closest(".picture"))) {
    image.hidden = image.classList.contains("attention") !== attention;
  }
}

// One listener for all, because the pictures of a cell come and go.
document.addEventListener("click", ({ target }) => {
  if (target.matches(".look")) look(target, !isPressed(target));
});
byId("look-everywhere")?.addEventListener("click", ({ target }) => {
  const attention = !isPressed(target);
  target.setAttribute("aria-pressed", attention);
  for (const button of all(".look")) look(button, attention);
});

// --- paper ----------------------------------------------------------------------------

// Two pages of summary come first; what is folded there comes last.
const folded = all("#gates > details, #plan > details").map((details) => ({
  details,
  section: details.parentNode,
  next: details.nextSibling,
}));

let opened = [];
addEventListener("beforeprint", () => {
  opened = all("main > section > details:not([open])");
  for (const details of opened) details.open = true;
  for (const { details } of folded) byId("in-full").append(details);
  byId("in-full").hidden = folded.length === 0;
});
addEventListener("afterprint", () => {
  for (const { details, section, next } of folded) section.insertBefore(details, next);
  for (const details of opened) details.open = false;
  byId("in-full").hidden = true;
});

drawCharts();
