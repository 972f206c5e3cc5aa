// Search in pages that are written out: every word must be in what an entry says.
"use strict";

{
  const MOST = 100;
  const wanted = new URLSearchParams(location.search).get("q") || "";
  const field = document.querySelector(".search input");
  const told = document.getElementById("search-told");
  const list = document.getElementById("search-found");

  const element = (name, kind, text) => {
    const made = document.createElement(name);
    made.className = kind;
    made.textContent = text;
    return made;
  };

  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    if (!words.length) return;
    const rows = globalThis.beamObsSearch.rows.filter((row) => {
      const text = row.slice(0, 3).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    told.textContent = rows.length > MOST
      ? `${rows.length.toLocaleString("en")} found, the first ${MOST} are shown`
      : rows.length ? `${rows.length} found` : "Nothing found: search by part of a name, an id, an error, or a file.";
    for (const [kind, text, detail, page] of rows.slice(0, MOST)) {
      const row = element("li", "", "");
      const link = element("a", "", text);
      link.href = page;
      row.append(element("span", "quiet", kind), link, element("span", "small quiet", detail));
      list.append(row);
    }
  };

  field.value = wanted;
  field.addEventListener("input", show);
  show();
}
