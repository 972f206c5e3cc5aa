// The step graph: dragged with the mouse, zoomed with Ctrl and the wheel, with buttons and with keys.
// What of it is seen is the viewBox alone, so that counts may be swapped beneath it.
"use strict";

(() => {
  const LEAST = 0.1, MOST = 4, LEGIBLE = 0.7, STEP = 1.25, MOVE = 60, CLICK = 4;

  class Graph {
    constructor(frame) {
      this.frame = frame;
      this.svg = frame.querySelector("svg.graph");
      this.scale = 1;
      this.x = this.y = 0;
      this.drag = null;
      frame.classList.add("can-zoom");
      const tools = frame.parentElement.querySelector(".graph-tools");
      tools.hidden = false;
      tools.addEventListener("click", (event) => {
        const button = event.target.closest("[data-zoom]");
        if (button) this.act(button.dataset.zoom);
      });
      frame.addEventListener("keydown", (event) => this.key(event));
      frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      frame.addEventListener("pointerdown", (event) => this.down(event));
      frame.addEventListener("pointermove", (event) => this.move(event));
      for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => this.up(event));
      frame.addEventListener("dragstart", (event) => event.preventDefault());
      frame.addEventListener("click", (event) => {
        if (!this.wasDragged) return;
        event.preventDefault();
        event.stopPropagation();
      }, true);
      frame.addEventListener("focusin", (event) => {
        const step = event.target.closest("a");
        if (step && step.matches(":focus-visible")) this.reveal(step);
      });
      // A step that is opened, from the table maybe, is brought into sight; so it is when the frame gets narrower.
      document.addEventListener("step-opened", () => this.reveal(this.opened));
      this.begin();
      this.width = frame.clientWidth;
      new ResizeObserver(() => this.resized()).observe(frame);
    }

    // Of what is drawn now: a run that grows may have more to draw.
    get drawn() {
      const drawing = this.svg.querySelector("#graph-drawing");
      return { width: Number(drawing.dataset.width), height: Number(drawing.dataset.height) };
    }

    get height() { return Number(this.svg.getAttribute("height")); }

    // All of its width, unless nobody could read it then: the first step, and what is near it.
    begin() {
      this.fit();
      const first = this.svg.querySelector("a .box");
      if (this.scale >= LEGIBLE || !first) return;
      const middle = Number(first.getAttribute("x")) + Number(first.getAttribute("width")) / 2;
      this.scale = LEGIBLE;
      this.x = Math.max(0, middle - this.frame.clientWidth / LEGIBLE / 2);
      this.resize();
      this.show();
    }

    fit() {
      const { width } = this.drawn;
      this.scale = Math.min(1, Math.max(LEAST, this.frame.clientWidth / width));
      this.resize();
      this.x = (width - this.frame.clientWidth / this.scale) / 2;
      this.y = 0;
      this.fitted = true;
      this.show();
    }

    resize() {
      const most = Math.max(320, Math.round(window.innerHeight * 0.7));
      this.svg.setAttribute("height", Math.round(Math.min(most, Math.max(160, this.drawn.height * this.scale))));
    }

    whole() {
      const { width, height } = this.drawn;
      this.scale = Math.max(LEAST / 4, Math.min(1, this.frame.clientWidth / width, this.height / height));
      this.x = (width - this.frame.clientWidth / this.scale) / 2;
      this.y = (height - this.height / this.scale) / 2;
      this.fitted = false;
      this.show();
    }

    resized() {
      const before = this.width;
      this.width = this.frame.clientWidth;
      if (this.width === before || !this.width) return;
      if (this.fitted) this.begin();
      else this.show();
      this.reveal(this.opened);
    }

    show() {
      const box = [this.x, this.y, this.frame.clientWidth / this.scale, this.height / this.scale];
      this.svg.setAttribute("viewBox", box.map((value) => value.toFixed(2)).join(" "));
    }

    // Zooms, and leaves a point of the frame where it is.
    zoom(factor, x = this.frame.clientWidth / 2, y = this.height / 2) {
      const scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
      this.x += x / this.scale - x / scale;
      this.y += y / this.scale - y / scale;
      this.scale = scale;
      this.fitted = false;
      this.show();
    }

    pan(x, y) {
      const { width, height } = this.drawn;
      const seen = { width: this.frame.clientWidth / this.scale, height: this.height / this.scale };
      // Some of it stays in sight.
      this.x = Math.min(Math.max(this.x + x / this.scale, -seen.width * 0.8), width - seen.width * 0.2);
      this.y = Math.min(Math.max(this.y + y / this.scale, -seen.height * 0.8), height - seen.height * 0.2);
      this.fitted = false;
      this.show();
    }

    act(name) {
      if (name === "in") this.zoom(STEP);
      else if (name === "out") this.zoom(1 / STEP);
      else if (name === "fit") this.fit();
      else this.whole();
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const moves = { ArrowLeft: [-MOVE, 0], ArrowRight: [MOVE, 0], ArrowUp: [0, -MOVE], ArrowDown: [0, MOVE] };
      const zooms = { "+": "in", "=": "in", "-": "out", "0": "fit" };
      if (moves[event.key]) this.pan(...moves[event.key]);
      else if (zooms[event.key]) this.act(zooms[event.key]);
      else return;
      event.preventDefault();
    }

    wheel(event) {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const at = this.svg.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY * 0.0025), event.clientX - at.left, event.clientY - at.top);
    }

    down(event) {
      this.wasDragged = false;
      if (event.button === 0) this.drag = { x: event.clientX, y: event.clientY, id: event.pointerId };
    }

    move(event) {
      if (!this.drag || event.pointerId !== this.drag.id) return;
      const x = event.clientX - this.drag.x, y = event.clientY - this.drag.y;
      if (!this.wasDragged && Math.hypot(x, y) < CLICK) return;
      if (!this.wasDragged) this.frame.setPointerCapture(event.pointerId);
      this.wasDragged = true;
      this.frame.classList.add("is-dragged");
      this.drag.x = event.clientX;
      this.drag.y = event.clientY;
      this.pan(-x, -y);
    }

    up() {
      this.drag = null;
      this.frame.classList.remove("is-dragged");
    }

    get opened() { return this.svg.querySelector("a.is-selected"); }

    reveal(step) {
      if (!step) return;
      const at = step.getBoundingClientRect(), seen = this.svg.getBoundingClientRect();
      const aside = (low, high, from, to) => (low < from ? low - from - 20 : high > to ? high - to + 20 : 0);
      const x = aside(at.left, at.right, seen.left, seen.right);
      const y = aside(at.top, at.bottom, seen.top, seen.bottom);
      if (x || y) this.pan(x, y);
    }
  }

  const begin = () => {
    for (const frame of document.querySelectorAll(".graph-frame:not(.can-zoom)")) new Graph(frame);
  };
  begin();
  document.addEventListener("htmx:load", begin);
})();
