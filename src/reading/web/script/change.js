// A change in a list: a line that says what happened. Its details open in place.

import { fillDetails, own } from './details.js';
import { cut, el, id, untrusted } from './dom.js';
import { learnName } from './names.js';
import { address } from './parts.js';
import { label, platform, role, sentence, user } from './sentences.js';
import { say, t, when } from './texts.js';

/** The fields whose values are worth a line. */
const BENEATH = ['name', 'notification', 'introduction', 'face_url', 'role', 'nickname', 'message', 'reason', 'cause'];

/**
 * A list's item. `inFeed` tells of which group it is and when it was recorded; without it, the item is one of a group's history.
 */
export function item(change, inFeed) {
  const details = el('div', { class: 'details' });
  const time = inFeed ? (change.recorded_at ?? change.received_at) : change.occurred_at;
  const disclosure = el(
    'details',
    {
      class: 'change',
      ontoggle: () => disclosure.open && details.childNodes.length === 0 && fillDetails(details, change, inFeed),
    },
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
