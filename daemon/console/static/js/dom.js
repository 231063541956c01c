// Small helpers around the DOM. Texts are always set as text: nothing that the device says can become markup.

const SVG = "http://www.w3.org/2000/svg";

// Stroked in a square of 24.
const ICONS = {
  home: "M4 11.5 12 5l8 6.5V19a1 1 0 0 1-1 1h-4.5v-5h-5v5H5a1 1 0 0 1-1-1z",
  inbox: "M4 6h16v12H4zM4 7l8 6 8-6",
  checkin: "M12 8v5l3 2M9 3h6M12 5.5a8 8 0 1 1 0 16 8 8 0 0 1 0-16",
  privacy: "M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6zM12 9.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5M9 14.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5",
  duty: "M12 3.5 5 6v5.5c0 4 3 7.300 7 9 4-1.700 7-5 7-9V6z",
  link: "M5 19v-3M10 19v-7M15 19V9M20 19V5",
  battery: "M3 8h15v8H3zM20.500 11v2",
  position: "M12 21s-6.500-6.200-6.500-11a6.500 6.500 0 0 1 13 0c0 4.800-6.500 11-6.500 11zM12 8a2.200 2.200 0 1 1 0 4.400 2.200 2.200 0 0 1 0-4.400",
  warning: "M12 4 3 20h18zM12 10v4.500M12 17v.5",
  arrow: "M5 12h14M13 6l6 6-6 6",
  back: "M19 12H5M11 6l-6 6 6 6",
  check: "M5 12.500 10 17.500 19 7",
  erase: "M9 6h11v12H9l-5-6zM12 9.500l5 5M17 9.500l-5 5",
  north: "M12 3 6.500 20 12 16l5.500 4z",
};

// el("p", {class: "x", onclick: f}, "text", child): null children are left out.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Decoration: what it means stands beside it in words.
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// Only what changed is touched, so that a screen reader does not begin anew each second.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

export function setData(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

export function replace(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}
