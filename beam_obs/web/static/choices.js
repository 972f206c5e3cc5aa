// A choice in a form is taken at once, and its button, which is for browsers without scripts, goes.
"use strict";

for (const button of document.querySelectorAll("[data-without-script]")) button.hidden = true;
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});
