// A change: a line that says what happened, and its details, which open in place.

import { ask } from './api.js';
import { cut, el, fill, id, untrusted } from './dom.js';
import { address, copier, failed, loading, longText, save } from './parts.js';
import { byPlace, label, role, sentence, user } from './sentences.js';
import { say, t, when } from './texts.js';

/** The fields whose values are worth a line. */
const BENEATH = ['name', 'notification', 'introduction', 'face_url', 'nickname', 'message', 'reason', 'cause'];
/** The most characters of a body that are shown at once. */
const BODY = 20_000;

/** The key of a change among all groups'. */
export function keyOf(change) {
  return `${change.group_key}\n${change.change_key}`;
}

/**
 * A list's item. `inFeed` tells of which group it is and when it was recorded; without it, the item is one of a group's history.
 */
export function item(change, inFeed) {
  const details = el('div', { class: 'details' });
  const time = inFeed ? change.recorded_at ?? change.received_at : change.occurred_at;
  const disclosure = el('details', { class: 'change', ontoggle: () => disclosure.open && details.childNodes.length === 0 && open(details, change, inFeed) },
    el('summary', {},
      when(time, 'time'),
      el('span', { class: 'what' }, el('span', { class: 'sentence' }, sentence(change)), beneath(change),
        late(change.occurred_at, time) && el('span', { class: 'late' }, say('now.happened', { time: when(change.occurred_at, 'minute') })))),
    details);
  const group = inFeed && change.group_id !== '';
  return el('li', { 'data-key': change.change_key }, disclosure,
    inFeed && el('span', { class: 'where' },
      group && el('a', { class: 'group', href: groupAddress(change), title: cut(change.group_id, 500) }, id(change.group_id, 22)),
      el('span', { class: 'platform' }, platform(change.platform))));
}

export function groupAddress(change) {
  return address('group', [change.group_key], { change: change.change_key });
}

export function platform(name) {
  const known = t(`platform.${name}`);
  return known === `platform.${name}` ? untrusted(name) : known;
}

/** Whether it happened two minutes or more before (or after) the time that is shown. */
function late(occurred, shown) {
  return Math.abs(new Date(shown) - new Date(occurred)) > 120_000;
}

/** Beneath the sentence: the values it has no room for. */
function beneath({ change = {}, previous = {} }) {
  const told = Object.keys(change).length === 1;
  const lines = BENEATH.flatMap((field) => {
    const [before, value] = [previous[field], change[field]];
    const inSentence = value === '' || field === 'name' || field === 'nickname';
    if (typeof value !== 'string' || value === before || (inSentence && typeof before !== 'string')) return [];
    const values = typeof before === 'string' ? say('before_after', { before: short(before), after: short(value) }) : short(value);
    return el('span', { class: 'beneath' }, !told && [el('span', { class: 'label' }, label(field)), ' '], values);
  });
  return lines.slice(0, 3);
}

function short(text) {
  return text === '' ? el('span', { class: 'none' }, t('to_empty')) : untrusted(cut(text, 120), { class: 'value' });
}

/** Fills the details with what is known, and with the body, which is asked for. */
function open(details, change, inFeed) {
  const body = el('section', {}, el('h3', {}, t('details.body')), loading());
  const link = () => new URL(groupAddress(change), location.href).href;
  fill(details, changedFields(change), facts('details.source', source(change)), facts('details.times', times(change)),
    facts('details.record', record(change)), body,
    change.group_id !== '' && el('p', { class: 'actions' },
      inFeed && el('a', { href: groupAddress(change) }, t('details.open_group')),
      el('a', { href: address('group', [change.group_key], { at: change.occurred_at }) }, t('details.as_of')), copier(link, 'copy.link')));
  loadBody(body, change);
}

function changedFields({ change = {}, previous = {} }) {
  const known = Object.keys(previous).length > 0;
  const cell = (value, isRole) => el('td', {}, value === undefined ? '' : isRole ? role(value) : shown(value));
  const row = (name, before, after, isRole) => el('tr', {}, el('th', { scope: 'row' }, name), known && cell(before, isRole), cell(after, isRole));
  const rows = Object.entries(change).sort(([one], [other]) => byPlace(one, other)).flatMap(([field, value]) => nested(field)
    ? Object.entries(value ?? {}).map(([key, inner]) => row([label(field), ' ', user(key, 32)], previous[field]?.[key], inner))
    : [row(label(field), previous[field], value, field === 'role')]);
  if (rows.length === 0) return el('p', { class: 'none' }, t('details.nothing'));
  const heads = ['field', known && 'before', known ? 'after' : 'value'].map((name) => name && el('th', { scope: 'col' }, t(`details.${name}`)));
  return el('section', {}, el('h3', {}, t('details.changed')), el('div', { class: 'wide', tabindex: 0, role: 'group', 'aria-label': t('details.changed') },
    el('table', {}, el('thead', {}, el('tr', {}, heads)), el('tbody', {}, rows))));
}

