// The page: what is dropped, drawn or filled in goes to /predict, and the answer is shown. Texts are set as text alone.
"use strict";

const answer = document.getElementById("answer");
const MOST_SHOWN = 50;
let asked = 0;

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function line(name, value, share) {
  const item = element("li");
  if (share !== undefined) {
    const bar = element("div", "", "share");
    bar.style.width = `${100 * share}%`;
    item.append(bar);
  }
  item.append(element("span", name), element("span", value));
  return item;
}

function rounded(value) {
  return value === null ? "-" : String(Number(value.toPrecision(6)));
}

function lines(prediction) {
  if (prediction.values) return Object.entries(prediction.values).map(([name, value]) => line(name, rounded(value)));
  return prediction.top.map(({ label, probability }) => line(label, `${(100 * probability).toFixed(1)} %`, probability));
}

function shown(prediction, picture, isAlone) {
  const made = element("div", "", "case");
  if (picture) {
    const image = element("img");
    image.src = URL.createObjectURL(picture);
    image.alt = prediction.input;
    image.onload = () => URL.revokeObjectURL(image.src);
    image.onerror = () => image.remove();
    made.append(image);
  }
  if (!isAlone) made.append(element("h3", prediction.input));
  if (prediction.error) {
    made.append(element("p", prediction.error, "error"));
  } else {
    const list = element("ol");
    list.append(...lines(prediction));
    made.append(list);
    if (prediction.note) made.append(element("p", prediction.note, "note"));
  }
  return made;
}

function refused(text) {
  const made = element("p", text, "error");
  made.setAttribute("role", "alert");
  answer.replaceChildren(made);
}

// Asks, and shows what is said, unless something newer was asked meanwhile.
async function ask(body, headers, top, pictures = []) {
  const own = ++asked;
  let found, ok;
  try {
    const response = await fetch(`predict?top=${top}`, { method: "POST", body, headers });
    ok = response.ok;
    found = await response.json();
  } catch (error) {
    [ok, found] = [false, { error: "the server does not answer" }];
  }
  if (own !== asked) return;
  if (!ok) return refused(found.error);
  const all = found.predictions;
  const parts = all.slice(0, MOST_SHOWN).map((each, index) => shown(each, pictures[index], all.length === 1));
  if (all.length > MOST_SHOWN) parts.push(element("p", `and ${all.length - MOST_SHOWN} more`, "subtitle"));
  answer.replaceChildren(...parts);
}

function askPictures(files, thumbnails = files) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name || "drawing.png");
  return ask(form, {}, files.length === 1 ? 10 : 3, thumbnails);
}

function askTable(text) {
  const isJson = /^\s*[[{]/.test(text);
  return ask(text, { "Content-Type": isJson ? "application/json" : "text/csv" }, 3);
}

const canvas = document.getElementById("canvas");
const drop = document.getElementById("drop");

async function take(files) {
  if (!files.length) return;
  await (canvas ? askPictures(files) : askTable(await files[0].text()));
  show();
}

// On a narrow screen the answer is below what was asked.
function show() {
  answer.scrollIntoView({ block: "nearest" });
}

document.getElementById("files").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = ""; // so that the same file can be chosen again
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take([...event.dataTransfer.files]);
});

if (canvas) {
  const context = canvas.getContext("2d");
  const [ink, paper] = [document.getElementById("ink"), document.getElementById("paper")];
  const clear = () => {
    context.fillStyle = paper.value;
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop];
    return [(x * canvas.width) / canvas.clientWidth, (y * canvas.height) / canvas.clientHeight];
  };
  let isDrawing = false;
  canvas.addEventListener("pointerdown", (event) => {
    isDrawing = true;
    canvas.setPointerCapture(event.pointerId);
    context.strokeStyle = ink.value;
    context.lineWidth = Math.max(canvas.width, canvas.height) / 13;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...place(event));
    context.lineTo(...place(event)); // a touch alone is a point
    context.stroke();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!isDrawing) return;
    context.lineTo(...place(event));
    context.stroke();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, () => {
      if (!isDrawing) return;
      isDrawing = false;
      canvas.toBlob((blob) => askPictures([blob], []));
    });
  }
  paper.addEventListener("input", clear);
  document.getElementById("clear").addEventListener("click", clear);
  clear();
}

const form = document.getElementById("form");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const row = {};
    for (const field of form.querySelectorAll("[data-name]")) {
      const isNumber = field.dataset.kind === "number";
      row[field.dataset.name] = field.value === "" ? null : isNumber ? Number(field.value) : field.value;
    }
    ask(JSON.stringify(row), { "Content-Type": "application/json" }, 10).then(show);
  });
}

const rows = document.getElementById("rows");
if (rows) document.getElementById("send").addEventListener("click", () => askTable(rows.value).then(show));
