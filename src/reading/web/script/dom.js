// Elements. Whatever a callback brought is made into text nodes here, and never into markup.

/** An element with attributes, listeners (`onclick`) and children; what is null, undefined or false is left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...present(children));
  return node;
}

/** Puts children in place of what a node has. */
export function fill(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

// What nobody sees, or what changes the direction of the text around it. Line breaks stay, and the joiners and variation selectors of
// scripts and emoji.
const UNSEEN = /(?![\t\n\r\u200c\u200d\ufe00-\ufe0f])[\p{Default_Ignorable_Code_Point}\p{Cc}\u2028\u2029\u2800]/u;
const UNSEEN_OR_NOT = new RegExp(`(${UNSEEN.source})`, 'u');
const SEEN = /[^\s\p{Default_Ignorable_Code_Point}\p{Cc}\u2800]/u;

/** Whether there is nothing to see of a text. */
export function isBlank(text) {
  return !SEEN.test(text);
}

/** Untrusted text, isolated from the direction of its surroundings, with the characters that nobody sees made visible. */
export function untrusted(text, attributes = {}) {
  const parts = text.split(UNSEEN_OR_NOT).filter((part) => part !== '');
  return el(
    'bdi',
    attributes,
    parts.map((part) => (UNSEEN.test(part) ? unseen(part) : part)),
  );
}

function unseen(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
  return el('span', { class: 'unseen' }, `U+${code}`);
}

/** A text of at most so many characters. */
export function cut(text, most) {
  const characters = Array.from(text.slice(0, 2 * most + 2));
  return characters.length > most ? `${characters.slice(0, most).join('')}…` : text;
}

/** An id, shortened in the middle; whole in its title. */
export function id(text, most = 24) {
  const characters = Array.from(text);
  if (characters.length <= most) return untrusted(text, { class: 'id' });
  const half = Math.floor((most - 1) / 2);
  const short = `${characters.slice(0, half).join('')}…${characters.slice(-half).join('')}`;
  return untrusted(short, { class: 'id', title: cut(text, 500), 'data-whole': text });
}
