// Parts that more than one view has.

import { cut, el, fill, untrusted } from './dom.js';
import { say, t } from './texts.js';

/** A day, in milliseconds. */
export const DAY = 24 * 60 * 60 * 1_000;

/** A button that does something. */
export function button(text, onclick, attributes = {}) {
  return el('button', { type: 'button', onclick, ...attributes }, text);
}

/** A button that copies a text. */
export function copier(text, key = 'copy') {
  const copy = button(
    t(key),
    async () => {
      const whole = typeof text === 'function' ? text() : text;
      // There is no clipboard where the page came without TLS.
      const done = await (navigator.clipboard?.writeText(whole) ?? Promise.reject()).then(
        () => true,
        () => false,
      );
      copy.textContent = t(done ? 'copied' : 'copy.failed');
      announce(copy.textContent);
      setTimeout(() => (copy.textContent = t(key)), 2000);
    },
    { class: 'quiet' },
  );
  return copy;
}

/** Has a screen reader say something. */
function announce(text) {
  const announcement = document.getElementById('announcement');
  // The same text again is said again.
  fill(announcement);
  setTimeout(() => fill(announcement, text), 100);
}

/** Puts content in place of a view's; what had the focus has it again, by its name in `data-control`. */
export function refill(main, ...children) {
  const control = document.activeElement?.closest('[data-control]')?.dataset.control;
  main.removeAttribute('aria-busy');
  fill(main, children);
  if (control) main.querySelector(`[data-control="${control}"]`)?.focus({ preventScroll: true });
}

/**
 * An input of a date or time. `commit` gets its value when it is left and at Enter; without a key pressed, as the browser's calendar
 * does it, at once. What is typed is no date before it is whole, and a browser tells of a change at each digit.
 */
export function dateInput(attributes, commit) {
  let isTyped = false;
  const now = () => {
    isTyped = false;
    if (input.value === known || input.validity.badInput || !input.isConnected) return;
    known = input.value;
    commit(known);
  };
  const onkeydown = (event) => {
    isTyped = true;
    if (event.key === 'Enter' && input.reportValidity()) now();
  };
  const input = el('input', { ...attributes, onkeydown, onchange: () => isTyped || now(), onblur: now });
  // As the browser has it, which may leave seconds out.
  let known = input.value;
  return input;
}

/** What a view says in place of content: a title, whose `level` is `h1` where the view has no other, and what to do next. */
export function notice(level, title, ...more) {
  return el('div', { class: 'state' }, el(level, {}, title), more);
}

/** That something is on its way; not visible at once, so that what is quick does not flicker. */
export function loading() {
  return el('p', { class: 'state loading', role: 'status' }, t('loading'));
}

/** What went wrong, in words, and a button to try again. */
export function failed(failure, retry) {
  return el('div', { class: 'state', role: 'alert' }, el('p', {}, reason(failure)), button(t('retry'), retry, { class: 'main' }));
}

/** A failure in words. */
export function reason(failure) {
  const key = { 0: 'offline', 429: 'busy', 503: 'unavailable', 504: 'unavailable' }[failure.status];
  return key ? t(`error.${key}`) : say('error.other', { detail: untrusted(failure.message) });
}

/** A choice of one. */
export function choice(name, options, chosen, onchange) {
  const select = el(
    'select',
    { name, 'data-control': name, 'aria-label': t(name), onchange: () => onchange(select.value) },
    options.map(([value, text]) => option(value, text, chosen)),
  );
  return select;
}

/** An option of a choice. */
export function option(value, text, chosen) {
  return el('option', { value, selected: value === chosen }, text);
}

/** Text that may be very long: its beginning, and a button that shows the rest. */
export function longText(text, most, tag = 'span') {
  const characters = text.length;
  if (characters <= most) return el(tag, {}, untrusted(text));
  const node = el(
    tag,
    {},
    untrusted(cut(text, most)),
    ' ',
    button(t('show_all', { count: characters }), () => fill(node, untrusted(text)), { class: 'quiet' }),
  );
  return node;
}

/** Hands a file to the browser. */
export function save(parts, name, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Makes an address of this page: its view and parameters are in the fragment, which no server sees. */
export function address(view, path = [], parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  return `#/${[view, ...path].map(encodeURIComponent).join('/')}${query.size > 0 ? `?${query}` : ''}`;
}

/** The next millisecond: `until` is exclusive. */
export function justAfter(time) {
  return new Date(Date.parse(time) + 1).toISOString();
}
