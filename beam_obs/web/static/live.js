// What is asked for again and again: what is the same is not swapped, and who stands on a link in what is stays
// there. Where nobody looks nothing is asked.
"use strict";

(() => {
  const shown = new Map();
  let stoodOn = null;

  // Of elements with an id htmx itself keeps the focus.
  const leave = (root) => {
    const link = document.activeElement;
    if (link && !link.id && link.getAttribute("href") && root.contains(link)) {
      stoodOn = { root: root.id, href: link.getAttribute("href") };
    }
  };

  document.addEventListener("htmx:afterSettle", () => {
    if (!stoodOn) return;
    const links = document.getElementById(stoodOn.root)?.querySelectorAll("a") || [];
    const link = [...links].find((one) => one.getAttribute("href") === stoodOn.href);
    stoodOn = null;
    if (link) link.focus({ preventScroll: true });
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    const polls = (event.detail.elt.getAttribute("hx-trigger") || "").startsWith("every");
    if (polls && document.hidden) event.preventDefault();
  });

  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const html = (fragment.firstElementChild || fragment).outerHTML;
    if (!target.id || html === undefined) return;
    if (shown.get(target.id) === html) event.detail.shouldSwap = false;
    else leave(target);
    shown.set(target.id, html);
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { elt, xhr } = event.detail;
    if (elt.id !== "step") return;
    const key = `page of ${xhr.responseURL}`;
    if (shown.get(key) === xhr.responseText) event.detail.shouldSwap = false;
    else leave(elt);
    shown.set(key, xhr.responseText);
  });
})();
