"use strict";
// One step at a time: the arrow keys walk, the graph shows where, and what is not computed yet is faint.
const sections = [...document.querySelectorAll("section")];
const nodes = [...document.querySelectorAll("[data-steps]")];
const edges = [...document.querySelectorAll("[data-known]")];
const graph = document.querySelector("aside");
let present = 0;

function show(number, moved) {
  present = Math.min(Math.max(number, 1), sections.length);
  sections.forEach((section, index) => section.classList.toggle("present", index + 1 === present));
  edges.forEach((edge) => edge.classList.toggle("unknown", Number(edge.dataset.known) > present));
  let here = null;
  for (const node of nodes) {
    const steps = node.dataset.steps.split(" ").map(Number);
    node.classList.toggle("present", steps.includes(present));
    if (steps.includes(present)) here = node;
    // A layer is visited twice: its place in the graph leads to the way that is being walked.
    const next = steps.find((step) => step >= present) || steps[steps.length - 1];
    node.setAttribute("href", "#step-" + next);
  }
  if (here) {
    const box = here.getBoundingClientRect(), frame = graph.getBoundingClientRect();
    graph.scrollTop += box.top + box.height / 2 - frame.top - frame.height / 2;
    graph.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
  }
  if (moved) {
    history.replaceState(null, "", "#step-" + present);
    sections[present - 1].querySelector("h2").focus({ preventScroll: true });
    const top = sections[present - 1].getBoundingClientRect().top;
    if (top < 0 || top > innerHeight / 2) scrollTo(0, Math.max(scrollY + top - innerHeight * 0.42, 0));
  }
}

function fromAddress() {
  const match = /^#step-(\d+)$/.exec(location.hash);
  show(match ? Number(match[1]) : 1, match !== null);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const to = { ArrowRight: present + 1, ArrowLeft: present - 1, Home: 1, End: sections.length }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  show(to, true);
});
addEventListener("hashchange", fromAddress);
document.documentElement.classList.add("walk");
fromAddress();
