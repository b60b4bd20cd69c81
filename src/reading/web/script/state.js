// A group's state: what it is, since when and by which change.

import { ask } from './api.js';
import { shown } from './details.js';
import { cut, el, fill, untrusted } from './dom.js';
import { gapList } from './gaps.js';
import { button, reason } from './parts.js';
import { byPlace, label, role, user } from './sentences.js';
import { has, number, say, t, when } from './texts.js';

/** How many members are shown at first. */
const MEMBERS = 50;

/** The state's panel. `of` is the group as it is viewed: its key, the time, addresses of the view. */
export function panel(state, of) {
  const fields = Object.entries(state.fields).sort(([one], [other]) => byPlace(one, other));
  const noOwner =
    !state.fields.owner &&
    el('dl', { class: 'values' }, el('dt', {}, label('owner')), el('dd', { class: 'none' }, t('owner.unknown')));
  return el(
    'div',
    { class: 'panel' },
    !state.finished &&
      el(
        'p',
        { class: 'banner' },
        say('group.unfinished', { changes: number(state.changes), time: when(state.last_change_key.split('#')[0]) }),
      ),
    state.values_omitted && el('p', { class: 'banner' }, say('group.omitted', { values: number(state.values_omitted) })),
    gapList(state, of),
    fields.length > 0
      ? values('profile', fields, of, noOwner)
      : el('section', {}, el('h2', {}, t('profile')), el('p', { class: 'none' }, t('profile.empty'))),
    values('custom_fields', Object.entries(state.custom_fields), of),
    values('attributes', Object.entries(state.attributes), of),
    members(state, of),
    topics(state, of),
  );
}

function values(title, entries, of, more) {
  const isOwn = title === 'profile';
  if (entries.length === 0) return null;
  return el(
    'section',
    {},
    el('h2', {}, t(title), !isOwn && el('span', { class: 'count' }, ` (${number(entries.length)})`)),
    el(
      'dl',
      { class: 'values' },
      entries.map(([field, value]) => [
        el('dt', {}, isOwn ? label(field) : user(field, 32)),
        el(
          'dd',
          {},
          el(
            'div',
            {},
            field === 'owner' && typeof value.value === 'string' && value.value !== ''
              ? user(value.value, 48)
              : shown(value.value),
          ),
          origin(value, of),
        ),
      ]),
    ),
    more,
  );
}

/** The members: those that the state has, and then the others by pages. */
function members(state, of) {
  const { key, at, signal } = of;
  const problem = el('p', { class: 'none', role: 'alert' });
  const all = Object.entries(state.members);
  const owner = state.fields.owner?.value;
  const list = el('ul', { class: 'members' });
  const more = button(t('members.more'), () => further(), { class: 'more' });
  const member = ([name, known]) =>
    el(
      'li',
      {},
      el(
        'span',
        {},
        user(name, 48),
        known.nickname && [' ', untrusted(cut(String(known.nickname), 80), { class: 'nickname' })],
        (name === owner || known.role !== undefined) && [
          ' ',
          el('span', { class: 'tag' }, name === owner ? t('role.owner') : role(known.role)),
        ],
      ),
      origin(known, of),
    );
  let shownMembers = 0;
  let [cursor, isLast] = [undefined, false];
  async function further() {
    if (shownMembers < all.length) {
      const next = all.slice(shownMembers, shownMembers + (shownMembers === 0 ? MEMBERS : 500));
      list.append(...next.map(member));
      shownMembers += next.length;
    } else {
      more.disabled = true;
      try {
        const asOf = at ?? state.last_change_key.split('#')[0];
        let news = [];
        // The first pages have those that are shown already.
        do {
          const page = await ask('members', { group_key: key, at: asOf, limit: 1_000, cursor }, signal);
          news = page.members.filter(({ user: name }) => !Object.hasOwn(state.members, name));
          cursor = page.next;
        } while (news.length === 0 && cursor);
        fill(problem);
        isLast = cursor === null;
        list.append(...news.map((listed) => member([listed.user, listed])));
        shownMembers += news.length;
      } catch (failure) {
        if (!signal.aborted) fill(problem, reason(failure));
      }
      more.disabled = false;
    }
    more.hidden = isLast || shownMembers >= state.members_total;
  }
  further();
  const known = state.members_complete
    ? el('span', { class: 'complete' }, `${t('members.complete')} ✓`)
    : el('details', { class: 'why' }, el('summary', {}, t('members.incomplete')), el('p', {}, t('members.why')));
  return el(
    'section',
    {},
    el('h2', {}, t('members'), state.members_total > 0 && el('span', { class: 'count' }, ` (${number(state.members_total)})`)),
    known,
    all.length === 0 ? el('p', { class: 'none' }, t('members.none')) : [list, problem, more],
  );
}

function topics(state, of) {
  const all = Object.entries(state.topics);
  if (all.length === 0) return null;
  return el(
    'section',
    {},
    el('h2', {}, t('topics'), el('span', { class: 'count' }, ` (${number(all.length)})`)),
    all.map(([topic, fields]) => [
      el('h3', {}, user(topic.split('@TOPIC#').pop(), 32)),
      el(
        'dl',
        { class: 'values' },
        Object.entries(fields)
          .sort(([one], [other]) => byPlace(one, other))
          .map(([field, value]) => [
            el('dt', {}, label(field, 'topic')),
            el('dd', {}, el('div', {}, shown(value.value)), origin(value, of)),
          ]),
      ),
    ]),
  );
}

/** What a value says of its origin: since when, by whom, and a link to the change that set it. */
function origin(value, { here }) {
  if (!value.change_key) return null;
  const joined = value.how === 'invited' && !value.operator ? 'how.unknown' : `how.${value.how}`;
  const form = has(joined) ? joined : value.operator ? 'since_by' : 'since';
  const text =
    value.since === null
      ? t('since.unknown')
      : say(form, { time: when(value.since, 'minute'), operator: value.operator && user(value.operator) });
  return el(
    'a',
    { class: 'origin', href: here({ change: value.change_key, kind: '', by: '' }), title: t('to_change') },
    text,
    '\u00a0→',
  );
}
