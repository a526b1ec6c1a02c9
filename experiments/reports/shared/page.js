"use strict";
// Tables can be read without this script. It sorts a table by a column after a click on the heading.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => row.cells[column].textContent.trim();
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent.trim();
    button.title = "sort";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending" || (column > 0 && !head.hasAttribute("aria-sort"));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sign = descending ? -1 : 1;
      const compare = (a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        const [m, n] = [parseFloat(x.replace("k = ", "")), parseFloat(y.replace("k = ", ""))];
        const numbers = column > 0 && !(Number.isNaN(m) && Number.isNaN(n));
        if (!numbers) return sign * x.localeCompare(y, "en", { numeric: true });
        if (Number.isNaN(m)) return 1; // empty cells stay at the bottom
        if (Number.isNaN(n)) return -1;
        return sign * (m - n);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
// A link to a closed part opens it.
const reveal = () => {
  const part = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (part instanceof HTMLDetailsElement) part.open = true;
};
window.addEventListener("hashchange", reveal);
reveal();
const closed = [];
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.open = true;
    closed.push(details);
  }
});
window.addEventListener("afterprint", () => {
  for (const details of closed.splice(0)) details.open = false;
});