function nested(field) {
  return field === 'custom_fields' || field === 'attributes';
}

/** A value of a field. */
export function shown(value) {
  if (value === '') return el('span', { class: 'none' }, t('cleared'));
  if (value === null) return '–';
  if (Array.isArray(value)) return longText(value.join(', '), 1_000);
  if (typeof value === 'object') return longText(JSON.stringify(value), 200);
  return longText(String(value), 200);
}

function facts(title, rows) {
  const present = rows.filter(([, value]) => value !== undefined);
  if (present.length === 0) return null;
  return el('section', {}, el('h3', {}, t(title)), title === 'details.source' && el('p', { class: 'none' }, t('details.unvouched')),
    el('dl', {}, present.map(([name, value]) => [el('dt', {}, t(`details.${name}`)), el('dd', {}, value)])));
}

function source({ source: known = {} }) {
  return ['client_ip', 'client_platform', 'operation_id'].map((name) => [name, known[name] === undefined ? undefined : longText(known[name], 300)]);
}

function times(change) {
  const by = change.occurred_at_source === 'receipt' ? el('span', { class: 'none' }, ' ', t('details.by_receipt')) : null;
  const both = (time) => time && [when(time), ' ', el('span', { class: 'none' }, time.replace('T', ' ').replace('Z', ' UTC'))];
  return [['occurred_at', [both(change.occurred_at), by]], ['received_at', both(change.received_at)], ['recorded_at', both(change.recorded_at)]];
}

function record(change) {
  const key = (text) => text && el('span', { class: 'key' }, untrusted(cut(text, 2_000), { class: 'id' }), ' ', copier(text));
  return [['kind', el('code', {}, change.kind)], ['command', change.command && untrusted(change.command, { class: 'id' })],
    ['operator', change.operator && key(change.operator)], ['group_type', change.group_type && untrusted(change.group_type)],
    ['group_key', key(change.group_key)], ['change_key', key(change.change_key)], ['digest', key(change.digest)], ['request_id', key(change.request_id)]];
}

async function loadBody(section, change) {
  const heading = section.firstChild;
  try {
    const answer = await ask('change', [['group_key', change.group_key], ['change_key', change.change_key]]);
    fill(section, heading, await body(answer));
  } catch (failure) {
    fill(section, heading, failed(failure, () => loadBody(fill(section, heading, loading()), change)));
  }
}

/** A body as it was sent, or indented. */
export async function body(answer) {
  const { raw_base64: base64, raw_gzip_base64: gzip } = answer;
  const raw = answer.raw ?? base64 ?? (gzip && await unzipped(gzip));
  if (raw === undefined) return el('p', { class: 'none' }, t('details.no_body'));
  const json = base64 === undefined && indented(raw);
  const text = el('pre', { tabindex: 0, 'aria-label': t('details.body') });
  const put = (form) => fill(text, longText(form, BODY));
  const name = `body-${Math.random().toString(36).slice(2)}`;
  const form = (key, value, checked) => el('label', {}, el('input', { type: 'radio', name, checked, onchange: () => put(value) }), t(key));
  put(json || raw);
  return [base64 !== undefined && el('p', { class: 'none' }, t('details.base64')),
    el('div', { class: 'tools' }, json && [form('details.indented', json, true), form('details.as_sent', raw)], copier(raw),
      el('button', { type: 'button', class: 'quiet', onclick: () => save([raw], 'callback.json', 'application/json') }, t('details.download'))),
    text];
}

async function unzipped(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
}

/** JSON with line breaks and indents between its tokens, which stay as they are: no digit is lost. Null where it is no JSON. */
export function indented(json) {
  try {
    JSON.parse(json);
  } catch {
    return null;
  }
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gu) ?? [];
  return tokens.map((token, index) => {
    if (token === '{' || token === '[') {
      if (['}', ']'].includes(tokens[index + 1])) return token;
      depth += 1;
      return token + line();
    }
    if (token === '}' || token === ']') {
      if (['{', '['].includes(tokens[index - 1])) return token;
      depth -= 1;
      return line() + token;
    }
    if (token === ',') return token + line();
    return token === ':' ? ': ' : token;
  }).join('');
}
