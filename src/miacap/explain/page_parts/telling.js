// What is chosen, in words and exact numbers.

Object.assign(View.prototype, {
  nameOf(item) {
    if (item.kind === "word") return `Word "${this.look.words[item.index].text}"`;
    if (item.kind === "concept") return `Concept "${this.look.conceptWords[item.index]}"`;
    return "Region " + this.look.names[item.index].split(":")[0];
  },

  tell(item, shown) {
    const status = this.find(".status"), warning = this.find(".warning");
    const said = item ? this.sentence(item, shown) : "Nothing is chosen yet. " + this.summary();
    if (status.textContent !== said) status.textContent = said;
    const even = this.warningOf(item, shown);
    warning.classList.toggle("absent", even === "");
    warning.textContent = even || "-";
    this.scaleText(shown);
    const box = this.find(".numbers");
    box.replaceChildren(...(item ? this.tables(item, shown) : [made("p", "Choose a word, a concept or a region.")]));
  },

  summary() {
    const attention = this.look.attended[this.which];
    if (!attention) return "This captioner has no attention at a word.";
    const even = attention.weights.filter((row) => evenness(row) > DATA.even).length;
    return `Attention is nearly even at ${even} of ${attention.weights.length} words (entropy above ${DATA.even} of the largest possible).`;
  },

  sentence(item, shown) {
    const name = this.nameOf(item), { map, concepts, mode } = shown;
    const where = (i) => this.look.names[i].split(":")[0];
    const most = (i, values, even) => `${where(i)} (${percent(values[i])}${even ? `, ${(values[i] * values.length).toFixed(1)} times an even share` : ""})`;
    if (mode === null) return `${name}: this run has nothing to show of it.`;
    if (mode === "attention" && item.kind === "word") {
      const parts = [];
      if (map) parts.push("most at " + most(strongest(map, 1)[0], map, true));
      if (concepts) {
        const best = strongest(concepts, 1)[0];
        parts.push(`most on the concept "${this.look.conceptWords[best]}" (${percent(concepts[best])})`);
      }
      return `${name}: attended ${parts.join(", ") || "nothing that can be shown at this iteration"}.`;
    }
    if (mode === "hide" && item.kind === "word") {
      const worst = strongest(map, 1, (x) => -x)[0];
      return `${name}: hiding ${where(worst)} costs it most (${signed(map[worst])} in log-probability).`;
    }
    if (mode === "hide") {
      const worst = strongest(shown.words, 1, (x) => -x)[0];
      return `${name} hidden: "${this.look.words[worst].text}" loses most (${signed(shown.words[worst])} in log-probability).`;
    }
    if (mode === "refiner") {
      const parts = [];
      if (map) parts.push("of the regions most " + most(strongest(map, 1)[0], map, true));
      if (concepts) parts.push("of the concepts most " + strongest(concepts, 3).map((i) => `"${this.look.conceptWords[i]}" (${percent(concepts[i])})`).join(", "));
      return `Row ${item.index + 1} at iteration ${this.iteration} is made: ${parts.join("; ") || "of nothing that can be shown"}.`;
    }
    if (mode === "belief" && item.kind === "concept") return `${name}: believed in most at ${most(strongest(map, 1)[0], map, false)}.`;
    if (mode === "belief") {
      const best = strongest(concepts, 1)[0];
      return `${name}: of the concepts, "${this.look.conceptWords[best]}" is most believed in here (${percent(concepts[best])}).`;
    }
    const best = shown.words ? strongest(shown.words, 1)[0] : null;
    if (best === null) return `${name}: nothing of it can be shown at this iteration.`;
    return `${name}: attended most at the word "${this.look.words[best].text}" (${percent(shown.words[best])}).`;
  },

  warningOf(item, shown) {
    if (!item || shown.mode !== "attention" || item.kind !== "word") return "";
    const value = evenness(shown.map || shown.concepts || shown.rows);
    if (value <= DATA.even) return "";
    return `Nearly even: ${value.toFixed(3)} of the largest entropy (limit ${DATA.even}). Such a map says little.`;
  },

  scaleText(shown) {
    const changes = shown.kind === "changes", ramp = this.find(".ramp"), share = DATA.scale / this.count;
    ramp.className = "ramp " + (changes ? "changes" : "shares");
    const high = shown.even ? `${percent(Math.min(1, share))} and more` : "100 %";
    this.find(".low").textContent = changes ? "-" + DATA.change : "0 %";
    this.find(".high").textContent = changes ? "+" + DATA.change : high;
    this.find(".scale-text").textContent = changes
      ? `Change of log-probability when the region is hidden: red, the word loses; blue, it gains. Colour grows with the square root; the scale is fixed.`
      : shown.even
        ? `Share of a region; an even share is ${percent(1 / this.count)}, full colour is ${DATA.scale} times that. The scale is the same for all words.`
        : "Probability of the concept at a region by itself; the scale is fixed.";
  },

  table(title, heads, rows) {
    const table = made("table", null), head = made("tr", null), body = made("tbody", null);
    table.append(made("caption", title));
    for (const name of heads) head.append(made("th", name, { scope: "col" }));
    for (const cells of rows) {
      const row = made("tr", null);
      cells.forEach((cell, i) => row.append(made(i ? "td" : "th", cell, i ? {} : { scope: "row", dir: "auto" })));
      body.append(row);
    }
    const top = made("thead", null);
    top.append(head);
    table.append(top, body);
    return table;
  },

  tables(item, shown) {
    if (item.kind === "word") return this.ofWord(item.index, shown);
    return item.kind === "region" ? this.ofRegion(item.index, shown) : this.ofConcept(item.index, shown);
  },

  ofWord(t, shown) {
    const { look, iteration } = this, word = look.words[t], attention = look.attended[this.which], tables = [];
    const lines = [["probability", percent(Math.exp(word.log))], ["log-probability", word.log.toFixed(4)]];
    const which = look.attended.length > 1 ? ` of "${attention.name}"` : "";
    if (attention) lines.push([`evenness${which} (1: all alike)`, evenness(attention.weights[t]).toFixed(4)]);
    for (const [name, values] of Object.entries(look.gates)) lines.push([name, percent(values[t])]);
    tables.push(this.table(this.nameOf({ kind: "word", index: t }), ["", ""], lines));
    const on = attention && attention.regions[iteration] ? attention.regions[iteration][t] : null;
    const change = column(look.changes, t);
    if (on || change) {
      const by = shown.mode === "hide" && change ? strongest(change, 8, Math.abs) : strongest(on || change, 8, on ? (x) => x : Math.abs);
      tables.push(this.table("Regions, attention beside what hiding does", ["region", ...(on ? ["attention"] : []), ...(change ? ["change if hidden"] : [])],
        by.map((i) => [look.names[i], ...(on ? [percent(on[i])] : []), ...(change ? [signed(change[i])] : [])])));
    }
    const of = attention && attention.concepts[iteration] ? attention.concepts[iteration][t] : null;
    if (of) tables.push(this.table("Concepts", ["concept", "attention"], strongest(of, 8).map((i) => [look.conceptWords[i], percent(of[i])])));
    tables.push(this.table("Most probable words here", ["word", "probability"], word.alternatives.map(([text, log]) => [text, percent(Math.exp(log))])));
    return tables;
  },

  ofRegion(r, shown) {
    const { look, iteration } = this, attention = look.attended[this.which];
    const on = attention && attention.regions[iteration] ? column(attention.regions[iteration], r) : null;
    const change = look.changes ? look.changes[r] : null, tables = [];
    if (on || change) {
      tables.push(this.table("Words, attention beside what hiding does", ["word", ...(on ? ["attention"] : []), ...(change ? ["change if hidden"] : [])],
        look.words.map((word, t) => [word.text, ...(on ? [percent(on[t])] : []), ...(change ? [signed(change[t])] : [])])));
    }
    if (look.hiddenWith && change) tables.push(made("p", `Hidden with it: ${look.hiddenWith}.`));
    return tables.concat(this.ofRow(shown));
  },

  ofConcept(m, shown) {
    const { look, iteration } = this, attention = look.attended[this.which];
    const of = attention && attention.concepts[iteration] ? column(attention.concepts[iteration], m) : null;
    const tables = [this.table(this.nameOf({ kind: "concept", index: m }), ["", ""], [["probability in the photo", percent(look.conceptProbabilities[m])]])];
    tables.push(...this.ofRow(shown));
    if (of) tables.push(this.table("Words that attended to it", ["word", "attention"], look.words.map((word, t) => [word.text, percent(of[t])])));
    return tables;
  },

  // What a map shows, as numbers.
  ofRow(shown) {
    const tables = [], { look } = this;
    const title = { refiner: `Made of, at iteration ${this.iteration}`, belief: "Belief" }[shown.mode];
    if (!title) return tables;
    const what = shown.mode === "belief" ? "probability" : "share";
    if (shown.map) tables.push(this.table(`${title}: regions`, ["region", what], strongest(shown.map, 6).map((i) => [look.names[i], percent(shown.map[i])])));
    if (shown.concepts) tables.push(this.table(`${title}: concepts`, ["concept", what], strongest(shown.concepts, 6).map((i) => [look.conceptWords[i], percent(shown.concepts[i])])));
    return tables;
  },
});
