// A click on a step, in graph or table, opens it beside the graph; Escape closes it, and goes back to the step.
"use strict";

(() => {
  const panel = () => document.getElementById("panel");
  const graphLinks = () => [...document.querySelectorAll(".graph-frame a")];
  const pathOf = (link) => link.getAttribute("href");
  let opener = null, opened = null;

  const mark = () => {
    for (const link of graphLinks()) link.classList.toggle("is-selected", pathOf(link) === opened);
  };

  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  };

  const open = async (address) => {
    const aside = panel();
    let answer;
    try {
      answer = await fetch(address);
    } catch {
      answer = null;
    }
    const step = answer && answer.ok
      ? new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("step") : null;
    if (!step) { // the page itself says what is wrong
      window.location.href = address;
      return;
    }
    const bar = document.createElement("div");
    bar.className = "panel-bar";
    const alone = document.createElement("a");
    alone.href = address;
    alone.textContent = "Page of this step";
    bar.append(alone, button("Close", close));
    aside.replaceChildren(bar, document.adoptNode(step));
    aside.hidden = false;
    aside.scrollTop = 0;
    opened = address;
    mark();
    document.dispatchEvent(new Event("step-opened"));
    htmx.process(aside);
    const title = document.getElementById("step-title");
    title.focus({ preventScroll: true });
    const { top, bottom } = title.getBoundingClientRect();
    if (top < 0 || bottom > window.innerHeight) aside.scrollIntoView({ block: "start" });
  };

  const close = () => {
    const aside = panel();
    if (!aside || aside.hidden) return;
    aside.hidden = true;
    aside.replaceChildren();
    const back = (opener && document.getElementById(opener)) || graphLinks().find((link) => pathOf(link) === opened);
    opened = opener = null;
    mark();
    if (back) back.focus();
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest(".graph-frame a, a[data-step-link]");
    const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey && event.button === 0;
    if (!link || !plain || !panel() || !window.htmx) return; // pages in a folder are led to
    event.preventDefault();
    if (!panel().contains(link)) opener = link.id;
    open(pathOf(link));
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel() && !panel().hidden) close();
  });
  document.addEventListener("htmx:afterSettle", mark);
})();
