"use strict";
(() => {
  const main = document.getElementById("cards");
  const cards = [...main.children].map((node, place) => ({
    node,
    place,
    keys: JSON.parse(node.dataset.keys),
    flags: new Set(node.dataset.flags.split(" ")),
    text: node.textContent.toLowerCase(),
  }));
  const order = document.getElementById("order");
  const reverse = document.getElementById("reverse");
  const query = document.getElementById("query");
  const flags = [...document.querySelectorAll(".flag")];
  const shown = document.getElementById("shown");

  function sort() {
    const name = order.value;
    const sign = reverse.checked ? -1 : 1;
    const known = cards.filter((card) => name in card.keys);
    const others = cards.filter((card) => !(name in card.keys));
    known.sort((a, b) => sign * (a.keys[name] - b.keys[name]) || a.place - b.place);
    main.append(...known.map((card) => card.node), ...others.map((card) => card.node));
  }

  function filter() {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = flags.filter((box) => box.checked).map((box) => box.value);
    let count = 0;
    for (const card of cards) {
      const fits = words.every((word) => card.text.includes(word))
        && wanted.every((flag) => card.flags.has(flag));
      card.node.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${cards.length} pictures`;
  }

  order.addEventListener("change", sort);
  reverse.addEventListener("change", sort);
  query.addEventListener("input", filter);
  for (const box of flags) box.addEventListener("change", filter);
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  // A browser keeps what was chosen when a page is loaded again.
  sort();
  filter();
})();
