"use strict";
// Reads the numbers that the page carries; draws nothing.

const DATA = JSON.parse(document.getElementById("data").textContent);

function bytesOf(text) {
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

// Little-endian numbers of a matrix: shares from 0 to 1 in 16 bits, others in single precision.
function matrixOf(packed) {
  if (packed === null) return null;
  const view = new DataView(bytesOf(packed.numbers)), rows = [];
  const [count, width] = packed.shape, size = packed.kind === "shares" ? 2 : 4;
  for (let row = 0; row < count; row++) {
    const numbers = [];
    for (let column = 0; column < width; column++) {
      const at = (row * width + column) * size;
      numbers.push(size === 2 ? view.getUint16(at, true) / 65535 : view.getFloat32(at, true));
    }
    rows.push(numbers);
  }
  return rows;
}

for (const look of DATA.looks) {
  for (const attention of look.attended) {
    attention.weights = matrixOf(attention.weights);
    attention.regions = attention.regions.map(matrixOf);
    attention.concepts = attention.concepts.map(matrixOf);
  }
  look.belief = matrixOf(look.belief);
  look.changes = matrixOf(look.changes);
  if (look.refinement) {
    look.refinement.regions = look.refinement.regions.map(matrixOf);
    look.refinement.concepts = look.refinement.concepts.map(matrixOf);
  }
}

// Entropy of shares by that of equal ones.
function evenness(shares) {
  const total = shares.reduce((a, b) => a + b, 0);
  if (shares.length < 2 || total <= 0) return 0;
  let entropy = 0;
  for (const share of shares) if (share > 0) entropy -= (share / total) * Math.log(share / total);
  return entropy / Math.log(shares.length);
}

const column = (matrix, index) => (matrix ? matrix.map((row) => row[index]) : null);
const percent = (share) => (100 * share).toFixed(1) + " %";
const signed = (number) => {
  const text = Math.abs(number).toFixed(3);
  return Number(text) === 0 ? "0.000" : (number > 0 ? "+" : "-") + text;
};
const strongest = (numbers, count, key = (x) => x) =>
  numbers.map((_, i) => i).sort((a, b) => key(numbers[b]) - key(numbers[a])).slice(0, count);
