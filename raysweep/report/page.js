"use strict";
(() => {
  const table = document.querySelector("table.all");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const names = heads.map((head) => head.textContent.trim().toLowerCase());
  const input = document.querySelector(".filter input");
  const output = document.querySelector(".filter output");

  const key = (row, place) => {
    const cell = row.cells[place];
    if (!heads[place].dataset.number) return cell.textContent.toLowerCase();
    return cell.dataset.key === undefined ? NaN : Number(cell.dataset.key);
  };
  const compare = (a, b, place, sign) => {
    const [left, right] = [key(a, place), key(b, place)];
    const [leftless, rightless] = [left === "" || left !== left, right === "" || right !== right];
    if (leftless || rightless) return leftless - rightless; // what has no value stands last, either way
    return left < right ? -sign : left > right ? sign : 0;
  };
  const sort = (place) => {
    const ascending = heads[place].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[place].setAttribute("aria-sort", ascending ? "ascending" : "descending");
    rows.sort((a, b) => compare(a, b, place, ascending ? 1 : -1));
    body.append(...rows);
  };
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => sort(place)));

  const tests = {
    ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
    "=": (a, b) => a === b, "!=": (a, b) => a !== b,
  };
  const condition = (word) => {
    const found = /^(.+?)(>=|<=|!=|>|<|=)(.+)$/.exec(word);
    const place = found ? names.indexOf(found[1]) : -1;
    if (place < 0) return (row) => row.textContent.toLowerCase().includes(word);
    const isNumber = heads[place].dataset.number && !Number.isNaN(Number(found[3]));
    return (row) => tests[found[2]](key(row, place), isNumber ? Number(found[3]) : found[3]);
  };
  const filter = () => {
    const conditions = input.value.toLowerCase().split(/\s+/).filter(Boolean).map(condition);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !conditions.every((holds) => holds(row));
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = `${shown} of ${rows.length} trials`;
    try { sessionStorage.setItem(`filter ${location.pathname}`, input.value); } catch { /* not kept, then */ }
  };
  try { input.value = sessionStorage.getItem(`filter ${location.pathname}`) ?? ""; } catch { /* none kept */ }
  input.addEventListener("input", filter);
  filter();
})();
