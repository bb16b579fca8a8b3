"use strict";
// Send a photo, show its caption at once, then what the captioner attended to. Text from the
// server is only ever set as text, never as HTML.

const by = (id) => document.getElementById(id);
const MOST = 20000000;
const SCALE = 8; // a share of so many times an even one has full colour, as in miacap.explain
let running = null; // what stops the requests of the photo before
let look = null; // what /v1/explain said of this photo
let chosen = {}; // {word: t} or {concept: c}, and {region: r}
let last = null; // the uppermost region where one was chosen last

const percent = (share) => (share >= 0.0995 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`);
const signed = (value) => {
  const size = Math.abs(value).toFixed(2);
  return size === "0.00" ? size : (value > 0 ? "+" : "\u2212") + size;
};
const named = (word) => (word === "<eos>" ? "(end)" : word);

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function button(text, act) {
  const made = element("button", text);
  made.type = "button";
  made.setAttribute("aria-pressed", "false");
  made.addEventListener("click", act);
  return made;
}

function say(text, wrong = false) {
  by("status").textContent = text;
  by("status").className = wrong ? "wrong" : "";
}

async function ask(path, photo, signal) {
  const headers = { "Content-Type": photo.type.startsWith("image/") ? photo.type : "application/octet-stream" };
  const response = await fetch(path, { method: "POST", body: photo, headers, signal });
  const told = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Error(told.error);
  return told;
}

async function take(photo) {
  if (running) running.abort();
  running = new AbortController();
  const signal = running.signal;
  look = null;
  chosen = {};
  by("answer").hidden = true;
  if (photo.size > MOST) return say("The photo has more than 20 MB; make it smaller, or save it as JPEG.", true);
  say("Looking at the photo ...");
  try {
    const answer = await ask("/v1/caption?best=3", photo, signal);
    showImage(URL.createObjectURL(photo), answer.caption);
    showCaption(answer);
    // A screen reader is told what stands in #status alone.
    say(`${by("caption").textContent}: finding out what hiding each region does ...`);
    look = await ask("/v1/explain", photo, signal);
    showLook();
    say("");
  } catch (error) {
    if (error.name === "AbortError") return;
    const gone = error instanceof TypeError; // the browser's own word for no connection
    say(gone ? "The server does not answer; is it still running?" : error.message, true);
  }
}

function showImage(address, caption) {
  const image = by("image");
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = address;
  image.alt = caption;
}

function showCaption(answer) {
  by("answer").hidden = false;
  by("cells").replaceChildren();
  by("paint").width = 0;
  by("shown").textContent = "";
  by("scale").hidden = true;
  by("honest").hidden = true;
  by("words").classList.remove("hide");
  by("caption").textContent = answer.caption || "(an empty caption)";
  by("sure").textContent = `log-probability ${answer.log_probability.toFixed(2)}, ` +
    `${(answer.log_probability / Math.max(1, answer.words.length)).toFixed(2)} a word`;
  if (answer.confidence) by("sure").textContent += `. ${answer.confidence.sentence}`;
  showWords(answer.words);
  by("found").hidden = answer.concepts.length === 0;
  by("concepts").replaceChildren(...answer.concepts.slice(0, 20).map((found, index) => {
    const line = element("li");
    const one = button(`${found.word} ${percent(found.probability)}`, () => choose({ concept: index }));
    one.style.setProperty("--share", `${Math.round(found.probability * 100)}%`);
    one.disabled = true;
    line.append(one);
    return line;
  }));
  by("others").hidden = answer.best.length < 2;
  by("best").replaceChildren(...answer.best.slice(1).map((other) =>
    element("li", `${other.caption} (${other.log_probability.toFixed(2)})`)));
  by("notes").replaceChildren(...answer.notes.map((note) => element("li", note)));
}

function showWords(words) {
  by("words").tBodies[0].replaceChildren(...words.map((word, index) => {
    const row = element("tr");
    const head = element("th");
    head.scope = "row";
    const one = button(named(word.word), () => choose({ word: index }));
    one.disabled = true;
    head.append(one);
    row.append(head, element("td", percent(Math.exp(word.log_probability))));
    row.append(element("td", "", "region attended"), element("td", "", "region change"));
    return row;
  }));
}

// What /v1/explain said

function showLook() {
  showImage(look.photo.jpeg, look.caption); // upright, as the network saw it
  const onRegions = look.attended.some((one) => weights(one) !== null);
  by("words").querySelectorAll("button").forEach((one) => { one.disabled = !onRegions; });
  by("concepts").querySelectorAll("button").forEach((one, index) => {
    one.disabled = !(look.concepts[index] && look.concepts[index].belief);
  });
  by("honest").hidden = look.hidden === null;
  by("cells").classList.toggle("boxes", !look.columns);
  by("cells").replaceChildren(...look.boxes.map(cell));
  last = null;
  by("notes").replaceChildren(...look.notes.map((note) => element("li", note)));
  if (onRegions) choose({ word: 0 });
}

function cell(box, index) {
  const one = button("", (event) => pick(event, index));
  const [left, top, right, bottom] = box.map((side) => side * 100);
  if (!look.columns) one.style.zIndex = Math.round(1e4 - (right - left) * (bottom - top)); // small ones on top
  Object.assign(one.style, {
    left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%`,
  });
  one.setAttribute("aria-label", look.regions[index]);
  one.tabIndex = index === 0 ? 0 : -1; // one stop; arrows go on from there
  one.addEventListener("keydown", (event) => step(event, index));
  return one;
}

