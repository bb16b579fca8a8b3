// One view for each run: what is chosen, and what is drawn of it.

const DEEPEST = 0.85; // of the colour over the photo
const LARGEST_SIDE = 900; // of what boxes are painted on, in pixels
const LEAST_SIDE = 64;
const SVG = "http://www.w3.org/2000/svg";
const MODES = {
  attention: "attention of the captioner",
  hide: "change when a region is hidden",
  refiner: "what the refiner mixed",
  belief: "belief in a concept",
};
const FIRST = {
  word: ["attention", "hide"],
  concept: ["belief", "refiner", "attention"],
  region: ["hide", "refiner", "attention", "belief"],
};

function made(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

class View {
  constructor(root, look) {
    Object.assign(this, { root, look, chosen: null, over: null, which: 0, mode: {} });
    this.count = look.boxes.length;
    this.iteration = look.iterations;
    this.top = null; // the uppermost box where one was chosen last
    this.find = (query) => root.querySelector(query);
    this.words = [...root.querySelectorAll(".word")];
    this.concepts = [...root.querySelectorAll(".concept")];
    const photo = this.find(".photo");
    if (!photo.src) photo.src = document.querySelector(".photo").src;
    this.canvas = this.find(".paint");
    if (this.canvas) {
      const scale = LARGEST_SIDE / Math.max(DATA.photo.width, DATA.photo.height);
      this.canvas.width = Math.max(LEAST_SIDE, Math.round(DATA.photo.width * scale));
      this.canvas.height = Math.max(LEAST_SIDE, Math.round(DATA.photo.height * scale));
    }
    const stage = this.find(".stage");
    stage.classList.toggle("boxes", look.columns === 0);
    stage.style.setProperty("--ratio", DATA.photo.width / DATA.photo.height);
    this.regions = this.drawn();
    this.listen();
    this.offer();
    this.draw();
  }

  // ---- what there is ----

  has(mode, kind) {
    const { attended, changes, refinement, belief } = this.look;
    const attention = attended[this.which];
    if (mode === "hide") return changes !== null && kind !== "concept";
    if (mode === "refiner") return refinement !== null && kind !== "word";
    if (mode === "belief") return belief !== null && kind !== "word";
    if (!attention) return false;
    if (kind === "word") return true;
    return (kind === "region" ? attention.regions : attention.concepts).length > 0;
  }

  modeOf(kind) {
    const wanted = this.mode[kind];
    if (wanted && this.has(wanted, kind)) return wanted;
    return FIRST[kind].find((mode) => this.has(mode, kind)) || null;
  }

  // Shares of regions and of concepts, and what each word's bar shows, of what is looked at.
  shown(item) {
    const { look, iteration } = this, attention = look.attended[this.which];
    const result = { map: null, concepts: null, words: null, kind: "shares", even: true };
    if (!item) return result;
    const mode = this.modeOf(item.kind), i = item.index;
    result.mode = mode;
    if (mode === "attention") {
      const onRegions = attention.regions[iteration] || null;
      const onConcepts = attention.concepts[iteration] || null;
      if (item.kind === "word") {
        result.map = onRegions && onRegions[i];
        result.concepts = onConcepts && onConcepts[i];
        result.rows = attention.weights[i];
      } else result.words = column(item.kind === "region" ? onRegions : onConcepts, i);
    } else if (mode === "hide") {
      result.kind = "changes";
      if (item.kind === "word") result.map = column(look.changes, i);
      else result.words = look.changes[i];
    } else if (mode === "refiner") {
      const { regions, concepts } = look.refinement;
      result.map = (regions[iteration] || [])[i] || null;
      result.concepts = (concepts[iteration] || [])[i] || null;
    } else if (mode === "belief") {
      result.even = false;
      if (item.kind === "concept") result.map = look.belief[i];
      else result.concepts = column(look.belief, i);
    }
    return result;
  }

  // Strength of colour, 0 to 1: fixed, so that words and pages can be compared.
  strength(value, count, kind, even) {
    if (kind === "changes") return Math.min(1, Math.sqrt(Math.abs(value) / DATA.change));
    return Math.min(1, even ? (value * count) / DATA.scale : value);
  }

  // ---- drawing ----

  drawn() {
    const { look } = this, map = this.find(".map"), { width, height } = DATA.photo;
    const area = (b) => (b[2] - b[0]) * (b[3] - b[1]);
    const order = look.boxes.map((_, i) => i);
    if (!look.columns) order.sort((a, b) => area(look.boxes[b]) - area(look.boxes[a]));
    const rectangles = [];
    for (const i of order) {
      const [x0, y0, x1, y1] = look.boxes[i], rectangle = document.createElementNS(SVG, "rect");
      const values = {
        x: x0 * width, y: y0 * height, width: (x1 - x0) * width, height: (y1 - y0) * height,
        fill: "#d7301f", "fill-opacity": 0, role: "button", "aria-label": "Region: " + look.names[i],
        "aria-pressed": "false", tabindex: i === 0 ? 0 : -1, "data-kind": "region", "data-index": i,
      };
      for (const [name, value] of Object.entries(values)) rectangle.setAttribute(name, value);
      map.append(rectangle);
      rectangles[i] = rectangle;
    }
    return rectangles;
  }

  draw() {
    const item = this.over || this.chosen, shown = this.shown(item), { look } = this;
    const { map, kind, even } = shown, hiding = item && item.kind === "region" && shown.mode === "hide";
    const isChosen = (name, i) => item !== null && item.kind === name && item.index === i;
    this.find(".stage").classList.toggle("mapped", map !== null || hiding);
    const strong = map ? strongest(map, 3, Math.abs) : [];
    const depths = look.boxes.map((_, i) => (map ? DEEPEST * this.strength(map[i], this.count, kind, even) : 0));
    const colour = (value) => (kind === "changes" ? (value > 0 ? "#2166ac" : "#b2182b") : "#d7301f");
    this.regions.forEach((rectangle, i) => {
      const value = map ? map[i] : 0;
      rectangle.setAttribute("fill", colour(value));
      rectangle.setAttribute("fill-opacity", look.columns ? depths[i].toFixed(4) : 0);
      rectangle.setAttribute("data-value", map ? value : "");
      rectangle.classList.toggle("strong", strong.includes(i));
      rectangle.classList.toggle("strongest", strong[0] === i);
      rectangle.classList.toggle("chosen", isChosen("region", i));
      rectangle.classList.toggle("gone", Boolean(hiding) && isChosen("region", i));
      rectangle.setAttribute("aria-pressed", String(isChosen("region", i)));
    });
    if (this.canvas) {
      this.paint(depths, (i) => colour(map ? map[i] : 0));
      const list = this.find(".boxes-list"), chosen = this.chosen;
      list.value = chosen && chosen.kind === "region" ? String(chosen.index) : "";
    }
    this.bars(this.words, shown.words, this.barScale(item, shown), kind, (i) => isChosen("word", i));
    this.bars(this.concepts, shown.concepts, this.concepts.length, kind, (i) => isChosen("concept", i), even);
    this.tell(item, shown);
    this.offer(item);
  }

  // Boxes lie over one another: at each place stands the strongest one's colour, so that none adds up.
  paint(depths, colour) {
    const { width, height } = this.canvas, context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    for (const i of strongest(depths, depths.length, (depth) => -depth)) {
      const [x0, y0, x1, y1] = this.look.boxes[i].map((side, at) => Math.round(side * (at % 2 ? height : width)));
      const place = [x0, y0, Math.max(1, x1 - x0), Math.max(1, y1 - y0)];
      context.clearRect(...place);
      context.globalAlpha = depths[i];
      context.fillStyle = colour(i);
      context.fillRect(...place);
    }
  }

  // A word's bar compares its share of one row with an even share among all rows of that kind.
  barScale(item, shown) {
    return shown.words && item.kind === "concept" ? this.concepts.length : this.count;
  }

  bars(chips, values, count, kind, isChosen, even = true) {
    chips.forEach((chip, i) => {
      const bar = chip.querySelector(".bar"), value = values ? values[i] : 0;
      bar.style.width = (100 * this.strength(value, count, kind, even)).toFixed(2) + "%";
      bar.className = "bar" + (kind === "changes" ? (value > 0 ? " more" : " less") : "");
      chip.setAttribute("aria-pressed", String(isChosen(i)));
      chip.setAttribute("data-value", values ? value : "");
    });
  }

  // All modes of a run stand there at all times, so that nothing moves under a pointer.
  offer(item = null) {
    const kind = item ? item.kind : "word", box = this.find(".modes"), kinds = Object.keys(FIRST);
    if (!box.querySelector("input")) {
      const there = Object.keys(MODES).filter((mode) => kinds.some((one) => this.has(mode, one)));
      box.hidden = there.length < 2;
      for (const mode of there) {
        const label = made("label", null), input = made("input", null, { type: "radio", value: mode });
        input.name = "mode-" + this.root.id;
        input.addEventListener("change", () => { this.mode[(this.chosen || { kind: "word" }).kind] = mode; this.draw(); });
        label.append(input, MODES[mode]);
        box.append(label);
      }
    }
    const now = this.modeOf(kind);
    box.querySelectorAll("input").forEach((input) => {
      input.checked = input.value === now;
      input.disabled = !this.has(input.value, kind);
    });
    const output = this.find(".iterations output");
    if (output) {
      const last = this.look.iterations, n = this.iteration;
      output.textContent = `${n} of ${last}${n === 0 ? ": before anything is mixed" : n === last ? ": as the captioner reads it" : ""}`;
      this.find(".iterations input").setAttribute("aria-valuetext", output.textContent);
    }
  }

  // ---- choosing ----

  choose(item, keep = true) {
    if (keep) { this.chosen = item; this.over = null; } else this.over = item;
    this.draw();
  }

  itemOf(target) {
    const element = target.closest && target.closest("[data-kind]");
    return element ? { kind: element.dataset.kind, index: Number(element.dataset.index), element } : null;
  }

  // Chosen again at the same place, a box gives way to the next larger one that lies there.
  boxAt(event, item) {
    const again = this.top === item.index, there = document.elementsFromPoint(event.clientX, event.clientY)
      .map((element) => this.itemOf(element)).filter((one) => one && one.kind === "region" && this.regions[one.index] === one.element);
    this.top = item.index;
    const now = this.chosen && this.chosen.kind === "region" ? there.findIndex((one) => one.index === this.chosen.index) : -1;
    return again && now >= 0 ? there[(now + 1) % there.length] : item;
  }

  listen() {
    this.root.addEventListener("click", (event) => {
      const item = this.itemOf(event.target);
      if (item) this.choose(item.kind === "region" ? this.boxAt(event, item) : item);
    });
    this.root.addEventListener("focusin", (event) => {
      const item = this.itemOf(event.target);
      if (item && event.target.matches(":focus-visible")) this.choose(item);
    });
    this.root.addEventListener("pointerover", (event) => {
      if (event.pointerType !== "touch") this.choose(this.itemOf(event.target), false);
    });
    this.root.addEventListener("pointerleave", () => this.choose(null, false));
    this.root.addEventListener("keydown", (event) => this.key(event));
    const slider = this.find(".iterations input"), which = this.find(".attentions"), list = this.find(".boxes-list");
    if (slider) slider.addEventListener("input", () => { this.iteration = Number(slider.value); this.draw(); });
    if (list) list.addEventListener("change", () => this.choose(list.value === "" ? null : { kind: "region", index: Number(list.value) }));
    if (which) which.addEventListener("change", () => { this.which = Number(which.value); this.draw(); });
  }

  key(event) {
    if (event.key === "Escape") { this.over = null; this.choose(null); return; }
    const item = this.itemOf(event.target);
    if (!item) return;
    if (item.kind === "region" && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.choose(item);
      return;
    }
    const group = { word: this.words, concept: this.concepts, region: this.regions }[item.kind];
    const down = item.kind === "region" && this.look.columns ? this.look.columns : 1;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: down, ArrowUp: -down };
    let next = null;
    if (event.key in steps) next = item.index + steps[event.key];
    if (event.key === "Home") next = 0;
    if (event.key === "End") next = group.length - 1;
    if (next === null || next < 0 || next >= group.length) return;
    event.preventDefault();
    if (item.kind !== "word") {
      group.forEach((element) => element.setAttribute("tabindex", -1));
      group[next].setAttribute("tabindex", 0);
    }
    group[next].focus();
    this.choose({ kind: item.kind, index: next });
  }
}
