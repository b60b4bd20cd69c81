// A change: a line that says what happened, and its details, which open in place.

import { Failure, ask } from './api.js';
import { cut, el, fill, id, untrusted } from './dom.js';
import { address, copier, failed, loading, longText, save } from './parts.js';
import { byPlace, label, role, sentence, user } from './sentences.js';
import { say, t, when } from './texts.js';

/** The fields whose values are worth a line. */
const BENEATH = ['name', 'notification', 'introduction', 'face_url', 'role', 'nickname', 'message', 'reason', 'cause'];
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
  const time = inFeed ? (change.recorded_at ?? change.received_at) : change.occurred_at;
  const disclosure = el(
    'details',
    { class: 'change', ontoggle: () => disclosure.open && details.childNodes.length === 0 && open(details, change, inFeed) },
    el(
      'summary',
      {},
      when(time, 'time'),
      el(
        'span',
        { class: 'what' },
        el('span', { class: 'sentence' }, sentence(change)),
        beneath(change),
        late(change.occurred_at, time) &&
          el('span', { class: 'late' }, say('now.happened', { time: when(change.occurred_at, 'minute') })),
      ),
    ),
    details,
  );
  learnName(change);
  const group =
    change.group_id !== '' &&
    el(
      'a',
      {
        class: 'group',
        href: address('group', [change.group_key]),
        title: cut(change.group_id, 500),
        'data-group': change.group_key,
      },
      id(change.group_id, 26),
    );
  return el(
    'li',
    { 'data-key': change.change_key },
    disclosure,
    inFeed && el('span', { class: 'where' }, group || el('span'), el('span', { class: 'platform' }, platform(change.platform))),
  );
}

// The names of groups, as far as changes in this tab have told them.
const names = new Map();

/** Learns a group's name from a change that sets it; newer ones count. */
function learnName({ kind, group_key: group, occurred_at: since, change }) {
  if (!kind.startsWith('group.') || typeof change?.name !== 'string' || change.name.trim() === '') return;
  if ((names.get(group)?.since ?? '') < since) names.set(group, { name: change.name, since });
}

/** The name of a group, where it is known. */
export function nameOf(group) {
  return names.get(group)?.name;
}

/** Puts names in place of ids, where they are known by now. */
export function showNames(list) {
  for (const link of list.querySelectorAll('a.group')) {
    const name = nameOf(link.dataset.group);
    if (name !== undefined && link.dataset.name !== name) {
      link.dataset.name = name;
      fill(link, untrusted(cut(name, 40), { class: 'group-name' }));
    }
  }
}

/** The address of a change in its group's history. */
function changeAddress(change) {
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

/** Beneath the sentence: the values it has no room for, and what they were before. */
function beneath({ kind, change = {}, previous = {} }) {
  const told = Object.keys(change).length === 1;
  const lines = BENEATH.flatMap((field) => {
    const inSentence =
      change[field] === '' ||
      field === 'name' ||
      (told && field === 'nickname') ||
      (kind === 'member.changed' && told && field === 'role');
    return line(
      !told && label(field, kind.split('.')[0]),
      change[field],
      previous[field],
      inSentence,
      field === 'role' ? role : short,
    );
  });
  for (const field of ['attributes', 'custom_fields']) {
    for (const [key, value] of Object.entries(change[field] ?? {}))
      lines.push(...line(user(key, 32), value ?? '', own(previous[field], key), false, short));
  }
  return [...lines.slice(0, 4), lines.length > 4 && el('span', { class: 'beneath' }, '…')];
}

/** A value, with what it was before where that is known. */
function line(name, value, before, inSentence, form) {
  const known = before !== undefined && before !== null && before !== value;
  if (!['string', 'number'].includes(typeof value) || (inSentence && !known) || (value === '' && !known)) return [];
  const values = known ? say('before_after', { before: form(before), after: form(value) }) : form(value);
  return [el('span', { class: 'beneath' }, name && [el('span', { class: 'label' }, name), ' '], values)];
}

function short(value) {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text === '' ? el('span', { class: 'none' }, t('to_empty')) : untrusted(cut(text, 120), { class: 'value' });
}

/** Fills the details with what is known, and with the body, which is asked for. */
function open(details, change, inFeed) {
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
    const span = [
      ['from', change.occurred_at],
      ['until', justAfter(change.occurred_at)],
      ['previous', true],
      ['limit', 100],
    ];
    const { changes } = await ask('history', [['group_key', change.group_key], ...span]);
    change.previous = changes.find(({ change_key: key }) => key === change.change_key)?.previous ?? {};
    fill(fields, changedFields(change));
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
  }
}

/** The next millisecond: `until` is exclusive. */
export function justAfter(time) {
  return new Date(Date.parse(time) + 1).toISOString();
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
        : [row(label(field, kind.split('.')[0]), previous[field], value, field === 'role')],
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

function nested(field) {
  return field === 'custom_fields' || field === 'attributes';
}

/** What an object has under a key, and does not inherit. */
function own(object, key) {
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

async function loadBody(section, change) {
  const heading = section.firstChild;
  try {
    const answer = await ask('change', [
      ['group_key', change.group_key],
      ['change_key', change.change_key],
    ]);
    fill(section, heading, await body(answer));
  } catch (failure) {
    fill(
      section,
      heading,
      failed(failure, () => loadBody(fill(section, heading, loading()), change)),
    );
  }
}

/** A body as it was sent, or indented. */
export async function body(answer) {
  const { raw_base64: base64, raw_gzip_base64: gzip } = answer;
  const raw = answer.raw ?? base64 ?? (gzip && (await unzipped(gzip)));
  if (raw === undefined) return el('p', { class: 'none' }, t('details.no_body'));
  const json = base64 === undefined && indented(raw);
  const text = el('pre', { tabindex: 0, 'aria-label': t('details.body') });
  const put = (form) => fill(text, longText(form, BODY));
  const name = `body-${Math.random().toString(36).slice(2)}`;
  const form = (key, value, checked) =>
    el('label', {}, el('input', { type: 'radio', name, checked, onchange: () => put(value) }), t(key));
  put(json || raw);
  return [
    base64 !== undefined && el('p', { class: 'none' }, t('details.base64')),
    el(
      'div',
      { class: 'tools' },
      json && [form('details.indented', json, true), form('details.as_sent', raw)],
      copier(raw),
      el(
        'button',
        { type: 'button', class: 'quiet', onclick: () => save([raw], 'callback.json', 'application/json') },
        t('details.download'),
      ),
    ),
    text,
  ];
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
  return tokens
    .map((token, index) => {
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
    })
    .join('');
}
