// Arrows go from bar to bar in a strip of runs, of which the tab key stops at one only.
"use strict";

const MOVES = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

document.addEventListener("keydown", (event) => {
  const bar = event.target.closest(".bar");
  const move = MOVES[event.key];
  if (!bar || move === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  const bars = [...bar.parentNode.querySelectorAll(".bar")];
  const at = Math.min(Math.max(bars.indexOf(bar) + move, 0), bars.length - 1);
  event.preventDefault();
  bar.setAttribute("tabindex", "-1");
  bars[at].setAttribute("tabindex", "0");
  bars[at].focus();
});
