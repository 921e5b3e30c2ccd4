"use strict";
(() => {
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (tag, attributes = {}, text = null) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== null) element.textContent = text;
    return element;
  };
  const svg = (tag, attributes = {}, text = null) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== null) element.textContent = text;
    return element;
  };

  // Light and dark.
  const root = document.documentElement;
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const hash = location.hash.slice(1);
  if (hash === "dark" || hash === "light") root.dataset.theme = hash;
  one("#theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    draw();
  });

  // Tables that sort: numbers by size, words by the alphabet, what is missing last.
  const number = (text) => (text === "" ? NaN : Number(text));
  function sort(table, column, descending) {
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row, place) => {
      const text = row.cells[column].textContent.trim();
      return { row, place, text, value: number(text) };
    });
    const numeric = keyed.every((entry) => entry.text === "" || !Number.isNaN(entry.value));
    keyed.sort((a, b) => {
      if ((a.text === "") !== (b.text === "")) return a.text === "" ? 1 : -1;
      const order = numeric ? a.value - b.value : a.text.localeCompare(b.text, "en", { numeric: true });
      return (descending ? -order : order) || a.place - b.place;
    });
    body.append(...keyed.map((entry) => entry.row));
  }
  for (const table of all("table.sortable")) {
    all("th[data-sort]", table).forEach((head) => {
      const button = one("button", head);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, head.cellIndex, descending);
      });
    });
  }

  // Tables that filter: by words in a row, and by exact values of what a row says of itself.
  for (const form of all("form.filters")) {
    const table = document.getElementById(form.dataset.table);
    const rows = [...table.tBodies[0].rows];
    const count = one("output", form);
    const apply = () => {
      const words = one("input", form).value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const passes =
          words.every((word) => text.includes(word)) &&
          all("select", form).every((choice) => !choice.value || row.dataset[choice.name] === choice.value);
        row.hidden = !passes;
        shown += passes;
      }
      count.textContent = shown === rows.length ? `${rows.length}` : `${shown} of ${rows.length}`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  // Figures that open large: the wheel zooms where the pointer is, dragging moves.
  const dialog = one("#zoom");
  const picture = one("img", dialog);
  let place = { x: 0, y: 0, scale: 1 };
  const lay = () => {
    picture.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
  };
  all("figure button").forEach((button) =>
    button.addEventListener("click", () => {
      const from = one("img", button);
      picture.src = from.src;
      picture.alt = from.alt;
      dialog.showModal();
      const fit = Math.min(innerWidth / picture.naturalWidth, innerHeight / picture.naturalHeight, 2) * 0.96;
      place = {
        x: (innerWidth - fit * picture.naturalWidth) / 2,
        y: (innerHeight - fit * picture.naturalHeight) / 2,
        scale: fit,
      };
      lay();
    }),
  );
  dialog.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const factor = Math.exp(-event.deltaY / 400);
      place = {
        x: event.clientX - (event.clientX - place.x) * factor,
        y: event.clientY - (event.clientY - place.y) * factor,
        scale: place.scale * factor,
      };
      lay();
    },
    { passive: false },
  );
  let moved = false;
  dialog.addEventListener("pointerdown", () => (moved = false));
  dialog.addEventListener("pointermove", (event) => {
    if (event.buttons !== 1) return;
    moved = true;
    place = { ...place, x: place.x + event.movementX, y: place.y + event.movementY };
    lay();
  });
  dialog.addEventListener("click", () => moved || dialog.close());

  // Curves of the runs that are ticked.
  const source = one("#curves");
  if (!source) return;
  let data = null;
  const load = () => (data ??= JSON.parse(source.textContent));
  const chosen = new Set();
  const metric = one("#metric");
  const logarithmic = one("#logarithmic");
  const chart = one("#chart");
  const DASHES = ["", "6 3", "2 2", "8 3 2 3", "4 4", "1 3"];
  const colors = JSON.parse(one("#colors").textContent);

  function offer() {
    const names = Object.keys(load().metrics).filter((name) =>
      [...chosen].some((run) => load().runs[run]?.[name]),
    );
    const before = metric.value;
    metric.replaceChildren(
      ...names.map((name) => make("option", { value: name }, `${load().metrics[name]} (${name})`)),
    );
    metric.value = names.includes(before) ? before : (names.find((name) => name === "test/accuracy") ?? names[0] ?? "");
  }

  function ticks(low, high, count) {
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= raw);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
    return found;
  }
  const short = (value) =>
    value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)
      ? value.toExponential(1)
      : String(Number(value.toPrecision(4)));

  function draw() {
    one("#curves-panel").hidden = chosen.size === 0;
    if (chosen.size === 0) return;
    const isLog = logarithmic.checked;
    const series = [...chosen]
      .filter((run) => load().runs[run]?.[metric.value])
      .map((run) => {
        const [steps, values] = load().runs[run][metric.value];
        const points = steps.map((step, i) => [step, values[i]]);
        return { run, points: points.map(([x, y]) => [x, y === null || (isLog && y <= 0) ? null : y]) };
      });
    const known = series.flatMap((one) => one.points.filter(([, y]) => y !== null));
    const box = { left: 62, right: 12, top: 8, bottom: 40, width: 820, height: 320 };
    chart.replaceChildren();
    const legend = one("#legend");
    legend.replaceChildren();
    chart.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    if (known.length === 0) {
      chart.append(svg("text", { x: box.width / 2, y: box.height / 2, "text-anchor": "middle" }, "no finite value"));
      return;
    }
    const range = (values) => {
      const low = Math.min(...values);
      const high = Math.max(...values);
      return low === high ? [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2] : [low, high];
    };
    const scaled = isLog ? Math.log10 : (y) => y;
    const [left, right] = range(known.map(([x]) => x));
    let [bottom, top] = range(known.map(([, y]) => scaled(y)));
    const pad = (top - bottom) * 0.04;
    [bottom, top] = [bottom - pad, top + pad];
    const atX = (x) => box.left + ((x - left) / (right - left)) * (box.width - box.left - box.right);
    const atY = (y) => box.height - box.bottom - ((scaled(y) - bottom) / (top - bottom)) * (box.height - box.top - box.bottom);
    const unscaled = (value) => (isLog ? 10 ** value : value);
    for (const value of ticks(bottom, top, 6)) {
      const y = atY(unscaled(value));
      chart.append(svg("line", { x1: box.left, x2: box.width - box.right, y1: y, y2: y, class: "grid" }));
      chart.append(svg("text", { x: box.left - 6, y: y + 4, "text-anchor": "end" }, short(unscaled(value))));
    }
    for (const value of ticks(left, right, 8)) {
      const x = atX(value);
      chart.append(svg("text", { x, y: box.height - box.bottom + 16, "text-anchor": "middle" }, short(value)));
    }
    const middle = (box.height - box.bottom + box.top) / 2;
    chart.append(svg("text", { x: (box.left + box.width - box.right) / 2, y: box.height - 6, "text-anchor": "middle" }, "step"));
    chart.append(
      svg("text", { transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle" }, load().metrics[metric.value]),
    );
    const used = {};
    const read = [];
    for (const { run, points } of series) {
      const norm = one(`tr[data-run="${CSS.escape(run)}"]`)?.dataset.norm ?? "";
      const [light, onDark] = colors[norm] ?? ["#777777", "#999999"];
      used[norm] = (used[norm] ?? -1) + 1;
      const look = { stroke: dark() ? onDark : light, "stroke-dasharray": DASHES[used[norm] % DASHES.length] };
      let path = "";
      let pen = false;
      for (const [x, y] of points) {
        if (y !== null) path += `${pen ? "L" : "M"}${atX(x).toFixed(1)} ${atY(y).toFixed(1)}`;
        pen = y !== null;
      }
      chart.append(svg("path", { d: path, class: "curve", ...look }));
      const item = make("li");
      const swatch = svg("svg", { viewBox: "0 0 30 8", width: 30, height: 8 });
      swatch.append(svg("line", { x1: 0, x2: 30, y1: 4, y2: 4, class: "curve", ...look }));
      const value = make("output");
      item.append(swatch, make("code", {}, run), value);
      legend.append(item);
      read.push({ points, value });
    }
    const cross = svg("line", { y1: box.top, y2: box.height - box.bottom, class: "cross", visibility: "hidden" });
    chart.append(cross);
    chart.onpointermove = (event) => {
      const matrix = chart.getScreenCTM();
      const x = (event.clientX - matrix.e) / matrix.a;
      const step = left + ((x - box.left) / (box.width - box.left - box.right)) * (right - left);
      if (step < left || step > right) return;
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      cross.setAttribute("visibility", "visible");
      for (const { points, value } of read) {
        const nearest = points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a));
        value.textContent = `${nearest[1] === null ? "·" : short(nearest[1])} at ${nearest[0]}`;
      }
    };
  }

  all("#run-table input[type=checkbox]").forEach((box) =>
    box.addEventListener("change", () => {
      const run = box.closest("tr").dataset.run;
      if (box.checked) chosen.add(run);
      else chosen.delete(run);
      offer();
      draw();
    }),
  );
  one("#none").addEventListener("click", () => {
    all("#run-table input:checked").forEach((box) => (box.checked = false));
    chosen.clear();
    draw();
  });
  metric.addEventListener("change", draw);
  logarithmic.addEventListener("change", draw);
})();