// Boxes lie over one another: chosen again at the same place, one gives way to the next larger
// one there; behind the largest nothing is chosen.
function pick(event, index) {
  const cells = [...by("cells").children];
  const at = (element) => cells.indexOf(element);
  const pointed = event.detail > 0 && !look.columns; // else by a key, or there is one alone
  const there = pointed
    ? document.elementsFromPoint(event.clientX, event.clientY).map(at).filter((one) => one >= 0) : [index];
  const now = there.indexOf(chosen.region);
  const again = now >= 0 && (last === index || chosen.region === index);
  last = index;
  choose({ region: again ? there[now + 1] : index });
}

function step(event, index) {
  const across = look.columns || 1;
  const by_key = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
  const next = index + (by_key[event.key] || 0);
  const cells = by("cells").children;
  if (next === index || !cells[next]) return;
  event.preventDefault();
  cells[index].tabIndex = -1;
  cells[next].tabIndex = 0;
  cells[next].focus();
}

// The last iteration whose rows stand for regions: words x regions, or null.
function weights(attended) {
  const there = attended.on_regions.filter((one) => one !== null);
  return there.length ? there[there.length - 1] : null;
}

// Of several attentions (heads, layers, members) the mean: words x regions.
function attention() {
  const all = look.attended.map(weights).filter((one) => one !== null);
  return all.length === 0 ? null : all[0].map((row, t) =>
    row.map((_, r) => all.reduce((sum, one) => sum + one[t][r], 0) / all.length));
}

function choose(change) {
  chosen = "region" in change ? { ...chosen, ...change } : { region: chosen.region, ...change };
  const maps = attention();
  paint(maps);
  press(by("words"), chosen.word);
  press(by("concepts"), chosen.concept);
  press(by("cells"), chosen.region);
  const region = chosen.region;
  by("words").classList.toggle("hide", region !== undefined);
  [...by("words").tBodies[0].rows].forEach((row, t) => {
    const change = region === undefined || !look.hidden ? null : look.hidden.changes[region][t];
    row.querySelector(".attended").textContent = region === undefined || !maps ? "" : percent(maps[t][region]);
    const told = row.querySelector(".change");
    told.textContent = change === null ? "" : signed(change);
    told.classList.toggle("loss", change !== null && change < -0.5);
  });
}

