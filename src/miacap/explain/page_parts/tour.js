// Begins the views, and leads around them.

const VIEWS = DATA.looks.map((look, i) => new View(document.getElementById("look-" + i), look));

(function () {
  const view = VIEWS[0], box = document.getElementById("tour"), look = view.look;
  const attention = look.attended[0], own = (query) => view.find(query);
  const clearest = attention
    ? strongest(attention.weights.map((row, t) => (look.words[t].text === DATA.end ? 2 : evenness(row))), 1, (x) => -x)[0] : 0;
  const worst = look.changes
    ? strongest(look.changes.map((row) => Math.min(...row)), 1, (x) => -x)[0] : 0;
  const steps = [
    ["A caption, word by word", "The captioner saw this photo and said this sentence. Every word is a button; the last one is the decision to end.", ".words", () => view.choose(null)],
  ];
  if (attention) steps.push(["Where it attended", `This is the word whose attention is least even. Colour is its share of each region, on a scale that is the same for all words.`, ".words", () => { view.mode.word = "attention"; view.choose({ kind: "word", index: clearest }); }]);
  steps.push(["Exact numbers", "Here is what the colours stand for: the word's probability, its shares, and the words that the captioner would rather or also have said.", ".numbers", () => view.choose({ kind: "word", index: clearest })]);
  if (look.changes) steps.push(["Hide a region", "Attention is no explanation by itself. This region is taken out of the photo, and the bars show which words became less (red) or more (blue) probable. Compare both before you say why a word came.", ".stage", () => { view.mode.region = "hide"; view.choose({ kind: "region", index: worst }); }]);
  if (look.concepts) steps.push(["Concepts", "Words that were found in the photo before captioning, most probable first. Choose one to see where it was believed in.", ".concepts", () => view.choose({ kind: "concept", index: 0 })]);
  if (look.iterations) steps.push(["Iterations", "Regions and concepts ask one another, again and again. Move the slider: at 0 each row is itself; then others are mixed in.", ".iterations", () => { view.mode.concept = "refiner"; view.choose({ kind: "concept", index: 0 }); }]);
  steps.push(["Now you", "Hover, tap, or use Tab and the arrow keys. Where a map is nearly even, a warning says so: such a map says little, however it looks.", ".words", () => {}]);
  let at = 0;

  function show() {
    const [title, text, query, act] = steps[at];
    document.querySelectorAll(".touring").forEach((element) => element.classList.remove("touring"));
    box.hidden = false;
    document.getElementById("tour-title").textContent = title;
    document.getElementById("tour-text").textContent = text;
    document.getElementById("tour-place").textContent = `${at + 1} of ${steps.length}`;
    document.getElementById("tour-back").disabled = at === 0;
    document.getElementById("tour-next").disabled = at === steps.length - 1;
    act();
    const element = own(query);
    element.classList.add("touring");
    element.scrollIntoView({ block: "center" });
    document.getElementById("tour-title").focus({ preventScroll: true });
  }

  function end() {
    box.hidden = true;
    document.querySelectorAll(".touring").forEach((element) => element.classList.remove("touring"));
    document.getElementById("tour-start").focus();
  }

  document.getElementById("tour-start").addEventListener("click", () => { at = 0; show(); });
  document.getElementById("tour-back").addEventListener("click", () => { at -= 1; show(); });
  document.getElementById("tour-next").addEventListener("click", () => { at += 1; show(); });
  document.getElementById("tour-end").addEventListener("click", end);
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") end(); });
})();
