// Elements from descriptions. Text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Options are replaced only where they differ, so that an open list stays open.
export function setOptions(select, options, wanted) {
  const known = [...select.options].map((option) => `${option.value}\n${option.text}`).join("\n");
  if (known !== options.map(([value, text]) => `${value}\n${text}`).join("\n")) {
    const kept = select.value;
    select.replaceChildren(...options.map(([value, text]) => html("option", { value }, text)));
    const values = options.map(([value]) => value);
    select.value = values.includes(kept) ? kept : values.includes(wanted) ? wanted : values[0];
  }
  select.disabled = options.length < 2;
  return select.value;
}
