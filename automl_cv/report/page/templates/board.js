"use strict";
// Sorts and filters the leaderboard. All rows are in the page as data; only those shown are drawn.
(() => {
  const { columns, faint, drawn } = JSON.parse(document.getElementById("board-data").textContent);
  const missing = "\u2013";
  const table = document.getElementById("board-table");
  const body = table.tBodies[0];
  const more = document.getElementById("board-more");
  const status = document.getElementById("board-status");
  const filter = document.getElementById("board-filter");
  const dim = new Set(faint);
  const cells = columns.map((one) =>
    one.cells ? one.cells : one.numbers.map((number) => one.texts[number])
  );
  const total = cells[0].length;
  const lower = Array.from({ length: total }, (_, row) =>
    cells.map((column) => column[row]).join("\n").toLowerCase()
  );
  let order = Array.from({ length: total }, (_, row) => row);
  let shown = drawn;
  let sorted = null;

  const number = (text) => Number.parseFloat(text.replace("\u2212", "-").replaceAll(",", ""));
  const keys = (place) => {
    const values = cells[place].map(number);
    const given = cells[place].filter((text) => text && text !== missing).length;
    const numeric = values.filter((value) => !Number.isNaN(value)).length;
    return given && numeric === given ? values : cells[place];
  };
  const isMissing = (key) => Number.isNaN(key) || key === missing || key === "";

  function sort(place) {
    const descending = sorted && sorted.place === place ? !sorted.descending : columns[place].largest;
    const key = keys(place);
    const sign = descending ? -1 : 1;
    order = Array.from({ length: total }, (_, row) => row);
    order.sort((a, b) => {
      if (isMissing(key[a]) || isMissing(key[b])) return isMissing(key[a]) - isMissing(key[b]);
      if (key[a] === key[b]) return a - b;
      return key[a] < key[b] ? -sign : sign;
    });
    sorted = { place, descending };
    table.querySelectorAll("thead tr > *").forEach((head, index) => {
      if (index === place) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = order.filter((row) => words.every((word) => lower[row].includes(word)));
    const rows = matching.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      if (dim.has(row)) line.className = "faint";
      cells.forEach((column, place) => {
        const cell = document.createElement("td");
        if (columns[place].side === "right") cell.className = "right";
        cell.textContent = column[row];
        line.append(cell);
      });
      return line;
    });
    body.replaceChildren(...rows);
    more.hidden = matching.length <= shown;
    const found = matching.length === total ? `${total} rows` : `${matching.length} of ${total} rows`;
    status.textContent = more.hidden ? found : `${found}, the first ${shown} shown`;
  }

  table.querySelectorAll("thead th").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.title = head.title;
    head.removeAttribute("title");
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      sort(head.cellIndex);
      draw();
    });
  });
  filter.addEventListener("input", () => {
    shown = drawn;
    draw();
  });
  more.addEventListener("click", () => {
    shown += 5 * drawn;
    draw();
  });
  more.hidden = total <= shown;
})();
