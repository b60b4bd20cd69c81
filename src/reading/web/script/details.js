// The details of a change: what it changed, where it came from, its body, times and keys.

import { Failure, ask } from './api.js';
import { body } from './body.js';
import { cut, el, fill, untrusted } from './dom.js';
import { address, copier, failed, justAfter, loading, longText } from './parts.js';
import { byPlace, label, role, user } from './sentences.js';
import { has, t, when } from './texts.js';

/** Fills the details with what is known, and with the body, which is asked for. */
export function fillDetails(details, change, inFeed) {
  const body = el('section', {}, el('h3', {}, t('details.body')), loading());
  const link = () => new URL(changeAddress(change), location.href).href;
  const fields = el('div', {}, changedFields(change));
  fill(
    details,
    fields,
    facts('details.source', source(change)),
    body,
    facts('details.times', times(change)),
    facts('details.record', record(change)),
    change.group_id !== '' &&
      el(
        'p',
        { class: 'actions' },
        inFeed && el('a', { href: changeAddress(change) }, t('details.open_group')),
        el('a', { href: address('group', [change.group_key], { at: change.occurred_at }) }, t('details.as_of')),
        copier(link, 'copy.link'),
      ),
  );
  loadBody(body, change);
  if (change.previous === undefined && change.group_id !== '' && Object.keys(change.change ?? {}).length > 0)
    loadPrevious(fields, change);
}

/** What was before, where it was not asked for with the list. Without it the fields are there all the same. */
async function loadPrevious(fields, change) {
  try {
    const { group_key, occurred_at } = change;
    const query = { group_key, from: occurred_at, until: justAfter(occurred_at), previous: true, limit: 100 };
    const { changes } = await ask('history', query);
    change.previous = changes.find(({ change_key: key }) => key === change.change_key)?.previous ?? {};
    const hadFocus = fields.contains(document.activeElement);
    fill(fields, changedFields(change));
    if (hadFocus) fields.querySelector('.wide')?.focus({ preventScroll: true });
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
  }
}

/** The address of a change in its group's history. */
function changeAddress(change) {
  return address('group', [change.group_key], { change: change.change_key });
}

async function loadBody(section, change) {
  const heading = section.firstChild;
  try {
    const answer = await ask('change', { group_key: change.group_key, change_key: change.change_key });
    fill(section, heading, await body(answer));
  } catch (failure) {
    fill(
      section,
      heading,
      failed(failure, () => loadBody(fill(section, heading, loading()), change)),
    );
  }
}

function changedFields({ kind, change = {}, previous = {} }) {
  const known = Object.keys(previous).length > 0;
  const cell = (value, isRole) => el('td', {}, value === undefined ? '' : isRole ? role(value) : shown(value));
  const row = (name, before, after, isRole) =>
    el('tr', {}, el('th', { scope: 'row' }, name), known && cell(before, isRole), cell(after, isRole));
  const rows = Object.entries(change)
    .sort(([one], [other]) => byPlace(one, other))
    .flatMap(([field, value]) =>
      nested(field)
        ? Object.entries(value ?? {}).map(([key, inner]) =>
            row([label(field), ' ', user(key, 32)], own(previous[field], key), inner),
          )
        : [row(label(field, kind.split('.')[0]), previous[field], inWords(field, value), field === 'role')],
    );
  if (rows.length === 0) return el('p', { class: 'none' }, t('details.nothing'));
  const heads = ['field', known && 'before', known ? 'after' : 'value'].map(
    (name) => name && el('th', { scope: 'col' }, t(`details.${name}`)),
  );
  return el(
    'section',
    {},
    el('h3', {}, t('details.changed')),
    el(
      'div',
      { class: 'wide', tabindex: 0, role: 'group', 'aria-label': t('details.changed') },
      el('table', {}, el('thead', {}, el('tr', {}, heads)), el('tbody', {}, rows)),
    ),
  );
}

/** How somebody joined or left, in words where they are known. */
function inWords(field, value) {
  return field === 'how' && has(`value.${value}`) ? t(`value.${value}`) : value;
}

function nested(field) {
  return field === 'custom_fields' || field === 'attributes';
}

/** What an object has under a key, and does not inherit. */
export function own(object, key) {
  return object && Object.hasOwn(object, key) ? object[key] : undefined;
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
  return el(
    'section',
    {},
    el('h3', {}, t(title)),
    title === 'details.source' && el('p', { class: 'none' }, t('details.unvouched')),
    el(
      'dl',
      {},
      present.map(([name, value]) => [el('dt', {}, t(`details.${name}`)), el('dd', {}, value)]),
    ),
  );
}

function source({ source: known = {} }) {
  return ['client_ip', 'client_platform', 'operation_id'].map((name) => [
    name,
    known[name] === undefined ? undefined : longText(known[name], 300),
  ]);
}

function times(change) {
  const by = change.occurred_at_source === 'receipt' ? el('span', { class: 'none' }, ' ', t('details.by_receipt')) : null;
  const both = (time) => time && [when(time), ' ', el('span', { class: 'none' }, time.replace('T', ' ').replace('Z', ' UTC'))];
  return [
    ['occurred_at', [both(change.occurred_at), by]],
    ['received_at', both(change.received_at)],
    ['recorded_at', both(change.recorded_at)],
  ];
}

function record(change) {
  return [
    ['kind', el('code', {}, change.kind)],
    ['command', change.command && untrusted(change.command, { class: 'id' })],
    [
      'operator',
      change.operator && [
        keyText(change.operator),
        ' ',
        change.group_id !== '' &&
          el('a', { href: address('group', [change.group_key], { by: change.operator }) }, t('details.by')),
      ],
    ],
    ['group_type', change.group_type && untrusted(change.group_type)],
    ['group_key', change.group_key && keyText(change.group_key)],
    ['change_key', change.change_key && keyText(change.change_key)],
    ['digest', change.digest && keyText(change.digest)],
    ['request_id', change.request_id && keyText(change.request_id)],
  ];
}

/** A key or an id, whole, to copy. */
export function keyText(text) {
  return el('span', { class: 'key' }, untrusted(cut(text, 2_000), { class: 'id' }), ' ', copier(text));
}