function press(group, index) {
  group.querySelectorAll("button").forEach((one, at) => one.setAttribute("aria-pressed", String(at === index)));
}

function paint(maps) {
  let shares = null;
  let most = 1;
  let said = "";
  if (chosen.word !== undefined && maps) {
    shares = maps[chosen.word];
    most = SCALE / shares.length; // one scale for all words, photos and runs
    said = `Where it attended before \u201c${named(look.words[chosen.word].text)}\u201d. ${even(shares)}`;
  } else if (chosen.concept !== undefined) {
    const concept = look.concepts[chosen.concept];
    shares = concept.belief;
    said = `Where \u201c${concept.word}\u201d was believed in.`;
  }
  if (chosen.region !== undefined) {
    const region = look.regions[chosen.region];
    const why = look.hidden ? (look.hidden.with_it ? `, with ${look.hidden.with_it}` : "") : "";
    said += ` ${look.hidden ? "Hidden" : "Chosen"}: ${region}${why}.`;
  }
  const depths = look.boxes.map((_, index) => (shares ? 0.8 * Math.min(1, shares[index] / most) : 0));
  paintBoxes(look.columns ? [] : depths);
  [...by("cells").children].forEach((one, index) => {
    const depth = look.columns ? depths[index] : 0;
    one.style.backgroundColor = chosen.region === index && look.hidden
      ? "rgba(128, 128, 128, 0.92)" : `rgba(230, 40, 20, ${depth.toFixed(3)})`;
    one.dataset.share = shares ? String(shares[index]) : "";
  });
  by("shown").textContent = said;
  by("scale").hidden = !shares;
  by("ends").textContent = `0 to ${percent(most)}${most === 1 ? "" : " and more"}`;
}

// Where boxes lie over one another the strongest one's colour stands, so that none adds up.
function paintBoxes(depths) {
  const canvas = by("paint");
  const context = canvas.getContext("2d");
  const scale = 900 / Math.max(look.photo.width, look.photo.height);
  canvas.width = Math.max(64, Math.round(look.photo.width * scale)); // which clears it
  canvas.height = Math.max(64, Math.round(look.photo.height * scale));
  const order = depths.map((_, index) => index).sort((a, b) => depths[a] - depths[b]);
  for (const index of order) {
    const [left, top, right, bottom] = look.boxes[index].map((side, at) =>
      Math.round(side * (at % 2 ? canvas.height : canvas.width)));
    const place = [left, top, Math.max(1, right - left), Math.max(1, bottom - top)];
    context.clearRect(...place);
    context.fillStyle = `rgba(230, 40, 20, ${depths[index].toFixed(3)})`;
    context.fillRect(...place);
  }
}

function even(shares) {
  const total = shares.reduce((sum, one) => sum + one, 0) || 1;
  const entropy = shares.reduce((sum, one) => (one > 0 ? sum - (one / total) * Math.log(one / total) : sum), 0);
  return shares.length > 1 && entropy / Math.log(shares.length) > 0.95
    ? "It is nearly even: hardly any region was preferred." : "";
}

// A photo comes in: chosen, dropped, pasted

by("file").addEventListener("change", (event) => {
  const [photo] = event.target.files;
  if (photo) take(photo);
  event.target.value = ""; // the same photo may be chosen again
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  const [photo] = event.dataTransfer.files;
  if (photo) take(photo);
  else say("That was no file: drop a photo that is on this machine.", true);
});
document.addEventListener("paste", (event) => {
  const photo = [...event.clipboardData.files].find((file) => file.type.startsWith("image/"));
  if (photo) take(photo);
  else say("There is no photo on the clipboard.", true);
});
fetch("/health").then((response) => response.json()).then((told) => {
  by("run").textContent = `run ${told.runs.join(" + ")} ·`;
}).catch(() => {});
