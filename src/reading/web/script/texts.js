// What the page says, in the reader's language.

import { el } from './dom.js';
import { en } from '../texts/en.js';
import { zh } from '../texts/zh.js';

const LANGUAGES = { en, 'zh-CN': zh };
const LANGUAGE = 'group-ledger.language';
let language, texts, plural, lists, formats;

/** Chooses the language: what was chosen in this tab, else the browser's. */
export function startTexts() {
  const wanted = [sessionStorage.getItem(LANGUAGE), ...navigator.languages];
  const known = wanted.map((tag) => (tag?.startsWith('zh') ? 'zh-CN' : tag?.startsWith('en') ? 'en' : null));
  speak(known.find((tag) => tag !== null) ?? 'en');
}

/** Changes to the other language, for this tab. */
export function switchLanguage() {
  const other = Object.keys(LANGUAGES).find((tag) => tag !== language);
  sessionStorage.setItem(LANGUAGE, other);
  speak(other);
}

function speak(tag) {
  language = tag;
  texts = LANGUAGES[tag];
  plural = new Intl.PluralRules(tag);
  // British English has no comma before the last.
  lists = new Intl.ListFormat(tag === 'en' ? 'en-GB' : tag, { type: 'conjunction' });
  // The browser's own region, where it speaks the language that was chosen.
  const region = navigator.languages.find((known) => known.split('-')[0] === tag.split('-')[0]) ?? tag;
  const time = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
  const minute = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  const day = { day: 'numeric', month: 'short', year: 'numeric' };
  formats = {
    time: new Intl.DateTimeFormat(region, time),
    day: new Intl.DateTimeFormat(region, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }),
    shortDay: new Intl.DateTimeFormat(region, day),
    moment: new Intl.DateTimeFormat(region, { ...day, ...time }),
    minute: new Intl.DateTimeFormat(region, { ...day, ...minute }),
    minuteThisYear: new Intl.DateTimeFormat(region, { day: 'numeric', month: 'short', ...minute }),
    number: new Intl.NumberFormat(region),
  };
  document.documentElement.lang = tag;
}

/** Whether there is a text. */
export function has(key) {
  return Object.hasOwn(texts, key);
}

/** A text with values in it: strings and nodes, to append. With a `count`, the form that its number takes. */
export function say(key, values = {}) {
  return template(key, values)
    .split(/(\{\w+\})/u)
    .filter((part) => part !== '')
    .flatMap((part) => {
      const name = /^\{(\w+)\}$/u.exec(part)?.[1];
      if (name === undefined) return part;
      const value = name === 'count' ? number(values.count) : (values[name] ?? '');
      // A text may have a value twice, and a node is in one place.
      return value instanceof Node ? value.cloneNode(true) : value;
    });
}

/** A text as a string: its values are numbers and strings of our own. */
export function t(key, values = {}) {
  return say(key, values).join('');
}

function template(key, values) {
  if (values.count === undefined) return texts[key] ?? key;
  return texts[`${key}_${plural.select(values.count)}`] ?? texts[`${key}_other`] ?? texts[key] ?? key;
}

/** Nodes as a list: “a, b and c”. */
export function list(nodes) {
  const parts = lists.formatToParts(nodes.map((_, index) => String(index)));
  return parts.map((part) => (part.type === 'element' ? nodes[Number(part.value)] : part.value));
}

export function number(value) {
  return formats.number.format(value);
}

/** A time in the viewer's zone; its title has it in UTC. `form` is a name of `formats`. */
export function when(time, form = 'moment') {
  return el('time', { datetime: time, title: utc(time) }, local(time, form));
}

/** A time of day in UTC; its title has the moment in the viewer's zone. */
export function whenUtc(time) {
  return el('time', { datetime: time, title: local(time) }, new Date(time).toISOString().slice(11, 19));
}

export function local(time, form = 'moment') {
  const date = new Date(time);
  const thisYear = form === 'minute' && date.getFullYear() === new Date().getFullYear();
  return formats[thisYear ? 'minuteThisYear' : form].format(date);
}

/** A time in UTC, as the ledger has it. */
export function utc(time) {
  return `${new Date(time).toISOString().replace('T', ' ').replace('Z', '')} UTC`;
}
