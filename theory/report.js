"use strict";
const byId = id => document.getElementById(id);
// The fragment holds the view: #topic=robust&verdict=refuted&sort=-margin. Without "=" it names a place.
const controls = { q: byId("query"), topic: byId("topic"), verdict: byId("verdict"), kind: byId("kind"), exact: byId("exact") };
const heads = [...document.querySelectorAll("th")], body = document.querySelector("tbody");
const points = {};
for (const point of document.querySelectorAll("a[data-for]")) (points[point.dataset.for] ||= []).push(point);
const rows = [...body.rows].map(row => {
  const article = byId(row.dataset.for);
  return { row, article, text: (article.id + " " + article.textContent).toLowerCase(), points: points[article.id] || [] };
});
let order = "";

function filter() {
  const words = controls.q.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { row, article, text, points } of rows) {
    const fits = words.every(word => text.includes(word)) &&
      ["topic", "verdict", "kind", "exact"].every(name => !controls[name].value || article.dataset[name] === controls[name].value);
    row.hidden = article.hidden = !fits;
    for (const point of points) point.classList.toggle("filtered", !fits);
    shown += fits;
  }
  byId("count").textContent = shown + " shown";
}

function sort(wanted) {
  if (wanted === order) return;
  order = wanted;
  const name = wanted.replace(/^-/, ""), sign = wanted.startsWith("-") ? -1 : 1;
  const column = heads.findIndex(head => head.firstElementChild.dataset.sort === name);
  heads.forEach((head, at) => head.setAttribute("aria-sort", at !== column ? "none" : sign > 0 ? "ascending" : "descending"));
  const sorted = [...rows];
  if (column >= 0) {
    const keys = new Map(rows.map(entry => {
      const cell = entry.row.cells[column], value = cell.dataset.value;
      return [entry, value === undefined ? cell.textContent.trim() : value === "" || value === "nan" ? null : Number(value.replace("inf", "Infinity"))];
    }));
    // Cells without a number come last both ways.
    sorted.sort((one, two) => {
      const a = keys.get(one), b = keys.get(two);
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
    });
  }
  body.append(...sorted.map(entry => entry.row));
}

function remember(push) {
  const view = new URLSearchParams();
  for (const [name, control] of Object.entries(controls)) if (control.value) view.set(name, control.value);
  if (order) view.set("sort", order);
  const address = "#" + view;
  if (address === (location.hash || "#")) return;
  history[push ? "pushState" : "replaceState"](null, "", address);
}

function open() {
  const hash = location.hash.slice(1);
  if (!hash || hash.includes("=")) {
    const view = new URLSearchParams(hash);
    for (const [name, control] of Object.entries(controls)) control.value = view.get(name) || "";
    // A select has no value for what it does not offer; no filter is better than an empty one.
    for (const control of Object.values(controls)) if (control.selectedIndex === -1) control.value = "";
    sort(view.get("sort") || "");
    filter();
    return;
  }
  const place = byId(hash);
  if (place && place.hidden) {
    for (const control of Object.values(controls)) control.value = "";
    filter();
  }
  if (place) place.scrollIntoView();
}

controls.q.addEventListener("input", () => { filter(); remember(false); });
for (const name of ["topic", "verdict", "kind", "exact"]) controls[name].addEventListener("input", () => { filter(); remember(true); });
for (const head of heads) head.firstElementChild.addEventListener("click", event => {
  const name = event.currentTarget.dataset.sort;
  sort(order === name ? "-" + name : name);
  remember(true);
});
byId("clear").addEventListener("click", () => {
  for (const control of Object.values(controls)) control.value = "";
  filter();
  remember(true);
});
addEventListener("hashchange", open);
filter();
open();
