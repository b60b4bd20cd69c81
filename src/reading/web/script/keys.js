// The keyboard.

import { el } from './dom.js';
import { address } from './parts.js';
import { t } from './texts.js';

const LETTERS = 'group-ledger.letters';

const KEYS = [
  ['/', 'search'],
  ['j k', 'down_up'],
  ['Enter', 'open'],
  ['o', 'group'],
  ['[ ]', 'time'],
  ['Esc', 'back'],
  ['?', 'help'],
];

/** The list of the keys. */
export function help() {
  const keys = (key) => key.split(' ').map((one) => el('kbd', {}, one));
  const rows = KEYS.map(([key, name]) => [el('dt', {}, keys(key)), el('dd', {}, t(`key.${name}`))]);
  // Whoever dictates would press them unawares (WCAG 2.1.4).
  const letters = el('input', {
    type: 'checkbox',
    checked: usesLetters(),
    onchange: () => sessionStorage.setItem(LETTERS, letters.checked ? 'on' : 'off'),
  });
  const close = el('form', { method: 'dialog' }, el('button', { class: 'main' }, t('close')));
  return el(
    'dialog',
    { id: 'keys', 'aria-labelledby': 'keys-title' },
    el('h2', { id: 'keys-title' }, t('keys')),
    el('dl', {}, rows),
    el('p', {}, el('label', {}, letters, ' ', t('keys.letters'))),
    close,
  );
}

/** Whether single keys do something; kept in this tab. */
function usesLetters() {
  return sessionStorage.getItem(LETTERS) !== 'off';
}

/** Does what a key is for; where something is typed in, it is a letter. `leave` goes back to where the group was opened from. */
export function press(event, leave) {
  const { target } = event;
  const isTyping = target.matches('input:not([type=radio]), select, textarea');
  const isOther = event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
  if (isOther || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') return isTyping ? target.blur() : close(target) || leave();
  if (isTyping || !usesLetters()) return;
  const actions = {
    '/': () => document.querySelector('input[type=search]')?.focus(),
    '?': () => document.getElementById('keys')?.showModal(),
    j: () => move(1),
    k: () => move(-1),
    o: () => target.closest('li')?.querySelector('a.group')?.click(),
    '[': () => document.querySelector('[data-control=earlier]')?.click(),
    ']': () => document.querySelector('[data-control=later]')?.click(),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
}

/** Moves the focus down or up the list. */
function move(by) {
  const rows = [...document.querySelectorAll('.changes > li > details > summary')];
  const current = rows.findIndex((row) => row.closest('li').contains(document.activeElement));
  const target = rows[Math.max(0, current === -1 ? 0 : current + by)];
  target?.focus();
  target?.scrollIntoView({ block: 'nearest' });
}

/** Closes what is open around the focus; whether something was. */
function close(target) {
  const disclosure = target.closest('details[open]');
  if (!disclosure) return false;
  disclosure.open = false;
  const row = disclosure.querySelector('summary');
  row.focus();
  row.scrollIntoView({ block: 'nearest' });
  return true;
}

/** What is copied has ids whole, though they are shown shortened. */
export function copyWhole(event) {
  const selection = document.getSelection();
  if (selection.rangeCount === 0 || event.target.matches?.('input, textarea')) return;
  const copied = selection.getRangeAt(0).cloneContents();
  const shortened = [...copied.querySelectorAll('[data-whole]')];
  if (shortened.length === 0) return;
  for (const node of shortened) node.textContent = node.dataset.whole;
  event.clipboardData.setData('text/plain', copied.textContent);
  event.preventDefault();
}

/** Leaves a group for where it was opened from, or for Now where that is another site. */
export function leaveGroup(visited, go) {
  if (!location.hash.startsWith('#/group/')) return;
  if (visited > 0) history.back();
  else go(address('now'));
}
