// A field that hides the rows of a table whose name has not what is typed; it keeps to it when rows come anew.
"use strict";

function filterRows() {
  const field = document.querySelector("[data-filters]");
  const table = field && document.querySelector(`[data-rows="${field.dataset.filters}"]`);
  if (!table) return;
  const wanted = field.value.trim().toLowerCase();
  let shown = 0;
  for (const row of table.querySelectorAll("[data-name]")) {
    row.hidden = !row.dataset.name.includes(wanted);
    shown += !row.hidden;
  }
  const none = table.querySelector("[data-none-left]");
  if (none) none.hidden = shown > 0;
}

document.addEventListener("DOMContentLoaded", () => {
  for (const field of document.querySelectorAll("[data-filters]")) {
    field.hidden = false;
    field.addEventListener("input", filterRows);
  }
  filterRows();
});
for (const name of ["htmx:afterSwap", "htmx:oobAfterSwap"]) document.addEventListener(name, filterRows);
